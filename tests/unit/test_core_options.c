// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The command line as launchers know it. The table below is uStreamer's contract written down a
 * second time, on purpose: a default or a range that moves by accident shows up here.
 */
#include "settings/options.h"

#include <linux/videodev2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#define LOG_TOPIC "test"
#include "base/log.h"

#define MAX_ARGS 64

enum kind { FLAG, NUMBER, MODE, STRING, SIZE, WORD, CONTROL, OTHER };

static const struct contract {
	const char *name;
	char letter; /* '-': none */
	enum kind kind;
	size_t offset;
	long min, max, standard; /* what it is when not given */
	const char *text;        /* the same of a STRING; of a WORD: all it may be */
} contract[] = {
#define AT(field) offsetof(struct options, field)
	{ "device", 'd', STRING, AT(device), 0, 0, 0, "/dev/video0" },
	{ "input", 'i', NUMBER, AT(input), 0, 128, 0, NULL },
	{ "resolution", 'r', SIZE, AT(resolution), 0, 0, 640, NULL },
	{ "format", 'm', WORD, AT(format), 0, 0, V4L2_PIX_FMT_YUYV,
		"YUYV YVYU UYVY YUV420 YVU420 RGB565 RGB24 BGR24 GREY MJPEG JPEG NV12 NV16 NV21 "
		"NV24" },
	{ "format-swap-rgb", '-', FLAG, AT(format_swap_rgb), 0, 0, 0, NULL },
	{ "tv-standard", 'a', WORD, AT(tv_standard), 0, 0, 0, "UNKNOWN PAL NTSC SECAM" },
	{ "io-method", 'I', WORD, AT(io_method), 0, 0, V4L2_MEMORY_MMAP, "MMAP USERPTR" },
	{ "desired-fps", 'f', NUMBER, AT(desired_fps), 0, 120, 0, NULL },
	{ "min-frame-size", 'z', NUMBER, AT(min_frame_size), 1, 8192, 128, NULL },
	{ "allow-truncated-frames", 'T', FLAG, AT(allow_truncated_frames), 0, 0, 0, NULL },
	{ "persistent", 'n', FLAG, AT(persistent), 0, 0, 0, NULL },
	{ "dv-timings", 't', FLAG, AT(dv_timings), 0, 0, 0, NULL },
	{ "buffers", 'b', NUMBER, AT(buffers), 1, 32, -1, NULL },
	{ "workers", 'w', NUMBER, AT(workers), 1, 32, -1, NULL },
	{ "quality", 'q', NUMBER, AT(quality), 1, 100, 80, NULL },
	{ "encoder", 'c', WORD, AT(encoder), 0, 0, 0,
		"CPU HW M2M-VIDEO M2M-IMAGE M2M-MJPEG M2M-JPEG OMX NOOP" },
	{ "device-timeout", '-', NUMBER, AT(device_timeout_s), 1, 60, 1, NULL },
	{ "device-error-delay", '-', NUMBER, AT(device_error_delay_s), 1, 60, 1, NULL },
	{ "m2m-device", '-', STRING, AT(m2m_device), 0, 0, 0, "" },
	{ "media-device", '-', STRING, AT(media_device), 0, 0, 0, "" },
	{ "media-entity-name", '-', STRING, AT(media_entity_name), 0, 0, 0, "tc358743 10-000f" },
	{ "image-default", '-', FLAG, AT(image_default), 0, 0, 0, NULL },
	{ "brightness", '-', CONTROL, AT(control[CONTROL_BRIGHTNESS]), 0, 1, 0, NULL },
	{ "contrast", '-', CONTROL, AT(control[CONTROL_CONTRAST]), 0, 0, 0, NULL },
	{ "saturation", '-', CONTROL, AT(control[CONTROL_SATURATION]), 0, 0, 0, NULL },
	{ "hue", '-', CONTROL, AT(control[CONTROL_HUE]), 0, 1, 0, NULL },
	{ "gamma", '-', CONTROL, AT(control[CONTROL_GAMMA]), 0, 0, 0, NULL },
	{ "sharpness", '-', CONTROL, AT(control[CONTROL_SHARPNESS]), 0, 0, 0, NULL },
	{ "backlight-compensation", '-', CONTROL, AT(control[CONTROL_BACKLIGHT_COMPENSATION]), 0, 0,
		0, NULL },
	{ "white-balance", '-', CONTROL, AT(control[CONTROL_WHITE_BALANCE]), 0, 1, 0, NULL },
	{ "gain", '-', CONTROL, AT(control[CONTROL_GAIN]), 0, 1, 0, NULL },
	{ "color-effect", '-', CONTROL, AT(control[CONTROL_COLOR_EFFECT]), 0, 0, 0, NULL },
	{ "rotate", '-', CONTROL, AT(control[CONTROL_ROTATE]), 0, 0, 0, NULL },
	{ "flip-vertical", '-', CONTROL, AT(control[CONTROL_FLIP_VERTICAL]), 0, 0, 0, NULL },
	{ "flip-horizontal", '-', CONTROL, AT(control[CONTROL_FLIP_HORIZONTAL]), 0, 0, 0, NULL },
	{ "host", 's', STRING, AT(host), 0, 0, 0, "127.0.0.1" },
	{ "port", 'p', NUMBER, AT(port), 1, 65535, 8080, NULL },
	{ "unix", 'U', STRING, AT(unix_path), 0, 0, 0, "" },
	{ "unix-rm", 'D', FLAG, AT(unix_rm), 0, 0, 0, NULL },
	{ "unix-mode", 'M', MODE, AT(unix_mode), 0, 0777, 0, NULL },
	{ "systemd", 'S', FLAG, AT(systemd), 0, 0, 0, NULL },
	{ "user", '-', STRING, AT(user), 0, 0, 0, "" },
	{ "passwd", '-', STRING, AT(passwd), 0, 0, 0, "" },
	{ "static", '-', STRING, AT(static_path), 0, 0, 0, "" },
	{ "drop-same-frames", 'e', NUMBER, AT(drop_same_frames), 0, 120, 0, NULL },
	{ "fake-resolution", 'R', SIZE, AT(fake_resolution), 0, 0, 0, NULL },
	{ "tcp-nodelay", '-', FLAG, AT(tcp_nodelay), 0, 0, 0, NULL },
	{ "allow-origin", '-', STRING, AT(allow_origin), 0, 0, 0, "" },
	{ "instance-id", '-', STRING, AT(instance_id), 0, 0, 0, "" },
	{ "server-timeout", '-', NUMBER, AT(server_timeout_s), 1, 60, 10, NULL },
#define SINK(medium, sink)                                                                         \
	{ medium "sink", '-', STRING, AT(sink.name), 0, 0, 0, "" },                                \
		{ medium "sink-mode", '-', MODE, AT(sink.mode), 0, 0777, 0660, NULL },             \
		{ medium "sink-rm", '-', FLAG, AT(sink.remove), 0, 0, 0, NULL },                   \
		{ medium "sink-client-ttl", '-', NUMBER, AT(sink.client_ttl_s), 1, 60, 10, NULL }, \
	{                                                                                          \
		medium "sink-timeout", '-', NUMBER, AT(sink.timeout_s), 1, 60, 1, NULL             \
	}
	SINK("jpeg-", jpeg_sink),
	SINK("raw-", raw_sink),
	SINK("h264-", h264_sink),
	SINK("", jpeg_sink),
	{ "sink-abi", '-', WORD, AT(sink_abi), 0, 0, 7, "7 10" },
	{ "h264-bitrate", '-', NUMBER, AT(h264_bitrate_kbps), 25, 20000, 5000, NULL },
	{ "h264-gop", '-', NUMBER, AT(h264_gop), 0, 60, 30, NULL },
	{ "h264-m2m-device", '-', STRING, AT(h264_m2m_device), 0, 0, 0, "" },
	{ "h264-boost", '-', FLAG, AT(h264_boost), 0, 0, 0, NULL },
/* Ours. */
#define RING(medium, ring)                                                         \
	{ medium "-ring", '-', STRING, AT(ring.name), 0, 0, 0, "" },               \
	{                                                                          \
		medium "-ring-mode", '-', MODE, AT(ring.mode), 0, 0777, 0660, NULL \
	}
	RING("jpeg", jpeg_ring),
	RING("raw", raw_ring),
	RING("h264", h264_ring),
	{ "h264-encoder", '-', WORD, AT(h264_encoder), 0, 0, H264_ENCODER_AUTO,
		"auto m2m x264 off" },
	{ "h264-profile", '-', WORD, AT(h264_profile), 0, 0, H264_CONSTRAINED_BASELINE,
		"constrained-baseline baseline main high" },
	{ "h264-static-fps", '-', NUMBER, AT(h264_static_fps), 0, 30, 1, NULL },
	{ "h264-adaptive", '-', NUMBER, AT(h264_adaptive), 0, 1, 1, NULL },
	{ "h264-min-bitrate", '-', NUMBER, AT(h264_min_bitrate_kbps), 25, 20000, 300, NULL },
	{ "h264-min-fps", '-', NUMBER, AT(h264_min_fps), 1, 120, 15, NULL },
	{ "exit-on-parent-death", '-', FLAG, AT(exit_on_parent_death), 0, 0, 0, NULL },
	{ "exit-on-device-error", '-', FLAG, AT(exit_on_device_error), 0, 0, 0, NULL },
	{ "exit-on-no-clients", '-', NUMBER, AT(exit_on_no_clients_s), 0, 86400, 0, NULL },
	{ "process-name-prefix", '-', STRING, AT(process_name_prefix), 0, 0, 0, "" },
	{ "notify-parent", '-', FLAG, AT(notify_parent), 0, 0, 0, NULL },
	{ "log-level", '-', NUMBER, AT(log_level), 0, 3, 0, NULL },
	{ "force-log-colors", '-', FLAG, AT(force_log_colors), 0, 0, 0, NULL },
	{ "no-log-colors", '-', FLAG, AT(no_log_colors), 0, 0, 0, NULL },

	/* Without a field, or looked at below. */
	{ "slowdown", 'l', OTHER, 0, 0, 0, 0, NULL },
	{ "glitched-resolutions", 'g', OTHER, 0, 0, 0, 0, "640x480" },
	{ "blank", 'k', OTHER, 0, 0, 0, 0, "/x" },
	{ "last-as-blank", 'K', OTHER, 0, 0, 0, 0, "3" },
	{ "v4p", '-', OTHER, 0, 0, 0, 0, NULL },
	{ "gpio-device", '-', OTHER, 0, 0, 0, 0, "/dev/gpiochip0" },
	{ "gpio-consumer-prefix", '-', OTHER, 0, 0, 0, 0, "ustreamer" },
	{ "gpio-prog-running", '-', OTHER, 0, 0, 0, 0, "1" },
	{ "gpio-stream-online", '-', OTHER, 0, 0, 0, 0, "2" },
	{ "gpio-has-http-clients", '-', OTHER, 0, 0, 0, 0, "3" },
	{ "perf", '-', OTHER, 0, 0, 0, 0, NULL },
	{ "verbose", '-', OTHER, 0, 0, 0, 0, NULL },
	{ "debug", '-', OTHER, 0, 0, 0, 0, NULL },
};

