// SPDX-License-Identifier: GPL-2.0-only
/* See parameters.h. */
#include <linux/module.h>
#include <linux/sched/signal.h>

#include "parameters.h"

struct parameters parameters = {
	.video_nr = 11,
	.driver = "bcm2835-codec",
	.card = "bcm2835-codec-encode",
	.most_pixels = 1920,
	.height_alignment = 1,
};
DECLARE_WAIT_QUEUE_HEAD(parameters_changed);

static int set_and_wake(const char *value, const struct kernel_param *param)
{
	int res = param_set_bool(value, param);

	wake_up_all(&parameters_changed);
	return res;
}

static const struct kernel_param_ops waking_ops = { .set = set_and_wake, .get = param_get_bool };
static struct kparam_string only = { .maxlen = sizeof(parameters.only), .string = parameters.only };

#define PARAMETER(name, type, mode, text)                      \
	module_param_named(name, parameters.name, type, mode); \
	MODULE_PARM_DESC(name, text)

PARAMETER(video_nr, int, 0444, "N of /dev/videoN");
PARAMETER(single_planar, bool, 0444, "speak the single-planar API");
PARAMETER(driver, charp, 0444, "the driver's name");
PARAMETER(card, charp, 0444, "the device's name");
module_param_cb(only, &param_ops_string, &only, 0644);
MODULE_PARM_DESC(only, "the one raw format that is offered");
PARAMETER(most_pixels, uint, 0644, "largest width and height");
PARAMETER(height_alignment, uint, 0644, "raw pictures have rows of a multiple of this");
PARAMETER(capture_size, uint, 0644, "least bytes of a buffer for H.264; 0: enough for any picture");
PARAMETER(latency_us, uint, 0644, "added to each frame");
PARAMETER(drop_every, uint, 0644, "each nth frame goes in and does not come out");
PARAMETER(empty_every, uint, 0644, "each nth frame comes out without a byte");
PARAMETER(err_every, uint, 0644, "each nth frame comes out with the error flag");
module_param_cb(hang, &waking_ops, &parameters.hang, 0644);
MODULE_PARM_DESC(hang, "nothing is encoded until this is cleared or the stream stopped");
module_param_cb(wedge, &waking_ops, &parameters.wedge, 0644);
MODULE_PARM_DESC(wedge, "queueing, starting, stopping do not return, for anyone");
PARAMETER(fail_streamon, bool, 0644, "STREAMON fails with EIO");
PARAMETER(jobs, uint, 0644, "frames that were encoded");
PARAMETER(imported, uint, 0644, "those among them that lay in another driver's dma-buf");
PARAMETER(attached, uint, 0644, "how often another driver's dma-buf was imported");

int parameters_wait_wedged(void)
{
	return wait_event_killable(parameters_changed, !READ_ONCE(parameters.wedge));
}
