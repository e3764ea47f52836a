// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The body of a reply that has no end, taken in pieces of known size. What is taken is a view of
 * our buffer: it is good until the next await.
 */
const INLET_MOST = 64 << 20; /* bytes: what claims to be larger is not a frame */
const INLET_HEAD = 16384;

class Inlet {
	constructor(body, onBytes)
	{
		this.reader = body.getReader();
		this.onBytes = onBytes;
		this.buffer = new Uint8Array(1 << 18);
		this.start = this.end = 0;
	}

	makeRoom(size)
	{
		const kept = this.buffer.subarray(this.start, this.end);
		const needed = kept.length + size;

		if (needed > INLET_MOST)
			throw new Error("The stream is damaged.");
		if (needed > this.buffer.length)
			this.buffer = new Uint8Array(needed * 2);
		this.buffer.set(kept);
		this.start = 0;
		this.end = kept.length;
	}

	async more()
	{
		const { value, done } = await this.reader.read();

		if (done)
			throw new Error("The stream ended.");
		if (this.end + value.length > this.buffer.length)
			this.makeRoom(value.length);
		this.buffer.set(value, this.end);
		this.end += value.length;
		this.onBytes(value.length);
	}

	async take(size)
	{
		if (size > INLET_MOST)
			throw new Error("The stream is damaged.");
		while (this.end - this.start < size)
			await this.more();
		this.start += size;
		return this.buffer.subarray(this.start - size, this.start);
	}

	/* Text up to an empty line, without that. */
	async takeHead()
	{
		for (let from = 0;;) {
			const found = this.findEmptyLine(from);

			if (found >= 0) {
				const text = String.fromCharCode(...await this.take(found));

				await this.take(4);
				return text;
			}
			from = Math.max(0, this.end - this.start - 3);
			if (from > INLET_HEAD)
				throw new Error("The stream is damaged.");
			await this.more();
		}
	}

	findEmptyLine(from)
	{
		for (let at = this.start + from; at + 4 <= this.end; at++) {
			if (this.buffer[at] === 13 && this.buffer[at + 1] === 10 &&
				this.buffer[at + 2] === 13 && this.buffer[at + 3] === 10)
				return at - this.start;
		}
		return -1;
	}
}
