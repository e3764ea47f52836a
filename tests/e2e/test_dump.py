# SPDX-License-Identifier: GPL-3.0-or-later
"""hdmicast-dump on the daemon's rings and sinks, and on sinks of a writer that is not ours (sink_writer.py)."""

import base64
import contextlib
import fcntl
import json
import os
import re
import select
import signal
import struct
import subprocess
import threading
import time

from harness import (BUILD, PATIENCE, SAN, Clock, Daemon, check, equal, figure, free_name, in_time_of, no_rates, test,
                     wait_until)
from sink_writer import LAYOUTS, MAGIC, Writer
from test_h264 import Unit, check_decodes
from test_memsink import CARD, H264, JPEG, named, own_name

DUMP = BUILD / "hdmicast-dump"
TIMES = ("grab_ts", "grab_begin_ts", "grab_end_ts", "encode_begin_ts", "encode_end_ts")


class Dump:
    """The program, as a context: it is ended by SIGINT if it has not ended by itself."""

    def __init__(self, *options, status=0, **popen):
        self.command, self.status = [DUMP, *map(str, options)], status
        self.popen = {"stdout": subprocess.PIPE, **popen}

    def __enter__(self):
        self.child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, **self.popen)
        self.said = []
        self.thread = threading.Thread(target=self._collect, daemon=True)
        self.thread.start()
        return self

    def _collect(self):
        for line in self.child.stderr:
            self.said.append(line.decode(errors="replace").strip())

    def __exit__(self, kind, *_):
        try:
            if self.child.poll() is None:
                self.child.send_signal(signal.SIGINT)
            status = self.wait()
            if not kind:
                equal(status, self.status, f"the exit status, having said {self.said},")
                check(not [line for line in self.said if "Sanitizer" in line or "runtime error" in line], f"{self.said}")
        finally:
            self.child.kill()
            self.child.wait()

    def wait(self):
        status = self.child.wait(PATIENCE)
        self.thread.join(PATIENCE)
        return status

    def stop(self, number, clock):
        """Ends it, at once by its own clock."""
        clock.stretch(20)
        began = clock.now()
        self.child.send_signal(number)
        equal(self.wait(), 0, "the exit status")
        check(SAN or clock.now() - began < 0.5, f"{clock.now() - began:.2f} s to stop")

    def wait_said(self, text, seconds=PATIENCE):
        return wait_until(lambda: next((line for line in self.said if text in line), None),
                          f"says '{text}', and not {self.said}", seconds)

    def count_said(self, text):
        return sum(text in line for line in self.said)

    def line(self, seconds=PATIENCE):
        """The next line of JSON. Numbers with a point stay as they are written."""
        check(select.select([self.child.stdout], [], [], seconds)[0], f"no line; it said {self.said}")
        return json.loads(self.child.stdout.readline(), parse_float=str)


