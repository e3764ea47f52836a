/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands of the encoders; each is a key of the configuration, too. */
#include "m2m.h"
#include "report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool number(int argc, char **argv, unsigned preset, unsigned *value)
{
	*value = preset;
	return argc < 2 || parse_count(argv[1], INT32_MAX, value);
}

static int run_variant(struct device *dev, int argc, char **argv, char *reply)
{
	const struct m2m_variant *variant = argc > 1 ? m2m_variant_named(argv[1]) : NULL;

	(void)reply;
	if (!variant || dev->handles)
		return variant ? -EBUSY : -EINVAL;
	m2m_of(dev)->variant = variant;
	return 0;
}

/* "latency pi3" and "latency pi4" are by the number of macroblocks (G23). */
static int run_latency(struct device *dev, int argc, char **argv, char *reply)
{
	struct m2m *m2m = m2m_of(dev);
	const char *what = argc > 1 ? argv[1] : "";

	(void)reply;
	m2m->pace = !strcmp(what, "pi3") ? 245760 : !strcmp(what, "pi4") ? 491520 : 0;
	if (m2m->pace)
		return 0;
	return parse_count(what, 100000, &m2m->latency_ms) ? 0 : -EINVAL;
}

static int run_stall(struct device *dev, int argc, char **argv, char *reply)
{
	unsigned ms;

	(void)reply;
	if (!number(argc, argv, 1500, &ms))
		return -EINVAL;
	m2m_of(dev)->stall_until_ns = !strcmp(argv[0], "resume") ? 0 : now_ns() + ms * NS_PER_MS;
	m2m_vpu_kick(dev);
	return 0;
}

static int run_wedge(struct device *dev, int argc, char **argv, char *reply)
{
	(void)argc, (void)reply;
	m2m_vpu_wedge(dev, !strcmp(argv[0], "wedge"));
	return 0;
}

static int run_count(struct device *dev, int argc, char **argv, char *reply)
{
	struct m2m *m2m = m2m_of(dev);
	unsigned *to = !strcmp(argv[0], "drop")    ? &m2m->drop
		       : !strcmp(argv[0], "error") ? &m2m->error
						   : &m2m->lose;

	(void)reply;
	return number(argc, argv, 1, to) ? 0 : -EINVAL;
}

static int run_switch(struct device *dev, int argc, char **argv, char *reply)
{
	struct m2m *m2m = m2m_of(dev);
	bool *to = !strcmp(argv[0], "pre2017")   ? &m2m->pre2017
		   : !strcmp(argv[0], "pre2022") ? &m2m->pre2022
						 : &m2m->scattered;

	(void)reply;
	return parse_switch(argc > 1 ? argv[1] : NULL, to) ? 0 : -EINVAL;
}

static int run_import_error(struct device *dev, int argc, char **argv, char *reply)
{
	struct m2m *m2m = m2m_of(dev);
	const char *how = argc > 2 ? argv[2] : "flag";

	(void)reply;
	if ((strcmp(how, "qbuf") && strcmp(how, "flag") && strcmp(how, "lost")) ||
		!number(argc, argv, 1, &m2m->import_errors))
		return -EINVAL;
	m2m->import_failure = how[0];
	return 0;
}

static int run_split(struct device *dev, int argc, char **argv, char *reply)
{
	(void)reply;
	return number(argc, argv, 4096, &m2m_of(dev)->split) ? 0 : -EINVAL;
}

static int run_vui(struct device *dev, int argc, char **argv, char *reply)
{
	(void)reply;
	if (argc < 2 || (strcmp(argv[1], "none") && strcmp(argv[1], "limited")))
		return -EINVAL;
	m2m_of(dev)->colour = argv[1][0] == 'l';
	return 0;
}

static int run_cma(struct device *dev, int argc, char **argv, char *reply)
{
	unsigned mib;

	(void)reply;
	if (argc < 2 || !parse_count(argv[1], 4096, &mib))
		return -EINVAL;
	m2m_of(dev)->cma_bytes = (size_t)mib << 20;
	return 0;
}

/* DQBUF answers EIO from now on, until STREAMOFF. */
static int run_eio(struct device *dev, int argc, char **argv, char *reply)
{
	(void)argc, (void)argv, (void)reply;
	for (struct handle *h = dev->handles; h; h = h->next)
		ctx_of(h)->out.error = ctx_of(h)->cap.error = true;
	return 0;
}

/* C5: the control that the firmware refuses, by its number; 0 is none. */
static int run_reject(struct device *dev, int argc, char **argv, char *reply)
{
	(void)reply;
	if (argc < 2)
		return -EINVAL;
	m2m_of(dev)->rejected = (uint32_t)strtoul(argv[1], NULL, 0);
	return 0;
}

static int run_status(struct device *dev, int argc, char **argv, char *reply)
{
	const struct m2m *m2m = m2m_of(dev);
	char hanging[HANGING_BYTES];
	unsigned n = 0, inside = 0;

	(void)argc, (void)argv;
	calls_describe(dev, hanging, sizeof(hanging));
	for (struct handle *h = dev->handles; h; h = h->next, n++)
		inside += !!ctx_of(h)->inside;
	snprintf(reply, REPLY_MAX - 3,
		"kind=m2m path=%s variant=%s plugged=%d handles=%u frames=%u wedged=%d "
		"cma_free=%zu inside=%u%s",
		dev->path, m2m->variant->name, dev->plugged, n, dev->life, m2m->wedged,
		m2m_cma_free(m2m_of(dev), dev), inside, hanging);
	return 0;
}

const struct command m2m_commands[] = {
	{ "variant", "bcm2835|bcm2835-old|spec|coda|mediatek|venus|pi5|decoder|isp|image",
		run_variant },
	{ "latency", "ms|pi3|pi4", run_latency },
	{ "stall", "[ms] nothing comes out", run_stall },
	{ "resume", "", run_stall },
	{ "wedge", "until reboot", run_wedge },
	{ "reboot", "", run_wedge },
	{ "drop", "[n] by rate control", run_count },
	{ "error", "[n] units with the ERROR flag", run_count },
	{ "signal-loss", "[n] pictures that never come back", run_count },
	{ "dmabuf-noncontiguous", "on|off", run_switch },
	{ "import-error", "[n] [flag|qbuf|lost] pictures whose import fails, and how it shows",
		run_import_error },
	{ "pre2017", "on|off: selections know the single-planar types only", run_switch },
	{ "pre2022", "on|off: drop loses a CAPTURE buffer, too", run_switch },
	{ "split", "bytes: size of coded buffers; 0", run_split },
	{ "vui", "none|limited", run_vui },
	{ "cma", "MiB", run_cma },
	{ "eio", "DQBUF EIO until STREAMOFF", run_eio },
	{ "reject", "control id", run_reject },
	{ "status", "", run_status },
	{ NULL, NULL, NULL },
};
