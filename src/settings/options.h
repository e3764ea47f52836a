/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The command line. One table in options.c is the parser, the text of --help and the list that
 * the manual page is checked against. Names, letters, defaults and ranges are uStreamer's, so
 * that existing launchers start us unchanged.
 */
#ifndef SETTINGS_OPTIONS_H
#define SETTINGS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "media/h264_bitstream.h"

/* An image control of the device: left alone, reset, automatic, or set to a value. */
struct option_control {
	enum { CONTROL_KEEP, CONTROL_DEFAULT, CONTROL_AUTO, CONTROL_SET } mode;
	int value;
};

enum option_control_id {
	CONTROL_BRIGHTNESS,
	CONTROL_CONTRAST,
	CONTROL_SATURATION,
	CONTROL_HUE,
	CONTROL_GAMMA,
	CONTROL_SHARPNESS,
	CONTROL_BACKLIGHT_COMPENSATION,
	CONTROL_WHITE_BALANCE,
	CONTROL_GAIN,
	CONTROL_COLOR_EFFECT,
	CONTROL_ROTATE,
	CONTROL_FLIP_VERTICAL,
	CONTROL_FLIP_HORIZONTAL,
	CONTROLS
};

struct option_size {
	unsigned width, height; /* pixels; 0×0 when unset */
};

enum h264_choice { H264_ENCODER_AUTO, H264_ENCODER_M2M, H264_ENCODER_X264, H264_ENCODER_OFF };

/* An object in shared memory: a sink as uStreamer has them, or a ring. */
struct option_sink {
	const char *name;
	unsigned mode;

	bool remove; /* sinks */
	int client_ttl_s, timeout_s;

	gid_t group;  /* rings; OPTION_GROUP_KEEP: the process's own */
	size_t bytes; /* for frames; 0: as is good for the medium */
};

#define OPTION_GROUP_KEEP ((gid_t)-1)

/* Strings are never NULL, "" when unset, and live as long as argv. Numbers are in range. */
struct options {
	/* capture */
	const char *source; /* a name in capture/source.c */
	const char *device;
	int input;
	struct option_size resolution;
	unsigned format; /* V4L2 fourcc */
	bool format_swap_rgb;
	int tv_standard; /* v4l2_std_id, 0: leave */
	int io_method;
	int desired_fps;    /* 0: all the source gives */
	int min_frame_size; /* bytes */
	bool allow_truncated_frames;
	bool persistent;
	bool dv_timings;
	int buffers;
	int workers;
	int quality; /* 1–100 */
	int encoder; /* enum-like; see options.c */
	int device_timeout_s;
	int device_error_delay_s;
	const char *m2m_device, *media_device, *media_entity_name;
	bool image_default;
	struct option_control control[CONTROLS];

	/* http */
	const char *host;
	int port;
	const char *unix_path;
	bool unix_rm;
	int unix_mode; /* 0: leave to the umask */
	bool systemd;
	const char *user, *passwd;
	const char *static_path;
	int drop_same_frames; /* at most this many in a row; 0: none */
	struct option_size fake_resolution;
	bool tcp_nodelay;
	const char *allow_origin;
	const char *instance_id;
	int server_timeout_s;
	int max_clients;
	unsigned settings_writable; /* 0: nothing changes while it runs */
	const char *state_dir;      /* "": what was changed is forgotten */

	/* shared memory */
	struct option_sink jpeg_sink, raw_sink, h264_sink;
	int sink_abi; /* 7 or 10: uStreamer's version of the layout */
	struct option_sink jpeg_ring, raw_ring, h264_ring;

	/* H.264 */
	enum h264_choice h264_encoder;
	const char *h264_m2m_device;     /* "": found by capability */
	int h264_bitrate_kbps, h264_gop; /* gop 0: key frames on demand only */
	int h264_min_qp, h264_max_qp;    /* min 0: the encoder's own */
	enum h264_profile h264_profile;
	bool h264_boost;
	int h264_adaptive; /* 1: to the viewers' lines, down to … */
	int h264_min_bitrate_kbps, h264_min_fps;
	int h264_static_fps; /* of a picture that does not change; 0: as any other */

	/* process */
	bool exit_on_parent_death, exit_on_device_error;
	int exit_on_no_clients_s; /* 0: never */
	const char *process_name_prefix;
	bool notify_parent;

	/* log */
	int log_level;
	bool force_log_colors, no_log_colors;
};

enum options_action {
	OPTIONS_RUN,
	OPTIONS_EXIT,  /* --help, --version, --features: printed, exit 0 */
	OPTIONS_WRONG, /* said on stderr in one line, exit 2 */
};

/* Fills *out. The notices for options that are accepted and ignored are logged by options_log. */
enum options_action options_parse(struct options *out, int argc, char *argv[]);

/* After log_init(): one line for each option given that has no effect, with the reason. */
void options_log_notices(void);

/* ---- options that may be changed while the program runs */

/* One of them, as the table has it. */
struct option_live {
	const char *name, *text;
	const char *unit; /* "kbit/s"; "" for none */
	bool is_choice;   /* a word, see options_choice(); else a number */
	bool rebuilds;    /* a change makes the H.264 encoder anew: the stream stops for a moment */
	long min, max;    /* of a number */
	int control;      /* an image control's id; its range is the device's own. Else -1 */
};

/* The first one after number n, begin with -1; -1: there are no more. */
int options_next_live(int n);
/* The one of that name, or -1. */
int options_find_live(const char *name);
void options_describe_live(int n, struct option_live *out);
/* The name of an image control's option. */
const char *options_control_name(enum option_control_id id);
/* The words of a choice; NULL after the last. */
const char *options_choice(int n, unsigned i);

/* Values, but of image controls, which are the device's. */
long options_get_number(const struct options *opt, int n);
const char *options_get_word(const struct options *opt, int n);
/* False, and nothing changes, for what is not allowed: options_allowed() says what is. */
bool options_set_number(struct options *opt, int n, long long value);
bool options_set_word(struct options *opt, int n, const char *word);
/* "a number from 25 to 20000"; made in `text` if need be. */
const char *options_allowed(int n, char *text, size_t size);
/* The name of an option that contradicts another, and why; NULL: they all agree. */
const char *options_contradiction(const struct options *opt, const char **why);

/* One option a line, "name letter" with '-' for no letter: for tests of the table. */
void options_list(FILE *to);

#endif
