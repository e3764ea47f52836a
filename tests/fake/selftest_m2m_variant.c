/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Encoders of other makers, and the specification's own: G38, G39. */
#include "selftest_m2m.h"

#include <dirent.h>

#define CID(name) V4L2_CID_MPEG_VIDEO_##name

static struct unit unit;

static void use(const char *variant)
{
	m2m_close(&m2m);
	command("m2m.variant %s", variant);
	m2m_open(&m2m, "/dev/fake-m2m");
}

static void start(uint32_t fourcc, unsigned width, unsigned height, unsigned n_out)
{
	assert_int_equal(m2m_format(&m2m, M2M_CAP, V4L2_PIX_FMT_H264, width, height, 0, NULL), 0);
	assert_int_equal(m2m_format(&m2m, M2M_OUT, fourcc, width, height, 0, &m2m.raw), 0);
	m2m_map(&m2m, n_out, 3);
	for (unsigned i = 0; i < m2m.n_cap; i++)
		assert_int_equal(m2m_queue_capture(&m2m, i), 0);
	assert_int_equal(m2m_stream(&m2m, M2M_OUT, true), 0);
	assert_int_equal(m2m_stream(&m2m, M2M_CAP, true), 0);
}

static void g38_the_specification_resumes_and_counts(void **state)
{
	(void)state;
	use("spec");
	start(V4L2_PIX_FMT_NV12, 320, 240, 2);
	m2m_pass(&m2m, 10, 1, &unit);
	m2m_pass(&m2m, 10, 2, &unit);
	assert_int_equal(unit.sequence, 1);
	assert_true(unit.flags & V4L2_BUF_FLAG_PFRAME);
	command("m2m.latency 50");
	assert_int_equal(m2m_queue_picture(&m2m, 0, 10, 3), 0);
	assert_int_equal(m2m_command(&m2m, V4L2_ENC_CMD_STOP), 0);
	assert_int_equal(m2m_command(&m2m, V4L2_ENC_CMD_STOP), -EBUSY);
	assert_int_equal(m2m_dequeue(&m2m, &unit), 0);
	assert_true(unit.flags & V4L2_BUF_FLAG_LAST);
	assert_int_equal(unit.time_us, 3);
	assert_int_equal(m2m_dequeue(&m2m, &unit), -EPIPE);
	assert_int_equal(m2m_command(&m2m, V4L2_ENC_CMD_START), 0);
	assert_int_equal(m2m_queue_picture(&m2m, 1, 10, 4), 0);
	assert_int_equal(m2m_dequeue(&m2m, &unit), 0);
	assert_int_equal(unit.time_us, 4);
	assert_int_equal(violations("G"), 0);
}

/* Everything about it is single-planar, so that it has its own small client. */
static void coda_buffers(uint8_t **out, uint8_t **cap, size_t *size)
{
	static const uint32_t types[] = { V4L2_BUF_TYPE_VIDEO_OUTPUT, V4L2_BUF_TYPE_VIDEO_CAPTURE };

	for (unsigned i = 0; i < 2; i++) {
		unsigned count = 1;
		struct v4l2_buffer b = { .type = types[i], .memory = V4L2_MEMORY_MMAP };
		uint8_t **mem = i ? cap : out;

		assert_int_equal(m2m_request(&m2m, types[i], V4L2_MEMORY_MMAP, &count), 0);
		assert_int_equal(request(m2m.fd, VIDIOC_QUERYBUF, &b), 0);
		size[i] = b.length;
		*mem = mmap(NULL, b.length, PROT_READ | PROT_WRITE, MAP_SHARED, m2m.fd, b.m.offset);
		assert_ptr_not_equal(*mem, MAP_FAILED);
		b.bytesused = b.length;
		assert_int_equal(request(m2m.fd, VIDIOC_QBUF, &b), 0);
		assert_int_equal(m2m_stream(&m2m, types[i], true), 0);
	}
}

