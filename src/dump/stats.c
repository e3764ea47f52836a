// SPDX-License-Identifier: GPL-3.0-or-later
/* See stats.h. */
#include "dump/stats.h"

#include "base/util.h"
#include "base/window.h"

struct stats {
	const struct dump_options *opt;
	FILE *to;
	bool is_live; /* a line of a terminal, written over and over */
	int64_t next_ns;
	int64_t began_ns; /* the first frame; 0: none came */
	size_t first_size;
	uint64_t frames, lost;
	uint64_t dropped, dropped_before; /* of the newest and of the first frame */
	bool is_counted;
	struct window sizes;
	struct window latency;   /* from capture to here */
	struct window published; /* from capture to the ring */
};

struct stats *stats_create(const struct dump_options *opt)
{
	struct stats *stats;

	if (!opt->stats)
		return NULL;
	stats = xcalloc(1, sizeof(*stats));
	stats->opt = opt;
	stats->to = strcmp(opt->output, "-") == 0 ? stderr : stdout;
	stats->is_live = !opt->json && isatty(fileno(stats->to));
	stats->next_ns = now_ns() + NS_PER_S;
	return stats;
}

void stats_add(struct stats *stats, const struct dump_frame *frame)
{
	if (!stats)
		return;
	if (!stats->began_ns) {
		stats->began_ns = frame->arrived_ns;
		stats->first_size = frame->size;
		stats->dropped_before = frame->dropped;
	}
	stats->frames++;
	stats->is_counted = frame->is_counted;
	stats->lost += frame->lost;
	/* Of another writer, it begins anew. */
	if (frame->dropped < stats->dropped)
		stats->dropped_before = 0;
	stats->dropped = frame->dropped;
	window_add(&stats->sizes, frame->arrived_ns, (int64_t)frame->size);
	if (!frame->captured_ns || frame->was_there)
		return;
	window_add(&stats->latency, frame->arrived_ns, frame->arrived_ns - frame->captured_ns);
	if (frame->published_ns)
		window_add(&stats->published, frame->arrived_ns,
			frame->published_ns - frame->captured_ns);
}

/* ---- printing */

struct rates {
	double fps, kbps;
};

static struct rates measure(const struct stats *stats, int64_t now)
{
	double seconds = (double)MIN(now - stats->began_ns, WINDOW_NS) / NS_PER_S;
	struct window_view view;

	window_get(&stats->sizes, now, &view);
	if (!stats->began_ns || seconds <= 0)
		return (struct rates){ 0 };
	/* What the first one took to come is not in the time. */
	if (now - stats->began_ns < WINDOW_NS && view.count) {
		view.count--;
		view.sum -= (int64_t)stats->first_size;
	}
	return (struct rates){ view.count / seconds, (double)view.sum * 8 / 1000 / seconds };
}

static double ms(int64_t ns)
{
	return (double)ns / NS_PER_MS;
}

static void print_percentiles(const struct stats *stats, const char *name,
	const struct window *window, int64_t now)
{
	struct window_view view;

	window_get(window, now, &view);
	if (!view.count)
		fprintf(stats->to, ", \"%s\": null", name);
	else
		fprintf(stats->to, ", \"%s\": {\"p50\": %.3f, \"p95\": %.3f, \"p99\": %.3f}", name,
			ms(view.p50), ms(view.p95), ms(view.p99));
}

static void print_count(const struct stats *stats, const char *name, uint64_t count)
{
	if (stats->is_counted)
		fprintf(stats->to, ", \"%s\": %llu", name, (unsigned long long)count);
	else
		fprintf(stats->to, ", \"%s\": null", name);
}

static void print_json(const struct stats *stats, const struct rates *rates, int64_t now)
{
	fprintf(stats->to, "{\"frames\": %llu, \"fps\": %.2f, \"kbps\": %.1f",
		(unsigned long long)stats->frames, rates->fps, rates->kbps);
	print_percentiles(stats, "latency_ms", &stats->latency, now);
	print_percentiles(stats, "published_ms", &stats->published, now);
	print_count(stats, "lost", stats->lost);
	print_count(stats, "dropped", stats->dropped - stats->dropped_before);
	fputs("}\n", stats->to);
}

static void print_text(const struct stats *stats, const struct rates *rates, int64_t now)
{
	struct window_view latency;

	window_get(&stats->latency, now, &latency);
	fprintf(stats->to, "%s%.1f fps, %.0f kbit/s", stats->is_live ? "\r\033[K" : "", rates->fps,
		rates->kbps);
	if (latency.count)
		fprintf(stats->to, ", latency %.1f ms (95 %%: %.1f, 99 %%: %.1f)", ms(latency.p50),
			ms(latency.p95), ms(latency.p99));
	if (stats->is_counted)
		fprintf(stats->to, ", %llu lost here, %llu before", (unsigned long long)stats->lost,
			(unsigned long long)(stats->dropped - stats->dropped_before));
	if (!stats->is_live)
		fputc('\n', stats->to);
}

static void print(const struct stats *stats, int64_t now)
{
	struct rates rates = measure(stats, now);

	if (stats->opt->json)
		print_json(stats, &rates, now);
	else
		print_text(stats, &rates, now);
	fflush(stats->to);
}

int stats_tick(struct stats *stats)
{
	int64_t now;

	if (!stats || (now = now_ns()) < stats->next_ns)
		return 0;
	print(stats, now);
	stats->next_ns = MAX(stats->next_ns + NS_PER_S, now);
	return ferror(stats->to) ? -EPIPE : 0;
}

void stats_destroy(struct stats *stats)
{
	if (!stats)
		return;
	print(stats, now_ns());
	if (stats->is_live)
		fputc('\n', stats->to);
	free(stats);
}