#define FOR_EACH(c, of_kind)                                                                \
	for (const struct contract *c = contract; c < contract + ARRAY_SIZE(contract); c++) \
		if (c->kind == (of_kind))

/* Everything that was printed on a descriptor while `saved` kept the real one. */
static int divert(int fd, int *saved)
{
	int memory = memfd_create("printed", MFD_CLOEXEC);

	fflush(NULL);
	*saved = dup(fd);
	dup2(memory, fd);
	return memory;
}

static void restore(int fd, int memory, int saved, char *text, size_t size)
{
	ssize_t got;

	fflush(NULL);
	dup2(saved, fd);
	close(saved);
	got = pread(memory, text, size - 1, 0);
	text[MAX(got, 0)] = '\0';
	close(memory);
}

static char printed[32768]; /* by the last parse() */

/* Parses a line of arguments separated by blanks, as argv would hold them. */
static enum options_action parse(struct options *opt, const char *line)
{
	static char copy[1024]; /* options keep pointers into it */
	char name[] = "hdmicast", *argv[MAX_ARGS] = { name };
	int argc = 1, saved_out, saved_err, out, err;
	enum options_action action;
	char *rest = copy, *word;

	snprintf(copy, sizeof(copy), "%s", line);
	while ((word = strsep(&rest, " ")))
		argv[argc++] = word;
	if (!*line)
		argc = 1;
	out = divert(STDOUT_FILENO, &saved_out);
	err = divert(STDERR_FILENO, &saved_err);
	action = options_parse(opt, argc, argv);
	restore(STDERR_FILENO, err, saved_err, printed, sizeof(printed));
	if (action == OPTIONS_WRONG)
		restore(STDOUT_FILENO, out, saved_out, printed + strlen(printed),
			sizeof(printed) - strlen(printed));
	else
		restore(STDOUT_FILENO, out, saved_out, printed, sizeof(printed));
	return action;
}

