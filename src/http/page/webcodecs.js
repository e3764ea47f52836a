// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * /stream.avc to a canvas by WebCodecs, which browsers offer to secure origins only. Each access
 * unit comes with a head of 24 bytes (hdmicast(1)), so nothing has to be parsed here.
 */

const AVC_HEAD = 24, AVC_KEY = 1;
const AVC_BEHIND = 30; /* frames that wait for the decoder: skip to a key frame */

class AvcDecoder {
	constructor(link)
	{
		this.link = link;
		this.codec = "";
		this.waitsForKey = true;
		this.decoder = new VideoDecoder({
			output: (frame) => this.paint(frame),
			error: (error) => link.fail(new Broken(error.message)),
		});
	}

	paint(frame)
	{
		stage.paint(frame, frame.displayWidth, frame.displayHeight);
		this.link.shown(clock.fromMonotonic(frame.timestamp), frame.displayWidth,
			frame.displayHeight);
		frame.close();
	}

	configure(codec)
	{
		if (codec === this.codec)
			return;
		/* Without optimizeForLatency, Chromium keeps one frame back. */
		this.decoder.configure({ codec, optimizeForLatency: true });
		this.codec = codec;
	}

	put(head, data)
	{
		const isKey = head.getUint8(4) & AVC_KEY;

		if (this.decoder.state === "closed")
			return;
		if (this.decoder.decodeQueueSize > AVC_BEHIND && !this.waitsForKey) {
			this.waitsForKey = true;
			requestKey().catch(() => {}); /* without it, one comes some time */
		}
		if (this.waitsForKey && !isKey)
			return this.link.dropped();
		this.waitsForKey = false;
		if (isKey)
			this.configure(avcCodec(head.getUint8(5), head.getUint8(6), head.getUint8(7)));
		this.decoder.decode(new EncodedVideoChunk({ type: isKey ? "key" : "delta",
			timestamp: Number(head.getBigInt64(8)), data }));
	}

	close()
	{
		if (this.decoder.state !== "closed")
			this.decoder.close();
	}
}

/* The codec string of RFC 6381 for three bytes of the sequence parameter set. */
function avcCodec(...bytes)
{
	return "avc1." + bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const webcodecs = {
	name: "webcodecs",
	title: "H.264, WebCodecs",
	isH264: true,
	element: "canvas",
	isPossible: () => typeof VideoDecoder === "function",

	async run(link)
	{
		const inlet = await link.open("stream.avc");
		const decoder = new AvcDecoder(link);

		try {
			for (;;) {
				const bytes = (await inlet.take(AVC_HEAD)).slice();
				const head = new DataView(bytes.buffer);
				const unit = await inlet.take(head.getUint32(0));

				link.arrived();
				decoder.put(head, unit);
			}
		} finally {
			decoder.close();
		}
	},
};
