# SPDX-License-Identifier: GPL-3.0-or-later
"""What the daemon has sent, taken apart: stream parts, the numbers on the pictures, their colours."""

import itertools
import socket
import time
from dataclasses import dataclass

import host
import waiting

BITS = 7  # the number on each picture of the UVC gadget's media; see build.py

_files = itertools.count()


@dataclass
class Part:
    """One picture of /stream with its headers, and when it was received (CLOCK_MONOTONIC, live reading only)."""

    headers: dict
    jpeg: bytes
    received: float = 0.0

    def number(self, header):
        """A header that is a number."""
        return float(self.headers[header.lower()])


def split_stream(data):
    """The complete parts of a recorded /stream body."""
    parts, at = [], 0
    while (end := data.find(b"\r\n\r\n", at)) >= 0:
        headers = parse_headers(data[at:end])
        size = int(headers["content-length"])
        start = end + 4
        if start + size > len(data):
            break
        parts.append(Part(headers, data[start:start + size]))
        at = start + size
    return parts


def parse_headers(block):
    """Header lines of a part; the boundary before them has no colon."""
    lines = (line.partition(":") for line in block.decode("ascii").split("\r\n"))
    return {name.strip().lower(): value.strip() for name, colon, value in lines if colon}


def read_stream(daemon, count):
    """Reads so many parts of /stream as a viewer does, and notes when each is complete."""
    parts = []
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=waiting.PATIENCE) as connection:
        connection.sendall(b"GET /stream?extra_headers=1 HTTP/1.0\r\n\r\n")
        stream = connection.makefile("rb")
        read_headers(stream)  # those of the reply
        while len(parts) < count:
            headers = read_headers(stream)
            jpeg = stream.read(int(headers["content-length"]))
            parts.append(Part(headers, jpeg, time.monotonic()))
            stream.readline()  # the end of line behind the picture
    return parts


def read_headers(stream):
    """Lines up to an empty one."""
    block = b""
    while (line := stream.readline()) not in (b"\r\n", b""):
        block += line
    if not line:
        raise AssertionError("the stream ended")
    return parse_headers(block)


# ---- decoding, on the host ----

def save(jpegs):
    """Puts pictures where the host sees them; returns the file's name."""
    name = f"pictures-{next(_files)}.mjpeg"
    (host.OUT / name).write_bytes(b"".join(jpegs))
    return name


def warnings(jpegs):
    """All that ffmpeg has to say about decoding these pictures; nothing when they are sound."""
    return host.ffmpeg("-v", "warning", "-f", "mjpeg", "-i", save(jpegs), "-f", "null", "-")


def decode(jpegs, filters, pixel_format, frame_size):
    """The decoded pictures, filtered; one bytes object of frame_size for each."""
    name = save(jpegs)
    return convert(["-f", "mjpeg"], name, filters, pixel_format, frame_size)


def convert(options, name, filters, pixel_format, frame_size):
    """Pictures in a file of /out in another form."""
    result = f"{name}.raw"
    host.ffmpeg("-v", "error", *options, "-i", name, "-vf", filters, "-fps_mode", "passthrough",
                "-pix_fmt", pixel_format, "-f", "rawvideo", result)
    data = (host.OUT / result).read_bytes()
    (host.OUT / result).unlink()
    return [data[at:at + frame_size] for at in range(0, len(data), frame_size)]


def numbers(jpegs):
    """The number on each picture; None where it cannot be read."""
    blocks = f"crop=iw*{2 * BITS}/20:ih/12:0:0,scale={2 * BITS}:1:flags=area"
    return [read_number(row) for row in decode(jpegs, blocks, "gray", 2 * BITS)]


def read_number(row):
    """Lowest bit first, then the same inverted."""
    bits = [value > 128 for value in row]
    if any(bits[i] == bits[BITS + i] for i in range(BITS)):
        return None
    return sum(bit << i for i, bit in enumerate(bits[:BITS]))


def steps(values, cycle):
    """How far each value is ahead of the one before, in a cycle: 1 next, 0 doubled, more lost, cycle-1 behind."""
    return [(after - before) % cycle for before, after in zip(values, values[1:])]