static void assert_runs(struct options *opt, const char *line)
{
	if (parse(opt, line) != OPTIONS_RUN)
		fail_msg("%s: %s", line, printed);
}

/* One line that names all of `words`, separated by '|'. */
static void assert_wrong(const char *line, const char *words)
{
	struct options opt;
	char copy[256], *rest = copy, *word;

	if (parse(&opt, line) != OPTIONS_WRONG)
		fail_msg("'%s' was taken", line);
	if (!*printed || strchr(printed, '\n') != printed + strlen(printed) - 1)
		fail_msg("'%s' is not answered in one line: '%s'", line, printed);
	snprintf(copy, sizeof(copy), "%s", words);
	while ((word = strsep(&rest, "|"))) {
		if (!strstr(printed, word))
			fail_msg("'%s': no '%s' in: %s", line, word, printed);
	}
}

static const void *field(const struct options *opt, const struct contract *c)
{
	return (const char *)opt + c->offset;
}

static void defaults_are_those_of_the_contract(void **state)
{
	struct options opt;

	(void)state;
	assert_runs(&opt, "");
	FOR_EACH(c, FLAG) assert_false(*(const bool *)field(&opt, c));
	FOR_EACH(c, STRING) assert_string_equal(*(const char *const *)field(&opt, c), c->text);
	FOR_EACH(c, WORD) assert_int_equal(*(const int *)field(&opt, c), c->standard);
	FOR_EACH(c, MODE) assert_int_equal(*(const int *)field(&opt, c), c->standard);
	FOR_EACH(c, NUMBER)
	{
		if (c->standard >= 0 && *(const int *)field(&opt, c) != c->standard)
			fail_msg("--%s is %d", c->name, *(const int *)field(&opt, c));
	}
	FOR_EACH(c, CONTROL)
	assert_int_equal(((const struct option_control *)field(&opt, c))->mode, CONTROL_KEEP);
	assert_int_equal(opt.resolution.width, 640);
	assert_int_equal(opt.resolution.height, 480);
	assert_int_equal(opt.fake_resolution.width, 0);
	assert_string_equal(opt.source, "v4l2");
}

