// SPDX-License-Identifier: GPL-3.0-or-later
/* Which capture node is opened: by path, else by what the grabber is and where it is plugged in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "capture/device.h"
#include "nodes.h"

#define CAPTURE  (V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING)
#define METADATA (V4L2_CAP_META_CAPTURE | V4L2_CAP_STREAMING)
#define NODE(name_, bus_, caps_, ...)                                                            \
	{                                                                                        \
		.name = name_, .driver = "uvcvideo", .card = "HDMI", .bus = bus_, .caps = caps_, \
		__VA_ARGS__                                                                      \
	}

static int driver_ioctl(int fd, unsigned long request, void *arg)
{
	assert_int_equal(request, VIDIOC_QUERYCAP);
	return query_capability(&our_nodes[fd - FIRST_FD], arg);
}

/* Opens /dev/video0 among `there`; gives the name of the node that was opened, or NULL. */
static enum v4l2_buf_type type;

static const char *find(const struct node *there, struct source_identity *identity, int *error)
{
	struct v4l2_device device;

	set_nodes(there);
	*error = device_open(&device, "/dev/video0", identity, &type);
	assert_int_equal(n_open, *error == 0);
	return *error ? NULL : there[device.fd - FIRST_FD].name;
}

static const struct node plugged[] = { NODE("video0", "usb-1.1", CAPTURE),
	NODE("video2", "usb-1.2", CAPTURE), { 0 } };

static void the_path_is_taken_where_it_leads(void **state)
{
	struct source_identity identity = { "", "", "", "" };
	int error;

	(void)state;
	assert_string_equal(find(plugged, &identity, &error), "video0");
	assert_string_equal(identity.bus, "usb-1.1");
}

static void the_type_of_its_buffers_is_told(void **state)
{
	static const struct node multi[] = {
		NODE("video0", "platform", V4L2_CAP_VIDEO_CAPTURE_MPLANE | V4L2_CAP_STREAMING),
		{ 0 }
	};
	static const struct node unstreamed[] = { NODE("video0", "pci", V4L2_CAP_VIDEO_CAPTURE),
		{ 0 } };
	struct source_identity identity = { "", "", "", "" };
	int error;

	(void)state;
	find(multi, &identity, &error);
	assert_int_equal(type, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE);
	find(plugged, &identity, &error);
	assert_int_equal(type, V4L2_BUF_TYPE_VIDEO_CAPTURE);
	assert_null(find(unstreamed, &identity, &error));
	assert_int_equal(error, -ENOTTY);
}

static void a_replugged_grabber_is_found_under_its_new_number(void **state)
{
	static const struct node renumbered[] = { { .name = "null" },
		NODE("video2", "usb-1.2", CAPTURE), NODE("video4", "usb-1.1", CAPTURE), { 0 } };
	struct source_identity identity = { "", "", "", "" };
	int error;

	(void)state;
	find(plugged, &identity, &error);
	assert_string_equal(find(renumbered, &identity, &error), "video4");
}

static void its_twin_in_the_next_port_is_left_alone(void **state)
{
	static const struct node twin[] = { NODE("video2", "usb-1.2", CAPTURE), { 0 } };
	struct source_identity identity = { "", "", "", "" };
	int error;

	(void)state;
	find(plugged, &identity, &error);
	assert_null(find(twin, &identity, &error));
	assert_int_equal(error, -ENODEV);
	assert_string_equal(identity.bus, "usb-1.1");
}

static void nothing_is_guessed_before_it_was_seen(void **state)
{
	static const struct node other[] = { NODE("video2", "usb-1.2", CAPTURE), { 0 } };
	struct source_identity identity = { "", "", "", "" };
	int error;

	(void)state;
	assert_null(find(other, &identity, &error));
	assert_int_equal(error, -ENODEV);
}

