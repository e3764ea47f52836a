// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Which path the picture takes, and that it keeps coming.
 *
 * The paths are tried in order. One is left when the daemon refuses it, or when it is broken:
 * frames come in, and none has been shown for two seconds. That nothing comes in is no fault of
 * the path's: it is opened again, for the daemon may have been restarted, or may have nothing.
 */

const SHOW_MS = 2000;    /* from a frame's coming to the next one shown */
const SILENCE_MS = 4000; /* a picture that stands still is sent once a second */
const ANSWER_MS = 8000;  /* the daemon waits 4 s for a key frame */
const RETRY_MIN_MS = 200, RETRY_MAX_MS = 1000;
const PROVEN = 100;      /* a path that has shown so many frames gets another chance */
const WATCH_MS = 200;
const GRACE_MS = 300;   /* for a path to end after it was told to */

class Refused extends Error {} /* by the daemon: no such stream here */
class Broken extends Error {}  /* in this browser */

/* Where the picture is: a canvas or a video. One is shown until there is something in the other. */
const stage = {
	width: 0,
	height: 0,
	context: null,

	paint(picture, width, height)
	{
		const canvas = at("canvas");

		if (canvas.width !== width || canvas.height !== height) {
			canvas.width = width;
			canvas.height = height;
		}
		this.context = this.context || canvas.getContext("2d", { alpha: false });
		this.context.drawImage(picture, 0, 0, width, height);
	},

	keep(picture, width, height)
	{
		this.paint(picture, width, height);
		this.show("canvas", width, height);
	},

	show(element, width, height)
	{
		document.body.dataset.element = element;
		document.body.classList.add("seen");
		if (width === this.width && height === this.height)
			return;
		this.width = width;
		this.height = height;
		this.fit();
	},

	/* 1:1 means pixels of the display. */
	fit()
	{
		const isActual = document.body.classList.contains("actual");

		for (const element of [at("canvas"), at("video")]) {
			element.style.width = isActual ? `${this.width / devicePixelRatio}px` : "";
			element.style.height = isActual ? `${this.height / devicePixelRatio}px` : "";
		}
	},
};

/* One opening of one path, and how it goes. */
class Link {
	constructor(path)
	{
		this.path = path;
		this.abort = new AbortController();
		this.signal = this.abort.signal;
		this.error = null;
		this.framesIn = this.framesShown = 0;
		this.lastByte = this.started = performance.now();
		this.unshownSince = 0; /* 0: all that came was shown */
	}

	/* A stream's body. */
	async open(address)
	{
		const reply = await ask(address, { signal: this.signal });

		if (reply.status === 503 || reply.status === 404)
			throw new Refused(`${address}: ${reply.status}`);
		if (!reply.ok)
			throw new Error(`${address}: ${reply.status}`);
		this.hasAnswer = true;
		this.lastByte = performance.now();
		return new Inlet(reply.body, (count) => {
			this.lastByte = performance.now();
			stats.addBytes(count);
		});
	}

	/* A frame came in. */
	arrived()
	{
		this.framesIn++;
		stats.framesIn++;
		this.expect();
	}

	/* A picture is due within SHOW_MS. */
	expect()
	{
		this.unshownSince = this.unshownSince || performance.now();
	}

	/* Frames came in that will not be shown. */
	dropped(count = 1)
	{
		if (!this.signal.aborted)
			stats.dropped += count;
	}

	/* A frame can be seen that was captured at this moment; it may be the last of several. */
	shown(captured, width, height, count = 1)
	{
		if (this.signal.aborted)
			return;
		this.framesShown += count;
		this.unshownSince = 0;
		stage.show(this.path.element, width, height);
		stats.addShown(performance.now() - captured, count);
		player.onShown();
	}

	fail(error)
	{
		this.error = this.error || error;
		this.abort.abort();
	}

	watch()
	{
		const now = performance.now();

		if (this.unshownSince && now - this.unshownSince > SHOW_MS)
			this.fail(new Broken(`No picture by ${this.path.title}.`));
		else if (now - this.lastByte > (this.hasAnswer ? SILENCE_MS : ANSWER_MS))
			this.fail(new Error("Nothing comes."));
	}

	/* Some browser's promise may never be kept: a path that does not end is left behind. */
	async endLate()
	{
		if (!this.signal.aborted)
			await new Promise((resolve) =>
				this.signal.addEventListener("abort", resolve, { once: true }));
		await new Promise((resolve) => setTimeout(resolve, GRACE_MS));
	}

	/* Until it ends, which is always with an error. */
	async run()
	{
		const timer = setInterval(() => this.watch(), WATCH_MS);

		try {
			await Promise.race([this.path.run(this), this.endLate()]);
		} catch (error) {
			this.error = this.error || error;
		} finally {
			clearInterval(timer);
			this.abort.abort();
		}
		return this.error;
	}
}

const player = {
	paths: [webcodecs, mse, mjpeg],
	forced: new URLSearchParams(location.search).get("path"),
	left: new Set(),    /* paths that this browser cannot go */
	noH264: false,      /* the daemon said so */
	link: null,
	retryMs: 0,
	isRunning: false,
	ended: Promise.resolve(), /* the loop that was started last */
	away: () => {},     /* called when the daemon cannot be reached */
	wake: () => {},

	choose()
	{
		const named = this.paths.filter((path) => path.name === this.forced);

		return named[0] || this.paths.find((path) => path.isPossible() && !this.left.has(path) &&
			!(path.isH264 && this.noH264)) || mjpeg;
	},

	onShown()
	{
		this.retryMs = 0;
		document.body.dataset.path = this.link.path.name;
	},

	/* The daemon's H.264 is another one: what it refused may be there now. */
	reconsider()
	{
		this.noH264 = false;
		this.chooseAgain();
	},

	/* The daemon or the source may be another one: for the next link, all paths are open again. */
	forgive()
	{
		this.noH264 = false;
		this.left.clear();
	},

	chooseAgain()
	{
		if (this.link && this.link.path !== this.choose())
			this.link.fail(new Error("A better path may be there."));
	},

	start()
	{
		if (!this.isRunning) {
			this.isRunning = true;
			/* Two at once would fight about the picture. */
			this.ended = this.ended.catch(console.error).then(() => this.loop());
		}
		this.wake();
	},

	stop()
	{
		this.isRunning = false;
		if (this.link)
			this.link.fail(new Error("Nobody looks."));
		this.wake();
	},

	judge(error)
	{
		const { path, framesShown, hasAnswer } = this.link;

		if (error instanceof Refused && path.isH264 && !this.forced) {
			this.noH264 = true;
		} else if (error instanceof Broken && framesShown < PROVEN && !this.forced) {
			console.warn(`hdmicast: ${path.title}: ${error.message}`);
			this.left.add(path);
		} else {
			if (!hasAnswer)
				this.away();
			this.retryMs = Math.min(Math.max(this.retryMs * 2, RETRY_MIN_MS),
				RETRY_MAX_MS);
			return this.retryMs;
		}
		return 0;
	},

	async loop()
	{
		while (this.isRunning) {
			this.link = new Link(this.choose());
			const error = await this.link.run();
			const pause = this.isRunning ? this.judge(error) : 0;

			this.link = null;
			if (pause)
				await new Promise((resolve) => {
					this.wake = resolve;
					setTimeout(resolve, pause);
				});
		}
	},
};
