// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What can be said about the picture: how old each frame is when it is seen, from its capture, and
 * what comes in. Kept for ten seconds; drawn only while someone looks.
 */

const STATS_MS = 10000, RATE_MS = 2000;
const GRAPH_STEPS = [20, 50, 100, 200, 500, 1000, 2000, 5000]; /* ms, its full heights */

function percentile(sorted, part)
{
	return sorted[Math.min(Math.floor(sorted.length * part), sorted.length - 1)];
}

const stats = {
	seen: [],  /* { at, age, count } */
	bytes: [], /* { at, count } */
	framesIn: 0,
	dropped: 0,
	h264: null, /* what /state said of it last */

	forget(list)
	{
		const before = performance.now() - STATS_MS;

		while (list.length && list[0].at < before)
			list.shift();
	},

	addShown(age, count)
	{
		this.seen.push({ at: performance.now(), age, count });
		this.forget(this.seen);
	},

	addBytes(count)
	{
		this.bytes.push({ at: performance.now(), count });
		this.forget(this.bytes);
	},

	rate(list)
	{
		const since = performance.now() - RATE_MS;

		return list.reduce((sum, { at, count }) => sum + (at > since ? count : 0), 0) /
			RATE_MS * 1000;
	},

	fps()
	{
		return this.rate(this.seen);
	},

	/* Median and 95th percentile, or null when ages are not known. */
	ages()
	{
		this.forget(this.seen);
		const ages = this.seen.map(({ age }) => age).filter(Number.isFinite)
			.sort((a, b) => a - b);

		return ages.length ? { median: percentile(ages, .5), p95: percentile(ages, .95) } : null;
	},

	/* [what, how much] for people. */
	lines()
	{
		const ages = this.ages(), mbits = this.rate(this.bytes) * 8 / 1e6;

		return [
			["Path", player.link ? player.link.path.title : "none"],
			["Size", `${stage.width}\u00d7${stage.height}`],
			["Shown", `${this.fps().toFixed(1)} fps`],
			["Bit rate", `${mbits.toFixed(mbits < 10 ? 2 : 1)} Mbit/s`],
			["Age, median", ages ? `${ages.median.toFixed(0)} ms` : "not known"],
			["95 % below", ages ? `${ages.p95.toFixed(0)} ms` : "not known"],
			["Dropped here", `${this.dropped} of ${this.framesIn}`],
			...this.linesOfDaemon(),
		];
	},

	/* What it does about slow lines, if it does. */
	linesOfDaemon()
	{
		const { adaptive, skipped_frames: skipped } = this.h264 || {};
		const lines = skipped ? [["Left out, all viewers", skipped]] : [];

		if (adaptive?.bitrate)
			lines.push(["Limited to", `${adaptive.bitrate} kbit/s`]);
		if (adaptive?.fps)
			lines.push(["And to", `${adaptive.fps} fps`]);
		return lines;
	},

	draw(canvas)
	{
		const ratio = devicePixelRatio || 1, context = canvas.getContext("2d");
		const width = canvas.width = Math.round(canvas.clientWidth * ratio);
		const bottom = canvas.height = Math.round(canvas.clientHeight * ratio);
		const height = bottom - 14 * ratio; /* above it is the scale */
		const known = this.seen.filter(({ age }) => Number.isFinite(age));
		const most = Math.max(...known.map(({ age }) => age), 0);
		const top = GRAPH_STEPS.find((step) => step >= most) || most;
		const begin = performance.now() - STATS_MS;
		const style = getComputedStyle(canvas);

		context.fillStyle = style.getPropertyValue("--accent");
		for (const { at, age } of known) {
			const bar = Math.max(ratio, age / top * height);

			context.fillRect((at - begin) / STATS_MS * width - ratio, bottom - bar, ratio * 1.5,
				bar);
		}
		context.fillStyle = style.color;
		context.font = `${10 * ratio}px system-ui, sans-serif`;
		context.fillText(`Age of each frame, up to ${top} ms`, 0, 10 * ratio);
	},
};