static void g39_coda_is_single_planar(void **state)
{
	struct v4l2_format f = { .type = V4L2_BUF_TYPE_VIDEO_OUTPUT };
	struct v4l2_buffer b = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP };
	struct v4l2_capability cap;
	uint8_t *out, *coded;
	size_t size[2];
	int32_t value;

	(void)state;
	use("coda");
	assert_int_equal(request(m2m.fd, VIDIOC_QUERYCAP, &cap), 0);
	assert_true(cap.device_caps & V4L2_CAP_VIDEO_M2M);
	assert_int_equal(m2m_format(&m2m, M2M_OUT, V4L2_PIX_FMT_NV12, 64, 64, 0, NULL), -EINVAL);
	f.fmt.pix.pixelformat = V4L2_PIX_FMT_UYVY;
	f.fmt.pix.width = 1366;
	f.fmt.pix.height = 768;
	assert_int_equal(request(m2m.fd, VIDIOC_S_FMT, &f), 0);
	assert_int_equal(f.fmt.pix.pixelformat, V4L2_PIX_FMT_NV12);
	assert_int_equal(f.fmt.pix.width, 1376);
	assert_int_equal(m2m_get(&m2m, CID(BITRATE), &value), 0);
	assert_int_equal(value, 0);
	assert_int_equal(m2m_get(&m2m, CID(H264_I_PERIOD), &value), -EINVAL);
	assert_int_equal(m2m_set(&m2m, CID(HEADER_MODE), 0), -EINVAL);
	coda_buffers(&out, &coded, size);
	assert_int_equal(m2m_ready(&m2m, POLLIN, 2000), POLLIN);
	assert_int_equal(request(m2m.fd, VIDIOC_DQBUF, &b), 0);
	assert_true(b.bytesused > 20 && b.flags & V4L2_BUF_FLAG_KEYFRAME);
	assert_int_equal(coded[4] & 31, 7);
	munmap(out, size[0]);
	munmap(coded, size[1]);
}

static void g39_mediatek_has_planes_of_their_own(void **state)
{
	(void)state;
	use("mediatek");
	assert_int_equal(m2m_set(&m2m, CID(BITRATE_MODE), 0), -EINVAL);
	start(V4L2_PIX_FMT_YUV420M, 1280, 720, 2);
	assert_int_equal(m2m.raw.num_planes, 3);
	assert_int_equal(m2m.raw.height, 736);
	assert_int_equal(m2m.raw.plane_fmt[1].bytesperline, 640);
	m2m_pass(&m2m, 100, 5, &unit);
	assert_int_equal(unit.time_us, 0);
	assert_true(has_nal(&unit, 7) && !has_nal(&unit, 5));
	assert_int_equal(m2m_dequeue(&m2m, &unit), 0);
	assert_true(has_nal(&unit, 5));
}

static void g39_venus_pads_and_wants_a_crop(void **state)
{
	struct v4l2_selection s = { .type = V4L2_BUF_TYPE_VIDEO_OUTPUT,
		.target = V4L2_SEL_TGT_CROP,
		.r = { 0, 0, 1366, 768 } };
	unsigned count = 1;
	int32_t value;

	(void)state;
	use("venus");
	assert_int_equal(m2m_format(&m2m, M2M_OUT, V4L2_PIX_FMT_NV12, 1366, 768, 0, &m2m.raw), 0);
	assert_int_equal(m2m.raw.width, 1408);
	assert_int_equal(m2m.raw.height, 768);
	assert_int_equal(request(m2m.fd, VIDIOC_S_SELECTION, &s), 0);
	assert_int_equal(s.r.width, 1366);
	assert_int_equal(m2m_get(&m2m, V4L2_CID_MIN_BUFFERS_FOR_OUTPUT, &value), 0);
	assert_int_equal(value, 4);
	assert_int_equal(m2m_request(&m2m, M2M_OUT, V4L2_MEMORY_MMAP, &count), 0);
	assert_int_equal(count, 4);
	assert_int_equal(m2m_set(&m2m, CID(REPEAT_SEQ_HEADER), 1), -EINVAL);
}

