# SPDX-License-Identifier: GPL-3.0-or-later
"""The test encoder itself, without the daemon: it is as lossless as the other tests believe."""

import os
import unittest

import encoder
import host
import pictures
import planes
import vivid

WIDTH, HEIGHT = 352, 182  # rows need no padding in memory; the last macroblocks are not whole
FRAMES = 8
SIZE = WIDTH * HEIGHT * 3 // 2
BYTES = {"YU12": SIZE, "NV12": SIZE, "YUYV": WIDTH * HEIGHT * 2, "UYVY": WIDTH * HEIGHT * 2}


def run_through(pixel_format, name):
    """The pictures in /out/NAME through the encoder, by v4l2-ctl; returns them decoded."""
    vivid.v4l2(encoder.NODE, f"--set-fmt-video-out=width={WIDTH},height={HEIGHT},pixelformat={pixel_format}",
               "--set-fmt-video=pixelformat=H264", "--set-ctrl=h264_i_frame_period=4", "--stream-mmap=2",
               "--stream-out-mmap=2", f"--stream-from={host.OUT / name}", f"--stream-to={host.OUT / name}.264")
    return pictures.convert(["-f", "h264"], f"{name}.264", "null", "yuv420p", SIZE)


def noise(size):
    """Pictures of which every second one differs from the one before in a few bytes only."""
    frames = []
    for index in range(FRAMES):
        frames.append(os.urandom(16) + frames[-1][16:] if index % 2 else os.urandom(size))
    return frames


class EncoderTest(unittest.TestCase):
    """v4l2-ctl in front, ffmpeg behind."""

    def setUp(self):
        encoder.load()

    def tearDown(self):
        encoder.unload()

    def check(self, pixel_format):
        """Every sample of every frame comes back."""
        name = f"encoder-{pixel_format}.yuv"
        frames = noise(BYTES[pixel_format])
        (host.OUT / name).write_bytes(b"".join(frames))
        stride = WIDTH * 2 if pixel_format in planes.PACKED else WIDTH
        decoded = run_through(pixel_format, name)
        self.assertEqual(len(decoded), FRAMES)
        for seen, frame in zip(decoded, frames):
            expected = planes.to_planar(frame, pixel_format, HEIGHT, stride, WIDTH)
            self.assertEqual(planes.difference(seen, expected, WIDTH, HEIGHT), "")

    def test_encoder_gives_each_sample_back(self):
        for pixel_format in BYTES:
            with self.subTest(pixel_format):
                self.check(pixel_format)

    def test_encoder_with_the_single_planar_api_gives_each_sample_back(self):
        encoder.load(single_planar=1)
        self.check("YU12")
