# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared-memory sinks, read as uStreamer's Janus plugins of 6.36 and 6.62 read them."""

import contextlib
import ctypes
import fcntl
import mmap
import os
import signal
import struct
import subprocess
import time
from pathlib import Path

from harness import (DAEMON, LONG, PATIENCE, Clock, Daemon, Failure, Skip, check, equal, figure, folder, free_name, jpeg_size,
                     no_rates, test, wait_until)
from test_cli import TINYPILOT
from test_h264 import Unit, check_decodes, check_units, h264

CARD = ("--source", "testcard", "--resolution", "320x240", "--h264-encoder", "x264")
H264, JPEG, YU12 = (int.from_bytes(name, "little") for name in (b"H264", b"JPEG", b"YU12"))

# Offsets of 64-bit readers: key request, width (height, format and stride follow), online (key follows),
# gop, the times, payload.
LAYOUTS = {
    7: (48, 52, 68, 72, {"grab": 80, "encode_begin": 96, "encode_end": 112}, 128),
    10: (64, 68, 84, 88, {"grab": 96, "grab_end": 112, "encode_begin": 128, "encode_end": 144}, 160),
}
CAPACITY = {("h264", 7): 2 << 20, ("h264", 10): 2 << 20, ("jpeg", 7): 4 << 20, ("jpeg", 10): 4 << 20,
            ("raw", 7): 1920 * 1200 * 3, ("raw", 10): 3840 * 2160 * 3}


class Frame:
    def __init__(self, memory, abi):
        _, sizes, flags, gop, times, payload = LAYOUTS[abi]
        self.identity, self.used = struct.unpack_from("QQ", memory, 16)
        self.width, self.height, self.format, self.stride = struct.unpack_from("4I", memory, sizes)
        self.online, self.key = memory[flags], memory[flags + 1]
        self.gop, = struct.unpack_from("I", memory, gop)
        self.times = {name: ctypes.c_longdouble.from_buffer_copy(memory[at:at + 16]).value for name, at in times.items()}
        self.data = memory[payload:payload + self.used]
        self.header, self.at = memory[:payload], times

    def check(self, medium, width, height, gop=0, now=None):
        """Every field: of a picture of the source, just captured. Of H.264, whether it is a key frame is left out."""
        format_, key = {"h264": (H264, self.key), "jpeg": (JPEG, 1), "raw": (YU12, 1)}[medium]
        stride = width if medium == "raw" else 0
        equal((self.width, self.height, self.format, self.stride, self.online, self.key, self.gop),
              (width, height, format_, stride, 1, key, gop), "width, height, format, stride, online, key, gop")
        check(0 < self.used == len(self.data), f"{self.used} bytes")
        now, times = now or time.monotonic(), self.times
        check(0 <= now - times["grab"] < (1 if LONG else PATIENCE), f"it was grabbed {now - times['grab']:.3f} s ago")
        check(times["grab"] <= times.get("grab_end", times["grab"]), f"{times}")
        if medium == "raw":
            equal((times["encode_begin"], times["encode_end"]), (0, 0), "the times of encoding")
        else:
            check(times.get("grab_end", times["grab"]) <= times["encode_begin"] < times["encode_end"] <= now, f"{times}")
        for at in self.at.values() if os.uname().machine == "x86_64" else ():
            equal(self.header[at + 10:at + 16], bytes(6), "what pads a time")

    def unit(self):
        return Unit([nal.rstrip(b"\0") for nal in self.data.split(b"\0\0\1") if nal.rstrip(b"\0")], 0)


