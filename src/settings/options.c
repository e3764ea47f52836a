// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The table of options, the parser over it, and --help out of it. A new option is one row (and a
 * line in the manual page: tests/gates/options compares them).
 */
#include "settings/options.h"

#include <getopt.h>
#include <grp.h>
#include <limits.h>
#include <linux/videodev2.h>
#include <stddef.h>
#include <strings.h>

#include "media/pixel_format.h"

#define LOG_TOPIC "options"
#include "base/log.h"

enum type {
	GROUP,   /* a heading */
	FLAG,    /* bool */
	INT,     /* int, any base that strtoll knows */
	OCTAL,   /* int, a file mode */
	TEXT,    /* const char * */
	SIZE,    /* struct option_size, WIDTHxHEIGHT */
	BYTES,   /* size_t, with k, M or G behind it; range in KiB */
	OWNER,   /* gid_t, a name or a number */
	CHOICE,  /* int or unsigned, a word out of `choices` */
	CONTROL, /* struct option_control: a number, "default", and if max is 1 "auto" */
	LEVEL,   /* sets log_level to min */
	ACTION,  /* help, version, features */
	NOTHING, /* a flag that is accepted and has no effect */
	IGNORED, /* the same with a value */
};

struct choice {
	const char *name;
	unsigned value;
	const char *note; /* said when chosen */
};

struct row {
	const char *name; /* of a GROUP: the heading */
	char letter;      /* 0: none */
	enum type type;
	size_t offset; /* of the field in struct options */
	long min, max;
	const char *arg, *text;
	const struct choice *choices;
	const char *note; /* said when given: has no effect (yet), and why */
};

/* clang-format off */
#define NAMED(name, ...) { #name, V4L2_PIX_FMT_##name, NULL },
static const struct choice formats[] = {
	PIXEL_FORMATS_RAW(NAMED)
	PIXEL_FORMATS_JPEG(NAMED)
	{ 0 },
};
/* clang-format on */

static const struct choice standards[] = {
	{ "UNKNOWN", 0, NULL },
	{ "PAL", V4L2_STD_PAL, NULL },
	{ "NTSC", V4L2_STD_NTSC, NULL },
	{ "SECAM", V4L2_STD_SECAM, NULL },
	{ 0 },
};

static const struct choice io_methods[] = {
	{ "MMAP", V4L2_MEMORY_MMAP, NULL },
	{ "USERPTR", V4L2_MEMORY_MMAP, "buffers are always mapped (MMAP)" },
	{ 0 },
};

#define NO_M2M_JPEG "JPEG is made by the CPU; a JPEG encoder in hardware is not used yet"
static const struct choice encoders[] = {
	{ "CPU", 0, NULL },
	{ "HW", 0, NULL },
	{ "NOOP", 0, NULL },
	{ "M2M-IMAGE", 0, NO_M2M_JPEG },
	{ "M2M-JPEG", 0, NO_M2M_JPEG },
	{ "M2M-VIDEO", 0, NO_M2M_JPEG },
	{ "M2M-MJPEG", 0, NO_M2M_JPEG },
	{ "OMX", 0, NO_M2M_JPEG },
	{ 0 },
};

static const struct choice h264_encoders[] = {
	{ "auto", H264_ENCODER_AUTO, NULL },
	{ "m2m", H264_ENCODER_M2M, NULL },
	{ "x264", H264_ENCODER_X264, NULL },
	{ "off", H264_ENCODER_OFF, NULL },
	{ 0 },
};

static const struct choice h264_profiles[] = {
	{ "constrained-baseline", H264_CONSTRAINED_BASELINE, NULL },
	{ "baseline", H264_BASELINE, NULL },
	{ "main", H264_MAIN, NULL },
	{ "high", H264_HIGH, NULL },
	{ 0 },
};

static const struct choice settings_modes[] = { { "rw", 1, NULL }, { "ro", 0, NULL }, { 0 } };

static const struct choice sink_abis[] = { { "7", 7, NULL }, { "10", 10, NULL }, { 0 } };

static const struct choice sources[] = {
	{ "v4l2", 0, NULL },
	{ "testcard", 1, NULL },
	{ 0 },
};

#ifdef WITH_X264
#define X264_SIGN "+"
#else
#define X264_SIGN "-"
#endif

#define AT(field)      offsetof(struct options, field)
#define OF_CONTROL(id) offsetof(struct options, control[id])
#define NO_EFFECT      "has no effect any more; accepted for old command lines"
#define NOT_YET        "is not served by this version yet"
#define SINK(medium, field)                                                                      \
	{ medium "-sink", 0, TEXT, AT(field.name), 0, 0, "NAME", "shared-memory sink", NULL,     \
		NULL },                                                                          \
		{ medium "-sink-mode", 0, OCTAL, AT(field.mode), 0, 0777, "MODE",                \
			"its permissions", NULL, NULL },                                         \
		{ medium "-sink-rm", 0, FLAG, AT(field.remove), 0, 0, NULL, "remove it at exit", \
			NULL, NULL },                                                            \
		{ medium "-sink-client-ttl", 0, INT, AT(field.client_ttl_s), 1, 60, "SECONDS",   \
			"how long a silent reader counts", NULL, NULL },                         \
	{                                                                                        \
		medium "-sink-timeout", 0, INT, AT(field.timeout_s), 1, 60, "SECONDS",           \
			"lock time-out; accepted, the writer never waits", NULL, NULL            \
	}