static void workers_and_buffers_follow_the_cores(void **state)
{
	int cores = MIN((int)sysconf(_SC_NPROCESSORS_ONLN), 4);
	struct options opt;

	(void)state;
	assert_runs(&opt, "");
	assert_int_equal(opt.workers, cores);
	assert_int_equal(opt.buffers, cores + 1);
	assert_runs(&opt, "--workers 8 --buffers 3");
	assert_int_equal(opt.workers, 3);
}

static const struct contract *find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(contract); i++) {
		if (!strcmp(contract[i].name, name))
			return &contract[i];
	}
	return NULL;
}

static void every_option_is_in_the_contract_or_ours(void **state)
{
	static const char ours[] = " source max-clients settings state-dir h264-min-qp h264-max-qp "
				   "help version features "
				   "jpeg-ring-group raw-ring-group h264-ring-group "
				   "jpeg-ring-size raw-ring-size h264-ring-size ";
	char *text = NULL, *rest, *line;
	size_t size = 0, n_known = 0;
	FILE *to = open_memstream(&text, &size);

	(void)state;
	options_list(to);
	fclose(to);
	rest = text;
	while ((line = strsep(&rest, "\n")) && *line) {
		char name[64], padded[70], letter;
		const struct contract *c;

		assert_int_equal(sscanf(line, "%63s %c", name, &letter), 2);
		c = find(name);
		n_known += c != NULL;
		snprintf(padded, sizeof(padded), " %s ", name);
		if (!c && !strstr(ours, padded))
			fail_msg("--%s is nobody's", name);
		if (c && c->letter != letter)
			fail_msg("--%s is -%c", name, letter);
	}
	assert_int_equal(n_known, ARRAY_SIZE(contract));
	free(text);
}

static void every_flag_sets_its_field_and_no_other(void **state)
{
	struct options opt;
	char line[80];

	(void)state;
	FOR_EACH(c, FLAG)
	{
		unsigned n_set = 0;

		snprintf(line, sizeof(line), "--%s", c->name);
		assert_runs(&opt, line);
		assert_true(*(const bool *)field(&opt, c));
		FOR_EACH(other, FLAG)
		n_set += *(const bool *)field(&opt, other) && other->offset != c->offset;
		assert_int_equal(n_set, 0);
	}
}

static void every_number_takes_its_range_and_nothing_else(void **state)
{
	struct options opt;
	char line[160], words[160];

	(void)state;
	FOR_EACH(c, NUMBER)
	{
		snprintf(line, sizeof(line), "--%s %ld", c->name, c->min);
		assert_runs(&opt, line);
		assert_int_equal(*(const int *)field(&opt, c),
			c->offset == AT(workers) ? 1 : c->min);
		snprintf(line, sizeof(line), "--buffers 32 --%s=%ld", c->name, c->max);
		assert_runs(&opt, line);
		assert_int_equal(*(const int *)field(&opt, c), c->max);
		snprintf(words, sizeof(words), "--%s|%ld|%ld", c->name, c->min, c->max);
		snprintf(line, sizeof(line), "--%s %ld", c->name, c->max + 1);
		assert_wrong(line, words);
		snprintf(line, sizeof(line), "--%s %ld", c->name, c->min - 1);
		assert_wrong(line, words);
		snprintf(line, sizeof(line), "--%s 1x", c->name);
		assert_wrong(line, words);
		snprintf(line, sizeof(line), "--%s=", c->name);
		assert_wrong(line, words);
		snprintf(line, sizeof(line), "--%s 99999999999999999999", c->name);
		assert_wrong(line, words);
	}
}

