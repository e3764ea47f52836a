// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The clocks of the daemon's machine, by which frames are dated, as moments of performance.now().
 * Of some exchanges, the one that came back soonest is believed: its answer cannot be off by more
 * than half its time.
 */

const CLOCK_KEPT = 12, CLOCK_FIRST = 6, CLOCK_EVERY_MS = 10000;
const CLOCK_STEP_MS = 50;

const clock = {
	exchanges: [],
	best: null,

	async exchange()
	{
		const began = performance.now();
		const reply = await ask("clock");
		const { monotonic_us, wall_us } = await reply.json();
		const trip = performance.now() - began;
		const middle = began + trip / 2;
		const now = { trip, monotonic: monotonic_us / 1000 - middle, wall: wall_us / 1000 - middle };

		if (this.isStep(now))
			this.exchanges = [];
		this.exchanges.push(now);
		this.exchanges.splice(0, this.exchanges.length - CLOCK_KEPT);
		this.best = this.exchanges.reduce((a, b) => b.trip < a.trip ? b : a);
	},

	/* Whether one of the daemon's clocks was set, or is that of another daemon. */
	isStep({ monotonic, wall })
	{
		return this.best && Math.abs(wall - monotonic - (this.best.wall - this.best.monotonic)) >
			CLOCK_STEP_MS;
	},

	/* Old exchanges say nothing about a daemon that was started again, maybe elsewhere. */
	async start()
	{
		clearTimeout(this.timer);
		this.exchanges = [];
		try {
			for (let i = 0; i < CLOCK_FIRST; i++)
				await this.exchange();
		} catch (error) {
			/* Ages are not known then. */
		}
		this.repeat();
	},

	repeat()
	{
		clearTimeout(this.timer);
		this.timer = setTimeout(() => {
			this.exchange().catch(() => {}).then(() => this.repeat());
		}, CLOCK_EVERY_MS);
	},

	/* The moment of performance.now() at which CLOCK_MONOTONIC said this; NaN: not known. */
	fromMonotonic(us)
	{
		return this.best ? us / 1000 - this.best.monotonic : NaN;
	},

	/* The same for milliseconds since 1970. */
	fromWall(ms)
	{
		return this.best ? ms - this.best.wall : NaN;
	},
};
