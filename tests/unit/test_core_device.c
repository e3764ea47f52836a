// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Which capture node is opened: by path, else by what the grabber is and where it is plugged in.
 * device.c is compiled in here, over a /dev of our own.
 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/videodev2.h>

#include "base/util.h"

#define CAPTURE  (V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING)
#define METADATA (V4L2_CAP_META_CAPTURE | V4L2_CAP_STREAMING)
#define FIRST_FD 1000

static const struct node {
	const char *name, *card, *bus;
	uint32_t caps;
	int error; /* of open(2) */
} * nodes;
static unsigned n_open, at;

static int our_open(const char *path, int flags)
{
	(void)flags;
	for (int i = 0; nodes[i].name; i++) {
		if (strcmp(path + strlen("/dev/"), nodes[i].name))
			continue;
		errno = nodes[i].error;
		n_open += !errno;
		return errno ? -1 : FIRST_FD + i;
	}
	errno = ENOENT;
	return -1;
}

static int our_xioctl(int fd, unsigned long request, void *arg)
{
	struct v4l2_capability *cap = arg;
	const struct node *node = &nodes[fd - FIRST_FD];

	assert_int_equal(request, VIDIOC_QUERYCAP);
	*cap = (struct v4l2_capability){ .capabilities = V4L2_CAP_DEVICE_CAPS,
		.device_caps = node->caps };
	strcpy((char *)cap->driver, "uvcvideo");
	strcpy((char *)cap->card, node->card);
	strcpy((char *)cap->bus_info, node->bus);
	return 0;
}

static void our_close(const int *fd)
{
	n_open -= *fd >= FIRST_FD;
}

static void our_close_fd(int *fd)
{
	our_close(fd);
	*fd = -1;
}

static DIR *our_opendir(const char *path)
{
	assert_string_equal(path, "/dev");
	at = 0;
	return (DIR *)&nodes;
}

static struct dirent *our_readdir(DIR *dir)
{
	static struct dirent entry;

	(void)dir;
	if (!nodes[at].name)
		return NULL;
	strcpy(entry.d_name, nodes[at++].name);
	return &entry;
}

static int our_closedir(DIR *dir)
{
	(void)dir;
	return 0;
}

#define device_open   tested_open
#define open          our_open
#define xioctl        our_xioctl
#define auto_close    our_close
#define close_fd      our_close_fd
#define opendir(path) our_opendir(path)
#define readdir       our_readdir
#define closedir      our_closedir
#include "../../src/capture/device.c" /* NOLINT(bugprone-suspicious-include) */

/* Opens /dev/video0 among `there`; gives the name of the node that was opened, or NULL. */
static const char *find(const struct node *there, struct source_identity *identity, int *error)
{
	enum v4l2_buf_type type;
	int fd = -1;

	nodes = there;
	n_open = 0;
	*error = device_open("/dev/video0", identity, &fd, &type);
	assert_int_equal(n_open, *error == 0);
	return *error ? NULL : there[fd - FIRST_FD].name;
}

static const struct node plugged[] = { { "video0", "HDMI", "usb-1.1", CAPTURE, 0 },
	{ "video2", "HDMI", "usb-1.2", CAPTURE, 0 }, { 0 } };

static void the_path_is_taken_where_it_leads(void **state)
{
	struct source_identity identity = { "", "", "" };
	int error;

	(void)state;
	assert_string_equal(find(plugged, &identity, &error), "video0");
	assert_string_equal(identity.bus, "usb-1.1");
}

static void a_replugged_grabber_is_found_under_its_new_number(void **state)
{
	static const struct node renumbered[] = { { "null", "", "", 0, 0 },
		{ "video2", "HDMI", "usb-1.2", CAPTURE, 0 },
		{ "video4", "HDMI", "usb-1.1", CAPTURE, 0 }, { 0 } };
	struct source_identity identity = { "", "", "" };
	int error;

	(void)state;
	find(plugged, &identity, &error);
	assert_string_equal(find(renumbered, &identity, &error), "video4");
}

static void its_twin_in_the_next_port_is_left_alone(void **state)
{
	static const struct node twin[] = { { "video2", "HDMI", "usb-1.2", CAPTURE, 0 }, { 0 } };
	struct source_identity identity = { "", "", "" };
	int error;

	(void)state;
	find(plugged, &identity, &error);
	assert_null(find(twin, &identity, &error));
	assert_int_equal(error, -ENODEV);
	assert_string_equal(identity.bus, "usb-1.1");
}

static void nothing_is_guessed_before_it_was_seen(void **state)
{
	static const struct node other[] = { { "video2", "HDMI", "usb-1.2", CAPTURE, 0 }, { 0 } };
	struct source_identity identity = { "", "", "" };
	int error;

	(void)state;
	assert_null(find(other, &identity, &error));
	assert_int_equal(error, -ENODEV);
}

static void the_metadata_node_leads_to_the_picture_beside_it(void **state)
{
	static const struct node pair[] = { { "video0", "HDMI", "usb-1.1", METADATA, 0 },
		{ "video1", "HDMI", "usb-1.2", CAPTURE, 0 },
		{ "video3", "HDMI", "usb-1.1", CAPTURE, 0 }, { 0 } };
	struct source_identity identity = { "", "", "" };
	int error;

	(void)state;
	assert_string_equal(find(pair, &identity, &error), "video3");
}

static void what_cannot_be_opened_says_why(void **state)
{
	static const struct node forbidden[] = { { "video0", "HDMI", "usb-1.1", CAPTURE, EACCES },
		{ 0 } };
	static const struct node encoder[] = {
		{ "video0", "codec", "platform", V4L2_CAP_VIDEO_M2M_MPLANE | V4L2_CAP_STREAMING,
			0 },
		{ 0 }
	};
	struct source_identity identity = { "", "", "" };
	int error;

	(void)state;
	assert_null(find(forbidden, &identity, &error));
	assert_int_equal(error, -EACCES);
	assert_null(find(encoder, &identity, &error));
	assert_int_equal(error, -ENOTTY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_path_is_taken_where_it_leads),
		cmocka_unit_test(a_replugged_grabber_is_found_under_its_new_number),
		cmocka_unit_test(its_twin_in_the_next_port_is_left_alone),
		cmocka_unit_test(nothing_is_guessed_before_it_was_seen),
		cmocka_unit_test(the_metadata_node_leads_to_the_picture_beside_it),
		cmocka_unit_test(what_cannot_be_opened_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