class Reader:
    """A program with a sink open, as a context. quiet: as 6.36, it says that it is there only when it takes a
    frame; else it does at every look. now: its clock."""

    def __init__(self, name, abi=7, quiet=False, now=time.monotonic):
        self.abi, self.quiet, self.last, self.now = abi, quiet, None, now
        self.fd = wait_until(lambda: os.path.exists(f"/dev/shm/{name}") and os.open(f"/dev/shm/{name}", os.O_RDWR),
                             f"/dev/shm/{name} is there")
        size = LAYOUTS[abi][-1] + CAPACITY[name.replace(":", ".").split(".")[-1], abi]
        wait_until(lambda: os.fstat(self.fd).st_size >= size, "it has its size")
        self.memory = mmap.mmap(self.fd, size)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.memory.close()
        os.close(self.fd)

    @contextlib.contextmanager
    def lock(self, seconds=PATIENCE):
        def try_it():
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            return False
        wait_until(try_it, "the lock", seconds, every=0.001)
        try:
            yield
        finally:
            fcntl.flock(self.fd, fcntl.LOCK_UN)

    def show_up(self):
        self.memory[32:48] = bytes(ctypes.c_longdouble(self.now()))[:16]

    def ask_key(self):
        with self.lock():
            self.memory[LAYOUTS[self.abi][0]] = 1

    def wants_key(self):
        return self.memory[LAYOUTS[self.abi][0]]

    def look(self):
        """A new frame, or None."""
        with self.lock():
            magic, version, identity = struct.unpack_from("QI4xQ", self.memory, 0)
            if magic != 0xCAFEBABECAFEBABE:
                return None
            equal(version, self.abi, "the version")
            if not self.quiet:
                self.show_up()
            if identity == self.last:
                return None
            self.last = identity
            self.show_up()
            return Frame(self.memory, self.abi)

    def skip(self):
        """The frame that is there, by who has the lock."""
        self.last, = struct.unpack_from("Q", self.memory, 16)

    def frame(self, seconds=PATIENCE):
        return wait_until(self.look, "a frame", seconds, every=0.001)

    def frames(self, count):
        return [self.frame() for _ in range(count)]

    def frame_due(self, clock, fps=30):
        """The next one, of a clock that stands still: no later one is made before it is taken. It has to be there before
        we take the lock: a writer that has to wait for that waits for ever.
        """
        seen = clock.now()

        def is_there(seconds=PATIENCE):
            return wait_until(lambda: Frame(self.memory, self.abi).times["grab"] > seen, "the frame that is due", seconds,
                              every=0.001)
        clock.step(1 / fps)
        for _ in range(5):  # one that the stop held up may come before it; the sink keeps some milliseconds between them
            with contextlib.suppress(Failure):
                is_there(1)
                return self.frame()
            clock.step(0.004)
        is_there()
        return self.frame()

    def flow(self):
        """Looks until frames follow each other closely, which is when the daemon knows of us."""
        def is_close():
            began = self.now()
            self.frame()
            return self.now() - began < 0.2
        wait_until(lambda: is_close() and is_close(), "frames follow each other")


def own_name(suffix):
    return f"{os.path.basename(folder())}-{os.path.basename(free_name())}::{suffix}"


@contextlib.contextmanager
def named(suffix):
    """A name of this test's own; nothing of it is left."""
    name = own_name(suffix)
    try:
        yield name
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"/dev/shm/{name}")


def mode(name):
    return os.stat(f"/dev/shm/{name}").st_mode & 0o7777


def has_clients(daemon, medium="h264"):
    return daemon.state()["sinks"][medium]["has_clients"]


def from_key(frames):
    """The access units of frames, from the first key frame on."""
    units = [frame.unit() for frame in frames]
    for frame, unit in zip(frames, units):
        equal(bool(frame.key), unit.key, "the key flag")
    while units and not units[0].key:
        units.pop(0)
    return units


@test(measures=True)
def tinypilots_janus_plugin_gets_every_frame():
    with named("h264") as name:
        line = TINYPILOT.format(encoder="hw", format="jpeg").replace("tinypilot::ustreamer::h264", name)
        line += " --desired-fps 30 --resolution 640x480 --h264-encoder x264"
        with Daemon(*line.split(), fake="uvc:size=640x480", node="/dev/video0", clock=1) as daemon:
            daemon.wait_state("online")
            with Reader(name, 7, quiet=True, now=daemon.now) as reader:
                equal(os.stat(f"/dev/shm/{name}").st_size, 2097280, "the size of the object")
                equal(mode(name), 0o777, "its mode")
                reader.flow()
                if LONG:
                    frames = reader.frames(60)
                else:
                    daemon.clock.stop()
                    frames = [reader.frame_due(daemon.clock) for _ in range(63)][3:]
                    daemon.clock.stretch(1)
                equal(has_clients(daemon), True, "has_clients")
                reader.frame().check("h264", 640, 480, gop=30, now=daemon.now())
                units = from_key(frames)
                check_units(units)
                check_decodes(units)
        check(not os.path.exists(f"/dev/shm/{name}"), "it was not removed")


