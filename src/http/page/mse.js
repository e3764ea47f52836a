// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * /stream.mp4 to a <video> by Media Source Extensions: what browsers offer to insecure origins.
 *
 * The video is kept starving: at twice the speed it has always played all there is, so that each
 * frame is shown when it comes. Mode "sequence" puts one frame after the other whatever times they
 * bear, since a gap would stop it for good.
 */

const MSE_LEAD_S = 1;      /* so far behind the newest frame, it jumps */
const MSE_KEPT_S = 3;      /* of what was played */
const MSE_LONGEST_S = 20;  /* without a key frame, nothing can be removed: ask for one */
const MSE_BEHIND = 120;    /* fragments that wait to be taken */
const NTP_1970_S = 2208988800;

/* The boxes of an MP4 body, one after the other. */
async function takeBox(inlet)
{
	const head = (await inlet.take(8)).slice();
	const size = new DataView(head.buffer).getUint32(0);
	const box = new Uint8Array(size);

	if (size < 8)
		throw new Error("The stream is damaged.");
	box.set(head);
	box.set(await inlet.take(size - 8), 8);
	return { type: String.fromCharCode(...head.subarray(4)), box };
}

function joined(a, b)
{
	const both = new Uint8Array(a.length + b.length);

	both.set(a);
	both.set(b, a.length);
	return both;
}

/* Where the text is in a box, or -1. */
function indexOfText(box, text)
{
	for (let at = 0; at + 4 <= box.length; at++) {
		if ([...text].every((letter, i) => box[at + i] === letter.charCodeAt(0)))
			return at;
	}
	return -1;
}

/* avcC: version, profile, constraints, level. */
function codecOfMoov(moov)
{
	const at = indexOfText(moov, "avcC");

	if (at < 0)
		throw new Broken("The stream says no codec.");
	return avcCodec(moov[at + 5], moov[at + 6], moov[at + 7]);
}

/* prft: flags, track, seconds since 1900 and a fraction, media time. In ms since 1970. */
function timeOfPrft(prft)
{
	const view = new DataView(prft.buffer);

	return (view.getUint32(16) - NTP_1970_S) * 1000 + view.getUint32(20) / 2 ** 32 * 1000;
}

/* The first sample's flags in trun: after count and offset. "sample_is_non_sync_sample" is bit 16. */
function isKeyOfMoof(moof)
{
	const at = indexOfText(moof, "trun");

	return at >= 0 && !(new DataView(moof.buffer).getUint32(at + 16) & 0x10000);
}

class MsePlayer {
	constructor(link)
	{
		const Source = self.ManagedMediaSource || self.MediaSource;

		this.link = link;
		this.video = at("video");
		this.source = new Source();
		this.buffer = null;
		this.codec = "";
		this.queue = [];
		this.appended = null; /* the fragment that is being taken */
		this.edge = 0;        /* of media time: the end of the newest frame */
		this.frames = [];     /* { start, captured } of those not shown yet */
		this.keys = [0];      /* where key frames start */
		this.presented = 0;
		this.passed = this.missed = 0; /* frames whose time came; of them, not presented */
		this.opened = new Promise((resolve) =>
			this.source.addEventListener("sourceopen", resolve, { once: true }));
		this.attach();
	}

	attach()
	{
		const { video } = this, signal = this.link.signal;

		video.disableRemotePlayback = true; /* ManagedMediaSource insists */
		video.defaultPlaybackRate = 2;
		this.url = URL.createObjectURL(this.source);
		video.src = this.url;
		video.addEventListener("error", () =>
			this.link.fail(new Broken(video.error.message || "The video failed.")),
			{ signal });
		/* Browsers pause what they think nobody sees. */
		video.addEventListener("pause", () => this.play(), { signal });
		this.play();
		if (video.requestVideoFrameCallback)
			this.watchFrames();
		else
			this.watchCount();
	}

	play()
	{
		this.video.play().catch(() => {});
	}

	/* The last picture stays: a new source empties the video. */
	close()
	{
		const { videoWidth: width, videoHeight: height } = this.video;

		if (this.callback)
			this.video.cancelVideoFrameCallback(this.callback);
		if (this.presented && width)
			stage.keep(this.video, width, height);
		URL.revokeObjectURL(this.url);
	}

	async begin(codec, init)
	{
		const type = `video/mp4; codecs="${codec}"`;

		this.link.expect();
		await this.opened;
		if (!this.source.constructor.isTypeSupported(type))
			throw new Broken(`This browser does not play ${codec}.`);
		if (!this.buffer) {
			this.buffer = this.source.addSourceBuffer(type);
			this.buffer.mode = "sequence";
			this.buffer.addEventListener("updateend", () => this.onUpdated());
			this.codec = codec;
		}
		this.put({ bytes: init, type: codec === this.codec ? "" : type });
		this.codec = codec;
	}

