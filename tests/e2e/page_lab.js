// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Goes into the page before its own scripts: time passes, answers come and the tab is hidden when
 * the test says so, however busy the machine is. What the page asks for is noted with its moment.
 */
"use strict";

{
	const turns = new MessageChannel();
	const timers = new Map();
	let lastTimer = 0;

	function addTimer(act, delay = 0, every = 0)
	{
		timers.set(++lastTimer, { at: lab.now + delay, act, every });
		return lastTimer;
	}

	function answer(value, status = 200)
	{
		return { ok: status < 400, status, json: async () => structuredClone(value) };
	}

	/* A reply without an end. What is pushed is one piece. */
	class Stream {
		constructor({ signal })
		{
			this.ok = true;
			this.status = 200;
			this.pieces = [];
			this.body = { getReader: () => this };
			this.signal = signal;
			signal.addEventListener("abort", () => this.end());
			lab.streams.push(this);
		}

		push(bytes)
		{
			this.pieces.push(typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes);
			this.wake?.();
		}

		end()
		{
			this.isEnded = true;
			this.wake?.();
		}

		async read()
		{
			while (!this.pieces.length && !this.isEnded)
				await new Promise((resolve) => { this.wake = resolve; });
			return this.pieces.length ? { value: this.pieces.shift() } : { done: true };
		}
	}

	self.lab = {
		now: 1000,
		isHidden: false,
		asked: [],   /* { name, at, … what else fetch() was given } */
		streams: [], /* that were opened */
		bitmaps: [], /* that were decoded */
		decoded: Promise.resolve(), /* what createImageBitmap() waits for */
		Stream,
		answer,
		state: { source: { online: true, text: "Online", resolution: { width: 640, height: 480 } },
			h264: { state: "running" } },
		settings: { writable: true, settings: {
			"h264-bitrate": { type: "number", value: 5000, min: 25, max: 50000, unit: "kbit/s" },
			"quality": { type: "number", value: 80, min: 1, max: 100 },
		} },
		/* By the last part of the address; who is not here cannot be reached. */
		answers: {
			clock: () => answer({ monotonic_us: lab.now * 1000, wall_us: lab.now * 1000 + 1e15 }),
			state: () => answer({ ok: true, result: lab.state }),
			settings: () => answer({ ok: true, result: lab.settings }),
		},

		/* Until the page has done what it can without time passing: all it waits for are promises. */
		settle()
		{
			return new Promise((resolve) => {
				turns.port1.onmessage = resolve;
				turns.port2.postMessage(null);
			});
		},

		async advance(ms)
		{
			const end = lab.now + ms;

			for (;;) {
				await lab.settle();
				const [id, next] = [...timers].reduce((a, b) => b[1].at < a[1].at ? b : a,
					[0, { at: Infinity }]);

				if (next.at > end)
					break;
				lab.now = next.at;
				if (next.every)
					next.at += next.every;
				else
					timers.delete(id);
				next.act();
			}
			lab.now = end;
		},

		hide(isHidden)
		{
			lab.isHidden = isHidden;
			document.dispatchEvent(new Event("visibilitychange"));
		},

		/* When it was asked for since that moment. */
		moments(name, since = 0)
		{
			return lab.asked.filter((one) => one.name === name && one.at >= since)
				.map(({ at }) => at);
		},
	};

	performance.now = () => lab.now;
	self.setTimeout = (act, delay) => addTimer(act, delay);
	self.setInterval = (act, delay) => addTimer(act, delay, delay);
	self.clearTimeout = self.clearInterval = (id) => timers.delete(id);
	AbortSignal.timeout = (ms) => {
		const abort = new AbortController();

		addTimer(() => abort.abort(new DOMException("", "TimeoutError")), ms);
		return abort.signal;
	};
	self.fetch = async (address, options) => {
		const name = new URL(address).pathname.split("/").at(-1);

		lab.asked.push({ name, at: lab.now, ...options });
		if (!lab.answers[name])
			throw new TypeError("Failed to fetch");
		return lab.answers[name](options);
	};
	self.createImageBitmap = async () => {
		const bitmap = new OffscreenCanvas(64, 48);

		bitmap.close = () => { bitmap.isClosed = true; };
		lab.bitmaps.push(bitmap);
		await lab.decoded;
		return bitmap;
	};
	Object.defineProperty(Document.prototype, "hidden", { get: () => lab.isHidden });
}
