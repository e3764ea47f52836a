// SPDX-License-Identifier: GPL-3.0-or-later
/* Between the network thread and the capture device's controls: see device_controls.h. */
#include "pipeline/device_controls.h"

#include <pthread.h>
#include <sys/eventfd.h>

#include "base/util.h"
#include "base/wait.h"

#define LOG_TOPIC "capture"
#include "base/log.h"

enum state { IDLE, ASKED, BEGUN, DONE };

struct device_controls {
	int wake_fd; /* set at creation, as is the next one */
	int answer_fd;

	pthread_mutex_t lock;
	struct source_controls controls; /* under lock, as all of this block */
	enum state state;
	bool ignored; /* nobody waits for the answer */
	struct option_control wish[CONTROLS];
	struct device_controls_answer answer;
};

int device_controls_create(struct device_controls **out, int wake_fd)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct device_controls *device;

	if (fd < 0)
		return -errno;
	device = xcalloc(1, sizeof(*device));
	device->wake_fd = wake_fd;
	device->answer_fd = fd;
	pthread_mutex_init(&device->lock, NULL);
	*out = device;
	return 0;
}

void device_controls_destroy(struct device_controls *device)
{
	if (!device)
		return;
	close(device->answer_fd);
	pthread_mutex_destroy(&device->lock);
	free(device);
}

/* ---- network thread */

void device_controls_look(struct device_controls *device, struct source_controls *out)
{
	pthread_mutex_lock(&device->lock);
	*out = device->controls;
	pthread_mutex_unlock(&device->lock);
}

int device_controls_ask(struct device_controls *device, const struct option_control wish[CONTROLS])
{
	bool busy;

	pthread_mutex_lock(&device->lock);
	busy = device->state != IDLE;
	if (!busy) {
		device->state = ASKED;
		device->ignored = false;
		memcpy(device->wish, wish, sizeof(device->wish));
	}
	pthread_mutex_unlock(&device->lock);
	if (busy)
		return -EBUSY;
	wake(device->wake_fd);
	return 0;
}

int device_controls_fd(const struct device_controls *device)
{
	return device->answer_fd;
}

bool device_controls_hear(struct device_controls *device, struct device_controls_answer *out)
{
	eventfd_t count;
	bool done;

	eventfd_read(device->answer_fd, &count);
	pthread_mutex_lock(&device->lock);
	done = device->state == DONE;
	*out = device->answer;
	if (done)
		device->state = IDLE;
	done = done && !device->ignored;
	pthread_mutex_unlock(&device->lock);
	return done;
}

bool device_controls_withdraw(struct device_controls *device)
{
	bool unbegun;

	pthread_mutex_lock(&device->lock);
	unbegun = device->state == ASKED;
	if (unbegun)
		device->state = IDLE;
	device->ignored = true;
	pthread_mutex_unlock(&device->lock);
	return unbegun;
}

/* ---- capture thread */

void device_controls_show(struct device_controls *device, struct source *source)
{
	struct source_controls controls;

	memset(&controls, 0, sizeof(controls));
	if (source)
		source->ops->list(source, &controls);
	pthread_mutex_lock(&device->lock);
	device->controls = controls;
	pthread_mutex_unlock(&device->lock);
}

static bool begin(struct device_controls *device, struct option_control wish[CONTROLS])
{
	bool asked;

	pthread_mutex_lock(&device->lock);
	asked = device->state == ASKED;
	if (asked) {
		device->state = BEGUN;
		memcpy(wish, device->wish, sizeof(device->wish));
	}
	pthread_mutex_unlock(&device->lock);
	return asked;
}

/* The first one that is asked for. */
static enum option_control_id first(const struct option_control wish[CONTROLS])
{
	unsigned i = 0;

	while (i < CONTROLS - 1 && wish[i].mode == CONTROL_KEEP)
		i++;
	return i;
}

bool device_controls_serve(struct device_controls *device, struct source *source)
{
	struct device_controls_answer answer = { .error = -ENODEV };
	struct option_control wish[CONTROLS];

	if (!begin(device, wish))
		return false;
	answer.which = first(wish);
	if (source) {
		answer.error = source->ops->control(source, wish, &answer.which);
		device_controls_show(device, source);
	}
	pthread_mutex_lock(&device->lock);
	device->state = DONE;
	device->answer = answer;
	pthread_mutex_unlock(&device->lock);
	wake(device->answer_fd);
	return source != NULL;
}