#define RING(medium, field, size)                                                     \
	{ medium "-ring", 0, TEXT, AT(field.name), 0, 0, "NAME",                      \
		"shared memory for any number of readers", NULL, NULL },              \
		{ medium "-ring-mode", 0, OCTAL, AT(field.mode), 0, 0777, "MODE",     \
			"who may read it", NULL, NULL },                              \
		{ medium "-ring-group", 0, OWNER, AT(field.group), 0, 0, "GROUP",     \
			"its group, by name or number", NULL, NULL },                 \
	{                                                                             \
		medium "-ring-size", 0, BYTES, AT(field.bytes), 64, 1 << 20, "BYTES", \
			"room for frames; " size, NULL, NULL                          \
	}

/* clang-format off */
static const struct row rows[] = {
	{ "Capture", 0, GROUP, 0, 0, 0, NULL, NULL, NULL, NULL },
	{ "source", 0, CHOICE, AT(source), 0, 0, "NAME", "v4l2, or the built-in testcard", sources, NULL },
	{ "device", 'd', TEXT, AT(device), 0, 0, "PATH", "capture device; a /dev/v4l/by-… link follows it when it is replugged", NULL, NULL },
	{ "input", 'i', INT, AT(input), 0, 128, "N", "input of the device", NULL, NULL },
	{ "resolution", 'r', SIZE, AT(resolution), 0, 0, "WxH", "size to ask for", NULL, NULL },
	{ "format", 'm', CHOICE, AT(format), 0, 0, "FORMAT", "pixel format to ask for", formats, NULL },
	{ "format-swap-rgb", 0, FLAG, AT(format_swap_rgb), 0, 0, NULL, "take RGB24 for BGR24 and the reverse", NULL, NULL },
	{ "tv-standard", 'a', CHOICE, AT(tv_standard), 0, 0, "STANDARD", "analogue standard", standards, NULL },
	{ "io-method", 'I', CHOICE, AT(io_method), 0, 0, "METHOD", "how buffers are shared with the driver", io_methods, NULL },
	{ "desired-fps", 'f', INT, AT(desired_fps), 0, 120, "FPS", "frame rate, evenly spaced; 0: all there is", NULL, NULL },
	{ "min-frame-size", 'z', INT, AT(min_frame_size), 1, 8192, "BYTES", "drop smaller frames", NULL, NULL },
	{ "allow-truncated-frames", 'T', FLAG, AT(allow_truncated_frames), 0, 0, NULL, "take JPEGs without an end", NULL, NULL },
	{ "persistent", 'n', FLAG, AT(persistent), 0, 0, NULL, "go on without a signal (always on)", NULL, NULL },
	{ "dv-timings", 't', FLAG, AT(dv_timings), 0, 0, NULL, "take the size of what the source sends", NULL, NULL },
	{ "buffers", 'b', INT, AT(buffers), 1, 32, "N", "capture buffers; more are asked for where all workers need one", NULL, NULL },
	{ "workers", 'w', INT, AT(workers), 1, 32, "N", "JPEG threads, no more than buffers", NULL, NULL },
	{ "quality", 'q', INT, AT(quality), 1, 100, "N", "JPEG quality of encoded pictures", NULL, NULL },
	{ "encoder", 'c', CHOICE, AT(encoder), 0, 0, "NAME", "JPEG encoder", encoders, NULL },
	{ "slowdown", 'l', NOTHING, 0, 0, 0, NULL, "accepted, not needed", NULL, "is not needed: capturing for nobody costs next to nothing" },
	{ "device-timeout", 0, INT, AT(device_timeout_s), 1, 60, "SECONDS", "without a frame, open the device again", NULL, NULL },
	{ "device-error-delay", 0, INT, AT(device_error_delay_s), 1, 60, "SECONDS", "wait before a missing device is looked for again", NULL, NULL },
	{ "m2m-device", 0, TEXT, AT(m2m_device), 0, 0, "PATH", "hardware JPEG encoder", NULL, NOT_YET },
	{ "media-device", 0, TEXT, AT(media_device), 0, 0, "PATH", "media controller of a Raspberry Pi 5", NULL, NOT_YET },
	{ "media-entity-name", 0, TEXT, AT(media_entity_name), 0, 0, "NAME", "bridge chip in that media controller", NULL, NULL },
	{ "glitched-resolutions", 'g', IGNORED, 0, 0, 0, "LIST", "accepted, no effect", NULL, NO_EFFECT },
	{ "blank", 'k', IGNORED, 0, 0, 0, "PATH", "accepted, no effect", NULL, NO_EFFECT },
	{ "last-as-blank", 'K', IGNORED, 0, 0, 0, "SECONDS", "accepted, no effect", NULL, NO_EFFECT },

	{ "Image controls (when the device is opened)", 0, GROUP, 0, 0, 0, NULL, NULL, NULL, NULL },
	{ "image-default", 0, FLAG, AT(image_default), 0, 0, NULL, "reset all of them first", NULL, NULL },
	{ "brightness", 0, CONTROL, OF_CONTROL(CONTROL_BRIGHTNESS), 0, 1, "N|auto|default", "in the device's own units", NULL, NULL },
	{ "contrast", 0, CONTROL, OF_CONTROL(CONTROL_CONTRAST), 0, 0, "N|default", "in the device's own units", NULL, NULL },
	{ "saturation", 0, CONTROL, OF_CONTROL(CONTROL_SATURATION), 0, 0, "N|default", "in the device's own units", NULL, NULL },
	{ "hue", 0, CONTROL, OF_CONTROL(CONTROL_HUE), 0, 1, "N|auto|default", "in the device's own units", NULL, NULL },
	{ "gamma", 0, CONTROL, OF_CONTROL(CONTROL_GAMMA), 0, 0, "N|default", "in the device's own units", NULL, NULL },
	{ "sharpness", 0, CONTROL, OF_CONTROL(CONTROL_SHARPNESS), 0, 0, "N|default", "in the device's own units", NULL, NULL },
	{ "backlight-compensation", 0, CONTROL, OF_CONTROL(CONTROL_BACKLIGHT_COMPENSATION), 0, 0, "N|default", "in the device's own units", NULL, NULL },
	{ "white-balance", 0, CONTROL, OF_CONTROL(CONTROL_WHITE_BALANCE), 0, 1, "N|auto|default", "in the device's own units", NULL, NULL },
	{ "gain", 0, CONTROL, OF_CONTROL(CONTROL_GAIN), 0, 1, "N|auto|default", "in the device's own units", NULL, NULL },
	{ "color-effect", 0, CONTROL, OF_CONTROL(CONTROL_COLOR_EFFECT), 0, 0, "N|default", "in the device's own units", NULL, NULL },
	{ "rotate", 0, CONTROL, OF_CONTROL(CONTROL_ROTATE), 0, 0, "N|default", "degrees", NULL, NULL },
	{ "flip-vertical", 0, CONTROL, OF_CONTROL(CONTROL_FLIP_VERTICAL), 0, 0, "N|default", "0 or 1", NULL, NULL },
	{ "flip-horizontal", 0, CONTROL, OF_CONTROL(CONTROL_FLIP_HORIZONTAL), 0, 0, "N|default", "0 or 1", NULL, NULL },

	{ "HTTP", 0, GROUP, 0, 0, 0, NULL, NULL, NULL, NULL },
	{ "host", 's', TEXT, AT(host), 0, 0, "ADDRESS", "listen there", NULL, NULL },
	{ "port", 'p', INT, AT(port), 1, 65535, "N", "of the TCP listener", NULL, NULL },
	{ "unix", 'U', TEXT, AT(unix_path), 0, 0, "PATH", "listen on a UNIX socket instead", NULL, NULL },
	{ "unix-rm", 'D', FLAG, AT(unix_rm), 0, 0, NULL, "remove an old socket first", NULL, NULL },
	{ "unix-mode", 'M', OCTAL, AT(unix_mode), 0, 0777, "MODE", "permissions of the socket", NULL, NULL },
	{ "systemd", 'S', FLAG, AT(systemd), 0, 0, NULL, "take the socket from systemd (automatic when it passes one)", NULL, NULL },
	{ "user", 0, TEXT, AT(user), 0, 0, "NAME", "ask for a password (HTTP basic)", NULL, NULL },
	{ "passwd", 0, TEXT, AT(passwd), 0, 0, "WORD", "that password", NULL, NULL },
	{ "static", 0, TEXT, AT(static_path), 0, 0, "DIR", "serve these files instead of the built-in page", NULL, NULL },
	{ "drop-same-frames", 'e', INT, AT(drop_same_frames), 0, 120, "N", "do not send a picture again that did not change, at most N times in a row, for a second", NULL, NULL },
	{ "fake-resolution", 'R', SIZE, AT(fake_resolution), 1, 0, "WxH", "size that /state tells", NULL, NULL },
	{ "tcp-nodelay", 0, FLAG, AT(tcp_nodelay), 0, 0, NULL, "always on", NULL, NULL },
	{ "allow-origin", 0, TEXT, AT(allow_origin), 0, 0, "ORIGIN", "let pages of another origin in (CORS), also to change settings", NULL, NULL },
	{ "instance-id", 0, TEXT, AT(instance_id), 0, 0, "ID", "name in /state and in the cookie", NULL, NULL },
	{ "server-timeout", 0, INT, AT(server_timeout_s), 1, 60, "SECONDS", "close connections that do not move", NULL, NULL },
	{ "max-clients", 0, INT, AT(max_clients), 1, 65535, "N", "connections at once", NULL, NULL },
	{ "settings", 0, CHOICE, AT(settings_writable), 0, 0, "MODE", "whether /settings may be changed, or only read", settings_modes, NULL },
	{ "state-dir", 0, TEXT, AT(state_dir), 0, 0, "DIR", "keep there what /settings changed, for the next start", NULL, NULL },

	{ "Shared memory", 0, GROUP, 0, 0, 0, NULL, NULL, NULL, NULL },
	SINK("jpeg", jpeg_sink), SINK("raw", raw_sink), SINK("h264", h264_sink),
	{ "sink", 0, TEXT, AT(jpeg_sink.name), 0, 0, "NAME", "another name of --jpeg-sink", NULL, NULL },
	{ "sink-mode", 0, OCTAL, AT(jpeg_sink.mode), 0, 0777, "MODE", "of --jpeg-sink-mode", NULL, NULL },
	{ "sink-rm", 0, FLAG, AT(jpeg_sink.remove), 0, 0, NULL, "of --jpeg-sink-rm", NULL, NULL },
	{ "sink-client-ttl", 0, INT, AT(jpeg_sink.client_ttl_s), 1, 60, "SECONDS", "of --jpeg-sink-client-ttl", NULL, NULL },
	{ "sink-timeout", 0, INT, AT(jpeg_sink.timeout_s), 1, 60, "SECONDS", "of --jpeg-sink-timeout", NULL, NULL },
	{ "sink-abi", 0, CHOICE, AT(sink_abi), 0, 0, "VERSION", "layout of all of them; $HDMICAST_SINK_ABI without the option", sink_abis, NULL },

	RING("jpeg", jpeg_ring, "16M"), RING("raw", raw_ring, "eight pictures of the source"), RING("h264", h264_ring, "8M"),

	{ "H.264", 0, GROUP, 0, 0, 0, NULL, NULL, NULL, NULL },
	{ "h264-encoder", 0, CHOICE, AT(h264_encoder), 0, 0, "NAME", "hardware (m2m) where there is some, else x264; or one of them, or none", h264_encoders, NULL },
	{ "h264-m2m-device", 0, TEXT, AT(h264_m2m_device), 0, 0, "PATH", "hardware encoder; empty: found by capability", NULL, NULL },
	{ "h264-bitrate", 0, INT, AT(h264_bitrate_kbps), 25, 20000, "KBPS", "of the H.264 stream", NULL, NULL },
	{ "h264-gop", 0, INT, AT(h264_gop), 0, 60, "N", "frames from key frame to key frame; 0: on demand only", NULL, NULL },
	{ "h264-min-qp", 0, INT, AT(h264_min_qp), 0, 51, "QP", "no finer than this; 0: the encoder's own choice", NULL, NULL },
	{ "h264-max-qp", 0, INT, AT(h264_max_qp), 1, 51, "QP", "no coarser than this, whatever the bitrate", NULL, NULL },
	{ "h264-profile", 0, CHOICE, AT(h264_profile), 0, 0, "NAME", "what decoders must know", h264_profiles, NULL },
	{ "h264-boost", 0, FLAG, AT(h264_boost), 0, 0, NULL, "hardware: 60 fps above 720p", NULL, NULL },
	{ "h264-adaptive", 0, INT, AT(h264_adaptive), 0, 1, "N", "1: limit the stream to what its viewers' lines take", NULL, NULL },
	{ "h264-min-bitrate", 0, INT, AT(h264_min_bitrate_kbps), 25, 20000, "KBPS", "never limit it further", NULL, NULL },
	{ "h264-min-fps", 0, INT, AT(h264_min_fps), 1, 120, "FPS", "nor further than that", NULL, NULL },
	{ "h264-static-fps", 0, INT, AT(h264_static_fps), 0, 30, "FPS", "of a picture that does not change; 0: as any other", NULL, NULL },

	{ "Process", 0, GROUP, 0, 0, 0, NULL, NULL, NULL, NULL },
	{ "exit-on-parent-death", 0, FLAG, AT(exit_on_parent_death), 0, 0, NULL, "stop when the parent dies", NULL, NULL },
	{ "exit-on-device-error", 0, FLAG, AT(exit_on_device_error), 0, 0, NULL, "instead of opening the device again", NULL, NULL },
	{ "exit-on-no-clients", 0, INT, AT(exit_on_no_clients_s), 0, 86400, "SECONDS", "without viewers; 0: never", NULL, NULL },
	{ "process-name-prefix", 0, TEXT, AT(process_name_prefix), 0, 0, "WORD", "shown by ps", NULL, NULL },
	{ "notify-parent", 0, FLAG, AT(notify_parent), 0, 0, NULL, "send SIGUSR2 to the parent when the size or the state changes", NULL, NULL },
	{ "v4p", 0, NOTHING, 0, 0, 0, NULL, "accepted, no effect", NULL, "HDMI pass-through is not built in" },
	{ "gpio-device", 0, IGNORED, 0, 0, 0, "PATH", "accepted, no effect", NULL, "GPIO is not built in" },
	{ "gpio-consumer-prefix", 0, IGNORED, 0, 0, 0, "WORD", "accepted, no effect", NULL, "GPIO is not built in" },
	{ "gpio-prog-running", 0, IGNORED, 0, 0, 0, "PIN", "accepted, no effect", NULL, "GPIO is not built in" },
	{ "gpio-stream-online", 0, IGNORED, 0, 0, 0, "PIN", "accepted, no effect", NULL, "GPIO is not built in" },
	{ "gpio-has-http-clients", 0, IGNORED, 0, 0, 0, "PIN", "accepted, no effect", NULL, "GPIO is not built in" },

	{ "Log", 0, GROUP, 0, 0, 0, NULL, NULL, NULL, NULL },
	{ "log-level", 0, INT, AT(log_level), 0, 3, "N", "0 info, 1 perf, 2 verbose, 3 debug", NULL, NULL },
	{ "perf", 0, LEVEL, 0, LOG_LEVEL_PERF, 0, NULL, "--log-level 1", NULL, NULL },
	{ "verbose", 0, LEVEL, 0, LOG_LEVEL_VERBOSE, 0, NULL, "--log-level 2", NULL, NULL },
	{ "debug", 0, LEVEL, 0, LOG_LEVEL_DEBUG, 0, NULL, "--log-level 3", NULL, NULL },
	{ "force-log-colors", 0, FLAG, AT(force_log_colors), 0, 0, NULL, "colours also when stderr is no terminal", NULL, NULL },
	{ "no-log-colors", 0, FLAG, AT(no_log_colors), 0, 0, NULL, "no colours", NULL, NULL },

	{ "Help", 0, GROUP, 0, 0, 0, NULL, NULL, NULL, NULL },
	{ "help", 'h', ACTION, 0, 0, 0, NULL, "this text", NULL, NULL },
	{ "version", 'v', ACTION, 0, 0, 0, NULL, "print it", NULL, NULL },
	{ "features", 0, ACTION, 0, 0, 0, NULL, "what this build can do", NULL, NULL },
};
/* clang-format on */