static void numbers_may_be_hexadecimal_or_octal(void **state)
{
	struct options opt;

	(void)state;
	assert_runs(&opt, "--port 0x1F90 --quality 050");
	assert_int_equal(opt.port, 8080);
	assert_int_equal(opt.quality, 40);
}

static void every_mode_is_octal(void **state)
{
	struct options opt;
	char line[80], words[80];

	(void)state;
	FOR_EACH(c, MODE)
	{
		snprintf(line, sizeof(line), "--%s 0640", c->name);
		assert_runs(&opt, line);
		assert_int_equal(*(const int *)field(&opt, c), 0640);
		snprintf(line, sizeof(line), "--%s 777", c->name);
		assert_runs(&opt, line);
		assert_int_equal(*(const int *)field(&opt, c), 0777);
		snprintf(words, sizeof(words), "--%s|777", c->name);
		snprintf(line, sizeof(line), "--%s 1000", c->name);
		assert_wrong(line, words);
		snprintf(line, sizeof(line), "--%s 8", c->name);
		assert_wrong(line, words);
	}
}

static void every_text_is_taken_as_it_is(void **state)
{
	struct options opt;
	char line[80];

	(void)state;
	FOR_EACH(c, STRING)
	{
		snprintf(line, sizeof(line), "--%s=a:b/c", c->name);
		if (c->offset == AT(instance_id))
			snprintf(line, sizeof(line), "--%s=a.b/c", c->name);
		assert_runs(&opt, line);
		assert_string_equal(*(const char *const *)field(&opt, c), strchr(line, '=') + 1);
	}
}

static void every_word_is_taken_in_any_case(void **state)
{
	struct options opt;
	char line[80], words[80];

	(void)state;
	FOR_EACH(c, WORD)
	{
		char copy[256], *rest = copy, *word;

		snprintf(copy, sizeof(copy), "%s", c->text);
		while ((word = strsep(&rest, " "))) {
			snprintf(line, sizeof(line), "--%s %s", c->name, word);
			assert_runs(&opt, line);
			for (char *letter = word; *letter; letter++)
				*letter |= *letter >= 'A' && *letter <= 'Z' ? 0x20 : 0;
			snprintf(line, sizeof(line), "--%s %s", c->name, word);
			assert_runs(&opt, line);
		}
		snprintf(words, sizeof(words), "--%s|nonsense|%.*s", c->name,
			(int)strcspn(c->text, " "), c->text);
		snprintf(line, sizeof(line), "--%s nonsense", c->name);
		assert_wrong(line, words);
	}
	assert_runs(&opt, "--format mjpeg --tv-standard pal");
	assert_int_equal(opt.format, V4L2_PIX_FMT_MJPEG);
	assert_int_equal(opt.tv_standard, V4L2_STD_PAL);
	assert_runs(&opt, "-m yvu420 -I userptr");
	assert_int_equal(opt.format, V4L2_PIX_FMT_YVU420);
	assert_int_equal(opt.io_method, V4L2_MEMORY_MMAP);
	assert_runs(&opt, "--source TestCard");
	assert_string_equal(opt.source, "testcard");
	assert_runs(&opt, "--h264-encoder X264 --h264-profile High");
	assert_int_equal(opt.h264_encoder, H264_ENCODER_X264);
	assert_int_equal(opt.h264_profile, H264_HIGH);
	assert_runs(&opt, "--h264-encoder off --h264-profile main");
	assert_int_equal(opt.h264_encoder, H264_ENCODER_OFF);
	assert_int_equal(opt.h264_profile, H264_MAIN);
}

static void every_letter_is_its_long_option(void **state)
{
	struct options a, b;
	char line[80];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(contract); i++) {
		const struct contract *c = &contract[i];
		const char *value = c->kind == NUMBER   ? "1"
				    : c->kind == MODE   ? "600"
				    : c->kind == SIZE   ? "800x600"
				    : c->kind == STRING ? "text"
				    : c->text           ? c->text
							: "";
		int length = (int)strcspn(value, " ");

		if (c->letter == '-')
			continue;
		if (c->kind == WORD) { /* its last, since the first is the default */
			value = strrchr(c->text, ' ') + 1;
			length = (int)strlen(value);
		}
		memset(&a, 0, sizeof(a));
		memset(&b, 0, sizeof(b));
		snprintf(line, sizeof(line), "--%s%s%.*s", c->name, length ? "=" : "", length,
			value);
		assert_runs(&a, line);
		snprintf(line, sizeof(line), "-%c%.*s", c->letter, length, value);
		assert_runs(&b, line);
		if (c->kind == STRING)
			assert_string_equal(*(const char *const *)field(&b, c), value);
		else
			assert_memory_equal(&a, &b, AT(host));
	}
}

