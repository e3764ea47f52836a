# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can happen to a grabber, and that the picture always comes back: the card with
the right reason, the picture when the device can deliver again, by the same process, with no
descriptor, thread or mapping left over. How soon is judged by a clock of the daemon's own that goes
slowly, or, with E2E_LONG=1, by the machine's.
"""

import os
import subprocess
import time

from harness import (LONG, PATIENCE, SAN, Daemon, Skip, check, equal, figure, folder, free_name, jpeg_size, no_rates,
                     preload, test, wait_until)
from test_m2m import summary

CARD_S, BACK_S = 1.5, 2.0
SLOWLY = 1 if LONG else 8
USB = ("--format", "MJPEG", "--resolution", "1280x720", "--desired-fps", "30")
HDMI = ("--format", "UYVY")
HDMI_FAKE = "csi:edid=set,signal=1280x720@30"


def within(daemon, seconds, what, wait):
    """How long it takes, of the daemon's time; judged where that is its own or the machine is."""
    began = daemon.now()
    found = wait()
    took = daemon.now() - began
    check(SAN or not (LONG or daemon.clock) or took < seconds, f"{took:.2f} s, and not {seconds:g}, until {what}")
    return found, took


class Watch:
    """A viewer through all of it, and what the process held when all was well."""

    def __init__(self, daemon):
        self.daemon = daemon
        daemon.wait_state("online")
        self.stream = daemon.stream("extra_headers=1")
        self.stream.wait_part(lambda part: part.online, "the first picture")
        self.before = self.held()
        self.slowest_slate = self.slowest_back = 0.0
        self.set_pace(SLOWLY)

    def set_pace(self, slower):
        """Of a clock of the daemon's own. In the machine's time nothing is judged but with E2E_LONG=1."""
        self.slate_s, self.back_s = (CARD_S, BACK_S) if slower > 1 or LONG else (PATIENCE, PATIENCE)
        if self.daemon.clock:
            self.daemon.clock.stretch(slower)

    def held(self):
        process = self.daemon.process
        return (len(process.fds()), process.own_threads(), len(process.device_mappings()))

    def card(self, state):
        """The state, the stream and a snapshot show that the picture is gone; said once."""
        def is_there():
            self.stream.wait_part(lambda part: not part.online, f"a card for {state}")
            self.daemon.wait_state(state)
        _, took = within(self.daemon, self.slate_s, f"a card for {state}", is_there)
        self.slowest_slate = max(self.slowest_slate, took)
        source = self.daemon.source()
        check(not source["online"] and source["text"] and source["hint"], "/state does not say why")
        reply = self.daemon.get("/snapshot")
        equal(reply.headers["x-ustreamer-online"], "false", "X-UStreamer-Online of a snapshot")
        equal(f'{reply.headers["x-ustreamer-width"]}x{reply.headers["x-ustreamer-height"]}',
              "{width}x{height}".format(**source["resolution"]), "the size of the card")
        return source

    def back(self, more=0):
        """A picture comes again."""
        (part, _), took = within(self.daemon, self.back_s + more, "the picture is back", lambda: self.stream.wait_part(
            lambda part: part.online, "the picture is back"))
        self.slowest_back = max(self.slowest_back, took)
        self.daemon.wait_state("online")
        return part

    def round(self, breaks, state, mends):
        """One outage from the beginning to the end; the first is timed."""
        lines = len(self.daemon.lines)
        self.daemon.tell(breaks)
        text = self.card(state)["text"]
        if mends:
            self.daemon.tell(mends)
        self.back()
        self.daemon.wait_log(" Online: ", since=lines)  # its last line, and those before it
        equal(self.daemon.count_log(f" {text}: ", lines), 1, f"how often '{text}' was said")
        equal(self.daemon.count_log(" Online: ", lines), 1, "how often 'Online' was said")
        self.set_pace(1)

    def finish(self, what):
        """Nothing is left over, and it can still be stopped."""
        wait_until(lambda: self.held() == self.before, f"as much as before is held ({self.before}, now {self.held()})")
        self.set_pace(1)
        figure(f"{what}: card within {self.slowest_slate:.2f} s, picture back within {self.slowest_back:.2f} s")
        self.stream.close()


