# SPDX-License-Identifier: GPL-3.0-or-later
"""Colours: what the receiver puts into memory is what the viewer sees, in each format and both APIs."""

import unittest

import host
import pictures
import vivid
from daemon import Daemon

WIDTH, HEIGHT = 320, 180
BARS = 8
SAMPLES = [(WIDTH * (2 * bar + 1) // (2 * BARS), y) for y in (10, HEIGHT // 2, HEIGHT - 10) for bar in range(BARS)]

# The receiver's colorspace control: JPEG's own matrix, and that of HD sources.
SMPTE_170M = 0
REC_709 = 1

# One rounding to 8 bits each way, JPEG at the highest quality, and 5 bits a colour in RGB565.
TOLERANCE = 6
TOLERANCE_RGB565 = 12

# The name for --format, and the code under which the driver lists it.
FORMATS = {"YUYV": "YUYV", "YVYU": "YVYU", "UYVY": "UYVY", "NV12": "NV12", "NV21": "NV21", "NV16": "NV16",
           "NV24": "NV24", "YUV420": "YU12", "YVU420": "YV12", "RGB24": "RGB3", "BGR24": "BGR3",
           "RGB565": "RGBP", "GREY": "GREY"}


def sample(picture):
    """RGB at the centres of the bars, near the top, in the middle and near the bottom."""
    offsets = [3 * (y * WIDTH + x) for x, y in SAMPLES]
    return [tuple(picture[at:at + 3]) for at in offsets]


def luma(colour):
    """What the driver makes of a colour for GREY, which V4L2 has as full range: Rec. 709 whatever is set."""
    red, green, blue = colour
    return round(0.2126 * red + 0.7152 * green + 0.0722 * blue)


def reference(device):
    """The bars as the driver delivers them in RGB, where nothing has to be converted; made without the daemon."""
    path = host.OUT / "reference.rgb"
    vivid.v4l2(device, f"--set-fmt-video=width={WIDTH},height={HEIGHT},pixelformat=RGB3,bytesperline=0")
    vivid.v4l2(device, "--stream-mmap", "--stream-skip=2", "--stream-count=1", f"--stream-to={path}")
    return sample(path.read_bytes())


class PixelsTest(unittest.TestCase):
    """75 % colour bars, 320x180, JPEG quality 100."""

    @classmethod
    def setUpClass(cls):
        vivid.load()
        cls.references = {}
        for device in (vivid.SINGLE_PLANAR, vivid.MULTI_PLANAR):
            vivid.set_mode(device, vivid.MODE_720P30)  # four times 320x180: the most that the driver scales down

    def bars(self, device, colorspace):
        """What the bars look like to the driver; a colorspace's curve changes the values."""
        if (device, colorspace) not in self.references:
            self.references[device, colorspace] = reference(device)
        return self.references[device, colorspace]

    def compare(self, device, name, colorspace=SMPTE_170M):
        """One format, from the device to the decoded picture."""
        if not vivid.offers(device, FORMATS[name]):
            self.skipTest(f"the driver does not offer {name}")
        vivid.control(device, test_pattern=0, colorspace=colorspace)
        expected = self.bars(device, colorspace)
        with Daemon(device, f"--format={name}", f"--resolution={WIDTH}x{HEIGHT}", "--quality=100") as daemon:
            daemon.await_picture(5)
            headers, jpeg = daemon.snapshot()
        self.assertEqual((headers["x-ustreamer-width"], headers["x-ustreamer-height"]), (str(WIDTH), str(HEIGHT)))
        self.assertEqual(pictures.warnings([jpeg]), "")
        seen = sample(pictures.decode([jpeg], "scale=flags=accurate_rnd+full_chroma_int", "rgb24",
                                      3 * WIDTH * HEIGHT)[0])
        if name == "GREY":
            expected = [(luma(colour),) * 3 for colour in expected]
        tolerance = TOLERANCE_RGB565 if name == "RGB565" else TOLERANCE
        worst = max(abs(a - b) for x, y in zip(seen, expected) for a, b in zip(x, y))
        print(f"{name}: worst difference {worst}")
        self.assertLessEqual(worst, tolerance, f"{name}: bars {seen[:BARS]}, expected {expected[:BARS]}")

    def test_rec709_yuyv_shows_the_colours_of_the_source(self):
        self.compare(vivid.SINGLE_PLANAR, "YUYV", REC_709)


def add_format_tests():
    """One test for each format and API."""
    for api, device in (("single_planar", vivid.SINGLE_PLANAR), ("multi_planar", vivid.MULTI_PLANAR)):
        for name in FORMATS:
            def test(self, device=device, name=name):
                self.compare(device, name)
            setattr(PixelsTest, f"test_{api}_{name.lower()}_shows_the_colours_of_the_source", test)


add_format_tests()
