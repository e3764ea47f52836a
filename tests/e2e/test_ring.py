# SPDX-License-Identifier: GPL-3.0-or-later
"""Rings, as programs that use libhdmicast-ring read them."""

import contextlib
import os
import random
import signal
import subprocess
import threading
import time
from collections import namedtuple

from harness import (BUILD, DAEMON, LONG, PATIENCE, SAN, Daemon, Failure, Skip, check, equal, figure, folder,
                     for_everybody, free_name, no_rates, rate_of, test, wait_until)
from test_h264 import Unit, check_decodes, check_units, h264

CARD = ("--source", "testcard", "--resolution", "320x240", "--h264-encoder", "x264")
H264, JPEG, YU12 = (int.from_bytes(name, "little") for name in (b"H264", b"JPEG", b"YU12"))
KEY, ONLINE = 1, 2
MEDIA = ("jpeg", "raw", "h264")

Frame = namedtuple("Frame", "epoch sequence lost flags fourcc width height size stride dropped oversized "
                   "captured_ns published_ns read_ns")


class Reader:
    """tests/e2e/ring_reader.c on a ring, as a context. It may come before the ring does."""

    def __init__(self, name, with_bytes=False, pause_ms=0):
        self.path = free_name(".bytes") if with_bytes else ""
        self.command = [BUILD / "e2e/ring_reader", name, self.path, str(pause_ms)]
        self.frames, self.arrived = [], threading.Condition()

    def __enter__(self):
        self.opened_ns = time.monotonic_ns()
        self.child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.thread = threading.Thread(target=self._collect, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self, number=signal.SIGKILL):
        self.child.send_signal(number)
        if number == signal.SIGKILL:
            self.child.wait()
            self.thread.join(PATIENCE)

    def _collect(self):
        for line in self.child.stdout:
            with self.arrived:
                self.frames.append(Frame(*map(int, line.split())))
                self.arrived.notify_all()

    def wait(self, count):
        """So many frames, from the first one on."""
        with self.arrived:
            ok = self.arrived.wait_for(lambda: len(self.frames) >= count, PATIENCE)
            check(ok, f"{len(self.frames)} frames of {count} in {PATIENCE:g} s")
            return self.frames[:count]

    def more(self, count):
        """So many from now on."""
        have = len(self.frames)
        return self.wait(have + count)[have:]

    def units(self):
        """The access units of what was read so far."""
        with self.arrived:
            frames = list(self.frames)
        with open(self.path, "rb") as file:
            return [Unit([nal.rstrip(b"\0") for nal in file.read(frame.size).split(b"\0\0\1") if nal.rstrip(b"\0")], 0)
                    for frame in frames]


def check_sequence(frames):
    """Each one follows the one before, or tells how many are missing; how many those are."""
    for last, frame in zip(frames, frames[1:]):
        if last.epoch == frame.epoch:
            equal(frame.sequence, last.sequence + 1 + frame.lost, "the sequence")
    return sum(frame.lost for frame in frames)


