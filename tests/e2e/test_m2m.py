# SPDX-License-Identifier: GPL-3.0-or-later
"""H.264 by the hardware encoder: the fake grabbers in front of the fake encoder."""

import contextlib
import os
import re
import subprocess
import threading
import time

from ages import ages_ms, median_and_p95, unit_stamps
from harness import (LONG, PATIENCE, Daemon, Failure, check, equal, figure, free_name, no_rates, stamps, test, wait_until)
from test_h264 import Viewer, check_decodes, check_units, h264

ENCODER = ("--h264-m2m-device", "/dev/fake-m2m", "--h264-bitrate", "8000")
M2M = ("--h264-encoder", "m2m", *ENCODER)
X264 = ("--h264-encoder", "x264", "--h264-bitrate", "8000")
CALM = 1 if LONG else 4  # how much slower time goes: an encoder that does not answer for a second is given up

# What the fake grabbers paint as colour bars, Y, U and V, from left to right.
BARS = ((180, 128, 128), (162, 44, 142), (131, 156, 44), (112, 72, 58), (84, 184, 198), (65, 100, 212),
        (35, 212, 114), (16, 128, 128))


def summary(daemon):
    return dict(pair.split("=", 1) for pair in daemon.tell("summary").split() if "=" in pair)


def to_rgb(bar, full_range):
    """BT.601"""
    luma, blue, red = bar[0], bar[1] - 128, bar[2] - 128
    if not full_range:
        luma, blue, red = (luma - 16) * 255 / 219, blue * 255 / 224, red * 255 / 224
    rgb = (luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue)
    return [max(0, min(255, value)) for value in rgb]


def decode(units, width, height):
    """The last picture, as RGB; what it means is taken from the stream."""
    path = free_name(".h264")
    with open(path, "wb") as file:
        file.writelines(unit.bytes for unit in units)
    done = subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-f", "h264", "-i", path, "-vf",
                           "scale=flags=accurate_rnd+full_chroma_int+full_chroma_inp", "-f", "rawvideo", "-pix_fmt",
                           "rgb24", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                          timeout=2 * PATIENCE)
    os.unlink(path)
    check(not done.stderr, f"ffmpeg: {done.stderr[:300]}")
    return done.stdout[-width * height * 3:]


