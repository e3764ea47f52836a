# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts the daemon, talks to it and looks into its process; see main.py for how tests are run.

A test is a function whose name is a sentence, marked with @test. It fails by an exception, and
also when its daemon's stderr has sanitizer output, when the fake devices saw a mistake, or when
the exit status is another one than was expected.
"""

import base64
import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("BUILD", "build")
DAEMON = Path(os.environ.get("HDMICAST", BUILD / "hdmicast"))
FAKE = BUILD / "fake" / "libfakev4l2.so"
CLOCK = BUILD / "clock" / "libtestclock.so"
SAN = os.environ.get("SAN", "")
LONG = bool(os.environ.get("E2E_LONG"))
PATIENCE = 60.0  # seconds until something counts as never: no promise, for a busy machine is slow

for variable in ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"):
    os.environ.pop(variable, None)  # no proxy knows our daemons
    os.environ.pop(variable.upper(), None)

sys.path[:0] = [str(ROOT / "tests" / name) for name in ("", "fake", "clock")]
import ctl  # noqa: E402
import stamp  # noqa: E402
import testclock  # noqa: E402


class Failure(AssertionError):
    """What a test found."""


class Skip(Exception):
    """Why a test cannot run here."""


class Enough(Exception):
    """What was to be seen here was seen: the rest is measured, see no_rates()."""


class Test:
    def __init__(self, function, alone, long, seconds):
        self.function, self.alone, self.long, self.seconds = function, alone, long, seconds
        self.name = f"{Path(function.__code__.co_filename).stem.removeprefix('test_')}: {function.__name__}"


TESTS = []


def test(function=None, *, alone=False, measures=False, long=False, seconds=600):
    """Marks a test. alone: nothing else may run meanwhile. measures: so with E2E_LONG=1, see no_rates(). long: so, too,
    and it runs then only. seconds: after which it hangs.
    """
    def register(function):
        TESTS.append(Test(function, alone or LONG and (measures or long), long, seconds))
        return function
    return register(function) if function else register


def figure(text):
    """Prints something measured; the runner shows it above the test's line."""
    print(text, flush=True)


def check(condition, text):
    if not condition:
        raise Failure(text)


def equal(got, wanted, what):
    if got != wanted:
        raise Failure(f"{what} is {got!r}, not {wanted!r}")


def no_rates():
    """Rates and times say something on a machine with nothing else to do: with E2E_LONG=1 a test goes on here, but for
    instrumented builds, else it has passed.
    """
    if SAN or not LONG:
        raise Enough()


def wait_until(condition, what, seconds=PATIENCE, every=0.02):
    """Polls until the condition gives something true, and returns that."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise Failure(f"not within {seconds:g} s: {what}")
        time.sleep(every)


# In names of all that lies in /tmp and /dev/shm: of the runner, whose children tests are; see leftovers.py.
RUN = f"hdmicast-e2e-{os.getpid()}"


def free_port():
    """Stays bound, so that nobody else draws it, until this process ends: who sets SO_REUSEADDR may have it, too."""
    probe = socket.socket()
    probe.bind(("127.0.0.1", 0))
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    free_port.probes.append(probe)
    return probe.getsockname()[1]


free_port.probes = []


def free_name(suffix=""):
    """A path in this test's own folder, which is removed after it."""
    return os.path.join(folder(), f"{next(free_name.count)}{suffix}")


free_name.count = itertools.count(1)  # threads count, too


def folder():
    """Of this process; main.py removes it. In /tmp, where others look for what was left, whatever $TMPDIR says."""
    with folder.lock:
        if not folder.path:
            folder.path = tempfile.mkdtemp(prefix=f"{RUN}-", dir="/tmp")
        return folder.path


folder.path, folder.lock = None, threading.Lock()


def for_everybody(path):
    """A copy of a program that any user can start, whose checkout may be its owner's alone; folder() opens for it."""
    os.chmod(folder(), 0o755)
    copy = shutil.copy(path, free_name(f"-{os.path.basename(path)}"))
    os.chmod(copy, 0o755)
    return copy


# ---- the process


