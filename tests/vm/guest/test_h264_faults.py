# SPDX-License-Identifier: GPL-3.0-or-later
"""An encoder that hangs, refuses, loses frames; nothing of it may be left when the daemon has gone."""

import unittest

import encoder
import h264
import vivid
import waiting
from daemon import Daemon

SIZE = (320, 180)      # the machine's CPU has to manage x264, too
FALLBACK_SECONDS = 5   # from the hardware's end to software
RETURN_SECONDS = 12    # the hardware is tried again after 5 s, and then has to prove itself

OPTIONS = ("--device-timeout=60", "--format=UYVY", f"--resolution={SIZE[0]}x{SIZE[1]}", "--h264-static-fps=0",
           f"--h264-m2m-device={encoder.NODE}")


class H264FaultsTest(unittest.TestCase):
    """One daemon for each; the module can be unloaded after it."""

    def setUp(self):
        vivid.load()
        vivid.set_mode(vivid.SINGLE_PLANAR, vivid.MODE_720P30)
        encoder.load()

    def tearDown(self):
        encoder.unload()

    def await_encoder(self, daemon, name, state, seconds):
        """Waits until /state says so; viewers of MJPEG must not notice meanwhile."""
        seen = {}

        def check():
            seen.update(h264.status(daemon))
            self.assertTrue(daemon.snapshot()[0]["x-ustreamer-online"] == "true", "the picture is there all the time")
            return seen["encoder"] == name and seen["state"] == state

        waiting.until(check, seconds, lambda: f"{name}, {state}; last seen {seen}")
        return seen

    def stop_while(self, **fault):
        """The end must not wait for the driver; Daemon.stop() looks at the clock."""
        (name, value), = fault.items()
        daemon = Daemon(vivid.SINGLE_PLANAR, *OPTIONS)
        try:
            with h264.Viewer(daemon):
                self.await_encoder(daemon, "m2m", "running", 5)
                encoder.put(name, value)
                daemon.stop()
        finally:
            encoder.put(name, 0)
            daemon.stop()

    def test_h264_encoder_that_hangs_is_replaced_until_it_works_again(self):
        with Daemon(vivid.SINGLE_PLANAR, *OPTIONS) as daemon, h264.Viewer(daemon):
            self.await_encoder(daemon, "m2m", "running", 5)
            encoder.put("hang", 1)
            seen = self.await_encoder(daemon, "x264", "fallback", FALLBACK_SECONDS)
            self.assertTrue(seen["text"], "what is wrong is said")
            self.assertEqual(len(h264.decode(h264.read(daemon, 5), *SIZE)), 5)
            encoder.put("hang", 0)
            self.await_encoder(daemon, "m2m", "running", RETURN_SECONDS)
            self.assertEqual(len(h264.decode(h264.read(daemon, 5), *SIZE)), 5)

    def test_h264_daemon_ends_in_time_while_the_encoder_hangs(self):
        self.stop_while(hang=1)

    def test_h264_daemon_ends_in_time_while_the_encoder_blocks_it(self):
        self.stop_while(wedge=1)

    def test_h264_encoder_that_does_not_start_is_replaced(self):
        encoder.put("fail_streamon", 1)
        with Daemon(vivid.SINGLE_PLANAR, *OPTIONS) as daemon, h264.Viewer(daemon):
            self.await_encoder(daemon, "x264", "fallback", FALLBACK_SECONDS)

    def test_h264_frames_that_the_encoder_loses_leave_a_stream_that_decodes(self):
        for fault, every in (("drop_every", 3), ("empty_every", 5), ("err_every", 7)):
            encoder.put(fault, every)
        with Daemon(vivid.SINGLE_PLANAR, "--h264-encoder=m2m", *OPTIONS) as daemon:
            self.assertEqual(len(h264.decode(h264.read(daemon, 30), *SIZE)), 30)
            self.assertEqual(h264.status(daemon)["encoder"], "m2m")