static void sizes_have_limits(void **state)
{
	struct options opt;

	(void)state;
	assert_runs(&opt, "--resolution 160x120");
	assert_runs(&opt, "--resolution 15360x8640");
	assert_int_equal(opt.resolution.width, 15360);
	assert_int_equal(opt.resolution.height, 8640);
	assert_wrong("--resolution 159x120", "--resolution|159x120|160x120|15360x8640");
	assert_wrong("--resolution 160x119", "--resolution");
	assert_wrong("--resolution 15361x8640", "--resolution");
	assert_wrong("--resolution 15360x8641", "--resolution");
	assert_wrong("--resolution 1920", "--resolution|1920");
	assert_wrong("--resolution 1920x", "--resolution");
	assert_wrong("--resolution 1920x1080p", "--resolution");
	assert_wrong("--resolution -1920x1080", "--resolution");
	assert_wrong("--resolution 4294967936x480", "--resolution");
	assert_runs(&opt, "--fake-resolution 1x1");
	assert_int_equal(opt.fake_resolution.height, 1);
	assert_runs(&opt, "-R 20000x10000");
	assert_wrong("--fake-resolution 0x5", "--fake-resolution");
}

static void controls_take_numbers_and_words(void **state)
{
	const struct option_control *control;
	struct options opt;
	char line[80], words[80];

	(void)state;
	FOR_EACH(c, CONTROL)
	{
		control = field(&opt, c);
		snprintf(line, sizeof(line), "--%s=-2147483648", c->name);
		assert_runs(&opt, line);
		assert_int_equal(control->mode, CONTROL_SET);
		assert_int_equal(control->value, INT32_MIN);
		snprintf(line, sizeof(line), "--%s Default", c->name);
		assert_runs(&opt, line);
		assert_int_equal(control->mode, CONTROL_DEFAULT);
		snprintf(line, sizeof(line), "--%s auto", c->name);
		snprintf(words, sizeof(words), "--%s|auto|number|default", c->name);
		if (!c->max) {
			assert_wrong(line, words);
			continue;
		}
		assert_runs(&opt, line);
		assert_int_equal(control->mode, CONTROL_AUTO);
		snprintf(line, sizeof(line), "--%s 2147483648", c->name);
		assert_wrong(line, words);
	}
}

static void unambiguous_abbreviations_are_taken(void **state)
{
	struct options opt;

	(void)state;
	assert_runs(&opt, "--res 800x600 --qual=55 --host=::1 --desired 25");
	assert_int_equal(opt.resolution.width, 800);
	assert_int_equal(opt.quality, 55);
	assert_int_equal(opt.desired_fps, 25);
	assert_runs(&opt, "--sink-m 600");
	assert_int_equal(opt.jpeg_sink.mode, 0600);
	assert_wrong("--h264 1", "--h264");
	assert_wrong("--log", "");
}

static void the_environment_chooses_the_layout_of_sinks(void **state)
{
	struct options opt;

	(void)state;
	setenv("HDMICAST_SINK_ABI", "10", 1);
	assert_runs(&opt, "");
	assert_int_equal(opt.sink_abi, 10);
	assert_runs(&opt, "--sink-abi 7");
	assert_int_equal(opt.sink_abi, 7);
	setenv("HDMICAST_SINK_ABI", "8", 1);
	assert_int_equal(parse(&opt, ""), OPTIONS_WRONG);
	setenv("HDMICAST_SINK_ABI", "", 1);
	assert_runs(&opt, "");
	assert_int_equal(opt.sink_abi, 7);
	unsetenv("HDMICAST_SINK_ABI");
}

static void letters_may_stand_together(void **state)
{
	struct options opt;

	(void)state;
	assert_runs(&opt, "-nTtp8081");
	assert_true(opt.persistent && opt.allow_truncated_frames && opt.dv_timings);
	assert_int_equal(opt.port, 8081);
}

static void the_last_value_counts(void **state)
{
	struct options opt;

	(void)state;
	assert_runs(&opt, "--quality 10 --quality 20 --sink a --jpeg-sink b");
	assert_int_equal(opt.quality, 20);
	assert_string_equal(opt.jpeg_sink.name, "b");
}

