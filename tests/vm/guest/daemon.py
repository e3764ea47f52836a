# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon under test: its process, its HTTP answers and what it holds of the system's resources."""

import http.client
import itertools
import json
import os
import re
import signal
import subprocess
import time
import unittest
from collections import Counter

import host
import waiting

STOP_SECONDS = 1      # from SIGTERM to the end, in any state
REASON_SECONDS = 1.5  # by then /state names what is wrong
BACK_SECONDS = 2.0    # so long after the device can deliver, the picture is back
ERROR_DELAY = 1.0     # --device-error-delay: the pause before a failed device is opened again
SETTLE_SECONDS = 0.3  # resources that do not change for so long are settled
DEVICE_TIMEOUT = 1.0  # --device-timeout: silence that long makes the daemon open the device again

_ports = itertools.count(8080)


class Daemon:
    """One running daemon. Used with `with`, or with stop()."""

    def __init__(self, device, *options):
        self.port = next(_ports)
        self.log = host.OUT / f"daemon-{self.port}.log"
        command = [os.environ["HDMICAST"], f"--device={device}", "--host=127.0.0.1", f"--port={self.port}",
                   "--persistent", "--device-timeout=1", "--device-error-delay=1", *options]
        with open(self.log, "wb") as log:
            log.write((" ".join(command) + "\n").encode())
            log.flush()
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            waiting.until(self.answers, 5, f"the daemon answers; see {self.log.name}")
        except AssertionError:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def alive(self):
        """A daemon must outlive whatever its device does."""
        return self.process.poll() is None

    def stop(self):
        """Ends the daemon; one that does not end well and in time is a failure."""
        if not self.alive():
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(waiting.limit(STOP_SECONDS))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"not gone {waiting.limit(STOP_SECONDS)} s after SIGTERM") from None
        if self.process.returncode:
            raise AssertionError(f"status {self.process.returncode} after SIGTERM; see {self.log.name}")

    # ---- HTTP ----

    def url(self, path):
        """For programs such as curl."""
        return f"http://127.0.0.1:{self.port}{path}"

    def get(self, path):
        """Returns (headers, body); headers in lower case."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=waiting.PATIENCE)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise AssertionError(f"GET {path}: status {response.status}")
        return {name.lower(): value for name, value in response.getheaders()}, body

    def answers(self):
        """True when it listens; a daemon that has exited never will."""
        if not self.alive():
            raise AssertionError(f"the daemon ended with status {self.process.returncode}; see {self.log.name}")
        try:
            return bool(self.result())
        except ConnectionRefusedError:
            return False

    def result(self):
        """/state's whole result."""
        return json.loads(self.get("/state")[1])["result"]

    def source(self):
        """/state's word on the source."""
        return self.result()["source"]

    def snapshot(self):
        """Returns (headers, JPEG)."""
        return self.get("/snapshot")

    # ---- waiting ----

    def await_source(self, seconds, what, condition):
        """Waits until the source's state fulfils the condition; returns the seconds that took."""
        started = time.monotonic()
        seen = {}

        def check():
            if not self.alive():
                raise AssertionError(f"the daemon ended with status {self.process.returncode}; see {self.log.name}")
            seen.clear()
            seen.update(self.source())
            return condition(seen)

        waiting.until(check, seconds, lambda: f"{what}; last seen {brief(seen)}")
        return time.monotonic() - started

    def await_reason(self, *names, seconds=REASON_SECONDS):
        """Waits until the source is offline for one of these reasons."""
        reason = " or ".join(names)
        took = self.await_source(seconds, f"offline as {reason}",
                                 lambda source: not source["online"] and source.get("state") in names)
        print(f"  {reason} after {took:.2f} s")

    def await_picture(self, seconds=BACK_SECONDS):
        """Waits until the source is online and a snapshot shows it, not the card."""
        started = time.monotonic()
        self.await_source(seconds, "online", lambda source: source["online"])
        waiting.until(lambda: self.snapshot()[0].get("x-ustreamer-online") == "true",
                      seconds - (time.monotonic() - started), "a snapshot of the source")
        print(f"  picture after {time.monotonic() - started:.2f} s")

    # ---- resources ----

    def resources(self):
        """What is open, mapped and running; device numbers left out, as they may change."""
        process = f"/proc/{self.process.pid}"
        opened = Counter()
        for descriptor in os.listdir(f"{process}/fd"):
            try:
                opened[re.sub(r"\d+|\s\(deleted\)", "", os.readlink(f"{process}/fd/{descriptor}"))] += 1
            except FileNotFoundError:
                pass  # closed in the meantime
        with open(f"{process}/maps", encoding="ascii") as maps:
            mapped = sum("/dev/video" in line for line in maps)
        return {"opened": opened, "mapped": mapped, "threads": len(os.listdir(f"{process}/task"))}


    def settled_resources(self):
        """The same once they no longer change: the last request's connection is closed a little after it."""
        samples = [self.resources()]

        def settled():
            time.sleep(SETTLE_SECONDS)
            samples.append(self.resources())
            return samples[-1] == samples[-2]

        waiting.until(settled, 3, lambda: f"resources stay the same: {samples[-2]}, then {samples[-1]}")
        return samples[-1]


def brief(source):
    """The part of the source's state that tells what is wrong."""
    return {key: source.get(key) for key in ("online", "state", "captured_fps", "resolution")}


class SurvivalTest(unittest.TestCase):
    """One daemon lives through all tests of a class; after each test it holds what it held before.

    Subclasses say how to heal() the device and with which arguments to start the daemon (command()).
    """

    daemon = None

    @classmethod
    def tearDownClass(cls):
        if cls.daemon:
            cls.daemon.stop()
            cls.daemon = None

    def setUp(self):
        self.heal()
        self.start_daemon()
        self.before = self.daemon.settled_resources()
        self.assertGreater(self.before["mapped"], 0, "device buffers mapped while the picture is there")

    def start_daemon(self):
        """The class's daemon, online; a new one where an earlier test has left it broken."""
        cls = type(self)
        if cls.daemon and cls.daemon.alive():
            try:
                cls.daemon.await_picture(5)
                return
            except AssertionError:
                cls.daemon.stop()
        cls.daemon = Daemon(*self.command())
        cls.daemon.await_picture(5)

    def tearDown(self):
        self.heal()
        if not self.daemon.alive():
            raise AssertionError(f"the daemon has ended with status {self.daemon.process.returncode}")
        self.daemon.await_picture(5)
        waiting.until(lambda: self.daemon.resources() == self.before, 3,
                      lambda: f"nothing is left over: {self.before} before, {self.daemon.resources()} after")
