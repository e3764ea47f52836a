# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGTERM in every state: gone in less than a second of its time, exit status 0, nothing left behind."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from harness import DAEMON, Daemon, Skip, check, equal, free_name, free_port, test, wait_until

MJPEG = ("--format", "MJPEG", "--resolution", "1280x720", "--desired-fps", "30")


@test
def it_stops_at_once_in_every_state_of_the_source():
    for what, options, fake, state in (
            ("no device", ("--device", "/dev/nothing"), None, "no-device"),
            ("a picture", MJPEG, "uvc", "online"),
            ("no frames", MJPEG, "uvc:first-frame-delay=60000", "no-frames"),
            ("no signal", ("--format", "UYVY"), "csi:edid=set,signal=none", "no-signal"),
            ("no sync", ("--format", "UYVY"), "csi:edid=set,signal=nolock", "no-sync"),
            ("no bandwidth", MJPEG, "uvc:enospc=100", "no-bandwidth"),
            ("the test card", ("--source", "testcard"), None, "online")):
        path = free_name(".sock")
        with Daemon(*options, "--unix", path, fake=fake, clock=1) as daemon:
            daemon.unix = path
            daemon.wait_state(state)
            daemon.stop_at_once(what)
            check(not os.path.exists(path), f"the socket is left over: {what}")


@test
def it_stops_while_it_waits_in_any_way():
    # Right after the start, and at moments of an outage that no state tells.
    for delay_ms in range(0, 200, 20):
        with Daemon(*MJPEG, fake="uvc", clock=1) as daemon:
            threading.Event().wait(delay_ms / 1000)
            daemon.stop_at_once(f"{delay_ms} ms after the start")
    for event in ("unplug", "stall", "eproto", "eio", "error-buffers 1000"):
        with Daemon(*MJPEG, fake="uvc", clock=1) as daemon, daemon.stream() as stream:
            daemon.wait_state("online")
            stream.part()
            daemon.tell(event)
            daemon.stop_at_once(f"right after {event}")


@test
def it_stops_before_it_is_ready():
    with Daemon("--source", "testcard", ready=False, clock=1) as daemon:
        wait_until(lambda: daemon.process.own_threads() and daemon.lines, "it began")
        daemon.stop_at_once("at the start")


@test
def a_signal_that_comes_before_the_loop_ends_it_in_order():
    """Its first line of the log does not fit into the pipe: so it waits, at the start."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"\n" * 4096)
    os.set_blocking(writing, True)
    with subprocess.Popen([DAEMON, "--source", "testcard", "--port", str(free_port())], stderr=writing) as child:
        os.close(writing)
        proc = Path("/proc", str(child.pid))
        wait_until(lambda: os.path.samefile(proc / "exe", DAEMON) and ") S " in (proc / "stat").read_text(),
                   "it waits for the pipe")
        child.send_signal(signal.SIGTERM)
        with os.fdopen(reading, "rb") as said:
            lines = said.read()
        equal(child.wait(60), 0, "the exit status")
        check(b"stopping: Terminated" in lines, "it does not say that it stops")


@test
def it_stops_with_two_hundred_viewers():
    with Daemon(*MJPEG, "--server-timeout", 60, fake="uvc:fps=10", clock=1) as daemon, contextlib.ExitStack() as stack:
        for _ in range(200):
            peer = stack.enter_context(daemon.connect())
            peer.sendall(b"GET /stream HTTP/1.0\r\n\r\n")
        wait_until(lambda: daemon.state()["stream"]["clients"] == 200, "200 viewers")
        daemon.stop_at_once("200 viewers that read nothing")


@test
def it_stops_with_clients_in_every_stage():
    with Daemon(*MJPEG, fake="uvc:first-frame-delay=60000", clock=1) as daemon, contextlib.ExitStack() as stack:
        for sent in (b"", b"GET /st", b"GET /stream HTTP/1.1\r\n", b"GET /stream HTTP/1.1\r\n\r\n",
                     b"GET /snapshot HTTP/1.1\r\n\r\n", b"GET /state HTTP/1.1\r\n\r\n",
                     b"POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\nabc"):
            for _ in range(5):
                stack.enter_context(daemon.connect()).sendall(sent)
        wait_until(lambda: daemon.state()["stream"]["clients"] == 5, "they are there")
        daemon.stop_at_once("clients in every stage")


PTRACE_SEIZE, PTRACE_INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000


@test
def it_stops_although_the_driver_holds_it():
    # A thread that a debugger holds is as dead to the others as one that a driver does not give back.
    libc = ctypes.CDLL(None, use_errno=True)
    with Daemon(*MJPEG, fake="uvc", clock=1) as daemon, daemon.stream() as stream:
        stream.part()
        daemon.tell("stall")  # so that it waits, and holds no lock of the others
        daemon.wait_state("no-frames")
        capture, = (tid for tid, name in daemon.process.threads().items() if name == "capture")
        for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
            if libc.ptrace(request, capture, None, None):
                raise Skip(f"ptrace: {os.strerror(ctypes.get_errno())}")
        os.waitpid(capture, WALL)
        daemon.clock.stop()
        daemon.child.send_signal(signal.SIGTERM)
        daemon.wait_log("stopping")
        check(not os.waitpid(capture, WALL | os.WNOHANG)[0], "it did not wait")
        # Its second begins after it said so.
        wait_until(lambda: daemon.clock.step(1) or os.waitpid(capture, WALL | os.WNOHANG)[0],
                   "the thread ends with the process")
        daemon.wait_exit()
        check(daemon.count_log("stuck in a driver"), "it does not say so")


@test
def a_second_signal_changes_nothing():
    with Daemon(*MJPEG, fake="uvc", clock=1) as daemon:
        daemon.wait_state("online")
        daemon.clock.stretch(20)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            daemon.child.send_signal(number)
        daemon.wait_exit()
        check(not daemon.count_log("stuck in a driver"), "it left without its threads")
    with Daemon(*MJPEG, fake="uvc:fps=30", violations=False) as daemon:
        daemon.wait_state("online")
        daemon.tell("hang dqbuf forever")  # so that the way out is long
        wait_until(lambda: "hanging=dqbuf" in daemon.tell("status"), "the driver hangs")
        daemon.child.send_signal(signal.SIGTERM)
        while daemon.child.poll() is None:
            daemon.child.send_signal(signal.SIGTERM)
            time.sleep(0.01)


@test
def the_port_can_be_used_again_at_once():
    with Daemon(*MJPEG, fake="uvc", clock=1) as daemon:
        with daemon.stream() as stream:
            stream.part()
            daemon.stop_at_once("a viewer")
        with Daemon("--source", "testcard", port=daemon.port) as second:
            check(second.get("/state").status == 200, "/state")
            with socket.create_connection(("127.0.0.1", second.port)):
                pass