/* Those that may change while the program runs, beside all image controls. */
static const struct live_row {
	const char *name, *unit;
	bool rebuilds;
} lives[] = {
	{ "desired-fps", "fps", false },
	{ "quality", "", false },
	{ "drop-same-frames", "", false },
	{ "h264-bitrate", "kbit/s", false },
	{ "h264-gop", "frames", false },
	{ "h264-min-qp", "", false },
	{ "h264-max-qp", "", false },
	{ "h264-profile", "", true },
	{ "h264-static-fps", "fps", false },
};

static const char *given_note[ARRAY_SIZE(rows)]; /* written by options_parse(), main thread */
static char *password;                           /* the same */

static void set_defaults(struct options *opt)
{
	int cores = CLAMP((int)sysconf(_SC_NPROCESSORS_ONLN), 1, 4);
	const struct option_sink sink = { "", 0660, false, 10, 1, OPTION_GROUP_KEEP, 0 };

	*opt = (struct options){
		.source = sources[0].name,
		.device = "/dev/video0",
		.resolution = { 640, 480 },
		.format = V4L2_PIX_FMT_YUYV,
		.io_method = V4L2_MEMORY_MMAP,
		.min_frame_size = 128,
		.buffers = cores + 1,
		.workers = cores,
		.quality = 80,
		.device_timeout_s = 1,
		.device_error_delay_s = 1,
		.m2m_device = "",
		.media_device = "",
		.media_entity_name = "tc358743 10-000f",
		.host = "127.0.0.1",
		.port = 8080,
		.unix_path = "",
		.user = "",
		.passwd = "",
		.static_path = "",
		.allow_origin = "",
		.instance_id = "",
		.server_timeout_s = 10,
		.max_clients = 1000,
		.settings_writable = settings_modes[0].value,
		.state_dir = "",
		.jpeg_sink = sink,
		.raw_sink = sink,
		.h264_sink = sink,
		.sink_abi = sink_abis[0].value,
		.jpeg_ring = sink,
		.raw_ring = sink,
		.h264_ring = sink,
		.h264_bitrate_kbps = 5000,
		.h264_gop = 30,
		.h264_max_qp = 51,
		.h264_m2m_device = "",
		.h264_static_fps = 1,
		.h264_adaptive = 1,
		.h264_min_bitrate_kbps = 300,
		.h264_min_fps = 15,
		.process_name_prefix = "",
	};
}