	put(fragment)
	{
		if (this.queue.length > MSE_BEHIND)
			throw new Error("The browser takes frames too slowly.");
		this.queue.push(fragment);
		this.work();
	}

	/* A buffer does one thing at a time. */
	work()
	{
		if (!this.buffer || this.buffer.updating || this.link.signal.aborted)
			return;
		try {
			if (this.removeOld() || !this.queue.length)
				return;
			this.appended = this.queue.shift();
			if (this.appended.type)
				this.buffer.changeType(this.appended.type);
			this.buffer.appendBuffer(this.appended.bytes);
		} catch (error) {
			/* Full: starting again empties it. */
			this.link.fail(error.name === "QuotaExceededError" ? error :
				new Broken(error.message));
		}
	}

	onUpdated()
	{
		const ranges = this.source.readyState === "open" ? this.buffer.buffered : { length: 0 };

		if (this.appended && this.appended.captured !== undefined && ranges.length) {
			const { captured, isKey } = this.appended;

			if (isKey)
				this.keys.push(this.edge);
			this.frames.push({ start: this.edge, captured });
			this.edge = ranges.end(ranges.length - 1);
			this.followEdge(ranges);
		}
		this.appended = null;
		this.work();
	}

	followEdge(ranges)
	{
		const { video } = this, last = ranges.length - 1;

		if (this.edge - video.currentTime > MSE_LEAD_S)
			video.currentTime = this.edge - 0.05;
		else if (video.currentTime < ranges.start(last))
			video.currentTime = ranges.start(last);
	}

	/*
	 * Removing goes on to the next key frame, so it has to end at one. Whether it has begun.
	 */
	removeOld()
	{
		const before = this.video.currentTime - MSE_KEPT_S;
		const old = this.keys.findLastIndex((start) => start <= before);

		if (old > 0 && this.keys[old] - this.keys[0] > MSE_KEPT_S) {
			this.buffer.remove(0, this.keys[old] - 0.001);
			this.keys.splice(0, old);
			return true;
		}
		if (this.edge - this.keys.at(-1) > MSE_LONGEST_S && !this.hasAsked) {
			this.hasAsked = true;
			requestKey().catch(() => { this.hasAsked = false; });
		} else if (this.edge - this.keys.at(-1) < 1) {
			this.hasAsked = false;
		}
		return false;
	}

	watchFrames()
	{
		if (this.link.signal.aborted)
			return;
		this.callback = this.video.requestVideoFrameCallback((now, frame) => {
			this.tell(frame);
			this.watchFrames();
		});
	}

	tell({ mediaTime, presentedFrames, width, height })
	{
		/* The frame that is shown is the last one that has begun; half a frame of doubt. */
		let captured = NaN;

		for (; this.frames.length && this.frames[0].start <= mediaTime + 0.004; this.passed++)
			captured = this.frames.shift().captured;
		this.link.shown(captured, width, height,
			Math.max(1, presentedFrames - this.presented));
		this.presented = presentedFrames;
		/* Both are counted from the first frame, for one is told a little before the other. */
		this.link.dropped(Math.max(0, this.passed - presentedFrames - this.missed));
		this.missed = Math.max(this.missed, this.passed - presentedFrames);
	}

	/* For browsers that do not say which frame is shown, but how many were. */
	watchCount()
	{
		const count = this.video.getVideoPlaybackQuality().totalVideoFrames;

		if (this.link.signal.aborted)
			return;
		if (count > this.presented) {
			this.link.shown(NaN, this.video.videoWidth, this.video.videoHeight,
				count - this.presented);
			this.presented = count;
			this.frames = [];
		}
		requestAnimationFrame(() => this.watchCount());
	}
}

const mse = {
	name: "mse",
	title: "H.264, MP4",
	isH264: true,
	element: "video",
	isPossible: () => Boolean(self.ManagedMediaSource || self.MediaSource),

	async run(link)
	{
		const player = new MsePlayer(link);
		let init, head, captured;

		try {
			const inlet = await link.open("stream.mp4");

			for (;;) {
				const { type, box } = await takeBox(inlet);

				if (type === "ftyp") {
					init = box;
				} else if (type === "moov") {
					await player.begin(codecOfMoov(box), joined(init, box));
				} else if (type === "prft") {
					captured = clock.fromWall(timeOfPrft(box));
				} else if (type === "moof") {
					head = box;
				} else if (type === "mdat") {
					link.arrived();
					player.put({ bytes: joined(head, box), captured,
						isKey: isKeyOfMoof(head) });
				}
			}
		} finally {
			player.close();
		}
	},
};
