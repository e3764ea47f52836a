// SPDX-License-Identifier: GPL-3.0-or-later
/* The sinks: see sinks.h. */
#include "shm/sinks.h"

#include "util.h"

struct sinks {
	struct sink *sink[SINKS_MEDIA]; /* set at creation; NULL: not asked for */
};

int sinks_create(struct sinks **out, const struct options *opt, struct pipeline *pipeline)
{
	const struct {
		const char *thread;
		const struct option_sink *opt;
		struct outlet *outlet;
	} row[SINKS_MEDIA] = {
		[SINKS_JPEG] = { "sink-jpeg", &opt->jpeg_sink, pipeline_jpeg(pipeline) },
		[SINKS_RAW] = { "sink-raw", &opt->raw_sink, pipeline_raw(pipeline) },
		[SINKS_H264] = { "sink-h264", &opt->h264_sink, pipeline_h264(pipeline) },
	};
	struct sinks *sinks = xcalloc(1, sizeof(*sinks));
	int res = 0;

	for (unsigned i = 0; i < SINKS_MEDIA && res == 0; i++) {
		struct sink_config config = { .thread = row[i].thread,
			.opt = row[i].opt,
			.abi = (unsigned)opt->sink_abi,
			.gop = i == SINKS_H264 ? (unsigned)opt->h264_gop : 0,
			.is_video = i == SINKS_H264,
			.outlet = row[i].outlet,
			.drops = pipeline_drops(pipeline) };

		if (*row[i].opt->name)
			res = sink_create(&sinks->sink[i], &config);
	}
	if (res < 0) {
		sinks_destroy(sinks);
		return res;
	}
	*out = sinks;
	return 0;
}

void sinks_destroy(struct sinks *sinks)
{
	if (!sinks)
		return;
	for (unsigned i = 0; i < SINKS_MEDIA; i++)
		sink_destroy(sinks->sink[i]);
	free(sinks);
}

bool sinks_get_status(struct sinks *sinks, enum sinks_medium medium, struct sink_status *out)
{
	if (!sinks || !sinks->sink[medium])
		return false;
	sink_get_status(sinks->sink[medium], out);
	return true;
}

bool sinks_have_clients(struct sinks *sinks)
{
	struct sink_status status;

	for (unsigned i = 0; i < SINKS_MEDIA; i++) {
		if (sinks_get_status(sinks, (enum sinks_medium)i, &status) && status.has_clients)
			return true;
	}
	return false;
}
