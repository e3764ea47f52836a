# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs to run it for nobody."""

import time

from harness import Daemon, check, figure, no_rates, test

WINDOW_S = 10


def cpu_percent(daemon, seconds=WINDOW_S):
    """Of one core, over the window, without the fake devices' threads."""
    before, began = daemon.process.cpu_ns(), time.monotonic_ns()
    time.sleep(seconds)
    return 100 * (daemon.process.cpu_ns() - before) / (time.monotonic_ns() - began)


@test(alone=True)
def capturing_for_nobody_costs_less_than_a_hundredth():
    no_rates()
    with Daemon("--format", "MJPEG", "--resolution", "1920x1080", "--desired-fps", 30, fake="uvc") as daemon:
        daemon.wait_state("online")
        captured = daemon.source()["captured"]
        percent = cpu_percent(daemon)
        rate = (daemon.source()["captured"] - captured) / WINDOW_S
        figure(f"no viewers, MJPEG 1080p30: {percent:.3f} % of a core, {rate:.1f} fps captured, "
               f"RSS {daemon.process.rss_kib() / 1024:.1f} MiB with the fake's own")
        check(rate > 29, f"only {rate:.1f} fps are captured")
        check(percent < 1, f"{percent:.3f} % of a core")


@test(alone=True)
def waiting_for_a_device_costs_less_than_a_thousandth():
    no_rates()
    with Daemon("--device", "/dev/nothing") as daemon:
        daemon.wait_state("no-device")
        percent = cpu_percent(daemon)
        figure(f"no device: {percent:.3f} % of a core, RSS {daemon.process.rss_kib() / 1024:.1f} MiB")
        check(percent < 0.1, f"{percent:.3f} % of a core")


@test
def a_viewer_that_left_costs_nothing():
    no_rates()
    with Daemon("--device", "/dev/nothing") as daemon:
        with daemon.stream() as stream:
            stream.part()
        time.sleep(1)
        percent = cpu_percent(daemon, 3)
        check(percent < 0.3, f"{percent:.3f} % of a core")
