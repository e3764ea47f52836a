# SPDX-License-Identifier: GPL-3.0-or-later
"""hdmicast.Memsink, on objects as uStreamer's releases for 64-bit machines lay them out."""

import contextlib
import ctypes
import fcntl
import os
import struct
import threading
import time
import unittest
from unittest import mock

import hdmicast

# Offsets: key request, width (height, format and stride follow), online (key follows), gop, times, payload.
LAYOUTS = {
    "6.36": (7, 48, 52, 68, 72, {"grab_ts": 80, "encode_begin_ts": 96, "encode_end_ts": 112}, 128),
    "6.50": (7, 48, 52, 68, 72, {"grab_begin_ts": 80, "grab_end_ts": 96, "encode_begin_ts": 112,
                                 "encode_end_ts": 128}, 144),
    "6.56": (8, 48, 52, 68, 72, {"grab_begin_ts": 80, "grab_end_ts": 96, "encode_begin_ts": 112,
                                 "encode_end_ts": 128}, 144),
    "6.62": (10, 64, 68, 84, 88, {"grab_begin_ts": 96, "grab_end_ts": 112, "encode_begin_ts": 128,
                                  "encode_end_ts": 144}, 160),
}
H264 = int.from_bytes(b"H264", "little")


class Sink:
    """What a server writes, byte by byte."""

    def __init__(self, name, release="6.62"):
        (self.version, self.wants, self.sizes, self.flags, self.gop, self.times, self.payload) = LAYOUTS[release]
        self.fd = os.open(f"/dev/shm/{name}", os.O_RDWR | os.O_CREAT)
        os.ftruncate(self.fd, self.payload + (2 << 20))
        self.id = 0

    def put(self, data=b"data", used=None, key=False, version=None):
        self.id += 1
        with self.locked():
            os.pwrite(self.fd, data, self.payload)
            for n, at in enumerate(self.times.values()):
                os.pwrite(self.fd, bytes(ctypes.c_longdouble(n + 1.5)), at)
            os.pwrite(self.fd, struct.pack("=4I", 640, 480, H264, 0), self.sizes)
            os.pwrite(self.fd, struct.pack("=??", True, key), self.flags)
            os.pwrite(self.fd, struct.pack("=I", 30), self.gop)
            os.pwrite(self.fd, struct.pack("=QQ", self.id, len(data) if used is None else used), 16)
            os.pwrite(self.fd, struct.pack("=QI", 0xCAFEBABECAFEBABE, version or self.version), 0)

    @contextlib.contextmanager
    def locked(self):
        fcntl.flock(self.fd, fcntl.LOCK_EX)
        yield
        fcntl.flock(self.fd, fcntl.LOCK_UN)

    def wants_key(self):
        return os.pread(self.fd, 1, self.wants) == b"\1"

    def last_client(self):
        return ctypes.c_longdouble.from_buffer_copy(os.pread(self.fd, 16, 32)).value

    def close(self):
        os.close(self.fd)


