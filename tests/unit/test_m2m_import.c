// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The hardware encoder reads the source's own memory. The letters and numbers in comments are the
 * rules of real drivers that the fake enforces: tests/fake/README.md.
 */
#include "m2m.h"

#define SOURCES 5

struct source {
	struct frame frame;
	struct picture picture;
	bool out;
};

static struct source sources[64];
static uint64_t next_id = 1, next_set;

static void give_back(struct frame *frame)
{
	struct source *source = frame->owner;

	CHECK(source->out);
	source->out = false;
}

/* A grabber's buffers: memory of another device that can be exported. */
static void make_sources(struct source *list, unsigned count, uint32_t stride, const char *kind)
{
	next_set++;
	for (unsigned i = 0; i < count; i++) {
		struct picture *picture = &list[i].picture;
		struct frame *frame = &list[i].frame;
		int fd = memfd_create(kind, MFD_CLOEXEC);
		size_t size;

		*picture = (struct picture){
			.format = self->format, .width = self->width, .height = self->height
		};
		size = picture_lay_out(picture, NULL, stride, self->height);
		CHECK(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
		picture_lay_out(picture, page_memory(size, fd), stride, self->height);
		as_frame(picture, frame);
		frame->release = give_back;
		frame->owner = &list[i];
		frame->dmabuf = (struct frame_dmabuf){
			.id = next_id++, .set = next_set, .fd = fd, .size = size
		};
	}
}

static void free_sources(struct source *list, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		CHECK(!list[i].out);
		munmap(list[i].picture.plane[0].data, list[i].frame.dmabuf.size);
		close(list[i].frame.dmabuf.fd);
	}
}

static struct encoder_config imported_config(uint32_t stride)
{
	struct encoder_config config = config_here();

	make_sources(sources, SOURCES, stride, "fake-contiguous");
	config.like.dmabuf.id = sources[0].frame.dmabuf.id;
	memcpy(config.like.plane, sources[0].frame.plane, sizeof(config.like.plane));
	return config;
}

/* As a grabber does: the next picture in the buffer that is out of use for longest. */
static int feed_source(struct source *source, bool want_key)
{
	int res = settle(ENCODER_INPUTS - 1, ENCODER_INPUTS, PATIENCE_MS);

	if (res < 0)
		return res;
	CHECK(!source->out);
	draw_any(&source->picture, submitted);
	source->frame.refs = 1;
	source->out = true;
	res = submit(-1, &source->frame, want_key);
	frame_unref(&source->frame);
	submitted += res == 0;
	return res;
}

static int feed_sources(unsigned count)
{
	int res = 0;

	for (unsigned i = 0; res == 0 && i < count; i++)
		res = feed_source(&sources[i % SOURCES], false);
	return res < 0 ? res : settle_all();
}

/* B12, B13: read in place, one binding for each buffer, and given back only after that. */
static void frames_are_read_where_they_lie(void)
{
	struct encoder_config config = imported_config(self->width * 2);

	CHECK(start(&config) == 0);
	CHECK(encoder->ops->takes(encoder, &sources[0].frame));
	CHECK(feed_sources(30) == 0 && n_units == 30);
	CHECK(counted("dmabuf") == 30 && counted("reimports") == 0 && counted("copied") == 0);
	CHECK(counted("m2m_opens") == 1);
	command("stall 300");
	CHECK(feed_source(&sources[0], false) == 0);
	CHECK(sources[0].out && encoder->busy_inputs & ENCODER_HOLDS_FRAMES);
	CHECK(settle_all() == 0 && !sources[0].out);
	stop();
	check_pictures(3);
	free_sources(sources, SOURCES);
}

/* Those that are in there when it is closed go back as well. */
static void frames_under_way_are_given_back_at_the_end(void)
{
	struct encoder_config config = imported_config(self->width * 2);

	CHECK(start(&config) == 0);
	CHECK(feed_sources(3) == 0);
	command("stall 300");
	CHECK(feed_source(&sources[0], false) == 0 && feed_source(&sources[1], false) == 0);
	CHECK(sources[0].out && sources[1].out);
	stop();
	free_sources(sources, SOURCES);
}

/* B12: the slate among imported frames goes through a second handle's buffers; B14, E1. */
static void other_pictures_go_between_them(void)
{
	struct encoder_config config = imported_config(self->width * 2);

	CHECK(start(&config) == 0);
	for (unsigned i = 0; i < 3; i++) {
		CHECK(feed_many(3) == 0);
		CHECK(feed_sources(7) == 0);
	}
	CHECK(n_units == 30 && encoder->lost == 0 && counted("sessions") == 1);
	CHECK(counted("copied") == 0 && counted("reimports") == 0);
	CHECK(encoder->ops->takes(encoder, &sources[0].frame));
	stop();
	check_pictures(3);
	free_sources(sources, SOURCES);
}