static bool takes_value(const struct row *row)
{
	return row->type != GROUP && row->type != FLAG && row->type != LEVEL &&
	       row->type != ACTION && row->type != NOTHING;
}

static bool parse_number(const char *text, int base, long min, long max, long *out)
{
	char *end;
	long long value;

	errno = 0;
	value = strtoll(text, &end, base);
	if (errno || end == text || *end || value < min || value > max)
		return false;
	*out = (long)value;
	return true;
}

/* What a row's value may be, in words. */
static const char *allowed(const struct row *row, char *text, size_t size)
{
	bool any_size = row->min == 1;

	switch (row->type) {
	case INT: snprintf(text, size, "a number from %ld to %ld", row->min, row->max); break;
	case OCTAL:
		snprintf(text, size, "an octal mode from %lo to %lo", row->min, row->max);
		break;
	case SIZE:
		snprintf(text, size, "WIDTHxHEIGHT from %s",
			any_size ? "1x1 to 65535x65535" : "160x120 to 15360x8640");
		break;
	case BYTES: return "a size from 64k to 1G, as 500000, 800k or 32M";
	case OWNER: return "a group of this machine: see getent group";
	case CONTROL: return row->max ? "a number, auto or default" : "a number or default";
	case CHOICE:
		snprintf(text, size, "one of");
		for (const struct choice *choice = row->choices; choice->name; choice++)
			snprintf(text + strlen(text), size - strlen(text), " %s", choice->name);
		break;
	default: return row->arg;
	}
	return text;
}