@test
def a_lost_signal_comes_back():
    with Daemon(*HDMI, fake=HDMI_FAKE, node="/dev/fake-csi", clock=1) as daemon:
        watch = Watch(daemon)
        for _ in range(3):
            watch.round("signal none", "no-signal", "signal 1280x720@30")
        watch.finish("signal lost")


@test
def a_signal_without_sync_comes_back():
    with Daemon(*HDMI, fake=HDMI_FAKE, node="/dev/fake-csi", clock=1) as daemon:
        watch = Watch(daemon)
        watch.round("signal nolock", "no-sync", "signal 1280x720@30")
        watch.finish("no sync")


@test
def a_mode_out_of_range_comes_back():
    with Daemon(*HDMI, fake=HDMI_FAKE, node="/dev/fake-csi", clock=1) as daemon:
        watch = Watch(daemon)
        watch.round("signal outofrange", "unsupported-mode", "signal 1280x720@30")
        watch.finish("out of range")


@test
def a_pulled_cable_comes_back():
    with Daemon(*HDMI, fake=HDMI_FAKE, node="/dev/fake-csi", clock=1) as daemon:
        watch = Watch(daemon)
        for _ in range(2):
            watch.round("cable out", "no-cable", "cable in")
        watch.finish("cable pulled")


@test
def a_mode_too_fast_for_the_link_is_said_and_comes_back():
    with Daemon(*HDMI, fake=HDMI_FAKE, node="/dev/fake-csi", clock=1) as daemon:
        watch = Watch(daemon)
        watch.round("signal 1920x1080@60", "too-fast", "signal 1280x720@30")
        watch.finish("too fast")


@test
def an_edid_that_is_loaded_after_the_start_brings_the_picture():
    with Daemon(*HDMI, fake="csi:signal=1280x720@30", node="/dev/fake-csi", clock=SLOWLY) as daemon:
        within(daemon, CARD_S, "no-edid", lambda: daemon.wait_state("no-edid"))
        daemon.tell("edid set")
        within(daemon, BACK_S, "online", lambda: daemon.wait_state("online"))
        daemon.tell("edid clear")
        within(daemon, CARD_S, "no-edid", lambda: daemon.wait_state("no-edid"))
        daemon.tell("edid set")
        within(daemon, BACK_S, "online", lambda: daemon.wait_state("online"))


@test
def the_resolution_may_change_while_it_runs():
    with Daemon(*HDMI, fake="csi:edid=set,signal=1920x1080@30", node="/dev/fake-csi") as daemon:
        watch = Watch(daemon)
        slowest = 0.0
        for size in ((1280, 720), (1920, 1080), (640, 480), (1920, 1080)) * 2:
            daemon.tell("signal %dx%d@30" % size)
            what = f"a picture of {size[0]}x{size[1]}"
            (part, _), took = within(daemon, watch.back_s, what, lambda size=size, what=what: watch.stream.wait_part(
                lambda part: part.online and int(part.headers["x-ustreamer-width"]) == size[0], what))
            slowest = max(slowest, took)
            equal(jpeg_size(part.body), size, "the size in the picture")
            equal(tuple(daemon.source()["resolution"].values()), size, "the size in /state")
        figure(f"resolution changed: picture back within {slowest:.2f} s")
        watch.finish("resolution changed")


@test
def a_replugged_grabber_comes_back():
    with Daemon(*USB, fake="uvc", clock=1) as daemon:
        watch = Watch(daemon)
        for _ in range(5):
            watch.round("unplug", "no-device", "replug")
        watch.finish("unplugged")


@test
def a_grabber_that_comes_back_as_another_node_is_found():
    nodes = [os.path.join(folder(), f"video{number}") for number in range(4)]
    link = os.path.join(folder(), "by-id-grabber")
    with Daemon(*USB, "--device", link, fake=f"uvc:link={link}", node=nodes[0]) as daemon:
        watch = Watch(daemon)
        for node in nodes[1:]:
            watch.round("unplug", "no-device", f"replug {node}")
        watch.finish("other node, by its link")