/* B12: memory that the hardware cannot reach is copied from then on, on the same descriptor. */
static void memory_out_of_reach_is_copied(void)
{
	struct encoder_config config = imported_config(self->width * 2);

	CHECK(start(&config) == 0);
	CHECK(encoder->ops->takes(encoder, &sources[0].frame));
	CHECK(feed_source(&sources[0], true) == -ENOTSUP);
	CHECK(!encoder->ops->takes(encoder, &sources[0].frame) && !sources[0].out);
	CHECK(feed_many(10) == 0 && n_units == 10 && encoder->lost == 1);
	CHECK(counted("m2m_opens") == 1 && counted("copied") == 10);
	stop();
	check_pictures(3);
	free_sources(sources, SOURCES);
}

/* The same when frames flow already. */
static void memory_that_gets_out_of_reach_is_copied(void)
{
	struct encoder_config config = imported_config(self->width * 2);

	CHECK(start(&config) == 0);
	CHECK(feed_sources(2) == 0);
	command("dmabuf-noncontiguous on");
	CHECK(feed_source(&sources[2], false) == -ENOTSUP);
	CHECK(!encoder->ops->takes(encoder, &sources[0].frame));
	CHECK(feed_many(1) == -ENOTSUP || n_units > 2);
	CHECK(feed_many(10) == 0 && n_units >= 12);
	CHECK(counted("sessions") <= 2);
	stop();
	free_sources(sources, SOURCES);
}

/* B12: the same when the firmware has no room for it; it is not asked again. */
static void what_the_firmware_does_not_import_is_copied(void)
{
	struct encoder_config config = imported_config(self->width * 2);

	CHECK(start(&config) == 0);
	CHECK(feed_sources(2) == 0 && n_units == 2);
	command("import-error 1 qbuf");
	CHECK(feed_source(&sources[2], false) == -ENOTSUP);
	CHECK(!encoder->ops->takes(encoder, &sources[2].frame) && !sources[2].out);
	CHECK(encoder->lost == 1);
	CHECK(feed_many(10) == 0 && n_units == 12 && encoder->lost == 1);
	CHECK(counted("sessions") == 1);
	stop();
	check_pictures(3);
	free_sources(sources, SOURCES);
}

/* B12: and when it says so only at its turn, that frame is lost, and the next is imported. */
static void a_frame_whose_import_fails_late_is_lost_alone(void)
{
	struct encoder_config config = imported_config(self->width * 2);

	CHECK(start(&config) == 0);
	CHECK(feed_sources(2) == 0 && n_units == 2);
	command("import-error 1 flag");
	CHECK(feed_source(&sources[2], false) == 0 && settle_all() == 0);
	CHECK(n_units == 2 && encoder->lost == 1 && !sources[2].out);
	CHECK(encoder->ops->takes(encoder, &sources[2].frame));
	CHECK(feed_sources(10) == 0 && n_units == 12 && encoder->lost == 1);
	CHECK(counted("copied") == 0);
	stop();
	check_pictures(3);
	free_sources(sources, SOURCES);
}

/* B12: a second one in a row is no accident: then they are copied, by a buffer of the encoder's own. */
static void frames_whose_imports_fail_late_in_a_row_are_copied(void)
{
	struct encoder_config config = imported_config(self->width * 2);

	CHECK(start(&config) == 0);
	CHECK(feed_sources(2) == 0 && n_units == 2);
	for (unsigned i = 0; i < 2; i++) {
		CHECK(encoder->ops->takes(encoder, &sources[2].frame));
		command("import-error 1 flag");
		CHECK(feed_source(&sources[2], false) == 0 && settle_all() == 0);
	}
	CHECK(!encoder->ops->takes(encoder, &sources[2].frame) && encoder->lost == 2);
	CHECK(feed_many(10) == 0 && n_units == 12 && encoder->lost == 2);
	CHECK(counted("sessions") == 1);
	stop();
	free_sources(sources, SOURCES);
}

/* B12: not even these can be imported: then the queue is one of the driver's own buffers. */
static void copies_whose_imports_fail_late_are_mapped(void)
{
	struct encoder_config config = imported_config(self->width * 2);

	CHECK(start(&config) == 0);
	CHECK(feed_sources(2) == 0 && n_units == 2);
	command("import-error 100 flag");
	for (unsigned i = 0; i < 2; i++)
		CHECK(feed_source(&sources[2], false) == 0 && settle_all() == 0);
	for (unsigned i = 0; i < 2; i++)
		CHECK(feed_many(1) == 0 && n_units == 2);
	CHECK(feed(false) == -ENOTSUP);
	CHECK(feed_many(10) == 0 && n_units == 12);
	CHECK(counted("sessions") == 1);
	stop();
	free_sources(sources, SOURCES);
}

/* B12: one that never comes back is for the supervisor to notice; it goes back when it is closed. */
static void a_frame_whose_import_is_lost_is_held_until_the_end(void)
{
	struct encoder_config config = imported_config(self->width * 2);

	CHECK(start(&config) == 0);
	CHECK(feed_sources(2) == 0 && n_units == 2);
	command("import-error 1 lost");
	CHECK(feed_source(&sources[2], false) == 0);
	CHECK(settle(0, 0, 500) == -ETIMEDOUT && sources[2].out && encoder->lost == 0);
	CHECK(encoder_count_pending(encoder) == 1);
	stop();
	free_sources(sources, SOURCES);
}