@test
def pikvms_programs_read_both_sinks():
    with named("h264") as video, named("jpeg") as pictures:
        with Daemon(*CARD, "--h264-sink", video, "--jpeg-sink", pictures, "--h264-gop", 0, "--jpeg-sink-mode", "0660",
                    env={"HDMICAST_SINK_ABI": "10"}) as daemon, \
                Reader(video, 10) as reader, Reader(pictures, 10) as jpeg:
            equal((mode(video), mode(pictures)), (0o660, 0o660), "the modes")
            reader.flow()
            jpeg.flow()
            frame = jpeg.frame()
            frame.check("jpeg", 320, 240)
            equal(jpeg_size(frame.data), (320, 240), "the size of the JPEG")
            reader.frame().check("h264", 320, 240)
            wait_until(lambda: has_clients(daemon) and has_clients(daemon, "jpeg"), "both have clients")
            check("raw" not in daemon.state()["sinks"], "the raw sink is listed")
        equal(sorted(map(os.path.exists, (f"/dev/shm/{video}", f"/dev/shm/{pictures}"))), [True] * 2, "they are kept")


@test
def every_field_is_right_in_both_layouts():
    for abi in LAYOUTS:
        with contextlib.ExitStack() as stack:
            names = {medium: stack.enter_context(named(medium)) for medium in ("h264", "jpeg", "raw")}
            options = [option for medium, name in names.items() for option in (f"--{medium}-sink", name)]
            stack.enter_context(Daemon(*CARD, *options, "--h264-gop", 25, "--sink-abi", abi))
            readers = {medium: stack.enter_context(Reader(name, abi)) for medium, name in names.items()}
            for medium, reader in readers.items():
                reader.flow()
                frames = reader.frames(3)
                frames[-1].check(medium, 320, 240, 25 if medium == "h264" else 0)
                equal(len({frame.identity for frame in frames}), 3, "different numbers")
                equal(os.stat(f"/dev/shm/{names[medium]}").st_size, LAYOUTS[abi][-1] + CAPACITY[medium, abi], "the size")
                equal(reader.wants_key(), 0, "a request that nobody made")


@test
def a_key_frame_comes_on_request():
    with named("h264") as name, \
            Daemon(*CARD, "--h264-sink", name, "--h264-gop", 0, clock=1 if LONG else 6) as daemon, \
            Reader(name, now=daemon.now) as reader:
        reader.flow()
        for _ in range(3):
            wait_until(lambda: not reader.frame().key, "a frame that is no key frame")
            daemon.clock.sleep(0.15)  # requests are kept 100 ms apart
            reader.look()
            daemon.clock.stretch(1 if LONG else 30)  # so that we see it before it is written over
            reader.ask_key()
            frames = [reader.frame()]
            while not frames[-1].key:
                frames.append(reader.frame())
            daemon.clock.stretch(1 if LONG else 6)
            check(len(frames) <= (6 if LONG else 12), f"it was number {len(frames)} after the request")
            equal(reader.wants_key(), 0, "the request after that")
        keys = h264(daemon)["keys"]
        check(keys <= 8, f"{keys} key frames for three requests")


@test
def without_a_reader_one_frame_a_second_is_made():
    with named("h264") as video, named("jpeg") as pictures, \
            Daemon(*CARD, "--h264-sink", video, "--jpeg-sink", pictures, clock=1 if LONG else 4) as daemon:
        wait_until(lambda: daemon.state()["sinks"]["h264"]["written"] > 0, "the first frame")
        before = daemon.state()
        began = daemon.now()
        wait_until(lambda: daemon.state()["sinks"]["h264"]["written"] >= before["sinks"]["h264"]["written"] + 3,
                   "three more")
        took = daemon.now() - began
        after = daemon.state()
        check(1.5 < took < 4.5, f"three frames in {took:.1f} s")
        made = after["h264"]["encoded"] - before["h264"]["encoded"]
        check(made <= 4 * took, f"{made} access units were made in {took:.1f} s")
        check(after["sinks"]["jpeg"]["written"] - before["sinks"]["jpeg"]["written"] <= took + 2, "JPEGs")
        equal(after["sinks"]["h264"]["has_clients"], False, "has_clients")