# Nodes of fake devices in /dev are to be seen in a listing only when they are files there.
OWN_DEV = ("unshare", "--mount", "sh", "-c",
           'mount -t tmpfs none /dev && : >/dev/video7 && exec env LD_PRELOAD="$PRELOAD" "$@"', "sh")


@test
def a_grabber_with_a_new_number_is_found():
    if subprocess.run(["unshare", "--mount", "true"], check=False, stderr=subprocess.DEVNULL).returncode:
        raise Skip("a /dev of its own takes more rights than we have")
    with Daemon(*USB, "--device", "/dev/video7", fake="uvc", node="/dev/video7", command=OWN_DEV,
                env={"LD_PRELOAD": "", "PRELOAD": preload()}) as daemon:
        watch = Watch(daemon)
        for old, new in ((7, 8), (8, 9), (9, 7)):
            os.unlink(daemon.process.root / f"root/dev/video{old}")
            daemon.tell("unplug")
            watch.card("no-device")
            with open(daemon.process.root / f"root/dev/video{new}", "wb"):
                daemon.tell(f"replug /dev/video{new}")
            watch.back()
        daemon.wait_log("the grabber is /dev/video8 now")
        watch.finish("other number")


@test
def nobody_elses_node_is_opened_while_the_grabber_is_away():
    with Daemon(*USB, "--h264-encoder", "off", "--device-error-delay", 1, node="/dev/video0", clock=1,
                fake="uvc:path=/dev/video0;m2m:path=/dev/video11") as daemon:
        watch = Watch(daemon)
        before = summary(daemon)["m2m_opens"]
        daemon.tell("unplug")
        watch.card("no-device")
        tries = daemon.source()["restarts"]
        wait_until(lambda: daemon.source()["restarts"] >= tries + 3, "it is looked for")
        daemon.tell("replug /dev/video2")
        watch.back()
        daemon.wait_log("the grabber is /dev/video2 now")
        equal(summary(daemon)["m2m_opens"], before, "how often the encoder's node was opened")


@test
def a_grabber_that_is_plugged_in_late_is_found():
    with Daemon(*USB, fake="uvc:plugged=off", clock=SLOWLY) as daemon:
        within(daemon, CARD_S, "no-device", lambda: daemon.wait_state("no-device"))
        daemon.tell("replug")
        within(daemon, BACK_S, "online", lambda: daemon.wait_state("online"))


@test
def damaged_buffers_are_left_out():
    with Daemon(*USB, fake="uvc:nodrop=on", clock=1) as daemon:
        watch, began = Watch(daemon), daemon.now()
        for _ in range(3):
            daemon.clock.stop()
            before = daemon.drops().get("flagged", 0)
            daemon.tell("error-buffers 10")
            for count in range(1, 11):
                daemon.clock.step(1 / 30)
                wait_until(lambda count=before + count: daemon.drops().get("flagged", 0) >= count, "each is counted")
            seen_ns = daemon.clock.now_ns()
            daemon.clock.stretch(SLOWLY)
            watch.stream.wait_part(lambda part, seen_ns=seen_ns: part.time_ns("Grab-Begin") > seen_ns, "one after them")
            equal(daemon.drops(), {"flagged": before + 10}, "what is counted")
            watch.back()
        daemon.clock.stretch(1)
        equal(daemon.source()["restarts"], 0, "how often the device was opened again")
        said, most = daemon.count_log("frame dropped"), 2 + daemon.now() - began
        check(1 <= said <= most, f"said {said} times, more than once a second, or never")
        watch.finish("damaged buffers")


@test
def a_driver_that_goes_silent_is_restarted():
    with Daemon(*USB, fake="uvc", clock=1) as daemon:
        watch = Watch(daemon)
        lines = len(daemon.lines)
        for _ in range(3):
            since = len(daemon.lines)
            daemon.tell("eproto")
            began = daemon.now()
            within(daemon, CARD_S, "it is said", lambda since=since: daemon.wait_log(" No frames: ", since=since))
            watch.stream.wait_part(lambda part: not part.online, "a card")
            watch.back()
            watch.slowest_back = max(watch.slowest_back, daemon.now() - began)
        equal(daemon.count_log(" No frames: ", lines), 3, "how often 'No frames' was said")
        watch.finish("EPROTO silence")