static bool wrong(const struct row *row, const char *value, const char *what)
{
	fprintf(stderr, "hdmicast: --%s: '%s' is not %s\n", row->name, value, what);
	return false;
}

static bool set_int(struct options *opt, const struct row *row, const char *value)
{
	long number;

	if (!parse_number(value, row->type == OCTAL ? 8 : 0, row->min, row->max, &number))
		return false;
	*(int *)((char *)opt + row->offset) = (int)number;
	return true;
}

/* A row whose min is 1 takes any size: the fake one. */
static bool set_size(struct options *opt, const struct row *row, const char *value)
{
	unsigned least_w = row->min ? 1 : 160, least_h = row->min ? 1 : 120;
	unsigned most_w = row->min ? 65535 : 15360, most_h = row->min ? 65535 : 8640;
	struct option_size size;
	char rest;

	if (sscanf(value, "%5ux%5u%c", &size.width, &size.height, &rest) != 2 ||
		size.width < least_w || size.width > most_w || size.height < least_h ||
		size.height > most_h)
		return false;
	*(struct option_size *)((char *)opt + row->offset) = size;
	return true;
}

static bool set_bytes(struct options *opt, const struct row *row, const char *value)
{
	static const char units[] = "kKmMgG";
	char text[24], *unit;
	unsigned shift = 0;
	long number;

	snprintf(text, sizeof(text), "%s", value);
	unit = text + strcspn(text, units);
	if (*unit) {
		if (unit[1])
			return false;
		shift = 10 * (unsigned)((strchr(units, *unit) - units) / 2 + 1);
		*unit = '\0';
	}
	/* In the unit itself first, so that no shift loses a bit. */
	if (!parse_number(text, 10, 0, (row->max << 10 >> shift), &number) ||
		number << shift < row->min << 10)
		return false;
	*(size_t *)((char *)opt + row->offset) = (size_t)number << shift;
	return true;
}