@test
def a_reader_that_comes_back_after_long_is_noticed():
    """6.36's plugin says nothing until it gets a frame, and the daemon encodes only for those it heard of."""
    with named("h264") as name, Daemon(*CARD, "--h264-sink", name, "--h264-sink-client-ttl", 1, clock=6) as daemon, \
            Reader(name, quiet=True, now=daemon.now) as reader:
        reader.flow()
        wait_until(lambda: reader.look() and has_clients(daemon), "it is noticed")
        wait_until(lambda: not has_clients(daemon), "it is forgotten")
        reader.look()
        reader.flow()
        equal(has_clients(daemon), True, "has_clients")


@test(measures=True)
def a_reader_that_stops_inside_the_lock_harms_nobody_else():
    clock = Clock()
    with named("h264") as video, named("jpeg") as pictures, \
            Daemon(*CARD, "--h264-sink", video, "--jpeg-sink", pictures, "--desired-fps", 30, clock=clock) as daemon, \
            Reader(video, now=clock.now) as reader, Reader(pictures, now=clock.now) as jpeg, daemon.stream() as stream:
        reader.flow()
        jpeg.flow()
        keys = h264(daemon)["keys"]
        clock.stretch(1 if LONG else 6)
        with reader.lock(), jpeg.lock():
            for _ in stream.parts(30):  # what waited
                pass
            began = clock.now()
            for _ in stream.parts(180 if LONG else 60):
                pass
            took = clock.now() - began
            fps = h264(daemon)["fps"]
            made = h264(daemon)["keys"] - keys
            reader.skip()
            clock.stretch(1 if LONG else 60)  # so that we see the next one before it is written over
        check(made <= 3 + took, f"{made} key frames in {took:.1f} s for a reader that takes none")
        frame = reader.frame()
        check(frame.key, "it goes on with a frame that leans on one that was skipped")
        if LONG:
            frames = [frame, *reader.frames(30)]
        else:
            clock.stop()
            frames = [frame, *(reader.frame_due(clock) for _ in range(30))]
        check_units(from_key(frames))
        check_decodes(from_key(frames))
        skipped = daemon.state()["sinks"]["h264"]["skipped"]
        check(skipped > 40, f"{skipped} frames were skipped")
        no_rates()
        check(fps > 25, f"H.264 has {fps} fps")
        check(5.7 < took < 6.3, f"180 pictures in {took:.2f} s")
        check(skipped > 120, f"{skipped} frames were skipped")


@test
def a_restart_is_not_noticed_by_readers():
    with named("h264") as name:
        daemon = Daemon(*CARD, "--h264-sink", name)
        with daemon, Reader(name, quiet=True) as reader:
            reader.flow()
            with Daemon(*CARD, "--h264-sink", name):
                daemon.stop()
                reader.look()
                frame = reader.frame()
                while not frame.key:
                    frame = reader.frame()
                reader.flow()


@test
def a_daemon_that_is_killed_while_it_writes_leaves_readers_whole_frames_or_none():
    with named("raw") as name, contextlib.ExitStack() as stack:
        reader = None

        def is_writing():
            return int.from_bytes(reader.memory[:8], "little") == 0

        def stops_in_a_write(pid):
            with reader.lock():
                reader.show_up()  # who is away gets a picture a second
            wait_until(is_writing, "a write", every=0)
            os.kill(pid, signal.SIGSTOP)
            wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", "it stands")
            if not is_writing():
                os.kill(pid, signal.SIGCONT)
            return is_writing()
        for _ in range(2):
            with Daemon("--source", "testcard", "--resolution", "1280x720", "--desired-fps", 60, "--raw-sink", name,
                        exit_status=-signal.SIGKILL) as daemon:
                reader = reader or stack.enter_context(Reader(name))
                reader.flow()
                wait_until(lambda pid=daemon.process.pid: stops_in_a_write(pid), "it stands while it writes", every=0)
                daemon.stop(signal.SIGKILL)
            equal(reader.look(), None, "the frame")  # and the lock went with its holder


