# SPDX-License-Identifier: GPL-3.0-or-later
"""A USB grabber's MJPEG on its way from uvcvideo to the viewer."""

import subprocess
import unittest
from pathlib import Path

import pictures
import waiting
from daemon import Daemon
from gadget import LINK, Camera

CYCLE = 2 ** pictures.BITS
BEHIND = 32  # more than a driver has buffers


def record(daemon, count):
    """At least so many pictures that curl receives of /stream."""
    body = Path("/run/stream")
    body.unlink(missing_ok=True)
    with subprocess.Popen(["curl", "--silent", "--no-buffer", "--output", str(body),
                           daemon.url("/stream?extra_headers=1")]) as curl:
        try:
            waiting.until(lambda: body.exists() and len(online(body)) >= count, 30, f"{count} pictures")
        finally:
            curl.terminate()
    return online(body)


def online(body):
    """What is not the card."""
    parts = pictures.split_stream(body.read_bytes())
    return [part for part in parts if part.headers.get("x-ustreamer-online") == "true"]


def rate(parts):
    """Frames per second by the daemon's own time stamps."""
    return (len(parts) - 1) / (parts[-1].number("X-Timestamp") - parts[0].number("X-Timestamp"))


class MjpegTest(unittest.TestCase):
    """Pictures are passed through: all, in order, unharmed."""

    def watch(self, camera_options, *options, resolution="640x480", count=60):
        """Parts that a viewer gets from a camera, and what /state says then."""
        with Camera(*camera_options), \
             Daemon(LINK, "--format=MJPEG", f"--resolution={resolution}", "--desired-fps=30", *options) as daemon:
            daemon.await_picture(10)
            parts = record(daemon, count)
            self.assertTrue(parts, "the viewer got pictures")
            return parts, daemon.result()

    def assert_sound(self, parts):
        """Every picture decodes, without a word from the decoder."""
        self.assertEqual(pictures.warnings([part.jpeg for part in parts]), "")

    def assert_in_order(self, parts):
        """No picture is doubled or comes after a later one; how many may be lost is the rate's affair."""
        numbers = pictures.numbers([part.jpeg for part in parts])
        self.assertEqual(len(numbers), len(parts), "pictures decoded of those served")
        self.assertEqual(numbers.count(None), 0, f"pictures without a number among {len(numbers)}")
        times = [part.number("X-UStreamer-Grab-End-Time") for part in parts]
        self.assertEqual(times, sorted(set(times)), "when the driver gave them")
        # On a busy machine many may be lost at once, and after a second without one the numbers begin again.
        wrong = [(numbers[i], numbers[i + 1]) for i, step in enumerate(pictures.steps(numbers, CYCLE))
                 if (step == 0 or step > CYCLE - BEHIND) and times[i + 1] - times[i] < 1]
        self.assertEqual(wrong, [], f"of {len(numbers)} pictures these follow each other wrongly")
        return numbers

    def test_gadget_mjpeg_1080p30_reaches_curl_in_order(self):
        parts, _ = self.watch([], resolution="1920x1080", count=200)
        if waiting.JUDGES_TIMES:
            self.assertGreaterEqual(round(rate(parts), 2), 29.5)
        numbers = self.assert_in_order(parts)
        lost = sum(step - 1 for step in pictures.steps(numbers, CYCLE))
        print(f"{len(parts)} frames, {rate(parts):.2f} fps, {lost} lost")
        self.assert_sound(parts)

    def test_gadget_mjpeg_without_huffman_tables_decodes(self):
        parts, _ = self.watch(["-H"])
        self.assert_in_order(parts)
        self.assert_sound(parts)

    def test_gadget_mjpeg_with_junk_behind_each_frame_decodes(self):
        parts, _ = self.watch(["-Z", "700"])
        self.assert_in_order(parts)
        self.assert_sound(parts)
        self.assertTrue(all(part.jpeg.endswith(b"\xff\xd9") for part in parts), "each picture ends at its end marker")

    def test_gadget_mjpeg_truncated_frames_are_refused_and_counted(self):
        parts, result = self.watch(["-T", "5"])
        self.assert_sound(parts)
        self.assert_in_order(parts)
        self.assertGreaterEqual(result["drops"]["truncated"], len(parts) // 5, "one in five")

    def test_gadget_mjpeg_truncated_frames_pass_where_allowed(self):
        parts, result = self.watch(["-T", "5"], "--allow-truncated-frames")
        self.assert_in_order(parts)  # the numbers are near the top, which every frame has
        self.assertNotEqual(pictures.warnings([part.jpeg for part in parts]), "", "truncated pictures are among them")
        self.assertEqual({reason: count for reason, count in result["drops"].items() if count}, {})

    def test_gadget_mjpeg_is_served_where_jpeg_was_asked_for(self):
        parts, _ = self.watch([], "--format=JPEG")
        self.assert_in_order(parts)
        self.assert_sound(parts)