static bool set_owner(struct options *opt, const struct row *row, const char *value)
{
	/* cppcheck-suppress getgrnamCalled ; no other thread is there while options are read */
	const struct group *group = getgrnam(value);
	long number;

	if (group)
		number = group->gr_gid;
	else if (!parse_number(value, 10, 0, INT_MAX, &number))
		return false;
	*(gid_t *)((char *)opt + row->offset) = (gid_t)number;
	return true;
}

static bool set_choice(struct options *opt, const struct row *row, const char *value)
{
	for (const struct choice *choice = row->choices; choice->name; choice++) {
		if (strcasecmp(choice->name, value))
			continue;
		if (row->choices == sources)
			opt->source = choice->name;
		else
			*(unsigned *)((char *)opt + row->offset) = choice->value;
		given_note[row - rows] = choice->note;
		return true;
	}
	return false;
}

static bool set_control(struct options *opt, const struct row *row, const char *value)
{
	struct option_control *control = (struct option_control *)((char *)opt + row->offset);
	long number;

	if (!strcasecmp(value, "default")) {
		control->mode = CONTROL_DEFAULT;
	} else if (row->max && !strcasecmp(value, "auto")) {
		control->mode = CONTROL_AUTO;
	} else if (parse_number(value, 0, INT_MIN, INT_MAX, &number)) {
		control->mode = CONTROL_SET;
		control->value = (int)number;
	} else {
		return false;
	}
	return true;
}