def output(*options, status=0, clock=None):
    """What it writes to stdout, and says on stderr."""
    done = subprocess.run([DUMP, *map(str, options)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, timeout=(3 if clock else 1) * PATIENCE,
                          env=in_time_of(clock) if clock else None)
    said = done.stderr.decode(errors="replace")
    equal(done.returncode, status, f"the exit status of {options}, having said {said!r},")
    check("Sanitizer" not in said and "runtime error" not in said, said)
    return done.stdout, said


@contextlib.contextmanager
def ring(medium):
    """The name of a ring, and the options that make it."""
    name = own_name(medium).replace("::", "-")
    try:
        yield name, ("--" + medium + "-ring", name)
    finally:
        for path in (f"/dev/shm/{name}", f"/dev/shm/{name}.ctl"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def split(stream):
    """The access units of a byte stream: a new one begins behind slices, with what is none, or with a first one."""
    units, seen = [], True
    for nal in (nal.rstrip(b"\0") for nal in stream.split(b"\0\0\1") if nal.rstrip(b"\0")):
        is_slice = nal[0] & 31 in (1, 5)
        if seen and (not is_slice or nal[1] & 0x80):
            units.append([])
        units[-1].append(nal)
        seen = is_slice
    return [Unit(nals, 0) for nals in units]


# ---- sinks, of an independent writer


def fields(writer, number):
    """Of frame `number`, each another value."""
    made = {"width": 640 + number, "height": 480 + number, "format": H264, "stride": 7 * number, "online": number % 2,
            "key": (number + 1) % 2, "gop": 30 + number}
    return made | {name: f"{81234 + number}.{i}23456789" for i, name in enumerate(TIMES) if name in writer.at}


def check_fields(abi, *options):
    name = own_name("h264")
    with Writer(name, abi) as writer, Dump("--sink", name, "--output-json", "--count", 3, *options) as dump:
        for number in range(3):
            data = bytes(range(256))[:200 + number] * (1 + 50 * number)
            wanted = fields(writer, number)
            writer.put(data, **wanted)
            line = dump.line()
            equal(base64.b64decode(line.pop("data"), validate=True), data, f"the bytes with layout {abi}")
            equal(line, {"size": len(data), **wanted}, f"a frame of layout {abi}")
            wait_until(lambda: 0 <= writer.client_age() < PATIENCE, "the reader shows up")


@test
def every_field_of_a_foreign_writer_is_told():
    for abi in LAYOUTS:
        check_fields(abi)
        check_fields(abi, "--sink-abi", abi)


@test
def a_key_frame_is_asked_for_and_comes_first():
    for abi in LAYOUTS:
        name = own_name("h264")
        with Writer(name, abi) as writer, Dump("-s", name, "-k", "-j", "-c", 2, "--no-data") as dump:
            writer.put(b"delta", format=H264)
            wait_until(writer.wants_key, "it asks for a key frame")
            writer.put(b"delta", format=H264)
            writer.put(b"key frame", format=H264, key=1)
            equal((dump.line()["size"], writer.wants_key()), (9, 0), "the size of the first frame, and the request")
            writer.put(b"delta", format=H264, key=0)
            equal(dump.line(), {**dict.fromkeys(dump_members(writer), 0), "size": 5, "format": H264} |
                  dict.fromkeys((name for name in TIMES if name in writer.at), "0.000000000"), "the second")
            equal(writer.wants_key(), 0, "another request")


def dump_members(writer):
    return set(writer.at) - {"version", "wants_key", "payload"}


@test
def a_reader_stays_a_reader_between_frames():
    name = own_name("jpeg")
    with Writer(name, "7") as writer, Dump("-s", name, "-j", "-i", "60", "--no-data") as dump:
        writer.put(b"picture", format=JPEG)
        dump.line()
        first = time.monotonic() - writer.client_age()
        wait_until(lambda: time.monotonic() - writer.client_age() > first + 0.5, "it shows up again")
        writer.put(b"picture", format=JPEG)
        check(not select.select([dump.child.stdout], [], [], 0.3)[0], "it does not wait between frames")


@test
def hostile_sinks_are_told_apart_and_harm_nothing():
    name = own_name("h264")
    with Writer(name, "10") as writer, Dump("--sink", name, "--output-json") as dump:
        writer.put(b"first")
        equal(dump.line()["size"], 5, "the size")
        for used in (2**63, 2**64 - 1, (2 << 20) + 1):
            writer.put(b"", used=used)
            dump.wait_said(f"claims to have {used} bytes")
        writer.memory[84:160] = b"\xff" * 76  # no bool, and no number
        writer.put(b"second")
        line = dump.line()
        equal((line["size"], line["online"], line["key"], line["grab_begin_ts"]), (6, 1, 1, "0.000000000"), "the fields")
        os.ftruncate(writer.fd, 170)
        os.pwrite(writer.fd, b"\xee" * 8 + b"\1\2" + bytes(6), 16)
        dump.wait_said("claims to have 513 bytes, and there is room for 10")
        os.ftruncate(writer.fd, 100)
        os.pwrite(writer.fd, b"\xdd" * 8, 16)
        equal(dump.wait(), 1, "the exit status")
        dump.wait_said("shorter than the header")
        dump.status = 1


@test
def what_is_no_sink_is_refused_with_the_reason():
    name = own_name("h264")
    for reason, size, options, frame in (
            ("is no sink", None, (), {"magic": MAGIC + 1}),
            ("is a ring", None, (), {"magic": int.from_bytes(b"hdcring1", "little")}),
            ("has layout 11, which is not known", None, (), {"version": 11}),
            ("has layout 4, which is not known", None, (), {"version": 4}),
            ("has layout 10, not 7b", None, ("--sink-abi", "7b"), {}),
            ("shorter than the header", 150, (), {})):
        with Writer(name, "10", size) as writer:
            before = bytes(writer.memory[32:48])
            if size:
                writer.set(8, "I", 10)
                writer.set(0, "Q", MAGIC)
            else:
                writer.put(b"data", **frame)
            _, said = output("--sink", name, *options, status=1)
            check(reason in said and said.count("\n") == 1, f"said {said!r}, not '{reason}'")
            equal(bytes(writer.memory[32:48]), before, f"the first bytes of what '{reason}'")


@test
def what_is_no_shared_memory_is_refused():
    name = own_name("h264")
    path = f"/dev/shm/{name}"
    for make, remove in ((os.mkfifo, os.unlink), (os.mkdir, os.rmdir),
                         (lambda path: os.symlink("/etc/passwd", path), os.unlink)):
        make(path)
        try:
            for option, words in (("--sink", "is no sink"), ("--ring", "is no ring")):
                _, said = output(option, name, status=1)
                check(words in said and said.count("\n") == 1, f"said {said!r}, not '{words}'")
        finally:
            remove(path)


@test
def a_sink_is_waited_for_and_found_again():
    name = own_name("jpeg")
    with Dump("-s", name, "-j", "--no-data") as dump:
        for number in (1, 2):
            wait_until(lambda: dump.count_said("there is none of this name") == number, "it waits")
            with Writer(name, "7") as writer:
                writer.put(b"x" * number, format=JPEG)
                equal(dump.line()["size"], number, "the size")
        with Writer(name, "7"):
            dump.wait_said("no frame came yet")


@test
def a_lock_that_is_held_for_ever_is_told():
    name = own_name("h264")
    clock = Clock()
    with Writer(name, "10") as writer, Dump("--sink", name, env=in_time_of(clock)) as dump:
        with writer.lock():
            dump.wait_said("another program holds its lock")
            dump.stop(signal.SIGINT, clock)


# ---- the daemon's


@test
def the_daemons_sinks_are_read():
    clock = Clock(20)  # a reader that is late misses frames
    for abi in (7, 10):
        with named("h264") as video, named("jpeg") as pictures, \
                Daemon(*CARD, "--h264-sink", video, "--jpeg-sink", pictures, "--sink-abi", abi, clock=clock):
            stream, _ = output("--sink", video, "-k", "-o", "-", "-c", 30, clock=clock)
            check_decodes(split(stream))
            lines, _ = output("--sink", pictures, "-j", "-c", 2, clock=clock)
            line = json.loads(lines.splitlines()[-1])
            equal((line["width"], line["height"], line["format"], line["stride"], line["online"], line["gop"]),
                  (320, 240, JPEG, 0, 1, 0), "a JPEG's fields")
            equal(base64.b64decode(line["data"])[:2], b"\xff\xd8", "its first bytes")


@test
def a_ring_goes_into_a_pipe():
    clock = Clock(4)
    with ring("h264") as (name, options), Daemon(*CARD, *options, clock=clock):
        stream, _ = output("--h264", name, "--count", 30, clock=clock)
        units = split(stream)
        equal(len(units), 30, "access units")
        check_decodes(units)
        lines, _ = output("--ring", name, "-j", "--count", 30, clock=clock)
        frames = [json.loads(line) for line in lines.splitlines()]
        sequence = [frame["sequence"] for frame in frames]
        equal(sequence, list(range(sequence[0], sequence[0] + 30)), "the sequence")
        check_decodes(split(b"".join(base64.b64decode(frame["data"]) for frame in frames)))
        frame = frames[-1]
        equal((frame["width"], frame["height"], frame["format"], frame["online"], frame["lost"]),
              (320, 240, H264, 1, 0), "the fields")
        check(frame["grab_begin_ts"] < frame["encode_begin_ts"] < frame["encode_end_ts"] < frame["publish_ts"], frame)


@test
def it_goes_on_when_the_writer_comes_back():
    with ring("jpeg") as (name, options), Dump("--jpeg", name, "-o", os.devnull, "-j", "--stats") as dump:
        dump.wait_said("waiting for ring")
        frames = 0
        for _ in range(2):
            with Daemon(*CARD, *options, clock=1):
                wait_until(lambda: dump.line()["frames"] > frames, "frames are counted")
                frames = dump.line()["frames"]
            dump.wait_said("there is no ring of this name")


@test
def it_ends_with_its_reader():
    with ring("jpeg") as (name, options), Daemon(*CARD, *options):
        for more in ((), ("--stats",)):
            with Dump("--jpeg", name, *more) as dump:
                dump.child.stdout.read(10)
                dump.child.stdout.close()
                equal(dump.wait(), 0, "the exit status")
        reading, writing = os.pipe()
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
        clock = Clock()
        with Dump("--jpeg", name, stdout=writing, env=in_time_of(clock)) as dump:
            check(select.select([reading], [], [], PATIENCE)[0], "it writes nothing")  # and waits for us now
            dump.stop(signal.SIGTERM, clock)
        os.close(reading)
        os.close(writing)


@test
def what_is_no_ring_is_refused_with_the_reason():
    with ring("jpeg") as (name, options):
        with Daemon(*CARD, *options), Dump("--jpeg", name, "-o", os.devnull, "-c", 1) as dump:
            dump.wait()
        path = f"/dev/shm/{name}"
        with Daemon(*CARD, *options):
            _, said = output("--h264", name, status=1)
            check("holds JPEG" in said, said)
            with open(path, "rb") as file:
                ours = file.read()
    for reason, content in (("is no ring; a sink", b"something else" * 100), ("newer version", ours[:8] + b"\2" + ours[9:]),
                            ("shorter than the ring", ours[:-1]), ("contradicts itself", ours[:20] + b"\3" + ours[21:])):
        try:
            with open(path, "wb") as file:
                file.write(content)
            _, said = output("--ring", name, status=1)
            check(reason in said and said.count("\n") == 1, f"said {said!r}, not '{reason}'")
        finally:
            os.unlink(path)


@test
def times_that_cannot_be_are_json_all_the_same():
    with ring("jpeg") as (name, options):
        path = f"/dev/shm/{name}"
        with Daemon(*CARD, *options), Dump("--jpeg", name, "-o", os.devnull, "-c", 1) as dump:
            dump.wait()
            with open(path, "rb") as file:
                content = bytearray(file.read())
        content[140:144] = content[136:140]  # the newest frame is there for who comes, as while there are readers
        for ns, text in ((-1, "-0.000000001"), (-2**63, "-9223372036.854775808"), (2**63 - 1, "9223372036.854775807")):
            for slot in range(int.from_bytes(content[20:24], "little")):
                struct.pack_into("=q", content, 256 + 128 * slot + 32, ns)
            with open(path, "wb") as file:
                file.write(content)
            line, _ = output("--ring", name, "-j", "-c", 1, "--no-data")
            equal(json.loads(line, parse_float=str)["grab_begin_ts"], text, "the time")
            output("--ring", name, "--verbose", "--stats", "-c", 1)


@test
def output_that_cannot_be_written_is_an_error():
    with ring("jpeg") as (name, options), Daemon(*CARD, *options):
        _, said = output("--jpeg", name, "-o", "/dev/full", status=1)
        check("cannot write to /dev/full: No space left" in said, said)
        _, said = output("--jpeg", name, "-o", free_name() + "/x", status=1)
        check("No such file or directory" in said, said)
        path = free_name(".jpg")
        output("--jpeg", name, "-o", path, "-c", 1)
        with open(path, "rb") as file:
            check(re.fullmatch(rb"\xff\xd8.*\xff\xd9", file.read(), re.S), "it is no JPEG")


@test(long=True)
def latency_agrees_with_state():
    """Acceptance: within a millisecond, from capture to the reader here, to the ring there."""
    no_rates()
    with ring("h264") as (name, options), Daemon(*CARD, "--desired-fps", 30, *options) as daemon:
        with Dump("--h264", name, "--stats", "-j") as dump:
            for _ in range(30):
                line = dump.line()
                state = daemon.state()["rings"]["h264"]["latency_ms"]
        here, there = line["latency_ms"], line["published_ms"]
        figure(f"/state {state}, published {there}, here {here}")
        for name in ("p50", "p95", "p99"):
            check(abs(float(there[name]) - state[name]) < 1, f"{name}: {there[name]} ms, /state has {state[name]:.3f}")
            check(abs(float(here[name]) - state[name]) < 1, f"{name}: {here[name]} ms, /state has {state[name]:.3f}")
        check(25 < float(line["fps"]) < 31, f"{line['fps']} fps")
        equal((line["lost"], line["dropped"]), (0, 0), "losses")


@test
def what_the_first_frame_took_to_come_is_in_no_rate():
    with ring("jpeg") as (name, options), Daemon(*CARD, *options):
        text, _ = output("--jpeg", name, "-o", os.devnull, "-j", "--stats", "-c", 1)
        equal([json.loads(text.splitlines()[-1])[key] for key in ("frames", "fps", "kbps")], [1, 0, 0], "of one")


@test
def raw_pictures_may_be_jpegs_as_the_grabber_gives_them():
    with ring("raw") as (name, options), Daemon("--format", "MJPEG", *options, fake="uvc"):
        jpeg, _ = output("--raw", name, "-c", 1)
        check(re.fullmatch(rb"\xff\xd8.*\xff\xd9", jpeg, re.S), "it is no JPEG")


@test
def stats_of_a_sink_leave_out_what_it_does_not_tell():
    with named("jpeg") as name, Daemon(*CARD, "--jpeg-sink", name), Dump("-s", name, "--stats", "-j", "-c", 30) as dump:
        line = dump.line()
        while not line["latency_ms"]:  # a line a second, and nothing came in the first
            line = dump.line()
        check(0 < float(line["latency_ms"]["p50"]) <= float(line["latency_ms"]["p99"]), f"{line}")
        equal((line["published_ms"], line["lost"], line["dropped"]), (None, None, None), "what is unknown")
    with named("jpeg") as name, Daemon(*CARD, "--jpeg-sink", name):
        text, _ = output("-s", name, "--stats", "-c", 30)
        check(re.fullmatch(r"([\d.]+ fps, \d+ kbit/s(, latency [\d.]+ ms \(95 %: [\d.]+, 99 %: [\d.]+\))?\n)+",
                           text.decode()), text)


@test
def wrong_command_lines_are_told_in_one_line():
    for options in ((), ("--ring",), ("--ring", ""), ("--ring", "a", "--sink", "b"), ("--ring", "a", "--sink-abi", "7"),
                    ("--sink", "a", "--sink-abi", "9"), ("--ring", "a", "--no-data"), ("--ring", "a", "--count", "-1"),
                    ("--ring", "a", "--interval", "61"), ("--ring", "a", "--interval", "nan"), ("--ring", "a", "b"),
                    ("--nonsense",)):
        out, said = output(*options, status=2)
        check(said.count("\n") == 1 and not out, f"{options}: {said!r}")
    ours, terminal = os.openpty()
    with Dump("--h264", "a", stdout=terminal, status=2) as dump:
        dump.wait()
    os.close(ours)
    os.close(terminal)
    equal(dump.said, ["hdmicast-dump: frames would spoil this terminal: use a pipe, or --output FILE"], "what it says")
    check(b"--sink-abi" in output("--help")[0], "the text of --help")
    check(re.fullmatch(rb"[\d.]+\n", output("--version")[0]), "the version")
