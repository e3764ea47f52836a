# SPDX-License-Identifier: GPL-3.0-or-later
"""hdmicast.Ring, on rings that the project's own writer makes (writer.c)."""

import contextlib
import errno
import gc
import os
import re
import struct
import subprocess
import threading
import time
import unittest
from pathlib import Path
from unittest import mock

import hdmicast

ROOT = Path(__file__).resolve().parents[2]
WRITER = ROOT / os.environ.get("BUILD", "build") / "python/writer"
SAN = os.environ.get("SAN")
KEY = hdmicast.KEY


def open_fds():
    return len(os.listdir("/proc/self/fd"))


class Writer:
    def __init__(self, name, size=1 << 16, slots=8):
        self.name = name
        self.child = subprocess.Popen([WRITER, name, str(size), str(slots)], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)
        assert self.child.stdout.readline() == "0\n", "no ring"

    def tell(self, *words):
        self.child.stdin.write(" ".join(map(str, words)) + "\n")
        self.child.stdin.flush()
        return self.child.stdout.readline().strip()

    def put(self, size=100, flags=KEY, *picture):
        assert self.tell("put", size, flags, *picture) == "0"

    def readers(self):
        return list(map(int, self.tell("readers").split()))

    def kill(self):
        self.child.kill()
        self.close()

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.child.stdin.close()
        self.child.wait()
        self.child.stdout.close()


