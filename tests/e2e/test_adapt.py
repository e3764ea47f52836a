# SPDX-License-Identifier: GPL-3.0-or-later
"""H.264 of 4 Mbit/s over slower lines: pictures stay fresh, and the stream follows its viewers."""

import contextlib
import os
import socket
import threading

from harness import PATIENCE, Daemon, Skip, check, equal, figure, no_rates, test, wait_until
from test_h264 import CALM, h264
from test_load import FarClient, command, unshare_network
from test_mp4 import Avc
from test_ring import Reader, rings

STREAM = ("--format", "MJPEG", "--resolution", "1280x720", "--h264-encoder", "x264", "--h264-bitrate", 4000, "--host",
          "0.0.0.0")
GRAIN = "uvc:fps=30,look=noise,frames=12"  # takes all the bits it may have


class FarViewer(FarClient):
    @staticmethod
    def read(peer, seconds):
        with Avc(None, peer=peer) as viewer:
            return [(unit.received_ns, unit.captured_us * 1000, unit.size) for unit in viewer.units(seconds=seconds)]


def own_network():
    if os.getuid():
        raise Skip("a slow link in a network namespace takes root")
    unshare_network()
    command("ip", "link", "set", "lo", "up")


def judge(found, settle, what, most_ms, least_fps):
    """Once the first seconds are over: the median of the ages, and the rate."""
    began = found[0][0] + settle * 1e9
    late = [(received, (received - captured) / 1e6) for received, captured, _ in found if received >= began]
    check(len(late) > 2, f"{what}: only {len(late)} pictures after {settle} s")
    ages = sorted(age for _, age in late)
    fps = (len(late) - 1) / ((late[-1][0] - late[0][0]) / 1e9)
    median, p95 = ages[len(ages) // 2], ages[len(ages) * 95 // 100]
    figure(f"{what}: age {median:.0f} ms (median), {p95:.0f} ms (95 %), {fps:.1f} fps")
    no_rates()
    check(median <= most_ms, f"{what}: {median:.0f} ms old")
    check(fps >= least_fps, f"{what}: {fps:.1f} fps")


def alone(rate, adaptive, seconds, settle):
    with Daemon(*STREAM, "--h264-adaptive", adaptive, fake=GRAIN) as daemon:
        daemon.wait_state("online")
        found = FarViewer(daemon.port, seconds, rate).finish()
        equal(h264(daemon)["adaptive"]["enabled"], bool(adaptive), "adaptive.enabled")
        equal(h264(daemon)["bitrate"], 4000, "what was asked for")
        check(h264(daemon)["adaptive"]["active"] == bool(adaptive), f"the state is {h264(daemon)['adaptive']}")
    judge(found, settle, f"{rate}, {'with' if adaptive else 'without'} adaptation", 300 if adaptive else 350,
          15 if adaptive else 2)


@test(long=True)
def a_line_of_one_mbit_gets_a_stream_that_fits():
    own_network()
    alone("1mbit", 1, 30, 4)


@test(long=True)
def a_line_of_three_mbit_gets_a_stream_that_fits():
    own_network()
    alone("3mbit", 1, 30, 4)


@test(long=True)
def without_adaptation_pictures_are_fewer_and_not_old():
    own_network()
    alone("1mbit", 0, 30, 1)


@test(long=True)
def without_adaptation_three_mbit_are_fresh_too():
    own_network()
    alone("3mbit", 0, 30, 1)


@test(long=True)
def a_fast_viewer_beside_a_slow_one_loses_nothing():
    own_network()
    seconds = 30
    with Daemon(*STREAM, fake=GRAIN) as daemon, Avc(daemon) as near:
        next(near.units(1))
        far = FarViewer(daemon.port, seconds, "1mbit")
        units = list(near.units(seconds=seconds))
        equal(h264(daemon)["adaptive"]["active"], False, "adaptive.active beside a fast viewer")
        far.finish()
    times = [unit.captured_us for unit in units]
    no_rates()
    gap = max(b - a for a, b in zip(times, times[1:])) / 1e3
    kbps = sum(unit.size for unit in units) * 8 / (times[-1] - times[0]) * 1e3
    figure(f"beside 1 Mbit/s: the fast viewer has {len(units) / seconds:.1f} fps, {kbps:.0f} kbit/s, "
           f"{gap:.0f} ms from frame to frame at most")
    check(gap < 50, f"the fast viewer lost frames: {gap:.0f} ms")
    check(kbps > 3000, f"the fast viewer got {kbps:.0f} kbit/s")


@contextlib.contextmanager
def sipping(daemon):
    """A viewer whose line takes little, also of what a busy machine makes."""
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(("127.0.0.1", daemon.port))
        peer.sendall(b"GET /stream.avc HTTP/1.1\r\nHost: a\r\n\r\n")
        end = threading.Event()

        def sip():
            began, taken, got = daemon.now(), 0, True
            with contextlib.suppress(OSError):
                while got and not end.wait(0.05):
                    due = int((daemon.now() - began) * 60e3) - taken  # bytes: 480 kbit/s, whoever else wants the CPU
                    got = len(peer.recv(due)) if due > 0 else True
                    taken += got
        thread = threading.Thread(target=sip)
        thread.start()
        try:
            yield
        finally:
            end.set()
            with contextlib.suppress(OSError):  # it was closed
                peer.shutdown(socket.SHUT_RDWR)
            thread.join()


@test
def a_reader_of_a_ring_is_a_fast_viewer():
    def is_limited():
        return h264(daemon)["adaptive"]["active"]
    with rings("h264") as (name, options), \
            Daemon(*STREAM, "--resolution", "640x480", *options, fake=GRAIN, violations=False, clock=CALM) as daemon:
        with sipping(daemon):
            wait_until(is_limited, "the only line is slow: the stream is limited", 2 * PATIENCE)
            with Reader(name):
                wait_until(lambda: not is_limited(), "the stream is not limited any more", 4 * PATIENCE)
        with sipping(daemon):  # the first one may be too slow to be kept, beside so much
            wait_until(is_limited, "it is limited again", 2 * PATIENCE)