@test
def readers_of_a_removed_sink_are_told():
    with named("h264") as name, Daemon(*CARD, "--h264-sink", name, "--h264-sink-rm", clock=1) as daemon, \
            Reader(name) as reader:
        reader.flow()
        daemon.stop()
        equal(struct.unpack_from("I", reader.memory, 8)[0], 0, "the version")
        check(not os.path.exists(f"/dev/shm/{name}"), "it was not removed")


@test
def it_stops_at_once_whatever_readers_do():
    with named("h264") as video, named("jpeg") as pictures, named("raw") as raw, \
            Daemon(*CARD, "--h264-sink", video, "--jpeg-sink", pictures, "--raw-sink", raw, "--h264-sink-rm",
                   clock=1) as daemon:
        with Reader(video) as reader, Reader(pictures) as jpeg, Reader(raw) as third:
            for each in (reader, jpeg, third):
                each.flow()
            with reader.lock(), jpeg.lock():
                daemon.stop_at_once("with readers")


@test
def raw_pictures_lie_as_v4l2_has_them():
    with named("raw") as name, Daemon("--format", "UYVY", "--raw-sink", name, "--sink-abi", 10,
                                      fake="csi:edid=set,signal=640x480@30") as daemon, Reader(name, 10) as reader:
        daemon.wait_state("online")
        reader.flow()
        frame = reader.frame()
        equal((frame.width, frame.height, frame.format), (640, 480, int.from_bytes(b"UYVY", "little")), "the picture")
        check(frame.stride >= 1280, f"a stride of {frame.stride}")
        check(frame.used >= frame.stride * 479 + 1280, f"{frame.used} bytes")
        check(any(frame.data), "it is empty")