def bars_of(rgb, width, height):
    """The mean colour inside each bar, below the stamp."""
    for bar in range(8):
        left, right = (bar * width // 8 + 12, (bar + 1) * width // 8 - 12)
        sums, count = [0, 0, 0], 0
        for row in range(height // 2, height - 16, 16):
            line = rgb[(row * width + left) * 3:(row * width + right) * 3]
            for channel in range(3):
                sums[channel] += sum(line[channel::3])
            count += right - left
        yield [total / count for total in sums]


def check_colours(fake, option, encoder, full_range=False):
    with Daemon("--format", option, "--resolution", "640x480", *encoder, fake=f"{fake};m2m", clock=CALM) as daemon, \
            Viewer(daemon) as viewer:
        daemon.wait_state("online")
        wait_until(lambda: h264(daemon)["online"], "the picture is in the stream")
        units = list(viewer.units(60))
        while not units[0].key or len(units) > 35:
            units.pop(0)
        check_decodes(units)
        rgb = decode(units, 640, 480)
    for number, (seen, bar) in enumerate(zip(bars_of(rgb, 640, 480), BARS)):
        wanted = to_rgb(bar, full_range)
        off = max(abs(a - b) for a, b in zip(seen, wanted))
        check(off <= 3, f"bar {number} of {option} is {[round(v) for v in seen]} and not {[round(v) for v in wanted]}")


UVC = "uvc:size=640x480,look=colourbars,fps=30"
CSI = "csi:edid=set,signal=640x480@30,look=colourbars"


@test
def colours_are_those_of_the_source_on_hardware():
    check_colours(f"{UVC},fmt=MJPG,quality=95", "MJPEG", M2M, full_range=True)
    check_colours(f"{UVC},fmt=YUYV", "YUYV", M2M)
    check_colours(f"{UVC},fmt=NV12", "NV12", M2M)
    check_colours(CSI, "UYVY", M2M)
    check_colours(CSI, "RGB24", M2M)


@test
def colours_are_those_of_the_source_on_x264():
    check_colours(f"{UVC},fmt=MJPG,quality=95", "MJPEG", X264, full_range=True)
    check_colours(f"{UVC},fmt=YUYV", "YUYV", X264)
    check_colours(f"{UVC},fmt=NV12", "NV12", X264)
    check_colours(CSI, "UYVY", X264)
    check_colours(CSI, "RGB24", X264)


def start(size, fps, latency_ms, *options, fmt="MJPG", **more):
    return Daemon("--resolution", size, "--format", "MJPEG" if fmt == "MJPG" else fmt, *options,
                  fake=f"uvc:size={size},fps={fps},fmt={fmt};m2m:latency={latency_ms}", **{"clock": CALM, **more})


@test
def every_access_unit_of_1080p_decodes():
    with start("1920x1080", 30, 15, *M2M) as daemon, Viewer(daemon) as viewer:
        units = list(viewer.units(60))
        check_units(units)
        check_decodes(units)
        state = h264(daemon)
        equal((state["encoder"], state["state"], state["opened"], state["lost"]), ("m2m", "running", 1, 0), "/state")
        equal((state["width"], state["height"], state["device"]), (1920, 1080, "/dev/fake-m2m"), "/state")


def record(daemon, count):
    """Access units and JPEGs of the same time."""
    parts = []

    def watch():
        with daemon.stream() as stream:
            parts.extend(stream.parts(count))

    with Viewer(daemon) as viewer:
        list(viewer.units(30))
        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        units = list(viewer.units(count))
        watcher.join(PATIENCE)
    while not units[0].key:
        units.pop(0)
    return units, parts


@test(measures=True)
def the_picture_is_the_source_at_38_db():
    with start("1920x1080", 30, 15, *M2M) as daemon:
        units, parts = record(daemon, 60)
    jpegs = dict(zip(stamps([part.body for part in parts]), (part.body for part in parts)))
    common = [(at, jpegs[number]) for at, number in enumerate(unit_stamps(units, 1920)) if number in jpegs]
    check(len(common) > 10, f"only {len(common)} pictures are in both streams")
    h264_path, jpeg_path = free_name(".h264"), free_name(".mjpeg")
    with open(h264_path, "wb") as file:
        file.writelines(unit.bytes for unit in units)
    with open(jpeg_path, "wb") as file:
        file.writelines(jpeg for _, jpeg in common)
    chosen = "+".join(f"eq(n,{at})" for at, _ in common)
    ours = f"[0]select='{chosen}',format=yuvj420p,setpts=N[a]"
    done = subprocess.run(["ffmpeg", "-nostdin", "-hide_banner", "-f", "h264", "-i", h264_path, "-f", "mjpeg", "-i",
                           jpeg_path, "-lavfi", f"{ours};[1]format=yuvj420p,setpts=N[b];[a][b]psnr", "-f", "null",
                           "-"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False, text=True,
                          timeout=2 * PATIENCE)
    found = re.search(r"PSNR y:([\d.]+) .*average:([\d.]+)", done.stderr)
    check(found, f"ffmpeg: {done.stderr[-300:]}")
    figure(f"1080p30 at 8 Mbit/s, {len(common)} pictures: {found[2]} dB, luma {found[1]} dB")
    check(float(found[2]) >= 38, f"{found[2]} dB")


@test
def the_encoder_is_found_by_what_it_can_do():
    nodes = "m2m:variant=decoder,path=/dev/video10;m2m:path=/dev/video11;m2m:variant=isp,path=/dev/video12"
    with Daemon("--resolution", "640x480", "--h264-encoder", "m2m", fake=f"uvc:size=640x480;{nodes}", clock=CALM) as daemon, \
            Viewer(daemon) as viewer:
        check_units(list(viewer.units(20)))
        equal(h264(daemon)["device"], "/dev/video11", "the encoder")


@test
def the_source_memory_is_read_in_place():
    with Daemon("--format", "UYVY", *M2M, fake="csi:edid=set,signal=1280x720@30;m2m", clock=CALM) as daemon, \
            Viewer(daemon) as viewer:
        daemon.wait_state("online")
        units = list(viewer.units(60))
        check_units(units)
        check_decodes(units)
        seen = summary(daemon)
        check(int(seen["dmabuf"]) > 40 and seen["copied"] == "0", f"what the encoder saw: {seen}")
        equal(seen["torn"], "0", "torn pictures")
        check(int(seen["reimports"]) == 0, f"{seen['reimports']} buffers were imported again")


def came_from(daemon, before):
    seen = summary(daemon)
    return [int(seen[name]) - int(before[name]) for name in ("dmabuf", "copied")]


@test
def the_source_memory_is_read_in_place_when_the_slate_came_first():
    with Daemon("--format", "UYVY", "--resolution", "1280x720", *M2M, fake="csi:edid=set,settle=50,signal=none;m2m",
                clock=CALM) as daemon, Viewer(daemon) as viewer:
        check(next(viewer.units(1)) and not h264(daemon)["online"], "no picture without a signal")
        daemon.tell("signal 1280x720@30")
        wait_until(lambda: next(viewer.units(1)) and int(summary(daemon)["dmabuf"]), "a picture read in place")
        before = summary(daemon)
        list(viewer.units(40))
        dmabuf, copied = came_from(daemon, before)
        check(dmabuf > 20 and not copied, f"{dmabuf} read in place, {copied} copied")


def fail_imports(how, after):
    """From that access unit on the hardware cannot import; it is used all the same."""
    with Daemon("--format", "UYVY", *M2M, fake="csi:edid=set,signal=1280x720@30;m2m", clock=CALM) as daemon:
        daemon.tell(f"m2m.import-error {0 if after else 100000} {how}")
        with Viewer(daemon) as viewer:
            list(viewer.units(after))
            daemon.tell(f"m2m.import-error 100000 {how}")
            wait_until(lambda: next(viewer.units(1)) and int(summary(daemon)["copied"]) > 5, "pictures that are copied")
            equal(h264(daemon)["encoder"], "m2m", "the encoder")


@test
def hardware_whose_imports_fail_gets_copies():
    fail_imports("flag", after=0)


@test
def hardware_that_loses_what_it_cannot_import_gets_copies():
    fail_imports("lost", after=5)


def measure(size, fps, latency_ms, seconds, fmt="MJPG"):
    log = free_name(".log")
    with start(size, fps, latency_ms, *M2M, fmt=fmt, clock=None, env={"HDMICAST_FAKE_LOG": log}) as daemon:
        with Viewer(daemon) as viewer:
            list(viewer.units(seconds=1))
            units = list(viewer.units(seconds=seconds))
            state, fps = h264(daemon), len(units) / seconds
        while not units[0].key:
            units.pop(0)
    ages, _ = ages_ms(units, int(size.split("x")[0]), log)
    median, p95 = median_and_p95(ages)
    figure(f"{size} at {fps} fps, {fmt}, encoder {latency_ms} ms: {median:.1f} ms median, {p95:.1f} ms p95, "
           f"{fps:.1f} fps, conversion {state['convert_ms']:.1f} ms")
    return median, p95, state


@test(long=True)
def nothing_queues_up_when_the_encoder_is_too_slow():
    no_rates()
    median, p95, state = measure("1280x720", 60, 20, 4)
    check(median <= 35 and p95 <= 50, f"{median:.1f} ms median, {p95:.1f} ms p95 at 720p60 with 20 ms")
    check(state["fps"] >= 45, f"{state['fps']} fps at 720p60 with 20 ms")
    median, _, _ = measure("1920x1080", 30, 36, 4)
    check(median <= 70, f"{median:.1f} ms median at 1080p30 with 36 ms")
    median, _, state = measure("1280x720", 60, 5, 4, fmt="YUYV")
    check(median <= 5 + 2 + state["convert_ms"], f"{median:.1f} ms median with 5 ms")


class Watcher(threading.Thread):
    """Watches /stream meanwhile: when pictures came."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.of, self.times_ns, self.stop = daemon, [], False
        self.start()

    def run(self):
        with self.of.stream() as stream:
            for part in stream.parts(10000):
                self.times_ns.append(part.received_ns)
                if self.stop:
                    return

    def longest_ms(self):
        self.stop = True
        self.join(PATIENCE)
        times = self.times_ns
        return max(b - a for a, b in zip(times, times[1:])) / 1e6


@test(measures=True)
def a_stall_is_over_in_two_seconds_and_mjpeg_never_notices():
    with start("1280x720", 30, 10, "--h264-encoder", "auto", *ENCODER) as daemon, Viewer(daemon) as viewer:
        watcher = Watcher(daemon)
        units = list(viewer.units(40))
        daemon.tell("m2m.stall 1500")
        stalled_ns = time.monotonic_ns()
        units += viewer.units(60)
        check_units(units)
        gaps = [(b.received_ns - a.received_ns) / 1e6 for a, b in zip(units, units[1:])]
        longest = watcher.longest_ms()
        figure(f"a stall of 1500 ms: {max(gaps):.0f} ms without H.264, {longest:.0f} ms without MJPEG")
        wait_until(lambda: h264(daemon)["encoder"] == "m2m", "it runs on hardware")
        check(units[-1].received_ns > stalled_ns, "nothing came after the stall")
        no_rates()
        check(max(gaps) < 2000, f"{max(gaps):.0f} ms without H.264")
        check(longest < 200, f"{longest:.0f} ms without MJPEG")


@test(measures=True)
def a_wedged_encoder_gives_way_to_x264():
    with start("1280x720", 30, 10, "--h264-encoder", "auto", *ENCODER, violations=False) as daemon:
        with Viewer(daemon) as viewer:
            watcher = Watcher(daemon)
            units = list(viewer.units(40))
            daemon.tell("m2m.wedge")
            wedged = time.monotonic()
            while h264(daemon)["encoder"] != "x264" or not units[-1].key or units[-1].received_ns < wedged * 1e9:
                units += viewer.units(1)
                if time.monotonic() - wedged > PATIENCE:
                    raise Failure(f"no x264: {h264(daemon)}")
            took = time.monotonic() - wedged
            units += viewer.units(30)
            check_units(units)
            state = h264(daemon)
            figure(f"wedged: x264 after {took:.1f} s, {watcher.longest_ms():.0f} ms without MJPEG")
            equal(state["state"], "fallback", "the state")
            check(state["text"], "/state does not say why")
            check(daemon.count_log("stuck") or daemon.count_log("x264"), "the log does not say it")
        took_to_stop = daemon.stop()
        # What a driver that hangs holds cannot be given back.
        found = [line for line in daemon.violations_found() if not line.startswith("MUNMAP")]
        check(not found, f"mistakes that the fake driver saw: {found}")
        no_rates()
        check(took < 5, f"{took:.1f} s until x264")
        check(took_to_stop < 1, f"{took_to_stop:.2f} s to stop")


@test
def the_encoder_outlives_the_source():
    turns = 10 if LONG else 5
    sizes = ("1280x720", "800x600")
    with Daemon("--format", "UYVY", *M2M, fake="csi:edid=set,settle=50,signal=1280x720@30;m2m", clock=CALM) as daemon, \
            Viewer(daemon) as viewer:
        def read():
            with contextlib.suppress(OSError, ValueError):
                for _ in viewer.units():
                    pass

        drain = threading.Thread(target=read, daemon=True)
        daemon.wait_state("online")
        drain.start()
        changes = 0
        for turn in range(turns):
            size = sizes[turn // 3 % 2]
            changes += turn > 0 and size != sizes[(turn - 1) // 3 % 2]
            daemon.tell("signal none")
            daemon.wait_state("no-signal")
            wait_until(lambda: not h264(daemon)["online"], "the card is in the stream")
            daemon.tell(f"signal {size}@30")
            daemon.wait_state("online")
            wait_until(lambda: h264(daemon)["online"], "the picture is in the stream")
        state, seen = h264(daemon), summary(daemon)
        figure(f"{turns} outages, {changes} other sizes: {state['opened']} encoders, {seen['m2m_opens']} handles")
        check(state["opened"] <= changes + 1, f"{state['opened']} encoders for {changes} other sizes")
        equal(state["failures"], 0, "failures")