/* Why a text is not taken, or NULL. */
static const char *flaw_of(const struct row *row, const char *value)
{
	static const char
		id[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./+_-";

	if (row->offset == AT(instance_id) && value[strspn(value, id)])
		return "made of letters, digits and ./+_-";
	if (row->offset == AT(allow_origin) && strpbrk(value, "\r\n"))
		return "one line";
	if (row->offset == AT(unix_path) && strlen(value) > 107)
		return "at most 107 characters long";
	return NULL;
}

static bool set_text(struct options *opt, const struct row *row, char *value)
{
	const char *flaw = flaw_of(row, value);

	if (flaw)
		return wrong(row, value, flaw);
	if (row->offset == AT(passwd)) {
		/* Not for everybody's ps(1): keep a copy, wipe the argument. */
		free(password);
		opt->passwd = password = xstrdup(value);
		memset(value, '*', strlen(value));
		return true;
	}
	*(const char **)((char *)opt + row->offset) = value;
	return true;
}

static bool set_option(struct options *opt, const struct row *row, char *value)
{
	char text[256];
	bool ok = true;

	if (row->note)
		given_note[row - rows] = row->note;
	switch (row->type) {
	case FLAG: *(bool *)((char *)opt + row->offset) = true; break;
	case LEVEL: opt->log_level = (int)row->min; break;
	case TEXT: return set_text(opt, row, value);
	case INT:
	case OCTAL: ok = set_int(opt, row, value); break;
	case SIZE: ok = set_size(opt, row, value); break;
	case BYTES: ok = set_bytes(opt, row, value); break;
	case OWNER: ok = set_owner(opt, row, value); break;
	case CHOICE: ok = set_choice(opt, row, value); break;
	case CONTROL: ok = set_control(opt, row, value); break;
	default: break;
	}
	return ok || wrong(row, value, allowed(row, text, sizeof(text)));
}

/* "--port N (default 8080)" is made of the same table and the same defaults as the parser. */
static void print_default(FILE *to, const struct options *opt, const struct row *row)
{
	const void *field = (const char *)opt + row->offset;

	if (row->type == INT)
		fprintf(to, " [%ld–%ld, default %d]", row->min, row->max, *(const int *)field);
	else if (row->type == OCTAL)
		fprintf(to, " [octal, default %o]", *(const unsigned *)field);
	else if (row->type == TEXT && **(const char *const *)field)
		fprintf(to, " [default %s]", *(const char *const *)field);
	else if (row->type == SIZE && ((const struct option_size *)field)->width)
		fprintf(to, " [default %ux%u]", ((const struct option_size *)field)->width,
			((const struct option_size *)field)->height);
}

static void print_choices(FILE *to, const struct row *row)
{
	if (!row->choices || row->choices == sources)
		return;
	fputs(": ", to);
	for (const struct choice *choice = row->choices; choice->name; choice++)
		fprintf(to, "%s%s", choice == row->choices ? "" : " ", choice->name);
	fputs(" [the first is the default]", to);
}

static void print_help(FILE *to)
{
	struct options opt;

	set_defaults(&opt);
	fputs("Usage: hdmicast [OPTION]…\n"
	      "Stream what an HDMI grabber sees to browsers and players over HTTP.\n",
		to);
	for (const struct row *row = rows; row < rows + ARRAY_SIZE(rows); row++) {
		char left[64], letter[5] = "    ";

		if (row->type == GROUP) {
			fprintf(to, "\n%s:\n", row->name);
			continue;
		}
		if (row->letter)
			snprintf(letter, sizeof(letter), "-%c, ", row->letter);
		snprintf(left, sizeof(left), "  %s--%s %s", letter, row->name,
			row->arg ? row->arg : "");
		fprintf(to, "%-38s %s", left, row->text);
		print_choices(to, row);
		print_default(to, &opt, row);
		fputc('\n', to);
	}
}

void options_list(FILE *to)
{
	for (const struct row *row = rows; row < rows + ARRAY_SIZE(rows); row++) {
		if (row->type != GROUP)
			fprintf(to, "%s %c\n", row->name, row->letter ? row->letter : '-');
	}
}

static void run_action(const struct row *row)
{
	if (row->letter == 'h')
		print_help(stdout);
	else if (row->letter == 'v')
		puts(VERSION);
	else
		puts("+ WITH_SYSTEMD\n+ WITH_PTHREAD_NP\n+ WITH_SETPROCTITLE\n- WITH_PYTHON\n"
		     "- WITH_JANUS\n- WITH_V4P\n- WITH_GPIO\n" X264_SIGN " WITH_X264");
}

/* The tables of getopt_long(3), made of ours: its val is the row's number. */
static void make_getopt_tables(struct option *longs, char *letters)
{
	*letters++ = ':';
	for (const struct row *row = rows; row < rows + ARRAY_SIZE(rows); row++) {
		if (row->type == GROUP)
			continue;
		*longs++ = (struct option){ row->name,
			takes_value(row) ? required_argument : no_argument, NULL,
			256 + (int)(row - rows) };
		if (row->letter) {
			*letters++ = row->letter;
			if (takes_value(row))
				*letters++ = ':';
		}
	}
	*longs = (struct option){ 0 };
	*letters = '\0';
}

static const struct row *row_of(int found)
{
	if (found >= 256)
		return &rows[found - 256];
	for (const struct row *row = rows; row < rows + ARRAY_SIZE(rows); row++) {
		if (row->letter == found)
			return row;
	}
	return NULL;
}

static void complain(int found, const char *argument)
{
	const struct row *row = optopt ? row_of(optopt) : NULL;
	char text[256];

	if (found == ':' && row)
		fprintf(stderr, "hdmicast: --%s needs a value: %s\n", row->name,
			allowed(row, text, sizeof(text)));
	else if (row)
		fprintf(stderr, "hdmicast: --%s takes no value\n", row->name);
	else if (optopt)
		fprintf(stderr, "hdmicast: unknown option -%c; --help lists them all\n", optopt);
	else
		fprintf(stderr, "hdmicast: unknown or ambiguous option %s; --help lists them all\n",
			argument);
}

/* For launchers whose command line cannot be changed. */
static bool take_environment(struct options *opt)
{
	const char *abi = getenv("HDMICAST_SINK_ABI");

	if (!abi || !*abi)
		return true;
	for (const struct choice *choice = sink_abis; choice->name; choice++) {
		if (strcmp(choice->name, abi) == 0) {
			opt->sink_abi = (int)choice->value;
			return true;
		}
	}
	fprintf(stderr, "hdmicast: HDMICAST_SINK_ABI: '%s' is not one of 7 10\n", abi);
	return false;
}

enum options_action options_parse(struct options *out, int argc, char *argv[])
{
	struct option longs[ARRAY_SIZE(rows) + 1];
	char letters[2 * ARRAY_SIZE(rows) + 2];
	const char *name, *why;
	int found;

	set_defaults(out);
	if (!take_environment(out))
		return OPTIONS_WRONG;
	memset(given_note, 0, sizeof(given_note));
	make_getopt_tables(longs, letters);
	optind = 0; /* a fresh start: tests parse many times */
	opterr = 0;
	while ((found = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		const struct row *row = found == ':' || found == '?' ? NULL : row_of(found);

		if (!row) {
			complain(found, argv[optind - 1]);
			return OPTIONS_WRONG;
		}
		if (row->type == ACTION) {
			run_action(row);
			return OPTIONS_EXIT;
		}
		if (!set_option(out, row, optarg))
			return OPTIONS_WRONG;
	}
	if (optind < argc) {
		fprintf(stderr, "hdmicast: unexpected argument '%s'\n", argv[optind]);
		return OPTIONS_WRONG;
	}
	out->workers = MIN(out->workers, out->buffers);
	name = options_contradiction(out, &why);
	if (name)
		fprintf(stderr, "hdmicast: --%s: %s\n", name, why);
	return name ? OPTIONS_WRONG : OPTIONS_RUN;
}

void options_log_notices(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		if (given_note[i])
			log_info("--%s: %s", rows[i].name, given_note[i]);
	}
}

/* ---- live */

static const struct live_row *live_of(const struct row *row)
{
	for (const struct live_row *live = lives; live < lives + ARRAY_SIZE(lives); live++) {
		if (row->type != GROUP && strcmp(row->name, live->name) == 0)
			return live;
	}
	return NULL;
}

int options_next_live(int n)
{
	while (++n < (int)ARRAY_SIZE(rows)) {
		if (rows[n].type == CONTROL || live_of(&rows[n]))
			return n;
	}
	return -1;
}

int options_find_live(const char *name)
{
	int n = options_next_live(-1);

	while (n >= 0 && strcmp(rows[n].name, name) != 0)
		n = options_next_live(n);
	return n;
}

void options_describe_live(int n, struct option_live *out)
{
	const struct row *row = &rows[n];
	const struct live_row *live = live_of(row);
	bool is_control = row->type == CONTROL;

	*out = (struct option_live){ .name = row->name,
		.text = row->text,
		.unit = live ? live->unit : "",
		.is_choice = row->type == CHOICE,
		.rebuilds = live && live->rebuilds,
		.min = row->min,
		.max = row->max,
		.control = is_control ? (int)((row->offset - AT(control)) /
						sizeof(struct option_control))
				      : -1 };
}

const char *options_control_name(enum option_control_id id)
{
	const struct row *row = rows;

	while (row->type != CONTROL ||
		row->offset != AT(control) + id * sizeof(struct option_control))
		row++; /* there is one for each */
	return row->name;
}

const char *options_choice(int n, unsigned i)
{
	return rows[n].choices[i].name;
}

long options_get_number(const struct options *opt, int n)
{
	return *(const int *)((const char *)opt + rows[n].offset);
}

const char *options_get_word(const struct options *opt, int n)
{
	unsigned value = *(const unsigned *)((const char *)opt + rows[n].offset);
	const struct choice *choice = rows[n].choices;

	while (choice->value != value)
		choice++; /* the field holds one of them */
	return choice->name;
}

bool options_set_number(struct options *opt, int n, long long value)
{
	const struct row *row = &rows[n];
	bool is_control = row->type == CONTROL;
	long min = is_control ? INT_MIN : row->min, max = is_control ? INT_MAX : row->max;
	void *field = (char *)opt + row->offset;

	if ((row->type != INT && !is_control) || value < min || value > max)
		return false;
	if (is_control)
		*(struct option_control *)field = (struct option_control){ CONTROL_SET,
			(int)value };
	else
		*(int *)field = (int)value;
	return true;
}

bool options_set_word(struct options *opt, int n, const char *word)
{
	const struct row *row = &rows[n];

	if (row->type == CHOICE)
		return set_choice(opt, row, word);
	/* A number in quotes is a word, and no word for one. */
	return row->type == CONTROL && !strpbrk(word, "0123456789") && set_control(opt, row, word);
}

const char *options_allowed(int n, char *text, size_t size)
{
	return allowed(&rows[n], text, size);
}

const char *options_contradiction(const struct options *opt, const char **why)
{
	if (opt->h264_min_qp <= opt->h264_max_qp)
		return NULL;
	*why = "must not be more than h264-max-qp";
	return "h264-min-qp";
}