@test
def the_slate_goes_to_sinks_too():
    with named("h264") as video, named("raw") as raw, \
            Daemon("--device", "/dev/not-there", "--resolution", "320x240", "--h264-encoder", "x264",
                   "--h264-sink", video, "--raw-sink", raw) as daemon, Reader(video) as reader, Reader(raw) as second:
        daemon.wait_state("no-device")
        frame = reader.frame()
        equal((frame.online, frame.key, frame.width), (0, 1, 320), "the card")
        frame = second.frame()
        equal((frame.online, frame.format, frame.used), (0, YU12, 320 * 240 * 3 // 2), "the raw card")


@test
def an_object_that_somebody_removes_is_made_again():
    with named("h264") as name, Daemon(*CARD, "--h264-sink", name) as daemon:
        with Reader(name):
            os.unlink(f"/dev/shm/{name}")
        daemon.wait_log("somebody removed it")
        with Reader(name) as reader:
            reader.flow()


@test
def sinks_that_cannot_be_are_off_until_they_can():
    with named("jpeg") as name:
        os.mkfifo(f"/dev/shm/{name}")
        with Daemon(*CARD, "--h264-sink", "no-suffix", "--raw-sink", "a/b.raw", "--jpeg-sink", name) as daemon:
            for what, words in (("no-suffix", "its name must end in :h264 or .h264 (tried"),
                                ("a/b.raw", "its name must have no '/' in it"), (name, "something else has its name")):
                line = daemon.wait_log(f"no sink {what}: ")
                check(f"{what}: {words}" in line, line)
            equal(daemon.get("/snapshot").status, 200, "the status of /snapshot")
            equal(has_clients(daemon), False, "has_clients")
            os.unlink(f"/dev/shm/{name}")
            daemon.wait_log(f"{name} is ready")
            equal(daemon.count_log("no sink "), 3, "complaints, tried again or not")


FULL = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=5m none /dev/shm && exec "$@"', "sh")


@test
def a_full_dev_shm_is_said_and_tried_again():
    """No sink takes what another one's readers have mapped, and none is there in part."""
    if subprocess.run(["unshare", "--mount", "true"], check=False, stderr=subprocess.DEVNULL).returncode:
        raise Skip("a /dev/shm of its own takes more rights than we have")
    with Daemon(*CARD[:2], "--resolution", "1280x720", "--jpeg-sink", "a::jpeg", "--raw-sink", "r.raw",
                command=FULL) as daemon, daemon.stream() as stream:
        own = daemon.process.root / "root/dev/shm"
        line = daemon.wait_log("no sink r.raw: ")
        check("/dev/shm is full: make room there" in line, line)
        daemon.wait_log("sink a::jpeg is ready")
        for _ in stream.parts(10):
            pass
        equal(os.listdir(own), ["a::jpeg"], "the objects")
        stat = os.stat(own / "a::jpeg")
        check(stat.st_blocks * 512 >= stat.st_size == 128 + (4 << 20), f"{stat.st_blocks} blocks of {stat.st_size} bytes")
        wait_until(lambda: daemon.state()["sinks"]["jpeg"]["written"] >= 2, "the other sink is written")
        equal(daemon.drops(), {}, "the drops")
        subprocess.run(["nsenter", "-t", str(daemon.process.pid), "-m", "mount", "-o", "remount,size=64m", "/dev/shm"],
                       check=True)
        daemon.wait_log("sink r.raw is ready")
        with open(own / "r.raw", "rb", buffering=0) as file:
            wait_until(lambda: os.pread(file.fileno(), 8, 0) != bytes(8), "it is written, too")
        equal(daemon.count_log("no sink "), 1, "complaints, tried again or not")


@test
def a_sink_takes_no_other_medium_than_its_name_says():
    """Janus aborts when there is a JPEG among its H.264."""
    with named("h264") as name, Daemon(*CARD, "--h264-sink", name, "--jpeg-sink", name, "--raw-sink", name) as daemon:
        for medium in ("jpeg", "raw"):
            daemon.wait_log(f"no sink {name}: its name must end in :{medium} or .{medium} ")
        with Reader(name) as reader:
            reader.flow()
            equal({frame.format for frame in reader.frames(30)}, {H264}, "what is in it")


@test
def garbage_from_readers_harms_nothing():
    with named("h264") as name, Daemon(*CARD, "--h264-sink", name) as daemon, Reader(name) as reader:
        reader.flow()
        end = time.monotonic() + 1
        while time.monotonic() < end:
            reader.memory[0:128] = os.urandom(128)
            os.ftruncate(reader.fd, int.from_bytes(os.urandom(2), "little"))
            time.sleep(0.002)
        os.ftruncate(reader.fd, 2097280)
        reader.flow()
        check_units([until_key(reader)])
        equal(daemon.get("/snapshot").status, 200, "the status of /snapshot")


def until_key(reader):
    reader.ask_key()
    return wait_until(lambda: next((frame for frame in reader.frames(1) if frame.key), None), "a key frame").unit()


@test
def readers_of_sinks_are_clients():
    with named("h264") as name, Daemon(*CARD, "--h264-sink", name, "--h264-sink-client-ttl", 1,
                                       "--exit-on-no-clients", 2, clock=20) as daemon:
        with Reader(name, now=daemon.now) as reader:
            reader.frame()
            wait_until(lambda: has_clients(daemon), "it is noticed")
            daemon.clock.stretch(4)  # it has to be seen each second
            end = daemon.now() + 3.5
            while daemon.now() < end:
                reader.frame()
            daemon.clock.stretch(1)
        daemon.wait_exit()
        check(daemon.count_log("nobody watched"), "it does not say why it ended")


@test
def a_layout_that_is_not_known_is_refused():
    done = subprocess.run([DAEMON, "--version"], env={**os.environ, "HDMICAST_SINK_ABI": "8"}, stderr=subprocess.PIPE,
                          stdout=subprocess.DEVNULL, check=False, timeout=PATIENCE)
    equal((done.returncode, done.stderr.decode().count("\n")), (2, 1), "the exit status and lines")
