# SPDX-License-Identifier: GPL-3.0-or-later
"""An HDMI receiver whose signal goes, changes or whose driver fails; one daemon lives through it all."""

import vivid
import waiting
from daemon import BACK_SECONDS, ERROR_DELAY, SurvivalTest

# The smallest mode: the machine's CPU encodes a 1080p picture in half a second, which would hide the daemon's times.
HOME_MODE = vivid.MODE_640X480P60

# The driver takes the cable's 5 V away with the signal (V4L2_CID_DV_RX_POWER_PRESENT): more than ENOLINK says.
NO_SIGNAL_REASON = "no-cable"


class HdmiTest(SurvivalTest):
    """A daemon at one of the receivers."""

    device = None

    @classmethod
    def setUpClass(cls):
        vivid.load()

    def command(self):
        return (self.device, "--format=YUYV", "--dv-timings")

    def heal(self):
        vivid.control(self.device, dv_timings_signal_mode=vivid.SIGNAL_GOOD, dv_timings=HOME_MODE,
                      percentage_of_dropped_buffers=0)

    def lose_signal(self, mode, reason):
        """One kind of signal loss, and its end."""
        vivid.control(self.device, dv_timings_signal_mode=mode)
        self.daemon.await_reason(reason)
        vivid.control(self.device, dv_timings_signal_mode=vivid.SIGNAL_GOOD)
        self.daemon.await_picture()

    def inject(self, **buttons):
        """Presses the driver's buttons that make it fail."""
        vivid.control(self.device, **buttons)

    def fail_again(self, **button):
        """The device fails, and once more when it is opened again; it can deliver from the second pause on."""
        self.inject(**button)
        self.inject(inject_fatal_streaming_error=1)
        self.daemon.await_reason("device-error")
        self.daemon.await_picture(ERROR_DELAY + BACK_SECONDS)


class HdmiFaultsTest(HdmiTest):
    """The reason is shown within 1.5 s; the picture is back within 2 s of the device being able to deliver."""

    device = vivid.SINGLE_PLANAR

    def test_hdmi_without_signal_is_named_and_its_return_brings_the_picture(self):
        self.lose_signal(vivid.NO_SIGNAL, NO_SIGNAL_REASON)

    def test_hdmi_without_lock_is_named_and_its_return_brings_the_picture(self):
        self.lose_signal(vivid.NO_LOCK, "no-sync")

    def test_hdmi_mode_out_of_range_is_named_and_its_return_brings_the_picture(self):
        self.lose_signal(vivid.OUT_OF_RANGE, "unsupported-mode")

    def test_hdmi_without_signal_shows_a_slate_marked_offline(self):
        vivid.control(self.device, dv_timings_signal_mode=vivid.NO_SIGNAL)
        self.daemon.await_reason(NO_SIGNAL_REASON)
        headers, jpeg = self.daemon.snapshot()
        self.assertEqual(headers["x-ustreamer-online"], "false")
        self.assertEqual((headers["x-ustreamer-width"], headers["x-ustreamer-height"]), ("640", "480"))
        self.assertTrue(jpeg.startswith(b"\xff\xd8"))

    def test_hdmi_mode_changes_are_followed(self):
        for mode, width, height in ((vivid.MODE_1080P30, 1920, 1080), (vivid.MODE_720P30, 1280, 720),
                                    (vivid.MODE_1080P30, 1920, 1080)):
            vivid.send_mode(self.device, mode)
            self.daemon.await_source(
                BACK_SECONDS, f"online at {width}x{height}",
                lambda source, size={"width": width, "height": height}: source["online"]
                and source["resolution"] == size and source["captured_fps"] > 0)

    def test_hdmi_buffers_marked_as_errors_do_not_stop_the_picture(self):
        for _ in range(5):
            self.inject(inject_v4l2_buf_flag_error=1)
            self.daemon.await_picture()

    def test_hdmi_half_of_the_frames_lost_keeps_the_picture(self):
        self.inject(percentage_of_dropped_buffers=50)
        first, said = self.daemon.source()["captured"], self.daemon.log.stat().st_size
        waiting.until(lambda: self.daemon.source()["captured"] >= first + 60, 10, "60 frames more")
        self.daemon.await_picture()
        words = self.daemon.log.read_bytes()[said:].decode()
        self.assertEqual([line for line in words.splitlines() if " capture] " in line], [], "changes of the state")

    def test_hdmi_fatal_streaming_error_is_named_and_passes(self):
        self.inject(inject_fatal_streaming_error=1)
        self.daemon.await_reason("device-error")
        self.daemon.await_picture()

    def test_hdmi_driver_that_disconnects_is_named_and_comes_back(self):
        self.inject(disconnect=1)
        self.daemon.await_reason("no-device")
        self.daemon.await_picture()

    def test_hdmi_refused_queueing_passes(self):
        self.inject(inject_vidioc_qbuf_error=1)
        self.daemon.await_picture(ERROR_DELAY + BACK_SECONDS)

    def test_hdmi_refused_buffers_pass(self):
        self.fail_again(inject_vidioc_reqbufs_error=1)

    def test_hdmi_refused_start_passes(self):
        self.fail_again(inject_vidioc_streamon_error=1)


class MultiPlanarHdmiFaultsTest(HdmiTest):
    """The same through the multi-planar API, where buffers are counted and mapped in other ways."""

    device = vivid.MULTI_PLANAR

    def test_multiplanar_hdmi_signal_lost_and_found_leaves_nothing_over(self):
        self.lose_signal(vivid.NO_SIGNAL, NO_SIGNAL_REASON)

    def test_multiplanar_hdmi_fatal_streaming_error_passes(self):
        self.inject(inject_fatal_streaming_error=1)
        self.daemon.await_reason("device-error")
        self.daemon.await_picture()
