# SPDX-License-Identifier: GPL-3.0-or-later
"""Each sample that the source has is in the H.264 that viewers get: nothing is scaled, shifted or coloured anew.

The encoder is lossless, so that every difference is the daemon's. The references are made without it.
"""

import collections
import os
import unittest
from pathlib import Path

import encoder
import h264
import pictures
import planes
import vivid
from daemon import Daemon
from gadget import LINK, Camera

SIZES = {(1920, 1080): vivid.MODE_1080P30, (1280, 720): vivid.MODE_720P30, (1366, 768): vivid.MODE_1366X768P59,
         (720, 576): vivid.MODE_576P50, (1360, 768): vivid.MODE_1360X768P60}
FORMATS = {"YUYV": "YUYV", "UYVY": "UYVY", "NV12": "NV12", "YUV420": "YU12"}  # for --format: V4L2's name
FRAMES = 3
HIGHEST_BUFFERS = 12  # that the daemon asks the receiver for

COLOUR_SQUARES = 4
RED_GREEN_CHECKERS = 14  # one by one pixel: each two rows differ in chroma


def encoder_options(*more):
    """Every frame is encoded, also one that looks like the last."""
    return ("--h264-encoder=m2m", "--h264-static-fps=0", f"--h264-m2m-device={encoder.NODE}", *more)


