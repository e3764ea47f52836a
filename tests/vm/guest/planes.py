# SPDX-License-Identifier: GPL-3.0-or-later
"""Raw pictures as planar 4:2:0, made without the daemon: what its H.264 has to show again."""

import os
import re
import subprocess
from pathlib import Path

import vivid

# Which of four bytes are the first luma, U and V; luma is every second byte.
PACKED = {"YUYV": (0, 1, 3), "UYVY": (1, 0, 2)}

MOST_BUFFERS = 32  # VIDEO_MAX_FRAME: for one second the machine may do something else


def average(first, second):
    """(a + b + 1) / 2 of each two bytes, all at once: a or b, less half of where they differ."""
    a, b = int.from_bytes(first, "little"), int.from_bytes(second, "little")
    mask = int.from_bytes(b"\xfe" * len(first), "little")
    return ((a | b) - (((a ^ b) & mask) >> 1)).to_bytes(len(first), "little")


def from_packed(data, pixel_format, height, stride, width):
    """4:2:2 with each two rows' chroma averaged: as the daemon does it, and the test encoder as well."""
    y, u, v = PACKED[pixel_format]
    rows = [data[at:at + 2 * width] for at in range(0, stride * height, stride)]
    pairs = list(zip(rows[::2], rows[1::2]))
    return b"".join([row[y::2] for row in rows]
                    + [average(above[u::4], below[u::4]) for above, below in pairs]
                    + [average(above[v::4], below[v::4]) for above, below in pairs])


def from_planar(data, pixel_format, height, stride, width):
    """4:2:0 without its padding."""
    chroma = stride * height
    luma = [data[at:at + width] for at in range(0, chroma, stride)]
    if pixel_format == "NV12":
        rows = [data[at:at + width] for at in range(chroma, chroma * 3 // 2, stride)]
        return b"".join(luma + [row[0::2] for row in rows] + [row[1::2] for row in rows])
    return b"".join(luma + [data[at:at + width // 2] for at in range(chroma, chroma * 3 // 2, stride // 2)])


def to_planar(data, pixel_format, height, stride, width):
    """One picture."""
    convert = from_packed if pixel_format in PACKED else from_planar
    return convert(data, pixel_format, height, stride, width)


def capture(device, pixel_format, width, height, count=1):
    """Pictures of the receiver, by v4l2-ctl (which leaves out the padding of rows), as planar 4:2:0."""
    path = Path("/run/reference.raw")
    packed = pixel_format in PACKED
    row = width * (2 if packed else 1)
    # Rows as the daemon asks for them. With an odd width of chroma and no padding the driver itself writes
    # past the end of its buffer (tpg_fill_plane_buffer), and the kernel is done for.
    padded = (row + 63) // 64 * 64
    vivid.v4l2(device, f"--set-fmt-video=width={width},height={height},pixelformat={pixel_format},"
                       f"bytesperline={padded}")
    buffers = 4 if count == 1 else MOST_BUFFERS
    vivid.v4l2(device, f"--stream-mmap={buffers}", "--stream-skip=2", f"--stream-count={count}", f"--stream-to={path}")
    data = path.read_bytes()
    path.unlink()
    size = row * height if packed else row * height * 3 // 2
    if len(data) != count * size:
        raise AssertionError(f"v4l2-ctl wrote {len(data)} bytes for {count} pictures of {size}")
    return [to_planar(data[at:at + size], pixel_format, height, row, width) for at in range(0, len(data), size)]


def jpeg_planes(jpeg):
    """What libjpeg makes of a JPEG, as planar 4:2:0."""
    return subprocess.run([os.environ["JPEG_PLANES"]], input=jpeg, stdout=subprocess.PIPE, check=True,
                          timeout=20).stdout


def nth_jpeg(path, number):
    """One of the JPEGs in a file, where one is behind the other."""
    data = path.read_bytes()
    starts = [match.start() for match in re.finditer(b"\xff\xd8\xff", data)] + [len(data)]
    return data[starts[number]:starts[number + 1]]


def difference(seen, expected, width, height):
    """For people: where two pictures differ; "" when they do not."""
    if seen == expected:
        return ""
    if len(seen) != len(expected):
        return f"{len(seen)} bytes instead of {len(expected)}"
    wrong = [at for at in range(len(seen)) if seen[at] != expected[at]]
    luma = [at for at in wrong if at < width * height]
    worst = max(abs(seen[at] - expected[at]) for at in wrong)
    where = f"x {luma[0] % width}, y {luma[0] // width}" if luma else f"chroma byte {wrong[0] - width * height}"
    return f"{len(luma)} of luma, {len(wrong) - len(luma)} of chroma differ by up to {worst}, first at {where}"