/* B12: a grabber that was opened again has other buffers, and the bindings follow. */
static void a_grabber_may_be_opened_again(void)
{
	struct encoder_config config = imported_config(self->width * 2);
	unsigned taken = 0;

	CHECK(start(&config) == 0);
	for (unsigned round = 0; round < 5; round++) {
		struct source *list = &sources[round * SOURCES];

		if (round)
			make_sources(list, SOURCES, self->width * 2, "fake-contiguous");
		for (unsigned i = 0; i < 40; i++)
			taken += feed_source(&list[i % SOURCES], false) == 0;
		CHECK(settle_all() == 0);
	}
	CHECK(n_units == taken && taken == 5 * 40); /* none had to be copied */
	CHECK(counted("sessions") == 1);
	stop();
	check_pictures(3);
	free_sources(sources, 5 * SOURCES);
}

/* B12: each new binding takes the place of an old one, whose memory nobody else can free. */
static void a_grabber_that_was_closed_is_let_go_of(void)
{
	struct encoder_config config = imported_config(self->width * 2);

	CHECK(start(&config) == 0);
	CHECK(feed_sources(2 * SOURCES) == 0 && counted("reimports") == 0);
	make_sources(&sources[SOURCES], SOURCES, self->width * 2, "fake-contiguous");
	for (unsigned i = 0; i < 2 * SOURCES; i++)
		CHECK(feed_source(&sources[SOURCES + i % SOURCES], false) == 0);
	CHECK(settle_all() == 0 && counted("reimports") == SOURCES);
	stop();
	free_sources(sources, 2 * SOURCES);
}

/* §4.4: a stride that the encoder does not take is no stride to import. */
static void another_stride_is_not_imported(void)
{
	struct encoder_config config = imported_config(self->width * 2 + 32);

	CHECK(start(&config) == 0);
	CHECK(!encoder->ops->takes(encoder, &sources[0].frame));
	CHECK(feed_many(3) == 0 && counted("copied") == 3);
	stop();
	check_pictures(3);
	free_sources(sources, SOURCES);
}

static const struct m2m_case cases[] = {
	CASE("frames_are_read_where_they_lie", frames_are_read_where_they_lie, "m2m",
		V4L2_PIX_FMT_UYVY, 1280, 720),
	CASE("frames_are_read_where_they_lie_on_other_hardware", frames_are_read_where_they_lie,
		"m2m:variant=spec", V4L2_PIX_FMT_YUYV, 640, 480),
	CASE("frames_under_way_are_given_back_at_the_end",
		frames_under_way_are_given_back_at_the_end, "m2m", V4L2_PIX_FMT_UYVY, 640, 480),
	CASE("other_pictures_go_between_them", other_pictures_go_between_them, "m2m",
		V4L2_PIX_FMT_UYVY, 640, 480),
	CASE("memory_out_of_reach_is_copied", memory_out_of_reach_is_copied,
		"m2m:dmabuf-noncontiguous", V4L2_PIX_FMT_UYVY, 640, 480),
	CASE("memory_that_gets_out_of_reach_is_copied", memory_that_gets_out_of_reach_is_copied,
		"m2m", V4L2_PIX_FMT_UYVY, 640, 480),
	CASE("what_the_firmware_does_not_import_is_copied",
		what_the_firmware_does_not_import_is_copied, "m2m", V4L2_PIX_FMT_UYVY, 640, 480),
	CASE("a_frame_whose_import_fails_late_is_lost_alone",
		a_frame_whose_import_fails_late_is_lost_alone, "m2m", V4L2_PIX_FMT_UYVY, 640, 480),
	CASE("frames_whose_imports_fail_late_in_a_row_are_copied",
		frames_whose_imports_fail_late_in_a_row_are_copied, "m2m", V4L2_PIX_FMT_UYVY, 640,
		480),
	CASE("copies_whose_imports_fail_late_are_mapped", copies_whose_imports_fail_late_are_mapped,
		"m2m", V4L2_PIX_FMT_UYVY, 640, 480),
	CASE("a_frame_whose_import_is_lost_is_held_until_the_end",
		a_frame_whose_import_is_lost_is_held_until_the_end, "m2m", V4L2_PIX_FMT_UYVY, 640,
		480),
	CASE("a_grabber_may_be_opened_again", a_grabber_may_be_opened_again, "m2m",
		V4L2_PIX_FMT_UYVY, 320, 240),
	CASE("a_grabber_that_was_closed_is_let_go_of", a_grabber_that_was_closed_is_let_go_of,
		"m2m", V4L2_PIX_FMT_UYVY, 320, 240),
	CASE("another_stride_is_not_imported", another_stride_is_not_imported, "m2m",
		V4L2_PIX_FMT_UYVY, 640, 480),
	/* E10, G6: a kernel that grants it and then does not start. */
	CASE("a_stride_that_old_kernels_grant_is_not_imported", another_stride_is_not_imported,
		"m2m:variant=bcm2835-old", V4L2_PIX_FMT_UYVY, 640, 480),
};

int main(int argc, char *argv[])
{
	(void)argc;
	return run_cases(cases, ARRAY_SIZE(cases), argv);
}
