# SPDX-License-Identifier: GPL-3.0-or-later
"""A USB grabber that goes, comes back, falls silent or starts late; one daemon lives through it all."""

import os
import unittest

import gadget
from daemon import BACK_SECONDS, DEVICE_TIMEOUT, ERROR_DELAY, Daemon, SurvivalTest
from gadget import LINK, Camera

OPTIONS = ("--format=MJPEG", "--resolution=640x480", "--desired-fps=30")


def replug_under_a_new_number(camera, daemon):
    """A node that somebody holds open keeps its number, so that the camera comes back under another."""
    old = gadget.capture_node()
    holder = os.open(old, os.O_RDWR)
    try:
        camera.unplug()
        daemon.await_reason("no-device")
        new = camera.plug()
    finally:
        os.close(holder)
    if new == old:
        raise AssertionError(f"the camera is back as {new}: the test proves nothing")
    daemon.await_picture()


class UsbFaultsTest(SurvivalTest):
    """The picture is back within 2 s of the device being able to deliver."""

    @classmethod
    def setUpClass(cls):
        cls.camera = Camera()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.camera.close()

    def command(self):
        return (LINK, *OPTIONS)

    def heal(self):
        if self.camera.program.poll() is not None:
            self.camera.start()
        self.camera.plug()

    def test_usb_unplug_is_named_and_replug_brings_the_picture(self):
        self.camera.unplug()
        self.daemon.await_reason("no-device")
        self.camera.plug()
        self.daemon.await_picture()

    def test_usb_replug_under_a_new_number_brings_the_picture(self):
        replug_under_a_new_number(self.camera, self.daemon)

    def test_usb_quick_replug_brings_the_picture(self):
        self.camera.unplug()
        self.camera.plug()
        # The device can deliver at once, but the daemon may be in the pause after its first attempt.
        self.daemon.await_picture(BACK_SECONDS)

    def test_usb_device_that_drops_off_the_bus_comes_back(self):
        self.camera.kill()
        self.daemon.await_reason("no-device")
        self.camera.start()
        self.daemon.await_picture()

    def test_usb_stalled_source_is_named_and_its_return_brings_the_picture(self):
        self.camera.toggle_stall()
        try:
            self.daemon.await_reason("no-frames")
        finally:
            self.camera.toggle_stall()
        self.daemon.await_picture()

    def test_usb_silence_after_a_transfer_error_ends_by_itself(self):
        # All URBs in flight fail: uvcvideo gives them up and is silent until the stream is started again,
        # which the daemon does after DEVICE_TIMEOUT of silence and the pause of ERROR_DELAY.
        gadget.FAIL_URBS.write_text("5")
        self.daemon.await_reason("no-frames", "device-error")
        self.daemon.await_picture(BACK_SECONDS)


class OneCameraTest(unittest.TestCase):
    """Faults that need a camera, or a daemon, of their own."""

    def test_usb_replug_under_a_new_number_is_found_by_a_daemon_that_was_given_the_old_one(self):
        with Camera() as camera, Daemon(gadget.capture_node(), *OPTIONS) as daemon:
            daemon.await_picture(5)
            replug_under_a_new_number(camera, daemon)

    def test_usb_first_frame_after_3_s_is_waited_for(self):
        with Camera("-D", "3000"):
            with Daemon(LINK, *OPTIONS) as daemon:
                daemon.await_reason("no-frames", seconds=DEVICE_TIMEOUT + ERROR_DELAY)
                daemon.await_picture(3 + BACK_SECONDS - DEVICE_TIMEOUT)