def Clock(slower=1):
    """A clock of this test's own, for daemons and readers: see tests/clock. Instrumented ones get twice the time."""
    return testclock.Clock(free_name(".clock"), slower if slower == 1 or not SAN else 2 * slower)


def in_time_of(clock):
    """The environment of a program that shares a daemon's clock."""
    return {**os.environ, "LD_PRELOAD": preload(fake=False, clock=True), "HDMICAST_TEST_CLOCK": clock.path}


def preload(fake=True, clock=False):
    """Sanitizers first, then the fake devices, whose time is the clock's."""
    libraries = [str(FAKE)] * fake + [str(CLOCK)] * clock
    for name, library in (("address", "libasan.so"), ("thread", "libtsan.so")):
        if name in SAN.split(","):
            path = subprocess.run(["gcc", f"-print-file-name={library}"], stdout=subprocess.PIPE, text=True,
                                  check=True).stdout.strip()
            libraries.insert(0, os.path.realpath(path))
    return " ".join(libraries)


class Process:
    """What /proc tells about one."""

    def __init__(self, pid):
        self.pid, self.root = pid, Path("/proc") / str(pid)

    def fds(self):
        found = {}
        for entry in os.listdir(self.root / "fd"):
            with contextlib.suppress(FileNotFoundError):
                found[int(entry)] = os.readlink(self.root / "fd" / entry)
        return found

    def threads(self):
        """{tid: name}"""
        found = {}
        for tid in os.listdir(self.root / "task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found[int(tid)] = (self.root / "task" / tid / "comm").read_text().strip()
        return found

    def own_threads(self):
        """Names without those of the fake devices, sorted."""
        return sorted(name for name in self.threads().values() if not name.startswith("fake-"))

    def device_mappings(self):
        """Buffers of the (fake) driver that are mapped: the fake's own view of each is constant."""
        return [line for line in (self.root / "maps").read_text().splitlines() if "fake-buffer" in line]

    def rss_kib(self):
        return int(re.search(r"^VmRSS:\s+(\d+)", (self.root / "status").read_text(), re.M)[1])

    def cpu_ns(self):
        """CPU time of all threads but the fake devices' own."""
        total = 0
        for tid, name in self.threads().items():
            if not name.startswith("fake-"):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    total += int((self.root / "task" / str(tid) / "schedstat").read_text().split()[0])
        return total


class Daemon:
    """The program under test, as a context. `fake` is the configuration of fake devices (see
    tests/fake/fake.h), whose first device is at `node`; without it there are no devices at all.
    `clock`: a Clock(), or how many times slower its time goes. `command`: which starts it; `program`:
    another one than the build's, as for_everybody(DAEMON), which a `user` gets by itself.
    """

    def __init__(self, *options, fake=None, node="/dev/fake-uvc", link=None, exit_status=0, ready=True, env=None,
                 port=None, listen=True, command=None, program=None, violations=True, clock=None, **popen):
        self.options = [str(option) for option in options]
        self.port = port or free_port()
        self.unix = None
        if listen:
            self.options += ["--port", str(self.port)]
        self.fake, self.exit_status, self.violations = fake, exit_status, violations
        self.env = {name: value for name, value in os.environ.items()
                    if not name.startswith(("HDMICAST_", "FAKE_", "NOTIFY_", "LISTEN_", "WATCHDOG_", "JOURNAL_"))}
        self.env["HDMICAST_FAKE"] = fake or ""
        if isinstance(clock, int):
            clock = Clock(clock)
        self.clock = clock
        if fake is not None or self.clock:
            self.env["LD_PRELOAD"] = preload(fake is not None, bool(self.clock))
        if self.clock:
            self.env["HDMICAST_TEST_CLOCK"] = self.clock.path
        if fake is not None:
            self.control_path, self.report_path = free_name(".ctl"), free_name(".report")
            self.env.update(HDMICAST_FAKE_PATH=node, HDMICAST_FAKE_CTL=self.control_path,
                            HDMICAST_FAKE_REPORT=self.report_path)
            if node != "/dev/video0" and not any(option.startswith(("--device", "-d")) for option in self.options):
                self.options += ["--device", node]
        self.env.update(env or {})
        program = program or (for_everybody(DAEMON) if "user" in popen else DAEMON)
        self.command = [*(command or []), str(program), *self.options]
        self.wait_ready, self.popen = ready, popen
        self.lines, self.arrived = [], threading.Condition()
        self.child = None

    # -- life

    def __enter__(self):
        self.child = subprocess.Popen(self.command, env=self.env, stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **self.popen)
        self.process = Process(self.child.pid)
        self.reader = threading.Thread(target=self._collect, daemon=True)
        self.reader.start()
        if self.wait_ready:
            try:
                self.wait_log("ready: ")
            except BaseException:
                self.kill()
                raise
        return self

    def __exit__(self, kind, error, trace):
        failed = kind and kind not in (Skip, Enough)
        try:
            if self.child.poll() is None:
                if failed:
                    self.kill()
                else:
                    self.stop()
            if not failed:
                self._judge()
        finally:
            self.kill()
            if failed:
                error.args = (f"{error}{self._last_words()}",)

    def _last_words(self):
        lines = self.sanitizer_lines() or self.lines[-3:]
        return " [stderr: " + " | ".join(lines) + "]" if lines else " [stderr: nothing]"

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        self.reader.join(2)

    def now(self):
        """Its time."""
        return self.clock.now() if self.clock else time.monotonic()

    def stop(self, number=signal.SIGTERM, seconds=PATIENCE):
        """Ends it and returns how long that took, in seconds of its time, which goes slowly then: it leaves its threads
        when they take too long, and that judges the machine, too.
        """
        if self.clock and not LONG:
            self.clock.stretch(20)
        began = self.now()
        self.child.send_signal(number)
        self.wait_exit(seconds)
        return self.now() - began

    def stop_at_once(self, what=""):
        """Within a second, as all its waits have it."""
        took = self.stop()
        check(not self.count_log("stuck in a driver"), f"it left without its threads {what}")
        check(SAN or not self.clock or took < 1, f"{took:.2f} s to stop {what}")

    def wait_exit(self, seconds=PATIENCE):
        try:
            status = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"still running after {seconds:g} s") from None
        self.reader.join(PATIENCE)
        return status

    def sanitizer_lines(self):
        return [line for line in self.lines if re.search(r"(ERROR|WARNING|SUMMARY): \w+Sanitizer|runtime error:", line)]

    def _judge(self):
        check(not self.sanitizer_lines(), f"a sanitizer spoke: {' | '.join(self.sanitizer_lines()[:3])}")
        equal(self.child.returncode, self.exit_status, "the exit status")
        found = self.violations_found()
        check(not (self.violations and found), f"mistakes that the fake driver saw: {found}")

    def violations_found(self):
        if self.fake is None or not os.path.exists(self.report_path):
            return []
        with open(self.report_path, encoding="utf-8") as report:
            found = [line.strip() for line in report if not line.startswith("summary ")]
        # A second without a buffer is the machine's doing, too, unless the second is long. Who says that frames are in
        # use long after the end may leave them to the kernel.
        return [line for line in found if not (
            line.startswith("STARVE") and not LONG and not self.clock or
            line.startswith("LEAK") and self.count_log("capture buffers are still being read"))]

    # -- what it says

    def _collect(self):
        for line in self.child.stderr:
            with self.arrived:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self.arrived.notify_all()
        with self.arrived:
            self.arrived.notify_all()

    def count_log(self, text, since=0):
        with self.arrived:
            return sum(text in line for line in self.lines[since:])

    def wait_log(self, text, seconds=PATIENCE, since=0):
        """The first line with the text."""
        end = time.monotonic() + seconds
        with self.arrived:
            while True:
                for line in self.lines[since:]:
                    if text in line:
                        return line
                left = end - time.monotonic()
                if left <= 0 or (self.child.poll() is not None and not self.reader.is_alive()):
                    raise Failure(f"never said '{text}'")
                self.arrived.wait(min(left, 0.5))

    def tell(self, command):
        """To the fake devices."""
        answer = ctl.send(self.control_path, command)
        check(answer.startswith("ok"), f"fake device, {command}: {answer}")
        return answer[3:]

    def fake_status(self):
        return dict(pair.split("=", 1) for pair in self.tell("status").split())

    # -- HTTP

    def connect(self, seconds=PATIENCE):
        if self.unix:
            peer = socket.socket(socket.AF_UNIX)
            peer.settimeout(seconds)
            peer.connect(self.unix)
            return peer
        return socket.create_connection(("127.0.0.1", self.port), seconds)

    def get(self, path, method="GET", headers=None, seconds=PATIENCE):
        with self.connect(seconds) as peer:
            lines = [f"{method} {path} HTTP/1.1", "Host: test", "Connection: close"]
            lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
            peer.sendall("\r\n".join([*lines, "", ""]).encode())
            with peer.makefile("rb") as answer:
                return Reply(answer, with_body=method != "HEAD")

    def document(self):
        reply = self.get("/state")
        equal(reply.status, 200, "the status of /state")
        return json.loads(reply.body)

    def state(self):
        return self.document()["result"]

    def source(self):
        return self.state()["source"]

    def wait_state(self, name, seconds=PATIENCE):
        """Until source.state is this one; how long it took."""
        began = time.monotonic()
        last = {}

        def is_there():
            last.update(self.source())
            return last["state"] == name
        try:
            wait_until(is_there, name, seconds)
        except Failure:
            raise Failure(f"the state is {last['state']} and not {name} after {seconds:g} s") from None
        return time.monotonic() - began

    def drops(self):
        return {reason: count for reason, count in self.state()["drops"].items() if count}

    def stream(self, query="", **more):
        return Stream(self, query, **more)


