# SPDX-License-Identifier: GPL-3.0-or-later
"""Raw HDMI capture: rate, order and age of the frames."""

import time
import unittest

import pictures
import vivid
import waiting
from daemon import Daemon

WIDTH, HEIGHT = 320, 180
FAST_TO_THE_RIGHT = 6      # horizontal_movement
COLUMNS_PER_FRAME = 4      # that is 16 of 1280, scaled down
CYCLE = WIDTH // COLUMNS_PER_FRAME
FRAMES = 100
MAX_AGE_SECONDS = 0.15


def position(row):
    """Where the black bar ends and the white one begins: the only step so high in the pattern."""
    rises = [row[i] - row[i - 2] for i in range(WIDTH)]
    return rises.index(max(rises))


class RawTest(unittest.TestCase):
    """vivid at 1080p30, YUYV."""

    def setUp(self):
        vivid.load()

    def test_vivid_1080p30_yuyv_is_captured_as_fast_as_by_v4l2_ctl(self):
        alone = vivid.rate(vivid.SINGLE_PLANAR, "YUYV", 1920, 1080)
        with Daemon(vivid.SINGLE_PLANAR, "--format=YUYV", "--resolution=1920x1080", "--dv-timings",
                    "--desired-fps=30") as daemon:
            daemon.await_source(5, "frames", lambda source: source["captured_fps"] > 0)
            rates = []
            for _ in range(4):
                time.sleep(1)  # the rate is counted anew each second
                rates.append(daemon.source()["captured_fps"])
            print(f"captured in four seconds: {rates}; by v4l2-ctl alone: {alone:.1f} fps")
            if waiting.JUDGES_TIMES:
                # A frame that is late by a millisecond counts for the next second: 28 and 31 are 30 fps, too.
                self.assertGreaterEqual(sum(rates) / len(rates), 0.95 * alone, f"captured in four seconds: {rates}")
            self.assertEqual(daemon.source()["resolution"], {"width": 1920, "height": 1080})

    def test_vivid_frames_reach_the_viewer_in_order_and_fresh(self):
        vivid.set_mode(vivid.SINGLE_PLANAR, vivid.MODE_720P30)
        vivid.control(vivid.SINGLE_PLANAR, horizontal_movement=FAST_TO_THE_RIGHT)
        with Daemon(vivid.SINGLE_PLANAR, "--format=YUYV", f"--resolution={WIDTH}x{HEIGHT}",
                    "--desired-fps=30") as daemon:
            daemon.await_picture(5)
            parts = [part for part in pictures.read_stream(daemon, FRAMES)
                     if part.headers["x-ustreamer-online"] == "true"]
        rows = pictures.decode([part.jpeg for part in parts], f"crop={WIDTH}:2:0:{HEIGHT // 2},scale={WIDTH}:1",
                               "gray", WIDTH)
        positions = [round(position(row) / COLUMNS_PER_FRAME) for row in rows]
        steps = pictures.steps(positions, CYCLE)
        times = [part.number("X-Timestamp") for part in parts]
        # After a second without a picture, on a busy machine, the bars may have gone round.
        wrong = [step for i, step in enumerate(steps) if not 0 < step < CYCLE // 2 and times[i + 1] - times[i] < 1]
        self.assertEqual(wrong, [], f"steps that are doubled or backwards among {steps}")
        grabbed = "X-UStreamer-Grab-Begin-Time"
        if grabbed.lower() not in parts[0].headers:
            grabbed = "X-UStreamer-Grab-Time"
        ages = sorted(part.received - part.number(grabbed) for part in parts)
        if waiting.JUDGES_TIMES:
            self.assertLess(ages[-1], MAX_AGE_SECONDS, f"oldest of {len(ages)}, median {ages[len(ages) // 2]:.3f} s")
        print(f"{len(parts)} frames, age median {ages[len(ages) // 2]:.3f} s, highest {ages[-1]:.3f} s,"
              f" steps {sorted(set(steps))}")
