# SPDX-License-Identifier: GPL-3.0-or-later
"""How old access units are when they arrive: the stamp in each decoded picture names the frame of
the fake grabber, whose log says when it was made."""

import os
import statistics
import subprocess

from harness import Failure, check, equal, free_name, stamp


def read_log(path):
    """{stamp: time in ns} of HDMICAST_FAKE_LOG."""
    with open(path, encoding="utf-8") as lines:
        return {int(words[0]): int(words[2]) for words in map(str.split, lines) if len(words) >= 3}


def unit_stamps(units, width):
    """The number in each picture; every access unit has to decode."""
    block = stamp.side(width)
    crop = stamp.BITS * block
    path = free_name(".h264")
    with open(path, "wb") as file:
        file.writelines(unit.bytes for unit in units)
    done = subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-threads", "2", "-f", "h264", "-i", path, "-vf",
                           f"crop={crop}:{block}:0:0", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt",
                           "gray", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    os.unlink(path)
    check(not done.stderr, f"ffmpeg: {done.stderr[:200]}")
    rows = [done.stdout[at:at + crop * block] for at in range(0, len(done.stdout), crop * block)]
    equal(len(rows), len(units), "the number of pictures that ffmpeg decodes")
    return [stamp.read(row, crop) for row in rows]


def ages_ms(units, width, log):
    """How old each picture was when its access unit began to arrive, and the stamps."""
    numbers, made = unit_stamps(units, width), read_log(log)
    missing = [number for number in numbers if number not in made]
    if missing:
        raise Failure(f"pictures that were never made: {missing[:5]}")
    return [(unit.received_ns - made[number]) / 1e6 for unit, number in zip(units, numbers)], numbers


def median_and_p95(values):
    ordered = sorted(values)
    return statistics.median(ordered), ordered[min(len(ordered) * 95 // 100, len(ordered) - 1)]