class Reply:
    """One HTTP reply. headers: lower-case names; of several with a name, the last."""

    def __init__(self, file, with_body=True):
        line = file.readline().decode("latin-1").rstrip("\r\n")
        match = re.fullmatch(r"HTTP/(1\.[01]) (\d{3}) ?(.*)", line)
        check(match, f"not a status line: {line!r}")
        self.version, self.status = match[1], int(match[2])
        self.lines = []
        while (line := file.readline()) not in (b"\r\n", b""):
            check(line.endswith(b"\r\n"), f"a header ends without CR LF: {line!r}")
            self.lines.append(line.decode("latin-1").rstrip("\r\n"))
        self.headers = {}
        for line in self.lines:
            name, _, value = line.partition(": ")
            self.headers[name.lower()] = value
        self.body = b""
        if with_body:
            length = self.headers.get("content-length")
            self.body = file.read() if length is None else file.read(int(length))
            if length is not None and len(self.body) != int(length):
                raise Failure(f"{len(self.body)} bytes came of {length}")


def ask_again(ask):
    """A reply. Who is told to come back, having waited for a first key frame, does so: that judges the machine, too."""
    end = time.monotonic() + PATIENCE
    reply = ask()
    while not LONG and reply.status == 503 and "retry-after" in reply.headers and time.monotonic() < end:
        reply = ask()
    return reply


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


