# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs to run it for nobody."""

import time

from harness import Daemon, check, figure, no_rates, test

WINDOW_S = 5
WINDOWS = 3  # a host that is busy with others can only add to what is counted: the least is the truth


def cpu_percent(daemon, most, seconds=WINDOW_S):
    """Of one core, without the fake devices' threads, in the first window that has no more than `most`."""
    seen = []
    while len(seen) < WINDOWS and min(seen, default=most) >= most:
        before, began = daemon.process.cpu_ns(), time.monotonic_ns()
        time.sleep(seconds)
        seen.append(100 * (daemon.process.cpu_ns() - before) / (time.monotonic_ns() - began))
    check(min(seen) < most, f"{', '.join(f'{percent:.3f}' for percent in seen)} % of a core")
    return min(seen)


@test(long=True)
def capturing_for_nobody_costs_less_than_a_hundredth():
    no_rates()
    with Daemon("--format", "MJPEG", "--resolution", "1920x1080", "--desired-fps", 30, fake="uvc") as daemon:
        daemon.wait_state("online")
        captured, began = daemon.source()["captured"], time.monotonic()
        percent = cpu_percent(daemon, 1)
        rate = (daemon.source()["captured"] - captured) / (time.monotonic() - began)
        figure(f"no viewers, MJPEG 1080p30: {percent:.3f} % of a core, {rate:.1f} fps captured, "
               f"RSS {daemon.process.rss_kib() / 1024:.1f} MiB with the fake's own")
        check(rate > 29, f"only {rate:.1f} fps are captured")


@test(long=True)
def waiting_for_a_device_costs_less_than_a_thousandth():
    no_rates()
    with Daemon("--device", "/dev/nothing") as daemon:
        daemon.wait_state("no-device")
        percent = cpu_percent(daemon, 0.1)
        figure(f"no device: {percent:.3f} % of a core, RSS {daemon.process.rss_kib() / 1024:.1f} MiB")


@test(long=True)
def a_viewer_that_left_costs_nothing():
    no_rates()
    with Daemon("--device", "/dev/nothing") as daemon:
        with daemon.stream() as stream:
            stream.part()
        time.sleep(1)
        cpu_percent(daemon, 0.3, 3)