static void levels_of_the_log_have_names(void **state)
{
	struct options opt;

	(void)state;
	assert_runs(&opt, "--perf");
	assert_int_equal(opt.log_level, LOG_LEVEL_PERF);
	assert_runs(&opt, "--verbose");
	assert_int_equal(opt.log_level, LOG_LEVEL_VERBOSE);
	assert_runs(&opt, "--debug");
	assert_int_equal(opt.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(LOG_LEVEL_DEBUG, 3);
}

static void mistakes_are_named_in_one_line(void **state)
{
	char line[160];

	(void)state;
	assert_wrong("--nonsense", "--nonsense");
	assert_wrong("--nonsense=1", "--nonsense");
	assert_wrong("-y", "-y");
	assert_wrong("--persistent=1", "--persistent");
	assert_wrong("stray", "stray");
	assert_wrong("--instance-id a;b", "--instance-id|a;b");
	snprintf(line, sizeof(line), "--unix /%0107d", 0);
	assert_wrong(line, "--unix|107");
	assert_wrong("--source nonsense", "--source|nonsense|v4l2 testcard");
	assert_wrong("--max-clients 0", "--max-clients|0|65535");
}

static void options_that_contradict_each_other_are_named(void **state)
{
	struct options opt;

	(void)state;
	assert_wrong("--h264-min-qp 31 --h264-max-qp 30", "--h264-min-qp|h264-max-qp");
	assert_wrong("--h264-max-qp 30 --h264-min-qp 31", "--h264-min-qp|h264-max-qp");
	assert_runs(&opt, "--h264-min-qp 30 --h264-max-qp 30");
}

static void a_missing_value_is_named_with_what_it_may_be(void **state)
{
	(void)state;
	assert_wrong("--port", "--port");
	assert_wrong("-p", "--port");
	assert_wrong("--format", "--format");
	assert_wrong("--quality", "--quality|1|100");
}

static void the_password_is_kept_and_wiped_from_the_arguments(void **state)
{
	char secret[] = "--passwd=hunter2", apart[] = "geheim";
	char name[] = "hdmicast", option[] = "--passwd";
	char *argv[] = { name, secret, NULL }, *argv2[] = { name, option, apart, NULL };
	struct options opt;

	(void)state;
	assert_int_equal(options_parse(&opt, 2, argv), OPTIONS_RUN);
	assert_string_equal(opt.passwd, "hunter2");
	assert_string_equal(secret, "--passwd=*******");
	assert_int_equal(options_parse(&opt, 3, argv2), OPTIONS_RUN);
	assert_string_equal(opt.passwd, "geheim");
	assert_string_equal(apart, "******");
}

static void help_names_every_option(void **state)
{
	struct options opt;
	char wanted[64];

	(void)state;
	assert_int_equal(parse(&opt, "--help"), OPTIONS_EXIT);
	for (unsigned i = 0; i < ARRAY_SIZE(contract); i++) {
		snprintf(wanted, sizeof(wanted), "--%s ", contract[i].name);
		if (!strstr(printed, wanted))
			fail_msg("--help does not know %s", wanted);
	}
	assert_non_null(strstr(printed, "default 8080"));
	assert_int_equal(parse(&opt, "-h"), OPTIONS_EXIT);
}

static void version_is_one_bare_line(void **state)
{
	struct options opt;

	(void)state;
	assert_int_equal(parse(&opt, "--version"), OPTIONS_EXIT);
	assert_string_equal(printed, VERSION "\n");
	assert_int_equal(parse(&opt, "-v"), OPTIONS_EXIT);
	assert_string_equal(printed, VERSION "\n");
}

static void features_are_signed_words(void **state)
{
	struct options opt;

	(void)state;
	assert_int_equal(parse(&opt, "--features"), OPTIONS_EXIT);
	for (char *line = printed, *end; (end = strchr(line, '\n')); line = end + 1)
		assert_true(!strncmp(line, "+ WITH_", 7) || !strncmp(line, "- WITH_", 7));
}

/* The lines that --persistent … would log. */
static unsigned count_notices(const char *line)
{
	struct options opt;
	unsigned count = 0;
	int saved, memory;

	assert_runs(&opt, line);
	memory = divert(STDERR_FILENO, &saved);
	options_log_notices();
	restore(STDERR_FILENO, memory, saved, printed, sizeof(printed));
	for (const char *at = printed; (at = strchr(at, '\n')); at++)
		count++;
	return count;
}

static void historic_options_are_noticed_once(void **state)
{
	char line[80];

	(void)state;
	FOR_EACH(c, OTHER)
	{
		bool level = !strcmp(c->name, "perf") || !strcmp(c->name, "verbose") ||
			     !strcmp(c->name, "debug");

		snprintf(line, sizeof(line), "--%s%s%s", c->name, c->text ? "=" : "",
			c->text ? c->text : "");
		assert_int_equal(count_notices(line), !level);
	}
	assert_int_equal(count_notices("-g 1x1 -g 2x2 -k /x -K 1 -l"), 4);
	assert_int_equal(count_notices("--persistent --dv-timings --quality 80 --tcp-nodelay"), 0);
	assert_int_equal(count_notices("--h264-encoder x264 --h264-profile high --h264-boost"), 0);
	assert_int_equal(count_notices("--h264-bitrate 99 --h264-gop 0 --h264-static-fps 0"), 0);
	assert_int_equal(count_notices("--h264-m2m-device /dev/video11"), 0);
	assert_int_equal(count_notices(""), 0);
}

static void sizes_of_rings_have_units(void **state)
{
	static const struct {
		const char *text;
		size_t bytes; /* 0: refused */
	} known[] = {
		{ "65536", 65536 },
		{ "100000", 100000 },
		{ "64k", 65536 },
		{ "64K", 65536 },
		{ "8M", 8 << 20 },
		{ "8m", 8 << 20 },
		{ "1G", 1 << 30 },
		{ "1024M", 1 << 30 },
		{ "65535", 0 },
		{ "63k", 0 },
		{ "1025M", 0 },
		{ "2G", 0 },
		{ "1073741825", 0 },
		{ "8MB", 0 },
		{ "M", 0 },
		{ "", 0 },
		{ "-8M", 0 },
		{ "1.5M", 0 },
		{ "99999999999999999999999G", 0 },
		{ "0", 0 },
		{ "17179869185G", 0 },
	};
	struct options opt;
	char line[64];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(known); i++) {
		snprintf(line, sizeof(line), "--raw-ring-size=%s", known[i].text);
		if (!known[i].bytes) {
			assert_wrong(line, "a size from 64k to 1G");
			continue;
		}
		assert_runs(&opt, line);
		assert_int_equal(opt.raw_ring.bytes, known[i].bytes);
		assert_int_equal(opt.jpeg_ring.bytes, 0);
	}
}