static void the_metadata_node_leads_to_the_picture_beside_it(void **state)
{
	static const struct node pair[] = { NODE("video0", "usb-1.1", METADATA),
		NODE("video1", "usb-1.2", CAPTURE), NODE("video3", "usb-1.1", CAPTURE), { 0 } };
	struct source_identity identity = { "", "", "", "" };
	int error;

	(void)state;
	assert_string_equal(find(pair, &identity, &error), "video3");
}

static void what_cannot_be_opened_says_why(void **state)
{
	static const struct node forbidden[] = {
		NODE("video0", "usb-1.1", CAPTURE, .error = EACCES), { 0 }
	};
	static const struct node encoder[] = {
		NODE("video0", "platform", V4L2_CAP_VIDEO_M2M_MPLANE | V4L2_CAP_STREAMING), { 0 }
	};
	struct source_identity identity = { "", "", "", "" };
	int error;

	(void)state;
	assert_null(find(forbidden, &identity, &error));
	assert_int_equal(error, -EACCES);
	assert_null(find(encoder, &identity, &error));
	assert_int_equal(error, -ENOTTY);
}

#define PCI "/sys/devices/platform/scb/fd500000.pcie/pci0000:00/0000:01:00.0"

/* Where /sys tells what belongs to what, nothing else is woken up. */
static void what_belongs_to_others_is_not_opened(void **state)
{
	static const struct node before[] = { NODE("video0", "usb-1.1", CAPTURE,
						      .parent = PCI "/usb1/1-1/1-1.1/1-1.1:1.0"),
		NODE("video11", "platform", CAPTURE,
			.parent = "/sys/devices/platform/bcm2835-codec"),
		{ 0 } };
	static const struct node away[] = { NODE("video2", "usb-1.2", CAPTURE,
						    .parent = PCI "/usb1/1-1/1-1.2/1-1.2:1.0"),
		NODE("video11", "platform", CAPTURE,
			.parent = "/sys/devices/platform/bcm2835-codec"),
		{ 0 } };
	static const struct node back[] = { NODE("video2", "usb-1.2", CAPTURE,
						    .parent = PCI "/usb1/1-1/1-1.2/1-1.2:1.0"),
		NODE("video3", "usb-1.1", METADATA, .parent = PCI "/usb1/1-1/1-1.1/1-1.1:1.0"),
		NODE("video4", "usb-1.1", CAPTURE, .parent = PCI "/usb1/1-1/1-1.1/1-1.1:1.0"),
		NODE("video11", "platform", CAPTURE,
			.parent = "/sys/devices/platform/bcm2835-codec"),
		{ 0 } };
	static const struct node renumbered[] = {
		NODE("video2", "usb-1.2", CAPTURE, .parent = PCI "/usb2/2-1/2-1.2/2-1.2:1.0"),
		NODE("video5", "usb-1.1", CAPTURE, .parent = PCI "/usb2/2-1/2-1.1/2-1.1:1.0"), { 0 }
	};
	struct source_identity identity = { "", "", "", "" };
	int error;

	(void)state;
	find(before, &identity, &error);
	assert_int_equal(times_opened[1], 0);
	assert_null(find(away, &identity, &error));
	assert_int_equal(times_opened[0] + times_opened[1], 0);
	assert_string_equal(find(back, &identity, &error), "video4");
	assert_int_equal(times_opened[0] + times_opened[3], 0);
	assert_string_equal(find(renumbered, &identity, &error), "video5");
	assert_int_equal(times_opened[0], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_path_is_taken_where_it_leads),
		cmocka_unit_test(the_type_of_its_buffers_is_told),
		cmocka_unit_test(a_replugged_grabber_is_found_under_its_new_number),
		cmocka_unit_test(its_twin_in_the_next_port_is_left_alone),
		cmocka_unit_test(nothing_is_guessed_before_it_was_seen),
		cmocka_unit_test(the_metadata_node_leads_to_the_picture_beside_it),
		cmocka_unit_test(what_cannot_be_opened_says_why),
		cmocka_unit_test(what_belongs_to_others_is_not_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