class RingTest(unittest.TestCase):
    def setUp(self):
        self.name = f"hdmicast-python-{os.getpid()}"
        self.addCleanup(self.remove)

    def remove(self):
        for path in (f"/dev/shm/{self.name}", f"/dev/shm/{self.name}.ctl"):
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                os.unlink(path)

    def writer(self, **more):
        writer = Writer(self.name, **more)
        self.addCleanup(writer.kill)
        return writer

    def ring(self, **more):
        ring = hdmicast.Ring(self.name, **more)
        self.addCleanup(ring.close)
        return ring

    def assert_frame(self, frame, sequence, lost=0):
        self.assertIsNotNone(frame)
        self.assertEqual((frame.sequence, frame.lost), (sequence, lost))
        self.assertEqual(set(frame.data), {sequence & 0xFF})
        self.assertTrue(frame.valid())

    # -- reading

    def test_every_frame_comes_in_order(self):
        writer = self.writer(slots=64)
        writer.put()
        ring = self.ring(timeout=2)
        for n in range(1, 50):
            writer.put(n, 0)
        for n, frame in zip(range(50), ring):
            self.assert_frame(frame, n)
        self.assertEqual(ring.lost, 0)
        self.assertIsNone(ring.read(0))

    def test_a_frame_tells_what_its_slot_says(self):
        writer = self.writer()
        before = time.monotonic_ns()
        writer.put(96, KEY | hdmicast.ONLINE | hdmicast.BT709, "NV12", 8, 4, 16, 16, 64)
        frame = self.ring().read(1)
        self.assertEqual((frame.format, frame.fourcc, frame.width, frame.height, frame.stride, frame.stride2),
                         ("NV12", int.from_bytes(b"NV12", "little"), 8, 4, 16, 16))
        self.assertEqual((frame.plane_offset, frame.size, frame.source_sequence, frame.dropped), ((64, 0), 96, 7, 0))
        self.assertEqual((frame.key, frame.online, frame.full_range, frame.bt709), (True, True, False, True))
        self.assertTrue(before < frame.captured_ns <= frame.published_ns < time.monotonic_ns())
        self.assertIn("NV12 8x4", repr(frame))

    def test_the_newest_mode_skips_and_counts(self):
        writer = self.writer()
        writer.put()
        ring = self.ring(newest=True)
        self.assert_frame(ring.read(1), 0)
        for _ in range(5):
            writer.put()
        self.assert_frame(ring.read(1), 5, lost=4)
        self.assertEqual(ring.lost, 4)

    def test_who_was_overtaken_goes_on_at_the_newest_key_frame(self):
        writer = self.writer()
        writer.put()
        ring = self.ring()
        self.assert_frame(ring.read(1), 0)
        for n in range(1, 31):
            writer.put(100, KEY if n == 28 else 0)
        for n in range(28, 31):
            self.assert_frame(ring.read(1), n, lost=27 if n == 28 else 0)
        self.assertEqual(ring.lost, 27)
        ring.request_key()
        place = Path(f"/dev/shm/{self.name}.ctl").read_bytes()[64:88]
        pid, _, _, laps, lost = struct.unpack("=IIIIQ", place)
        self.assertEqual((pid, laps, lost), (os.getpid(), 1, 27))

    def test_without_a_key_frame_one_is_asked_for_and_the_rest_skipped(self):
        writer = self.writer()
        ring = self.ring()
        self.assertEqual(writer.readers()[1], 1)
        writer.put(100, 0)
        self.assertIsNone(ring.read(0))
        writer.put(100, KEY)
        self.assert_frame(ring.read(1), 1, lost=1)

    def test_who_waits_for_a_key_frame_asks_twice_a_second(self):
        writer, clock = self.writer(), [1000.0]

        def misses_one():
            writer.put(100, 0)
            self.assertIsNone(ring.read(0))
            return writer.readers()[1]
        with mock.patch.object(time, "monotonic", lambda: clock[0]):
            ring = self.ring()
            self.assertEqual(writer.readers()[1], 1)
            for _ in range(3):
                self.assertEqual(misses_one(), 0)
                clock[0] += 0.499
                self.assertEqual(misses_one(), 0)
                clock[0] += 0.002
                self.assertEqual(misses_one(), 1)

    def test_an_overwritten_frame_is_not_valid_and_cannot_be_copied(self):
        writer = self.writer(size=4096, slots=8)
        writer.put(1000)
        ring = self.ring()
        frame = ring.read(1)
        self.assertEqual(frame.copy(), bytes(1000))
        for _ in range(6):
            writer.put(1000)
        with self.assertRaises(hdmicast.Overwritten):
            frame.copy()
        self.assertFalse(frame.valid())
        self.assertEqual(ring.lost, 1)

    def test_no_torn_frame_is_taken_for_a_whole_one(self):
        writer = self.writer(size=1 << 20, slots=4)
        ring, answers, is_enough = self.ring(), [], threading.Event()
        torn = whole = overwritten = 0

        def flood():
            while not is_enough.is_set():
                answers.append(writer.tell("flood", 500, 240000))

        thread = threading.Thread(target=flood)
        until = time.monotonic() + 30  # on a busy machine, reader and writer seldom run at once
        thread.start()
        while thread.is_alive():
            # An instrumented writer may be too slow to overtake us.
            if whole > (10 if SAN else 1000) and (SAN or overwritten > 10) or time.monotonic() > until:
                is_enough.set()
            frame = ring.read(0.01)
            if not frame:
                continue
            seen = bytes(frame.data)
            if frame.valid():
                whole += 1
                torn += seen != bytes([frame.sequence & 0xFF]) * len(seen)
            else:
                overwritten += 1
        thread.join()
        self.assertEqual((set(answers), torn), ({"0"}, 0))
        self.assertTrue(whole > 10 and (SAN or overwritten > 10), f"{whole} whole, {overwritten} overwritten")

    def test_two_readers_get_the_same(self):
        writer = self.writer()
        first, second = self.ring(), self.ring()
        self.assertEqual(writer.readers()[0], 2)
        for n in range(3):
            writer.put()
            self.assert_frame(first.read(1), n)
        for n in range(3):
            self.assert_frame(second.read(1), n)
        second.close()
        self.assertEqual(writer.readers()[0], 1)

    def test_the_writer_sees_a_request_for_a_key_frame(self):
        writer = self.writer()
        writer.put()
        ring = self.ring()
        self.assertEqual(writer.readers()[:2], [1, 0])
        ring.request_key()
        self.assertEqual(writer.readers()[:2], [1, 1])
        self.assertEqual(writer.readers()[:2], [1, 0])

    def test_who_may_not_write_reads_but_cannot_ask(self):
        writer = self.writer()
        writer.put()
        os.unlink(f"/dev/shm/{self.name}.ctl")
        ring = self.ring()
        self.assert_frame(ring.read(1), 0)
        with self.assertRaises(hdmicast.Denied):
            ring.request_key()

    # -- waiting

    def test_waiting_ends_in_time_and_makes_few_system_calls(self):
        self.writer()
        ring = self.ring(timeout=0.5)
        before = time.monotonic()
        with mock.patch.object(hdmicast, "_libc", wraps=hdmicast._libc) as libc, \
                mock.patch.object(time, "sleep", wraps=time.sleep) as sleep, \
                self.assertRaises(hdmicast.Timeout) as caught:
            next(ring)
        self.assertIsInstance(caught.exception, TimeoutError)
        self.assertGreaterEqual(time.monotonic() - before, 0.5)
        self.assertIn(libc.syscall.call_count + sleep.call_count, range(1, 15))
        clock = [1000.0]

        def sleep_well(_, _bell, seconds):
            clock[0] += seconds
        with mock.patch.object(time, "monotonic", lambda: clock[0]), mock.patch.object(hdmicast._Map, "sleep", sleep_well):
            self.assertIsNone(ring.read(0.55))
        self.assertAlmostEqual(clock[0], 1000.55)

    @contextlib.contextmanager
    def sleeps(self):
        """For each thread, how its sleeps end: 0 when it was woken. One that has not ended is None."""
        real, ends = hdmicast._Map._futex, {}

        def futex(mapped, operation, *more):
            if operation != hdmicast._FUTEX_WAIT_BITSET:
                return real(mapped, operation, *more)
            mine = ends.setdefault(threading.get_ident(), [])
            mine.append(None)
            mine[-1] = real(mapped, operation, *more)
            return mine[-1]
        with mock.patch.object(hdmicast._Map, "_futex", futex):
            yield ends

    def put_to_sleepers(self, rings, writer):
        """How the sleeps of their readers ended when the writer put a frame, and the frames."""
        frames = []
        with self.sleeps() as ends:
            threads = [threading.Thread(target=lambda ring: frames.append(ring.read(60)), args=(ring,)) for ring in rings]
            for thread in threads:
                thread.start()
            for _ in range(5000):
                if len(ends) == len(rings):
                    break
                time.sleep(0.001)
            time.sleep(0.005)
            writer.put()
            for thread in threads:
                thread.join()
        return [end for each in ends.values() for end in each], frames

    def test_a_sleeper_is_woken_by_the_frame_and_other_threads_run_meanwhile(self):
        writer = self.writer()
        writer.put()
        ring = self.ring()
        ring.read(1)
        # On a busy machine, a slice may be over or not begun when the frame comes.
        self.assertTrue(any(self.put_to_sleepers([ring], writer)[0] == [0] for _ in range(20)))

    def test_who_was_woken_wakes_two_more(self):
        writer = self.writer()
        ring = self.ring()
        real, said, timers = hdmicast._Map._futex, [], []

        def futex(mapped, operation, value, limit, bell):
            if operation == hdmicast._FUTEX_WAIT_BITSET:
                for timer in timers:
                    timer.join()
                timers.append(threading.Timer(0.02, writer.put))
                timers[-1].start()
            done = real(mapped, operation, value, limit, bell)
            said.append((operation, done if operation == hdmicast._FUTEX_WAIT_BITSET else value))
            return done
        woken = (hdmicast._FUTEX_WAIT_BITSET, 0)
        with mock.patch.object(hdmicast._Map, "_futex", futex):
            while woken not in said[:-1]:  # else the frame was there before we slept
                ring.read(1)
        timers[-1].join()
        self.assertEqual(said[said.index(woken) + 1], (hdmicast._FUTEX_WAKE_BITSET, 2))

    def test_sleepers_wake_each_other(self):
        writer = self.writer()

        def are_all_woken():
            rings = [self.ring() for _ in range(6)]
            writer.put()
            before = [ring.read(1) for ring in rings]
            ends, frames = self.put_to_sleepers(rings, writer)
            # Later than 50 ms after the frame before, the writer itself wakes all of them.
            is_soon = frames[0].published_ns - before[0].published_ns < 50e6
            for ring in rings:
                ring.close()
            self.assertEqual(writer.tell("resize", 1 << 16), "0")
            return is_soon and ends == [0] * 6
        until = time.monotonic() + 60
        while not are_all_woken():
            self.assertLess(time.monotonic(), until)

    # -- writers that come and go

    def test_another_size_is_followed(self):
        writer = self.writer()
        writer.put()
        ring = self.ring()
        self.assert_frame(ring.read(1), 0)
        epoch = ring.epoch
        writer.put(50)
        self.assertEqual(writer.tell("resize", 1 << 18), "0")
        writer.put(100000)
        self.assert_frame(ring.read(1), 1)
        frame = ring.read(1)
        self.assert_frame(frame, 0)
        self.assertEqual(frame.size, 100000)
        self.assertNotEqual(ring.epoch, epoch)

    def test_a_writer_that_ends_and_starts_is_followed(self):
        writer = self.writer()
        writer.put()
        ring = self.ring()
        self.assertTrue(ring.alive)
        self.assert_frame(ring.read(1), 0)
        writer.close()
        self.assertIsNone(ring.read(0.1))
        self.assertFalse(ring.attached)
        writer = self.writer()
        writer.put()
        self.assert_frame(ring.read(1), 0)

    def test_a_killed_writers_frames_are_read_and_its_successor_is_found(self):
        writer = self.writer()
        writer.put()
        ring = self.ring()
        writer.kill()
        self.assertTrue(ring.attached and not ring.alive)
        self.assert_frame(ring.read(1), 0)
        self.assertIsNone(ring.read(0))
        writer = self.writer()
        writer.put()
        self.assert_frame(ring.read(1), 0)
        self.assertTrue(ring.alive)

    def test_what_is_missed_between_two_rings_is_counted(self):
        writer = self.writer()
        writer.put()
        ring = self.ring()
        self.assert_frame(ring.read(1), 0)
        for _ in range(2):
            writer.put()
        self.assertEqual(writer.tell("resize", 8192), "0")
        for _ in range(5):
            writer.put()
        for n, lost in ((1, 0), (2, 0), (4, 4)):
            self.assert_frame(ring.read(1), n, lost=lost)
        self.assertEqual(ring.lost, 4)
        ring.close()
        self.assertEqual(ring.lost, 4)

    def test_a_killed_writers_successor_is_found_also_when_the_object_was_removed(self):
        writer = self.writer()
        ring = self.ring()
        writer.kill()
        self.remove()
        self.writer().put()
        self.assert_frame(ring.read(2), 0)

    def test_who_knows_that_its_writer_is_dead_looks_often(self):
        took = []
        for _ in range(5):
            writer = self.writer()
            ring = self.ring()
            writer.kill()
            self.remove()
            self.assertIsNone(ring.read(0.35))
            found = []
            thread = threading.Thread(target=lambda: found.append((ring.read(5), time.monotonic())))
            thread.start()
            writer = self.writer()
            writer.put()
            began = time.monotonic()
            thread.join()
            self.assert_frame(found[0][0], 0)
            took.append(found[0][1] - began)
            writer.close()
        self.assertLess(sorted(took)[2], 0.06 * (3 if SAN else 1))  # the median: the machine may be busy

    def test_who_only_looks_in_finds_the_successor_too(self):
        writer = self.writer()
        ring = self.ring()
        writer.kill()
        self.remove()
        self.writer().put()
        end, frame = time.monotonic() + 15, None
        while not frame and time.monotonic() < end:
            frame = ring.read(0.01)
        self.assert_frame(frame, 0)

    def test_who_comes_early_waits_for_the_writer(self):
        ring = self.ring(early=True)
        self.assertIsNone(ring.read(0.05))
        self.writer().put()
        self.assert_frame(ring.read(1), 0)

    def test_views_outlive_the_ring_and_its_writer(self):
        fds = open_fds()
        writer = self.writer()
        writer.put()
        with self.ring() as ring:
            frame = ring.read(1)
            view, array = frame.data, frame.numpy()
            writer.close()
            self.assertIsNone(ring.read(0))
        self.assertEqual(list(ring), [])
        self.remove()
        del ring
        gc.collect()
        self.assertTrue(frame.valid())
        del frame
        gc.collect()
        self.assertEqual((set(view), int(array.sum())), ({0}, 0))
        self.doCleanups()
        del view, array
        gc.collect()
        self.assertEqual(open_fds(), fds)
        self.assertNotIn(self.name, Path("/proc/self/maps").read_text(encoding="ascii"))

    # -- what has the name

    def assert_error(self, kind, number):
        with self.assertRaises(kind) as caught:
            hdmicast.Ring(self.name)
        self.assertIs(type(caught.exception), kind)
        self.assertIsInstance(caught.exception, hdmicast.Error)
        self.assertEqual(caught.exception.errno, number)
        self.assertIn(self.name, str(caught.exception))

    def spoil(self, content):
        with open(f"/dev/shm/{self.name}", "wb") as file:
            file.write(content)

    def test_each_thing_that_is_no_ring_has_an_error_of_its_own(self):
        self.assert_error(hdmicast.Missing, errno.ENOENT)
        os.mkfifo(f"/dev/shm/{self.name}")
        self.assert_error(hdmicast.Foreign, errno.EBADMSG)
        self.remove()
        other = Writer(self.name + "-other")
        self.addCleanup(other.close)
        for target in ("/etc/hostname", other.name):
            os.symlink(target, f"/dev/shm/{self.name}")
            self.assert_error(hdmicast.Foreign, errno.EBADMSG)
            self.remove()
        for content, kind, number in (
                (b"", hdmicast.Missing, errno.EAGAIN), (b"x", hdmicast.Foreign, errno.EBADMSG),
                (b"x" * 500, hdmicast.Foreign, errno.EBADMSG), (b"hdcring1", hdmicast.Truncated, errno.ENODATA),
                (b"hdcring1\2" + bytes(300), hdmicast.Newer, errno.EPROTONOSUPPORT),
                (b"hdcring1\1" + bytes(300), hdmicast.Missing, errno.EAGAIN)):
            with self.subTest(content=content[:9]):
                self.spoil(content)
                self.assert_error(kind, number)
        for name in ("", "/", ".", "..", "a/b", "a\0b"):
            with self.assertRaises(ValueError):
                hdmicast.Ring(name)

    def test_a_ring_that_is_too_short_is_refused(self):
        writer = self.writer()
        writer.kill()
        for size in (256, 1000, 4096, os.stat(f"/dev/shm/{self.name}").st_size - 1):
            os.truncate(f"/dev/shm/{self.name}", size)
            self.assert_error(hdmicast.Truncated, errno.ENODATA)

    def test_any_header_is_refused_or_harmless(self):
        writer = self.writer()
        writer.put(96, KEY, "NV12", 8, 4, 16, 16, 64)
        writer.kill()
        content = Path(f"/dev/shm/{self.name}").read_bytes()
        refused = 0
        # Each number of the header and of the slots, at its extremes.
        for at in [*range(8, 72, 4), *range(128, 148, 4), *range(256, 384, 4)]:
            for value in (0, 1, 3, 0x7FFFFFFF, 0xFFFFFFFF):
                self.spoil(content[:at] + struct.pack("=I", value) + content[at + 4:])
                try:
                    with hdmicast.Ring(self.name) as ring:
                        frame = ring.read(0)
                        if frame:
                            len(bytes(frame.data))
                            with contextlib.suppress(ValueError):
                                frame.numpy().sum()
                except hdmicast.Error:
                    refused += 1
        self.assertGreater(refused, 30)

    def test_a_ring_that_is_not_for_this_user_is_denied(self):
        self.writer()
        os.chmod(f"/dev/shm/{self.name}", 0)
        if os.geteuid():
            return self.assert_error(hdmicast.Denied, errno.EACCES)
        pid = os.fork()
        if not pid:
            os.setresuid(65534, 65534, 65534)
            try:
                self.assert_error(hdmicast.Denied, errno.EACCES)
                os._exit(0)
            except BaseException:
                os._exit(1)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        return None

    # -- numpy

    def picture(self, size, *picture):
        writer = self.writer()
        writer.put(size, KEY, *picture)
        frame = self.ring().read(1)
        return frame, frame.numpy()

    def test_pictures_are_arrays_of_the_right_shape_without_a_copy(self):
        import numpy
        writer = self.writer(slots=64)
        ring = self.ring()
        for fourcc, picture, size, shape, dtype in (
                ("RGB3", (8, 4, 24), 96, (4, 8, 3), "u1"), ("BGR3", (8, 4, 32), 128, (4, 8, 3), "u1"),
                ("YUYV", (8, 4, 16), 64, (4, 8, 2), "u1"), ("UYVY", (8, 4, 16), 64, (4, 8, 2), "u1"),
                ("GREY", (8, 4, 16), 60, (4, 8), "u1"), ("RGBP", (8, 4, 16), 64, (4, 8), "<u2"),
                ("NV12", (8, 4, 8, 8, 32), 48, (6, 8), "u1"), ("NV12", (8, 4, 16, 16, 64), 96, (6, 8), "u1"),
                ("NV16", (8, 4, 8, 8, 32), 64, (8, 8), "u1"), ("NV24", (8, 4, 8, 16, 32), 96, (12, 8), "u1"),
                ("YU12", (8, 4, 8, 4, 32, 40), 48, (6, 8), "u1"), ("YV12", (8, 4, 8, 4, 32, 40), 48, (6, 8), "u1"),
                ("MJPG", (8, 4, 0), 77, (77,), "u1"), ("H264", (8, 4, 0), 77, (77,), "u1")):
            with self.subTest(fourcc=fourcc, picture=picture):
                writer.put(size, KEY, fourcc, *picture)
                frame = ring.read(1)
                array = frame.numpy()
                self.assertEqual((array.shape, array.dtype), (shape, numpy.dtype(dtype)))
                self.assertFalse(array.flags.writeable or array.flags.owndata)
                self.assertTrue(numpy.shares_memory(array, numpy.frombuffer(frame.data, "u1")))
                self.assertEqual(set(array.view("u1").ravel()), {frame.sequence})
                # It is the object itself that lies there, not a copy of it.
                address = array.__array_interface__["data"][0]
                line = next(line for line in Path("/proc/self/maps").read_text(encoding="ascii").splitlines()
                            if self.name in line and address in range(*(int(end, 16) for end in
                                                                        line.split()[0].split("-"))))
                self.assertRegex(line, rf" r--s .*/dev/shm/{re.escape(self.name)}$")

    def test_planes_are_arrays_also_where_rows_are_padded(self):
        writer = self.writer()
        writer.put(16 * 5 + 2 * 8 * 3, KEY, "YU12", 9, 5, 16, 8, 80, 104)
        frame = self.ring().read(1)
        self.assertEqual([plane.shape for plane in frame.planes()], [(5, 9), (3, 5), (3, 5)])
        with self.assertRaises(ValueError):
            frame.numpy()

    def test_a_picture_that_does_not_fit_its_frame_is_refused(self):
        writer = self.writer()
        writer.put(64, KEY, "YUYV", 8, 5, 16)
        with self.assertRaises(ValueError):
            self.ring().read(1).numpy()