class Part:
    """One picture of a stream."""

    def __init__(self, headers, body, received_ns):
        self.headers, self.body, self.received_ns = headers, body, received_ns

    def time_ns(self, name):
        """One of X-UStreamer-…-Time, on CLOCK_MONOTONIC."""
        seconds, micros = self.headers[f"x-ustreamer-{name.lower()}-time"].split(".")
        return int(seconds) * 1_000_000_000 + int(micros) * 1000

    @property
    def online(self):
        return self.headers["x-ustreamer-online"] == "true"


BOUNDARY = b"--boundarydonotcross\r\n"


class Stream:
    """A reader of /stream, as a context: parts() gives pictures as they come."""

    def __init__(self, daemon, query="", headers=None, path="/stream", peer=None):
        self.peer = peer or daemon.connect()
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        self.peer.sendall(f"GET {path}{'?' if query else ''}{query} HTTP/1.1\r\nHost: test\r\n{lines}\r\n".encode())
        self.file = self.peer.makefile("rb", buffering=1 << 18)
        self.reply = Reply(self.file, with_body=False)
        equal(self.reply.status, 200, "the status of /stream")
        self.advance = "advance_headers=1" in query
        equal(self.file.readline(), BOUNDARY, "the first line of the stream")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.peer.close()

    def part(self):
        headers = {}
        while (line := self.file.readline()) != b"\r\n":
            check(line.endswith(b"\r\n"), f"the stream ended in the headers of a part: {line!r}")
            name, _, value = line.decode("latin-1").rstrip("\r\n").partition(": ")
            headers[name.lower()] = value
        if "content-length" in headers:
            length = int(headers["content-length"])
            body = self.file.read(length)
            received = time.monotonic_ns()
            equal(len(body), length, "the length of a picture")
            equal(self.file.readline() + self.file.readline(), b"\r\n" + BOUNDARY, "the end of a part")
        else:
            check(self.advance, "a part has no Content-Length")
            body = self._read_to_boundary()
            received = time.monotonic_ns()
        return Part(headers, body, received)

    def _read_to_boundary(self):
        end = b"\r\n" + BOUNDARY
        body = bytearray()
        while not body.endswith(end):
            line = self.file.readline()
            check(line, "the stream ended in a picture")
            body += line
        return bytes(body[:-len(end)])

    def parts(self, count=None, seconds=None):
        """Pictures: so many, or as many as come in that time."""
        end = time.monotonic() + seconds if seconds else None
        while count is None or count > 0:
            if end and time.monotonic() >= end:
                return
            yield self.part()
            count = count - 1 if count else None

    def wait_part(self, condition, what, seconds=PATIENCE):
        """The first picture for which it is true, and how long that took from now."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            part = self.part()
            if condition(part):
                return part, time.monotonic() - began
        raise Failure(f"no picture within {seconds:g} s: {what}")


def rate_of(times_ns):
    """Frames per second and the longest gap in ms of moments in ns."""
    gaps = [b - a for a, b in zip(times_ns, times_ns[1:])]
    return len(gaps) / ((times_ns[-1] - times_ns[0]) / 1e9), max(gaps) / 1e6


# ---- pictures


def jpeg_size(jpeg):
    """Width and height as the frame header tells."""
    at = 2
    while at + 9 < len(jpeg) and jpeg[at] == 0xFF:
        if 0xC0 <= jpeg[at + 1] <= 0xC2:
            return int.from_bytes(jpeg[at + 7:at + 9], "big"), int.from_bytes(jpeg[at + 5:at + 7], "big")
        at += 2 + int.from_bytes(jpeg[at + 2:at + 4], "big")
    raise Failure("a picture without a frame header")


def decode(jpegs, crop=None, strict=True):
    """Grey pictures of JPEGs of one size, each checked by ffmpeg, which may not warn of anything."""
    if not shutil.which("ffmpeg"):
        raise Skip("ffmpeg is not installed")
    width, height = jpeg_size(jpegs[0])
    filters = ["-vf", f"crop={crop[0]}:{crop[1]}:0:0"] if crop else []
    width, height = crop or (width, height)
    source = free_name(".mjpeg")
    with open(source, "wb") as file:
        file.writelines(jpegs)
    done = subprocess.run(["ffmpeg", "-nostdin", "-v", "warning", "-threads", "2", "-f", "mjpeg", "-i", source,
                           *filters, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    os.unlink(source)
    said = [line for line in done.stderr.decode(errors="replace").splitlines()
            if "deprecated pixel format" not in line]  # of full-range YUV: true of every JPEG
    check(not (strict and said), f"ffmpeg: {said[:1]}")
    size = width * height
    pictures = [done.stdout[at:at + size] for at in range(0, len(done.stdout), size)]
    if strict:
        equal(len(pictures), len(jpegs), "the number of pictures that ffmpeg decodes")
    return pictures


def stamps(jpegs):
    """The frame numbers that the fake devices drew."""
    width = jpeg_size(jpegs[0])[0]
    block = stamp.side(width)
    crop = (stamp.BITS * block, block)
    reading_width = crop[0] if stamp.side(crop[0]) == block else width
    if reading_width != crop[0]:
        crop = (width, block)
    return [stamp.read(picture, crop[0]) for picture in decode(jpegs, crop)]