@unittest.skipUnless(ctypes.sizeof(ctypes.c_longdouble) == 16, "the offsets are those of 64-bit machines")
class MemsinkTest(unittest.TestCase):
    def setUp(self):
        self.name = f"hdmicast-python-{os.getpid()}::h264"
        self.addCleanup(self.remove)

    def remove(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"/dev/shm/{self.name}")

    def sink(self, release="6.62"):
        sink = Sink(self.name, release)
        self.addCleanup(sink.close)
        return sink

    def reader(self, **more):
        reader = hdmicast.Memsink(self.name, **more)
        self.addCleanup(reader.close)
        return reader

    def test_the_layout_of_each_release_is_found(self):
        for release, layout in LAYOUTS.items():
            with self.subTest(release=release):
                self.remove()
                sink = self.sink(release)
                sink.put(b"\0\0\1picture", key=True)
                before = time.monotonic()
                frame = self.reader().wait_frame()
                if release == "6.36":
                    self.assertEqual((frame.pop("grab_begin_ts"), frame.pop("grab_end_ts")), (1.5, 1.5))
                self.assertEqual(frame, {
                    "width": 640, "height": 480, "format": H264, "stride": 0, "online": True, "key": True, "gop": 30,
                    **{name: n + 1.5 for n, name in enumerate(layout[5])}, "data": b"\0\0\1picture"})
                self.assertTrue(before <= sink.last_client() <= time.monotonic())

    def test_each_frame_is_given_once(self):
        sink = self.sink()
        with self.reader(wait_timeout=0.05) as reader:
            sink.put(b"one")
            self.assertEqual(reader.wait_frame()["data"], b"one")
            self.assertIsNone(reader.wait_frame())
            sink.put(b"two")
            self.assertEqual(reader.wait_frame()["data"], b"two")
            self.assertTrue(reader.is_opened())
        self.assertFalse(reader.is_opened())
        reader.close()
        with self.assertRaises(RuntimeError):
            reader.wait_frame()

    def test_a_frame_comes_while_another_thread_waits_for_it(self):
        sink, reader, frames = self.sink(), self.reader(), []
        thread = threading.Thread(target=lambda: frames.append(reader.wait_frame()))
        thread.start()
        sink.put()
        thread.join()
        self.assertEqual(frames[0]["data"], b"data")

    def test_a_key_frame_is_asked_for_at_once(self):
        for release in ("6.36", "6.62"):
            self.remove()
            sink = self.sink(release)
            sink.put()
            reader = self.reader(wait_timeout=0.02)
            reader.wait_frame()
            self.assertFalse(sink.wants_key())
            self.assertIsNone(reader.wait_frame(key_required=True))
            self.assertTrue(sink.wants_key())

    def test_same_frames_are_dropped_for_so_long(self):
        sink, reader = self.sink(), self.reader(wait_timeout=0.02, drop_same_frames=0.2)
        clock = [1000.0]

        def tick():
            clock[0] += 0.001
            return clock[0]
        with mock.patch.object(time, "monotonic", tick):
            sink.put()
            self.assertIsNotNone(reader.wait_frame())
            sink.put()
            self.assertIsNone(reader.wait_frame())
            sink.put(key=True)
            self.assertIsNotNone(reader.wait_frame())
            clock[0] += 0.15
            sink.put(key=True)
            self.assertIsNone(reader.wait_frame())
            clock[0] += 0.05
            sink.put(key=True)
            self.assertIsNotNone(reader.wait_frame())

    def test_a_held_lock_ends_in_time(self):
        sink, reader = self.sink(), self.reader(lock_timeout=0.02, wait_timeout=0.05)
        sink.put()
        with sink.locked():
            began = time.monotonic()
            self.assertIsNone(reader.wait_frame())
            self.assertLess(time.monotonic() - began, 1)
        self.assertIsNotNone(reader.wait_frame())

    def test_what_cannot_be_is_not_believed(self):
        sink, reader = self.sink(), self.reader(wait_timeout=0.02)
        self.assertIsNone(reader.wait_frame())
        sink.put(used=1 << 62)
        self.assertIsNone(reader.wait_frame())
        sink.put(version=99)
        self.assertIsNone(reader.wait_frame())
        os.ftruncate(sink.fd, 100)
        self.assertIsNone(reader.wait_frame())
        os.ftruncate(sink.fd, sink.payload + (2 << 20))
        sink.put()
        self.assertIsNotNone(reader.wait_frame())

    def test_an_object_that_took_its_place_is_found(self):
        self.sink().put()
        reader = self.reader(wait_timeout=0.02)
        reader.wait_frame()
        self.remove()
        self.sink("6.36").put(b"new")
        frames = (reader.wait_frame() for _ in range(100))
        self.assertEqual(next(filter(None, frames))["data"], b"new")

    def test_errors_are_those_that_programs_catch(self):
        with self.assertRaises(FileNotFoundError):
            self.reader()
        for wrong in ({"lock_timeout": 0}, {"wait_timeout": -1}, {"drop_same_frames": -1}):
            with self.assertRaises(ValueError):
                self.reader(**wrong)