class ModuleTest(unittest.TestCase):
    def test_formats_lie_in_memory_as_the_daemon_has_them(self):
        table = (ROOT / "src/media/pixel_format.h").read_text(encoding="utf-8")
        named = {"RGB24": "RGB3", "BGR24": "BGR3", "RGB565": "RGBP", "YUV420": "YU12", "YVU420": "YV12"}
        found = re.findall(r"\bX\((\w+), \w+, \w+, \d, PIXEL_(PACKED|SEMI|TRIPLE)(?:\((\d), (\d)\))?\)",
                           table.partition("define PIXEL_FORMATS_BESIDE")[0])
        self.assertEqual(len(found), 13, "formats in the table")
        packed, planes = {**hdmicast._PACKED, "RGBP": 2}, hdmicast._PLANES
        for name, layout, first, second in found:
            name = named.get(name, name)
            with self.subTest(name):
                if layout == "PACKED":
                    self.assertEqual(packed[name] * int(second), int(first), "bytes for so many pixels")
                else:
                    self.assertEqual(planes[name], (int(first), int(second), 2) if layout == "SEMI" else (2, 2, 1))

    def test_the_version_is_the_projects(self):
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        self.assertEqual(hdmicast.VERSION, re.search(r"^VERSION := (\S+)", makefile, re.M)[1])