def remove(name):
    for path in (f"/dev/shm/{name}", f"/dev/shm/{name}.ctl"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


@contextlib.contextmanager
def rings(*media):
    """Names of rings, and the options that make them; nothing of them is left."""
    names = [f"{os.path.basename(folder())}-{medium}" for medium in media]
    options = [option for medium, name in zip(media, names) for option in (f"--{medium}-ring", name)]
    try:
        yield (*names, options)
    finally:
        for name in names:
            remove(name)


def ring(daemon, medium="h264"):
    return daemon.state()["rings"][medium]


@test
def every_medium_arrives_in_its_own_ring():
    with rings(*MEDIA) as (jpeg, raw, video, options), Daemon(*CARD, *options) as daemon, \
            Reader(jpeg, True) as pictures, Reader(raw) as plain, Reader(video, True) as units:
        for reader, fourcc in ((pictures, JPEG), (plain, YU12), (units, H264)):
            frames = reader.wait(30)
            equal({(frame.fourcc, frame.width, frame.height) for frame in frames}, {(fourcc, 320, 240)}, "the frames")
            check(all(frame.flags & ONLINE for frame in frames), "some are no picture of the source")
            equal(len({frame.epoch for frame in frames[1:]}), 1, "the number of rings")
            check_sequence(frames)
            check(all(frame.captured_ns < frame.published_ns < frame.read_ns for frame in frames), "the times")
        equal({(frame.size, frame.stride) for frame in plain.frames}, {(320 * 240 * 3 // 2, 320)}, "the raw pictures")
        check(all(frame.flags & KEY for frame in pictures.frames + plain.frames), "a picture that is no key frame")
        units.kill()
        check_units(units.units())
        check_decodes(units.units())
        with open(pictures.path, "rb") as file:
            for frame in pictures.frames[:30]:
                data = file.read(frame.size)
                check(data[:2] == b"\xff\xd8" and data[-2:] == b"\xff\xd9", "it is no JPEG")
        equal(sorted(daemon.state()["rings"]), sorted(MEDIA), "the rings in /state")
        check("sinks" not in daemon.state(), "there are sinks in /state")


@test
def nothing_is_made_while_nobody_reads():
    with rings("h264", "jpeg") as (video, jpeg, options), Daemon(*CARD, *options, "--h264-gop", 0) as daemon:
        def work():
            state = daemon.state()
            for ring in state["rings"].values():
                del ring["latency_ms"]  # of the last ten seconds: it goes by itself
            return state["h264"]["encoded"], state["rings"]

        def rests():
            before = work()
            time.sleep(1)  # what the encoder still has comes late on a busy machine
            return work() == before
        wait_until(lambda: all(ring["bytes"] for ring in daemon.state()["rings"].values()), "the rings are there")
        for _ in range(2):
            wait_until(rests, "what was begun for a reader is finished")
            before = work()
            time.sleep(0.5)
            equal(work(), before, "the work")
            with Reader(video) as reader:
                frames = reader.wait(5)
                check(frames[0].flags & KEY, "it begins in between")
                check(frames[0].captured_ns > reader.opened_ns, "it begins with what was there before it came")
                wait_until(lambda: ring(daemon)["readers"] == 1, "it is counted")
                equal(ring(daemon, "jpeg")["published"], 0, "the JPEGs")
            wait_until(lambda: ring(daemon)["readers"] == 0, "it is forgotten")
            published = ring(daemon)["published"]
            check(published >= len(reader.frames), f"{published} were published and {len(reader.frames)} read")


@test(long=True)
def a_picture_comes_soon_after_its_reader():
    """Also of a ring that has to be made for it."""
    waits = []
    with rings("raw") as (raw, options), Daemon(*CARD, *options) as daemon:
        for _ in range(5):
            with Reader(raw) as reader:
                first = reader.wait(1)[0]
                waits.append((first.read_ns - reader.opened_ns) / 1e6)
            wait_until(lambda: ring(daemon, "raw")["readers"] == 0, "it is forgotten")
    figure(f"raw ring, reader's start to its first picture: {', '.join(f'{wait:.0f}' for wait in waits)} ms")
    if not SAN:
        check(sorted(waits)[2] < 200, f"it took {waits} ms")


@test
def a_second_reader_starts_with_the_key_frame_that_is_there():
    with rings("h264") as (video, options), Daemon(*CARD, *options, "--h264-gop", 0) as daemon, Reader(video) as first:
        first.wait(30)
        keys = h264(daemon)["keys"]
        with Reader(video, True) as second:
            frame = second.wait(1)[0]
            check(frame.flags & KEY and frame.published_ns < second.opened_ns, f"it starts with {frame}")
            second.wait(60)
            wait_until(lambda: ring(daemon)["readers"] == 2, "both are counted")
            second.kill()
            check_units(second.units())
        equal(h264(daemon)["keys"], keys, "key frames")
        equal(check_sequence(first.frames), 0, "frames that the first one lost")


@test
def a_key_frame_comes_for_who_asks():
    """By the control object, as any program may: place 0 is that of the only reader."""
    with rings("h264") as (video, options), Daemon(*CARD, *options, "--h264-gop", 0) as daemon, Reader(video) as reader:
        reader.wait(5)
        with open(f"/dev/shm/{video}.ctl", "r+b", buffering=0) as control:
            for number in range(5):  # also soon after each other, and after the reader came
                began_ns = time.monotonic_ns()
                # What the reader says itself may cover it up before it is heard: then it is said again.
                for again in range(100):
                    os.pwrite(control.fileno(), (1000 + 100 * number + again).to_bytes(4, "little"), 64 + 8)
                    with contextlib.suppress(Failure):
                        wait_until(lambda: any(frame.flags & KEY and frame.published_ns > began_ns
                                               for frame in reader.frames[-60:]), "it", seconds=0.5, every=0.001)
                        break
                else:
                    raise Failure(f"no key frame for request {number}")
            began, keys = time.monotonic(), h264(daemon)["keys"]
            while time.monotonic() - began < 1:
                os.pwrite(control.fileno(), os.urandom(4), 64 + 8)
                time.sleep(0.001)
        made, took = h264(daemon)["keys"] - keys, time.monotonic() - began
        check(made <= 12 * took, f"{made} key frames in {took:.1f} s")


def follow(how):
    """Daemons that end one after the other; how long their readers had nothing, without the start of a daemon."""
    gaps = []
    with rings("jpeg", "raw") as (jpeg, raw, options), contextlib.ExitStack() as stack:
        readers = [stack.enter_context(Reader(name)) for name in (jpeg, raw)]
        for turn in range(4):
            with Daemon(*CARD[:2], "--resolution", "1280x720", *options,
                        exit_status=-9 if how == signal.SIGKILL else 0) as daemon:
                ready_ns = time.monotonic_ns()
                daemon.wait_state("online")
                marks = [len(reader.frames) for reader in readers]
                for reader, mark in zip(readers, marks):
                    reader.wait(mark + 10)
                    first = next(frame for frame in reader.frames if frame.published_ns > ready_ns)
                    if turn:
                        gaps.append((first.read_ns - ready_ns) / 1e6)
                daemon.stop(how)
        for reader in readers:
            reader.kill()
            check_sequence(reader.frames)
            check(len({frame.epoch for frame in reader.frames}) >= 4, "it did not see each of the rings")
    return gaps


def judge_gaps(gaps, how):
    figure(f"daemon ready to readers' first frame, after {how}: {', '.join(f'{gap:.0f}' for gap in gaps)} ms")
    no_rates()
    check(sorted(gaps)[len(gaps) // 2] < 100 and max(gaps) < 1000, f"{gaps} ms")


@test(measures=True)
def readers_follow_a_daemon_that_is_killed():
    judge_gaps(follow(signal.SIGKILL), "SIGKILL")


@test(measures=True)
def readers_follow_a_daemon_that_is_restarted():
    judge_gaps(follow(signal.SIGTERM), "SIGTERM")


@test
def the_raw_ring_grows_with_the_picture():
    with rings("raw") as (raw, options), \
            Daemon("--format", "UYVY", *options, fake="csi:edid=set,signal=640x480@30") as daemon, Reader(raw) as reader:
        daemon.wait_state("online")
        wait_until(lambda: reader.frames and reader.frames[-1].width == 640, "pictures")
        wait_until(lambda: ring(daemon, "raw")["bytes"] == 8 * reader.frames[-1].size, "room for eight")
        daemon.tell("signal 1280x720@30")
        wait_until(lambda: reader.frames[-1].width == 1280, "larger ones")
        check_sequence(reader.more(10))
        wait_until(lambda: ring(daemon, "raw")["bytes"] == 8 * reader.frames[-1].size, "room for eight")
        daemon.tell("signal 640x480@30")
        wait_until(lambda: reader.frames[-1].width == 640, "small ones")
        epoch = reader.frames[-1].epoch
        equal({frame.epoch for frame in reader.more(10)}, {epoch}, "the ring")
        equal(daemon.drops(), {}, "the drops")


@test
def what_is_too_large_is_left_out_and_said():
    with rings("raw", "jpeg") as (raw, jpeg, options), \
            Daemon(*CARD, *options, "--raw-ring-size", "100k") as daemon, Reader(raw) as reader, Reader(jpeg) as other:
        line = daemon.wait_log(f"the ring {raw} takes")
        check("115200 bytes" in line and "larger -size" in line, line)
        other.wait(30)
        wait_until(lambda: ring(daemon, "raw")["dropped"] >= 10, "they are counted")
        equal((ring(daemon, "raw")["published"], reader.frames), (0, []), "what was published")
        check(daemon.drops()["sink"] >= 10, f"the drops are {daemon.drops()}")
        equal(ring(daemon, "jpeg")["dropped"], 0, "dropped JPEGs")


@test
def each_ring_that_leaves_something_out_is_named():
    with rings("raw", "jpeg") as (raw, jpeg, options), \
            Daemon(*CARD[:2], "--resolution", "1920x1080", *options, "--raw-ring-size", "64k", "--jpeg-ring-size",
                   "64k") as daemon, \
            Reader(raw), Reader(jpeg):
        began = time.monotonic()
        wait_until(lambda: all(daemon.count_log(f"the ring {name} takes") >= 3 for name in (raw, jpeg)), "both are said")
        most = 2 * (time.monotonic() - began + 2)
        check(daemon.count_log("frame dropped") <= most, f"said more than {most:.0f} times: twice a second")


FULL = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=10m none /dev/shm && exec "$@"', "sh")


@test
def a_full_dev_shm_is_said_and_tried_again():
    if subprocess.run(["unshare", "--mount", "true"], check=False, stderr=subprocess.DEVNULL).returncode:
        raise Skip("a /dev/shm of its own takes more rights than we have")
    with Daemon(*CARD, "--jpeg-ring", "full-jpeg", "--h264-ring", "full-h264", "--h264-ring-size", "1M",
                command=FULL) as daemon, daemon.stream() as stream:
        line = daemon.wait_log("no ring full-jpeg: ")
        check("/dev/shm is full: make room there" in line, line)
        daemon.wait_log("ring full-h264 is ready")
        for _ in stream.parts(10):
            pass
        equal([ring(daemon, medium)["bytes"] for medium in ("jpeg", "h264")], [0, 1 << 20], "the sizes")
        equal(sorted(os.listdir(daemon.process.root / "root/dev/shm")), ["full-h264", "full-h264.ctl"], "the objects")
        subprocess.run(["nsenter", "-t", str(daemon.process.pid), "-m", "mount", "-o", "remount,size=64m", "/dev/shm"],
                       check=True)
        daemon.wait_log("ring full-jpeg is ready")
        equal(daemon.count_log("no ring "), 1, "complaints, tried again or not")


@test
def rings_that_cannot_be_are_off_until_they_can():
    with rings("jpeg") as (jpeg, _):
        with open(f"/dev/shm/{jpeg}", "wb") as file:
            file.write(b"something else")
        with Daemon(*CARD, "--h264-ring", "a/b", "--raw-ring", "x" * 300, "--jpeg-ring", jpeg) as daemon:
            for name, words in (("a/b", "no '/'"), ("x" * 300, "shorter name"), (jpeg, "something else has its name")):
                line = daemon.wait_log(f"no ring {name}: ")
                check(words in line, line)
            equal(daemon.get("/snapshot").status, 200, "the status of /snapshot")
            equal(ring(daemon)["readers"], 0, "readers")
            with open(f"/dev/shm/{jpeg}", "rb") as file:
                equal(file.read(), b"something else", "the object of another program")
            os.unlink(f"/dev/shm/{jpeg}")
            daemon.wait_log(f"{jpeg} is ready")
            equal(daemon.count_log("no ring "), 3, "complaints, tried again or not")


@test
def what_another_user_left_is_said():
    if os.geteuid():
        raise Skip("only root has other users' files")
    with rings("h264") as (video, options):
        for name in (video, f"{video}.ctl"):
            os.close(os.open(f"/dev/shm/{name}", os.O_CREAT, 0o600))
            with Daemon(*CARD, *options, program=for_everybody(DAEMON),
                        command=("setpriv", "--reuid=65534", "--clear-groups")) as daemon:
                line = daemon.wait_log(f"no ring {video}: ")
                check("belongs to another user" in line, line)
            os.unlink(f"/dev/shm/{name}")
        with Daemon(*CARD, *options, "--h264-ring-group", 0, program=for_everybody(DAEMON),
                    command=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")) as daemon:
            line = daemon.wait_log(f"no ring {video}: ")
            check("not in that group" in line, line)


@test
def a_ring_has_the_mode_and_the_group_that_were_asked_for():
    with rings("h264", "jpeg") as (video, jpeg, options), \
            Daemon(*CARD, *options, "--h264-ring-mode", "0644", *(["--h264-ring-group", "daemon"] if not os.geteuid() else []),
                   "--jpeg-ring-mode", "0600", umask=0o077) as daemon:
        for name in (video, jpeg):
            daemon.wait_log(f"ring {name} is ready")
        stats = [os.stat(f"/dev/shm/{name}") for name in (video, f"{video}.ctl", jpeg, f"{jpeg}.ctl")]
        equal([oct(stat.st_mode & 0o7777) for stat in stats], ["0o644", "0o666", "0o600", "0o600"], "the modes")
        if not os.geteuid():
            equal([stat.st_gid for stat in stats], [1, 1, 0, 0], "the groups")


@test
def an_object_that_somebody_removes_is_made_again():
    with rings("jpeg") as (jpeg, options), Daemon(*CARD, *options) as daemon, Reader(jpeg) as reader:
        reader.wait(5)
        for name in (jpeg, f"{jpeg}.ctl"):
            since, epoch = len(daemon.lines), reader.frames[-1].epoch
            os.unlink(f"/dev/shm/{name}")
            daemon.wait_log("somebody removed it", since=since)
            wait_until(lambda: reader.frames[-1].epoch != epoch, "frames of the new one")


@test(measures=True)
def garbage_in_the_control_object_harms_nobody():
    stop = threading.Event()

    def spoil(name):
        with open(f"/dev/shm/{name}.ctl", "r+b", buffering=0) as control:
            while not stop.wait(0.002):
                os.pwrite(control.fileno(), os.urandom(2112), 0)
                os.ftruncate(control.fileno(), random.choice((0, 1, 64, 100, 2112)))

    count = 600 if LONG else 60
    with rings("h264", "jpeg") as (video, jpeg, options), Daemon(*CARD, *options) as daemon, \
            Reader(video) as units, Reader(jpeg) as pictures, daemon.stream() as stream:
        units.wait(10)
        pictures.wait(10)
        spoilers = [threading.Thread(target=spoil, args=(name,)) for name in (video, jpeg)]
        for thread in spoilers:
            thread.start()
        try:
            marks = len(units.frames), len(pictures.frames)
            shown = [part.received_ns for part in stream.parts(count)]
            with Reader(jpeg) as late:
                late.wait(30)
        finally:
            stop.set()
            for thread in spoilers:
                thread.join()
        late.kill()
        for frames in (units.more(30), pictures.more(30)):
            check_sequence(frames)
        no_rates()
        fps, gap = rate_of(shown)
        figure(f"with garbage in the control objects: MJPEG {fps:.1f} fps, longest gap {gap:.0f} ms")
        check(fps > 29, f"MJPEG has {fps:.1f} fps")
        for name, reader, mark in (("H.264", units, marks[0]), ("JPEG", pictures, marks[1])):
            frames = reader.frames[mark:]
            fps, gap = rate_of([frame.read_ns for frame in frames])
            figure(f"with garbage in the control objects: {name} ring {fps:.1f} fps, longest gap {gap:.0f} ms")
            check(fps > 28, f"{name} has {fps:.1f} fps")
            equal(check_sequence(frames), 0, f"lost frames of {name}")


@test(measures=True)
def a_reader_that_stops_or_dawdles_harms_nobody():
    with rings("raw") as (raw, options), \
            Daemon(*CARD, *options, "--raw-ring-size", "2M", clock=1 if LONG else 6) as daemon, Reader(raw) as good, \
            Reader(raw) as stopped, Reader(raw, pause_ms=500 if LONG else 6000) as slow, daemon.stream() as stream:
        good.wait(10)
        stopped.wait(10)
        slow.wait(1)
        stopped.kill(signal.SIGSTOP)
        mark = len(good.frames)
        shown, _ = rate_of([part.received_ns for part in stream.parts(90)])
        good.more(10)
        read, _ = rate_of([frame.read_ns for frame in good.frames[mark:]])
        lost_by_good = check_sequence(good.frames)
        stopped.kill(signal.SIGCONT)
        stopped.more(10)
        lost = check_sequence(stopped.frames)
        check(lost > 60, f"it lost {lost}")
        check(check_sequence(slow.frames) > 30, f"the slow one lost {check_sequence(slow.frames)}")

        def told():
            state = ring(daemon, "raw")
            return state["readers"] == 3 and state["laps"] >= 3 and state["lost"] >= lost + 30 and state
        state = wait_until(told, "/state tells of it")
        check(state["wakes"] > 30, f"{state['wakes']} wakes")
        good.kill()
        equal(lost_by_good, 0, "frames that the good reader lost")
        no_rates()
        check(shown > 29 and read > 28, f"MJPEG has {shown:.1f} fps, the good reader {read:.1f}")
        check(state["published"] - len(good.frames) < 60, f"{state['published']} published, {len(good.frames)} read")


@test
def readers_of_rings_are_clients():
    with rings("jpeg") as (jpeg, options), Daemon(*CARD, *options, "--exit-on-no-clients", 1, clock=40) as daemon:
        with Reader(jpeg) as reader:
            reader.wait(1)
            daemon.clock.stretch(1)
            reader.wait(90)
        daemon.wait_exit()
        check(daemon.count_log("nobody watched"), "it does not say why it ended")


@test
def it_stops_at_once_with_readers_and_leaves_nothing():
    with rings(*MEDIA) as (*names, options), Daemon(*CARD, *options, clock=1) as daemon, contextlib.ExitStack() as stack:
        readers = [stack.enter_context(Reader(name)) for name in names]
        for reader in readers:
            reader.wait(3)
        readers[0].kill(signal.SIGSTOP)
        daemon.stop_at_once("with readers")
        equal([name for name in os.listdir("/dev/shm") if name.startswith(os.path.basename(folder()))], [], "objects")


def stress(how, seconds):
    done = subprocess.run([BUILD / "stress/ring", str(seconds), how], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    for line in done.stdout.splitlines():
        figure(f"{how}, {seconds} s: {line}")
    equal(done.returncode, 0, "the exit status")


@test(measures=True)
def sixteen_readers_of_three_rings_see_every_frame_or_count_it():
    stress("threads" if SAN else "calm", 60 if LONG else 3)


@test(measures=True)
def sixteen_readers_that_are_stopped_killed_and_slowed_take_no_torn_frame():
    """Nor does one when the writer is killed in the middle of a picture."""
    stress("rough", 60 if LONG else 5)