static void groups_have_names_and_numbers(void **state)
{
	struct options opt;

	(void)state;
	assert_runs(&opt, "");
	assert_int_equal(opt.h264_ring.group, OPTION_GROUP_KEEP);
	assert_runs(&opt, "--h264-ring-group root");
	assert_int_equal(opt.h264_ring.group, 0);
	assert_runs(&opt, "--h264-ring-group 4242");
	assert_int_equal(opt.h264_ring.group, 4242);
	assert_wrong("--h264-ring-group not-a-group", "a group of this machine");
	assert_wrong("--h264-ring-group -1", "a group of this machine");
	assert_wrong("--h264-ring-group=", "a group of this machine");
}

static void an_encoder_that_is_not_there_is_noticed(void **state)
{
	(void)state;
	assert_int_equal(count_notices("--encoder=m2m-image"), 1);
	assert_int_equal(count_notices("--encoder=omx"), 1);
	assert_int_equal(count_notices("--encoder=omx --encoder=cpu"), 0);
	assert_int_equal(count_notices("--encoder=hw"), 0);
	assert_int_equal(count_notices("--io-method=userptr"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_the_contract),
		cmocka_unit_test(workers_and_buffers_follow_the_cores),
		cmocka_unit_test(every_option_is_in_the_contract_or_ours),
		cmocka_unit_test(every_flag_sets_its_field_and_no_other),
		cmocka_unit_test(every_number_takes_its_range_and_nothing_else),
		cmocka_unit_test(numbers_may_be_hexadecimal_or_octal),
		cmocka_unit_test(every_mode_is_octal),
		cmocka_unit_test(every_text_is_taken_as_it_is),
		cmocka_unit_test(every_word_is_taken_in_any_case),
		cmocka_unit_test(every_letter_is_its_long_option),
		cmocka_unit_test(sizes_have_limits),
		cmocka_unit_test(controls_take_numbers_and_words),
		cmocka_unit_test(unambiguous_abbreviations_are_taken),
		cmocka_unit_test(the_environment_chooses_the_layout_of_sinks),
		cmocka_unit_test(letters_may_stand_together),
		cmocka_unit_test(the_last_value_counts),
		cmocka_unit_test(levels_of_the_log_have_names),
		cmocka_unit_test(mistakes_are_named_in_one_line),
		cmocka_unit_test(options_that_contradict_each_other_are_named),
		cmocka_unit_test(a_missing_value_is_named_with_what_it_may_be),
		cmocka_unit_test(the_password_is_kept_and_wiped_from_the_arguments),
		cmocka_unit_test(help_names_every_option),
		cmocka_unit_test(version_is_one_bare_line),
		cmocka_unit_test(features_are_signed_words),
		cmocka_unit_test(historic_options_are_noticed_once),
		cmocka_unit_test(an_encoder_that_is_not_there_is_noticed),
		cmocka_unit_test(sizes_of_rings_have_units),
		cmocka_unit_test(groups_have_names_and_numbers),
	};

	log_init(LOG_LEVEL_INFO, LOG_COLOUR_NEVER);
	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
