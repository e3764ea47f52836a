// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * /stream, motion JPEG, to a canvas. Not by an <img>: that would not say when a picture is shown
 * or how old it is, nor that the stream broke, and Chromium shows a picture when the next begins.
 */

class JpegPainter {
	constructor(link)
	{
		this.link = link;
		this.waiting = null;
		this.isBusy = false;
	}

	/* One is decoded, one waits: the newest. */
	put(picture)
	{
		if (this.waiting)
			this.link.dropped();
		this.waiting = picture;
		if (!this.isBusy)
			this.work();
	}

	async work()
	{
		this.isBusy = true;
		while (this.waiting && !this.link.signal.aborted) {
			const { jpeg, captured } = this.waiting;

			this.waiting = null;
			await this.paint(jpeg, captured);
		}
		this.isBusy = false;
	}

	async paint(jpeg, captured)
	{
		try {
			const bitmap = await createImageBitmap(jpeg);

			if (!this.link.signal.aborted) {
				stage.paint(bitmap, bitmap.width, bitmap.height);
				this.link.shown(captured, bitmap.width, bitmap.height);
			}
			bitmap.close();
		} catch (error) {
			this.link.dropped(); /* a damaged picture */
		}
	}
}

const mjpeg = {
	name: "mjpeg",
	title: "Motion JPEG",
	isH264: false,
	element: "canvas",
	isPossible: () => typeof createImageBitmap === "function",

	async run(link)
	{
		const inlet = await link.open("stream?extra_headers=1");
		const painter = new JpegPainter(link);

		for (;;) {
			const head = await inlet.takeHead();
			const length = /^Content-Length: (\d+)/im.exec(head);
			const grabbed = /^X-UStreamer-Grab-Begin-Time: ([\d.]+)/im.exec(head);

			if (!length)
				throw new Error("The stream is damaged.");
			const jpeg = new Blob([await inlet.take(Number(length[1]))]);
			link.arrived();
			painter.put({ jpeg,
				captured: grabbed ? clock.fromMonotonic(grabbed[1] * 1e6) : NaN });
		}
	},
};