static void g39_old_kernels_know_a_crop_by_one_name_only(void **state)
{
	struct v4l2_selection s = {
		.type = M2M_OUT, .target = V4L2_SEL_TGT_CROP, .r = { 0, 0, 1366, 768 }
	};

	(void)state;
	use("venus");
	assert_int_equal(m2m_format(&m2m, M2M_OUT, V4L2_PIX_FMT_NV12, 1366, 768, 0, &m2m.raw), 0);
	command("m2m.pre2017 on");
	assert_int_equal(request(m2m.fd, VIDIOC_S_SELECTION, &s), -EINVAL);
	s.type = V4L2_BUF_TYPE_VIDEO_OUTPUT;
	assert_int_equal(request(m2m.fd, VIDIOC_S_SELECTION, &s), 0);
	command("m2m.pre2017 off");
	s.type = M2M_OUT;
	assert_int_equal(request(m2m.fd, VIDIOC_S_SELECTION, &s), 0);
}

/* Every raw format of every variant gives a key frame. */
static void each_format_is_encoded(void **state)
{
	static const char *const variants[] = { "bcm2835", "bcm2835-old", "spec", "mediatek",
		"venus" };
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
		struct v4l2_fmtdesc f = { .type = M2M_OUT };

		for (;; f.index++) {
			use(variants[i]);
			if (request(m2m.fd, VIDIOC_ENUM_FMT, &f) < 0)
				break;
			start(f.pixelformat, 384, 320, 4);
			assert_int_equal(m2m.raw.pixelformat, f.pixelformat);
			m2m_pass(&m2m, 128, 7, &unit);
			assert_true(has_nal(&unit, 7));
			n++;
		}
	}
	assert_int_equal(n, 14 + 14 + 5 + 4 + 1);
}

/* E1, G35: in turn; what one leaves undone is not in the other's way. */
static void two_handles_share_the_vpu(void **state)
{
	static struct encoder other;

	(void)state;
	m2m_start(&m2m, 320, 240);
	m2m_open(&other, "/dev/fake-m2m");
	m2m_start(&other, 640, 480);
	for (unsigned i = 0; i < 10; i++) {
		m2m_pass(&m2m, (uint8_t)i, 1 + i, &unit);
		assert_int_equal(unit.time_us, 1 + i);
		m2m_pass(&other, (uint8_t)i, 100 + i, &unit);
		assert_int_equal(unit.time_us, 100 + i);
	}
	m2m_set(&m2m, CID(H264_I_PERIOD), 1);
	assert_int_equal(m2m_queue_picture(&m2m, 0, 10, 50), 0);
	m2m_pass(&other, 10, 200, &unit);
	m2m_close(&other);
}

static void nodes_are_listed_in_dev(void **state)
{
	static const char *const names[] = { "fake-uvc", "fake-csi", "fake-m2m" };
	unsigned found = 0;
	DIR *dir = opendir("/dev");
	struct dirent *entry;

	(void)state;
	assert_non_null(dir);
	while ((entry = readdir(dir)))
		for (unsigned i = 0; i < 3; i++)
			found += !strcmp(entry->d_name, names[i]);
	closedir(dir);
	assert_int_equal(found, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, reset_m2m, finish_m2m)

const struct CMUnitTest m2m_variant_tests[] = {
	TEST(g38_the_specification_resumes_and_counts),
	TEST(g39_coda_is_single_planar),
	TEST(g39_mediatek_has_planes_of_their_own),
	TEST(g39_venus_pads_and_wants_a_crop),
	TEST(g39_old_kernels_know_a_crop_by_one_name_only),
	TEST(each_format_is_encoded),
	TEST(two_handles_share_the_vpu),
	TEST(nodes_are_listed_in_dev),
};

const size_t n_m2m_variant_tests = sizeof(m2m_variant_tests) / sizeof(m2m_variant_tests[0]);
