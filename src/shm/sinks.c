// SPDX-License-Identifier: GPL-3.0-or-later
/* The sinks: see sinks.h. */
#include "shm/sinks.h"

#include "base/util.h"

struct sinks {
	struct sink *sink[SINKS_KINDS][MEDIA]; /* set at creation; NULL: not asked for */
};

int sinks_create(struct sinks **out, const struct options *opt, struct pipeline *pipeline)
{
	const struct {
		const char *thread;
		const struct backend_ops *ops;
		const struct option_sink *opt;
		struct outlet *outlet;
	} row[SINKS_KINDS][MEDIA] = {
		{
			{ "sink-jpeg", &backend_memsink, &opt->jpeg_sink, pipeline_jpeg(pipeline) },
			{ "sink-raw", &backend_memsink, &opt->raw_sink, pipeline_raw(pipeline) },
			{ "sink-h264", &backend_memsink, &opt->h264_sink, pipeline_h264(pipeline) },
		},
		{
			{ "ring-jpeg", &backend_ring, &opt->jpeg_ring, pipeline_jpeg(pipeline) },
			{ "ring-raw", &backend_ring, &opt->raw_ring, pipeline_raw(pipeline) },
			{ "ring-h264", &backend_ring, &opt->h264_ring, pipeline_h264(pipeline) },
		},
	};
	struct sinks *sinks = xcalloc(1, sizeof(*sinks));
	int res = 0;

	for (unsigned i = 0; i < SINKS_KINDS * MEDIA && res == 0; i++) {
		const unsigned kind = i / MEDIA, medium = i % MEDIA;
		struct sink_config config = { .thread = row[kind][medium].thread,
			.ops = row[kind][medium].ops,
			.backend = { .opt = row[kind][medium].opt,
				.medium = medium,
				.abi = (unsigned)opt->sink_abi,
				.gop = medium == MEDIUM_H264 ? (unsigned)opt->h264_gop : 0 },
			.outlet = row[kind][medium].outlet,
			.drops = pipeline_drops(pipeline) };

		if (*config.backend.opt->name)
			res = sink_create(&sinks->sink[kind][medium], &config);
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
	for (unsigned i = 0; i < SINKS_KINDS * MEDIA; i++)
		sink_destroy(sinks->sink[i / MEDIA][i % MEDIA]);
	free(sinks);
}

bool sinks_get_status(struct sinks *sinks, enum sinks_kind kind, enum medium medium,
	struct sink_status *out)
{
	if (!sinks || !sinks->sink[kind][medium])
		return false;
	sink_get_status(sinks->sink[kind][medium], out);
	return true;
}

bool sinks_have_clients(struct sinks *sinks)
{
	struct sink_status status;

	for (unsigned i = 0; i < SINKS_KINDS * MEDIA; i++) {
		if (sinks_get_status(sinks, i / MEDIA, i % MEDIA, &status) && status.view.readers)
			return true;
	}
	return false;
}