class RawTest(unittest.TestCase):
    """Raw formats, from vivid."""

    @classmethod
    def setUpClass(cls):
        vivid.load()
        encoder.load()

    @classmethod
    def tearDownClass(cls):
        encoder.unload()  # fails when the daemon has left anything behind

    def setUp(self):
        encoder.heal()

    def compare(self, device, name, size):
        """A still picture with sharp edges everywhere."""
        pixel_format = FORMATS[name]
        vivid.set_mode(device, SIZES[size])
        pattern = RED_GREEN_CHECKERS if pixel_format in planes.PACKED else COLOUR_SQUARES
        vivid.control(device, test_pattern=pattern, show_border=1, show_square=1)
        expected, = planes.capture(device, pixel_format, *size)
        with Daemon(device, f"--format={name}", "--dv-timings", *encoder_options()) as daemon:
            stream = h264.read(daemon, FRAMES)
        decoded = h264.decode(stream, *size)
        self.assertEqual(len(decoded), FRAMES)
        for picture in decoded:
            self.assertEqual(planes.difference(picture, expected, *size), "")
        return encoder.count("imported"), encoder.count("jobs")

    def test_h264_from_the_multiplanar_api_is_exact(self):
        for name in FORMATS:
            with self.subTest(name):
                self.compare(vivid.MULTI_PLANAR, name, (1360, 768))

    def test_h264_converted_for_an_encoder_of_one_format_is_exact(self):
        for only in ("NV12", "YU12"):
            for name in ("UYVY", "NV12"):
                with self.subTest(f"{name} to {only}"):
                    encoder.put("only", only)
                    self.compare(vivid.SINGLE_PLANAR, name, (1366, 768))

    def test_h264_from_an_encoder_with_the_single_planar_api_is_exact(self):
        encoder.load(single_planar=1)
        try:
            self.compare(vivid.SINGLE_PLANAR, "UYVY", (1280, 720))
        finally:
            encoder.load()

    def test_h264_of_an_encoder_that_pads_rows_is_exact(self):
        encoder.put("height_alignment", 32)
        try:
            self.compare(vivid.SINGLE_PLANAR, "NV12", (1920, 1080))
        finally:
            encoder.put("height_alignment", 1)

    def test_h264_encoder_reads_packed_pictures_where_they_lie(self):
        for size in ((1366, 768), (720, 576)):
            with self.subTest(size):
                encoder.heal()
                imported, jobs = self.compare(vivid.SINGLE_PLANAR, "UYVY", size)
                self.assertGreaterEqual(imported, FRAMES, f"frames of {jobs} that came without a copy")
                # One input of the encoder belongs to one buffer of the receiver: each is imported once.
                self.assertLessEqual(encoder.count("attached"), HIGHEST_BUFFERS)

    def test_h264_moving_pictures_come_whole_and_in_order(self):
        vivid.set_mode(vivid.SINGLE_PLANAR, vivid.MODE_720P30)
        vivid.control(vivid.SINGLE_PLANAR, test_pattern=0, show_border=0, show_square=0,
                      horizontal_movement=vivid.FAST_TO_THE_RIGHT)
        size = (320, 180)
        try:
            distinct = whole_movement(lambda: planes.capture(vivid.SINGLE_PLANAR, "YU12", *size, count=90))
            with Daemon(vivid.SINGLE_PLANAR, "--format=YUV420", "--resolution=320x180", *encoder_options()) as daemon:
                decoded = h264.decode(h264.read(daemon, 60), *size)
        finally:
            vivid.control(vivid.SINGLE_PLANAR, horizontal_movement=vivid.NO_MOVEMENT)
        self.assertEqual([picture in distinct for picture in decoded], [True] * 60)
        steps = pictures.steps([distinct.index(picture) for picture in decoded], len(distinct))
        self.assertTrue(all(0 < step < len(distinct) // 2 for step in steps), f"steps {steps} of {len(distinct)}")
        print(f"{len(distinct)} pictures in the cycle, steps {sorted(set(steps))}")


def walk(followers, first):
    """From picture to picture, each time to the one that followed most often, until the first comes again."""
    cycle = [first]
    while len(cycle) <= len(followers) and followers[cycle[-1]]:
        (after, _), = followers[cycle[-1]].most_common(1)
        if after == first:
            break
        cycle.append(after)
    return cycle


def whole_movement(capture):
    """Its pictures, in order and each once. A busy machine leaves some out, but not always the same ones."""
    followers, seen = collections.defaultdict(collections.Counter), set()
    for _ in range(20):
        taken = capture()
        for one, other in zip(taken, taken[1:]):
            if one != other:
                followers[one][other] += 1
        known, seen = seen, seen | set(taken)
        cycle = walk(followers, taken[0])
        if seen == known and len(cycle) == len(seen):
            return cycle
    raise AssertionError("the driver leaves out too many pictures")


def add_size_tests():
    """One test for each format and size."""
    for name in FORMATS:
        for size in SIZES:
            def test(self, name=name, size=size):
                self.compare(vivid.SINGLE_PLANAR, name, size)
            setattr(RawTest, f"test_h264_of_{name.lower()}_at_{size[0]}x{size[1]}_is_exact", test)


class MjpegTest(unittest.TestCase):
    """The UVC camera's 4:2:2 JPEGs, each with its number on it."""

    def setUp(self):
        encoder.load()

    def tearDown(self):
        encoder.unload()

    def compare(self, width, height):
        """Full range stays full range."""
        size = (width, height)
        with Camera(), Daemon(LINK, "--format=MJPEG", f"--resolution={width}x{height}", "--desired-fps=30",
                              *encoder_options()) as daemon:
            decoded = h264.decode(h264.read(daemon, FRAMES + 1), *size, "yuvj420p")
        media = Path(os.environ["MEDIA"]) / f"{width}x{height}.mjpg"
        for picture in decoded[-2:]:
            number = self.number(picture, *size)
            expected = planes.jpeg_planes(planes.nth_jpeg(media, number))
            self.assertEqual(planes.difference(picture, expected, *size), "", f"of picture {number}")

    def number(self, picture, width, height):
        """See pictures.read_number(); from the middles of the blocks."""
        row = height // 24 * width
        number = pictures.read_number([picture[row + (2 * at + 1) * width // 40] for at in range(2 * pictures.BITS)])
        self.assertIsNotNone(number, "the picture's number can be read")
        return number

    def test_h264_of_mjpeg_at_1280x720_is_what_libjpeg_decodes(self):
        self.compare(1280, 720)

    def test_h264_of_mjpeg_at_640x480_is_what_libjpeg_decodes(self):
        self.compare(640, 480)


add_size_tests()