@test
def a_stalled_grabber_comes_back():
    with Daemon(*USB, fake="uvc", clock=1) as daemon:
        watch = Watch(daemon)
        for _ in range(2):
            watch.round("stall", "no-frames", "resume")
        watch.finish("stalled")


@test
def an_io_error_is_survived():
    with Daemon(*USB, fake="uvc") as daemon:
        watch = Watch(daemon)
        for _ in range(3):
            lines = len(daemon.lines)
            began = time.monotonic()
            daemon.tell("eio")
            within(daemon, BACK_S, "it is said", lambda lines=lines: daemon.wait_log(" Online: ", since=lines))
            watch.back()
            watch.slowest_back = max(watch.slowest_back, time.monotonic() - began)
            equal(daemon.count_log("ERROR", lines), 1, "how often the error is in the log")
        watch.finish("EIO")


@test
def a_bus_without_bandwidth_is_said_and_tried_again():
    with Daemon(*USB, fake="uvc:enospc=3", clock=SLOWLY) as daemon:
        within(daemon, CARD_S, "no-bandwidth", lambda: daemon.wait_state("no-bandwidth"))
        within(daemon, 3 + BACK_S, "online", lambda: daemon.wait_state("online"))
        equal(daemon.count_log(" Not enough USB bandwidth: "), 1, "how often it is said")
        equal(daemon.count_log("No space left on device"), 1, "how often the driver's answer is said")


@test
def calls_that_fail_while_it_opens_are_survived():
    for call, error, state in (("reqbufs", "enomem", "no-memory"), ("s_fmt", "ebusy", "busy"),
                               ("streamon", "eio", "device-error"), ("querybuf", "einval", "device-error"),
                               ("qbuf", "eio", "device-error"), ("querycap", "enodev", "no-device")):
        with Daemon(*USB, fake="uvc") as daemon:
            watch = Watch(daemon)
            daemon.tell(f"fail {call} {error} 1")
            if call == "qbuf":
                daemon.tell("eio")
            else:
                daemon.tell("unplug")
                daemon.tell("replug")
            watch.stream.wait_part(lambda part: not part.online, f"a card after {call} failed")
            watch.back(more=1)
            watch.finish(f"{call} fails with {error.upper()}")


@test
def the_first_picture_may_take_three_seconds():
    with Daemon(*USB, fake="uvc:first-frame-delay=3000", clock=SLOWLY) as daemon:
        def is_online():
            within(daemon, CARD_S, "no-frames", lambda: daemon.wait_state("no-frames"))
            daemon.wait_state("online")
        _, took = within(daemon, 3 + BACK_S, "online", is_online)
        figure(f"first frame after 3 s: online after {took:.2f} s")
        equal(daemon.source()["restarts"], 0, "how often the device was opened again")


@test
def a_slate_is_shown_from_the_start_and_once_a_second():
    with Daemon("--device", "/dev/nothing", "--resolution", "800x600", clock=SLOWLY) as daemon:
        reply = daemon.get("/snapshot")
        equal((reply.headers["x-ustreamer-online"], jpeg_size(reply.body)), ("false", (800, 600)), "the snapshot")
        with daemon.stream("extra_headers=1") as stream:
            times = [daemon.now() * 1000 for _ in stream.parts(4)]
        gaps = [b - a for a, b in zip(times, times[1:])]
        check(SAN or all(800 < gap < 1200 for gap in gaps[1:]), f"gaps of {gaps} ms")


@test
def a_grabber_that_changes_its_size_by_itself_is_followed():
    with Daemon(*USB, fake="uvc") as daemon, daemon.stream("extra_headers=1") as stream:
        stream.wait_part(lambda part: part.online, "the first picture")
        daemon.tell("lie 640x480")
        part, _ = stream.wait_part(lambda part: jpeg_size(part.body) == (640, 480), "a picture of another size")
        equal((part.headers["x-ustreamer-width"], part.headers["x-ustreamer-height"]), ("640", "480"),
              "the size in the headers")


@test
def the_device_stays_open_to_others():
    path = free_name("video0")
    with Daemon(*USB, fake="uvc", node=path) as daemon:
        daemon.wait_state("online")
        with open(path, "rb+"):  # controls are set by other programs meanwhile
            pass
