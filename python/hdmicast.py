# SPDX-License-Identifier: MIT
"""Frames of hdmicast, read from shared memory.

    import hdmicast

    with hdmicast.Ring("raw") as ring:          # of hdmicast --raw-ring raw
        for frame in ring:
            picture = frame.numpy()             # or frame.data, a memoryview; nothing is copied
            use(picture)
            if not frame.valid():               # the writer waits for nobody
                forget_it()

Memsink reads uStreamer's sinks, as uStreamer's own module does: `import hdmicast as ustreamer`.

Python 3.9 or later (CPython) on Linux, the standard library, and numpy for those who call numpy(). This
one file is all there is; copy it where you like. docs/ring.md of hdmicast explains the format of a ring.
"""

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import stat
import struct
import threading
import time

VERSION = "0.1.0"
FEATURES = {}

KEY, ONLINE, FULL_RANGE, BT709 = 1, 2, 4, 8  # bits of Frame.flags


class Error(OSError):
    """What can be wrong with a ring or a sink; errno tells it, too."""


class Missing(Error, FileNotFoundError):
    """There is none of this name, or it is just being made: does the writer run?"""


class Denied(Error, PermissionError):
    """It is not for this user: is the group or the mode right?"""


class Foreign(Error):
    """What has the name is something else."""


class Newer(Error):
    """It is of a version that is newer than this module."""


class Truncated(Error):
    """It is shorter than it claims to be."""


class Contradictory(Error):
    """Its header contradicts itself."""


class Overwritten(Error):
    """The writer has overwritten the frame meanwhile."""


class Timeout(Error, TimeoutError):
    """No frame came in time."""


_ERRORS = {  # by errno; the same as of libhdmicast-ring
    errno.ENOENT: Missing,
    errno.EAGAIN: Missing,
    errno.EACCES: Denied,
    errno.EBADMSG: Foreign,
    errno.EPROTONOSUPPORT: Newer,
    errno.ENODATA: Truncated,
    errno.EPROTO: Contradictory,
    errno.ESTALE: Overwritten,
    errno.ETIMEDOUT: Timeout,
}


def _error(number, name):
    kind = _ERRORS.get(number, Error)
    return kind(number, " ".join((kind.__doc__ if kind is not Error else os.strerror(number)).split()), name)


# ---- what the standard library does not have


# struct flock with 64-bit offsets, as compilers lay it out here; F_OFD_ takes no other anywhere.
_FLOCK = struct.Struct("hhqqi0q")
_OFD_GETLK, _OFD_SETLK = 36, 37

_libc = ctypes.CDLL(None)
_FUTEX_WAIT_BITSET, _FUTEX_WAKE_BITSET = 9, 10  # the first takes an absolute time, of CLOCK_MONOTONIC
_FUTEX = 240 if struct.calcsize("P") == 4 else {"x86_64": 202, "aarch64": 98, "riscv64": 98}.get(os.uname().machine)


class _Timespec(ctypes.Structure):
    """What this system call takes: two longs, also where time_t is wider."""
    _fields_ = [("seconds", ctypes.c_long), ("ns", ctypes.c_long)]


class _Buffer(ctypes.Structure):
    """Py_buffer of CPython."""
    _fields_ = [("buf", ctypes.c_void_p), ("obj", ctypes.c_void_p), ("len", ctypes.c_ssize_t),
                ("itemsize", ctypes.c_ssize_t), ("readonly", ctypes.c_int), ("ndim", ctypes.c_int),
                ("format", ctypes.c_void_p), ("shape", ctypes.c_void_p), ("strides", ctypes.c_void_p),
                ("suboffsets", ctypes.c_void_p), ("internal", ctypes.c_void_p)]


def _address(memory):
    """Where the bytes of a read-only object are; ctypes' own from_buffer() wants to write."""
    view = _Buffer()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(memory), ctypes.byref(view), 0)
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(view))
    return view.buf


def _fence():
    """All loads before it are done before any load after it.

    Each load of Python is one of the interpreter's, behind calls that no compiler looks through; what may
    reorder them is the processor. Giving a lock back is a store-release: it comes after all loads before. Taking
    it is a load-acquire: it comes before all loads after. And a load-acquire never overtakes a store-release that
    precedes it: on ARMv8 by its memory model, on ARMv7 since both are full barriers there, on x86 since both
    are locked instructions. (Taking first and giving back then would not do: all may slip in between.) The lock
    is of this call alone, so nobody else can hold it.
    """
    lock = threading.Lock()
    lock.acquire()  # pylint: disable=consider-using-with
    lock.release()
    lock.acquire()


def _path(name):
    name = name[1:] if name.startswith("/") else name
    if not name or "/" in name or name.startswith(".") or "\0" in name:
        raise ValueError(f"no name of shared memory: {name!r}")
    return "/dev/shm/" + name


def _open(path, flags):
    """As shm_open(); neither a link nor a pipe is shared memory."""
    name = os.path.basename(path)
    try:
        fd = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        is_other = error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO)
        raise _error(errno.EBADMSG if is_other else error.errno, name) from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise _error(errno.EBADMSG, name)
    return fd


# ---- rings: the format, see docs/ring.md and hdmicast-ring.h

_M = 0xFFFFFFFF  # numbers of frames are modulo 2^32
_HEADER = struct.Struct("=QIIIIQQQQQII56s")
_SLOT = struct.Struct("=IIQQQqqIIIIQQQqqIII12x")
_CONTROL = struct.Struct("=QIIQ40x")
_READER = struct.Struct("=IIIIQ8x")
_MAGIC, _CONTROL_MAGIC = 0x31676E6972636468, 0x316C746372636468
_NEW, _LIVE, _GONE = 0, 1, 2
_STATE, _BELL, _HEAD, _KEY = 32, 33, 34, 35  # in words
_READERS = 64
_SLICE, _SEARCH, _LOOK = 0.1, 0.05, 0.2  # s: of sleep; between two looks for a ring; whether the writer lives


def _stamp(n):
    return n * 2 + 1 & _M


class _Map:
    """A ring that is mapped. Frames, views and arrays keep the memory for as long as they are there: it is
    unmapped by the end of the last of them, never by anything else."""

    def __init__(self, name):
        self.fd = _open(_path(name), os.O_RDONLY)
        try:
            self._check(name)
            self.memory = mmap.mmap(self.fd, self.bytes, access=mmap.ACCESS_READ)
        except ValueError:  # it was shortened after the check
            self.close()
            raise _error(errno.ENODATA, name) from None
        except OverflowError:
            self.close()
            raise _error(errno.ENOMEM, name) from None
        except BaseException:
            self.close()
            raise
        self.view = memoryview(self.memory)
        self.words = self.view[:self.bytes & ~3].cast("I")  # each is one aligned load of 32 bits
        self.address = _address(self.memory)

    def _check(self, name):
        size = os.fstat(self.fd).st_size
        raw = os.pread(self.fd, 256, 0)
        if not raw:
            raise _error(errno.EAGAIN, name)
        if raw[:8] != _MAGIC.to_bytes(8, "little" if struct.pack("=H", 1)[0] else "big"):
            raise _error(errno.EBADMSG, name)
        if len(raw) < 256:
            raise _error(errno.ENODATA, name)
        (_, version, header_bytes, self.slot_bytes, self.slot_count, self.slot_offset, self.data_offset,
         self.data_bytes, self.bytes, self.epoch, self.writer_pid, _, writer) = _HEADER.unpack_from(raw)
        state, = struct.unpack_from("=I", raw, 4 * _STATE)
        if version > 1:
            raise _error(errno.EPROTONOSUPPORT, name)
        if state != _LIVE:
            raise _error({_NEW: errno.EAGAIN, _GONE: errno.ENOENT}.get(state, errno.EPROTO), name)
        if (version < 1 or header_bytes < 256 or not 128 <= self.slot_bytes <= 4096 or self.slot_bytes % 8
                or not 2 <= self.slot_count <= 65536 or self.slot_count & self.slot_count - 1):
            raise _error(errno.EPROTO, name)
        if self.bytes > size:
            raise _error(errno.ENODATA, name)
        if (self.slot_offset % 8 or self.slot_offset < header_bytes
                or self.data_offset < self.slot_offset + self.slot_count * self.slot_bytes
                or self.data_offset + self.data_bytes > self.bytes):
            raise _error(errno.EPROTO, name)
        self.writer = writer.split(b"\0")[0].decode(errors="replace")

    def load(self, index):
        """A word of the header, acquire."""
        value = self.words[index]
        _fence()
        return value

    def whole(self, n):
        """Whether all that was read of frame n up to now is right."""
        _fence()
        return self.words[(self.slot_offset + (n & self.slot_count - 1) * self.slot_bytes) // 4] == _stamp(n)

    def read(self, n):
        """The fields of frame n's slot, or None."""
        at = self.slot_offset + (n & self.slot_count - 1) * self.slot_bytes
        if self.load(at // 4) != _stamp(n):
            return None
        raw = bytes(self.view[at:at + _SLOT.size])
        if not self.whole(n):
            return None
        fields = _SLOT.unpack(raw)
        offset, size = fields[3:5]
        return fields if offset + size <= self.data_bytes else None

    def alive(self):
        """Whether its writer is: the kernel ends the lock with it."""
        if self.fd is None:
            return False
        try:
            said = fcntl.fcntl(self.fd, _OFD_GETLK, _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 1, 0))
        except OSError:
            return False
        return _FLOCK.unpack(said)[0] != fcntl.F_UNLCK

    def sleep(self, bell, seconds):
        """Until the bell is another one, or so long. Who was woken was so in place of others, and wakes two more."""
        if _FUTEX is None:
            raise _error(errno.ENOSYS, os.uname().machine)
        end = time.monotonic_ns() + int(seconds * 1e9)
        limit = _Timespec(end // 10**9, end % 10**9)
        if self._futex(_FUTEX_WAIT_BITSET, bell, ctypes.byref(limit), bell) == 0:
            self._futex(_FUTEX_WAKE_BITSET, 2, None, bell)

    def _futex(self, operation, value, limit, bell):
        return _libc.syscall(ctypes.c_long(_FUTEX), ctypes.c_void_p(self.address + 4 * _BELL), ctypes.c_long(operation),
                             ctypes.c_ulong(value), limit, None, ctypes.c_ulong(1 << bell % 32))

    def close(self):
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


class _Seat:
    """A reader's place in the control object, where it says that it is there and asks for key frames."""

    def __init__(self, laps=0):
        self.fd, self.at, self.beat_at = None, 0, 0.0
        self.beat = self.keys = 0
        self.laps = laps

    def take(self, name, epoch):
        """Nothing happens to who may not, or finds none: it only is not counted."""
        self.beat_at = time.monotonic()
        try:
            fd = _open(_path(name) + ".ctl", os.O_RDWR)
        except Error:
            return
        raw = os.pread(fd, _CONTROL.size, 0)
        if len(raw) < _CONTROL.size or _CONTROL.unpack(raw)[0] != _CONTROL_MAGIC or _CONTROL.unpack(raw)[3] != epoch:
            os.close(fd)
            return
        self.fd = fd
        places = map(self._offset, range(_READERS - 1))
        self._sit_down(next(filter(self._lock, places), self._offset(_READERS - 1)))
        self.say(0)

    def _sit_down(self, at):
        """On from what the one before said last, so that the writer sees a change."""
        self.at = at
        raw = os.pread(self.fd, _READER.size, at)
        if len(raw) == _READER.size:
            _, self.beat, self.keys, _, _ = _READER.unpack(raw)

    @staticmethod
    def _offset(index):
        return _CONTROL.size + index * _READER.size

    def _lock(self, at):
        try:
            fcntl.fcntl(self.fd, _OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, at, _READER.size, 0))
        except OSError:
            return False
        return True

    def _write(self, lost):
        try:
            os.pwrite(self.fd, _READER.pack(os.getpid(), self.beat, self.keys, self.laps & _M, lost), self.at)
        except OSError:
            pass  # again in a second

    def say(self, lost):
        self.beat_at = time.monotonic()
        other = self._offset(self.beat % (_READERS - 1))
        if self.at == self._offset(_READERS - 1) and self._lock(other):  # the shared one is no safe one,
            self._sit_down(other)
            self.keys = self.keys + 1 & _M  # and what was asked for there may have gone unheard
        self.beat = self.beat + 1 & _M or 1
        self._write(lost)

    def leave(self):
        if self.fd is None:
            return
        self.beat = 0
        if self.at != self._offset(_READERS - 1):
            self._write(0)
        os.close(self.fd)
        self.fd = None


class Ring:
    """Reads a ring. For one thread at a time; of no use to a child after fork().

    name: what was given to hdmicast. newest: skip what came meanwhile and give the newest frame (of H.264: the
    newest key frame, if that was not read yet), not every one. timeout: seconds that a `for` waits for a frame
    before it raises Timeout; None: for ever. early: there may be no ring yet; wait for it.

    It begins with the newest key frame in the ring, and so it does after it was overtaken. Raw pictures and JPEGs
    are all key frames. When the writer ends, dies or makes a ring of another size, it finds the new one.
    """

    def __init__(self, name, newest=False, timeout=None, early=False):
        _path(name)
        self.name, self.newest, self.timeout = name, newest, timeout
        self._map = None
        self._seat = _Seat()
        self._next = self._lost = self._gap = 0
        self._needs_key, self._asked_at, self._looked_at = False, 0.0, 0.0
        self._dead = self._had_ring = False
        self._closed = False
        try:
            self._attach()
        except Missing:
            if not early:
                raise

    # -- for users

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        if hasattr(self, "_closed"):
            self.close()

    def __iter__(self):
        return self

    def __next__(self):
        if self._closed:
            raise StopIteration
        frame = self.read(self.timeout)
        if frame is None:
            if self._closed:
                raise StopIteration
            raise _error(errno.ETIMEDOUT, self.name)
        return frame

    def close(self):
        """Frames stay readable, and so do views and arrays of them."""
        self._closed = True
        self._detach()

    def read(self, timeout=None):
        """The next frame, or None when none came within that many seconds (None: for ever; 0: do not wait)."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self._closed:
            self._beat()
            bell = self._map.load(_BELL) if self._map else 0
            frame = self._take()
            if frame:
                return frame
            # What an abandoned ring holds was read; what follows is in another one.
            if self._find_successor():
                continue
            left = _SLICE if end is None else end - time.monotonic()
            if left <= 0:
                return None
            self._sleep(bell, left)
        return None

    def request_key(self):
        """Asks for a key frame; the writer decides how often there is one. Losses ask by themselves."""
        if self._seat.fd is None:
            raise _error(errno.EACCES if self._map else errno.ENOENT, self.name)
        self._seat.keys = self._seat.keys + 1 & _M
        self._seat.say(self._lost)

    @property
    def lost(self):
        """How many frames this reader missed since it was opened."""
        return self._lost + self._gap

    @property
    def attached(self):
        """There is a ring of this name."""
        return self._map is not None

    @property
    def alive(self):
        """And its writer lives."""
        return self._map is not None and self._map.alive()

    @property
    def epoch(self):
        """Differs for each ring ever made under the name; None without one."""
        return self._map.epoch if self._map else None

    @property
    def writer(self):
        """Program and version, for people."""
        return self._map.writer if self._map else ""

    # -- where

    def _attach(self):
        self._adopt(_Map(self.name))

    def _adopt(self, ring):
        self._detach()
        self._map, self._dead = ring, False
        self._seat.take(self.name, ring.epoch)
        head, key = ring.load(_HEAD), ring.load(_KEY) - 1 & _M
        self._needs_key, self._next = False, head
        if (head - key & _M) - 1 & _M < ring.slot_count and ring.read(key):
            self._next = key
        else:
            self._need_key()
        if self._had_ring:  # what came before in this one was missed, too
            self._gap += self._next
        self._had_ring = True

    def _detach(self):
        if self._map and not self._closed:  # what was not read of this ring never will be
            self._gap += self._map.load(_HEAD) - self._next & _M
        self._seat.leave()
        self._seat = _Seat(self._seat.laps)
        if self._map:
            self._map.close()
            self._map = None

    def _find_successor(self):
        """Goes over to another ring where there was none, it was abandoned, or its writer died; True: did so."""
        if not self._map or self._map.load(_STATE) != _LIVE:
            self._detach()
            with contextlib.suppress(Error):
                self._attach()
            return self._map is not None
        # Who took a dead writer's place would have rung, but somebody may have removed the object. What can still
        # be read here is kept until there is another one.
        now = time.monotonic()
        if now - self._looked_at < (_SEARCH if self._dead else _LOOK):
            return False
        self._looked_at, self._dead = now, not self._map.alive()
        if not self._dead:
            return False
        with contextlib.suppress(Error):
            other = _Map(self.name)
            if other.epoch != self._map.epoch:
                self._adopt(other)
                return True
            other.close()
        return False

    def _sleep(self, bell, left):
        if self._map:
            self._map.sleep(bell, min(left, _SEARCH if self._dead else _SLICE))
        else:
            time.sleep(min(left, _SEARCH))

    def _beat(self):
        if time.monotonic() - self._seat.beat_at < 1:
            return
        if self._seat.fd is not None:
            self._seat.say(self._lost)
        elif self._map:
            self._seat.take(self.name, self._map.epoch)

    # -- which frame

    def _need_key(self):
        """At once when a loss is new, then again, should it not have been heard."""
        now = time.monotonic()
        if self._needs_key and now - self._asked_at < 0.5:
            return
        self._needs_key, self._asked_at = True, now
        if self._seat.fd is not None:
            self.request_key()

    def _resume(self, head):
        """Overtaken: on at the newest key frame, or behind the newest frame."""
        key = self._map.load(_KEY) - 1 & _M
        ahead, behind = key - self._next & _M, head - key & _M
        self._seat.laps += 1
        if 1 <= ahead <= 0x7FFFFFFF and 1 <= behind <= self._map.slot_count:
            self._gap += ahead
            self._next = key
            return
        self._gap += head - self._next & _M
        self._next = head
        self._need_key()

    def _skip(self):
        """To the newest key frame, if that is between the next frame and the head."""
        head, key = self._map.load(_HEAD), self._map.load(_KEY) - 1 & _M
        waiting = head - self._next & _M
        if key - self._next & _M < waiting <= 0x7FFFFFFF:
            self._gap += key - self._next & _M
            self._next = key

    def _find(self):
        """The next slot that is of use. No more rounds than frames: a head that changes may not hold us."""
        for _ in range(self._map.slot_count + 1):
            head = self._map.load(_HEAD)
            waiting = head - self._next & _M
            if not waiting:
                return None
            fields = self._map.read(self._next) if waiting <= self._map.slot_count else None
            if fields is None:
                self._resume(head)
            elif not self._needs_key or fields[1] & KEY:
                return fields
            else:
                self._next = self._next + 1 & _M
                self._gap += 1
                self._need_key()
        return None

    def _take(self):
        if not self._map:
            return None
        if self.newest:
            self._skip()
        fields = self._find()
        if fields is None:
            return None
        frame = Frame(self, self._map, self._next, self._gap, fields)
        self._lost += self._gap
        self._gap = 0
        self._needs_key = False
        self._next = self._next + 1 & _M
        return frame

    def _overwritten(self, ring):
        """What follows an H.264 frame that was lost cannot be decoded."""
        if ring is self._map:
            self._gap += 1
            self._need_key()


# ---- frames

_PACKED = {"RGB3": 3, "BGR3": 3, "YUYV": 2, "YVYU": 2, "UYVY": 2, "VYUY": 2, "GREY": 1}  # bytes of a pixel
_PLANES = {  # the second plane, and if it has one the third: how many pixels share a value, bytes of a value
    "YU12": (2, 2, 1), "YV12": (2, 2, 1), "NV12": (2, 2, 2), "NV21": (2, 2, 2), "NV16": (2, 1, 2), "NV24": (1, 1, 2),
}


class Frame:
    """A frame in the ring. It is not copied, and the writer waits for nobody: use it, then ask valid()."""

    __slots__ = ("_ring", "_map", "_n", "_valid", "data", "size", "epoch", "sequence", "lost", "flags", "key", "online",
                 "full_range", "bt709", "fourcc", "format", "width", "height", "stride", "stride2", "plane_offset",
                 "captured_ns", "published_ns", "encode_begin_ns", "encode_end_ns", "source_sequence", "dropped",
                 "oversized")

    def __init__(self, ring, mapped, n, lost, fields):
        self._ring, self._map, self._n, self._valid = ring, mapped, n, True
        (_, self.flags, sequence, offset, self.size, self.captured_ns, self.published_ns, self.fourcc, self.width,
         self.height, self.stride, self.source_sequence, self.dropped, self.oversized, self.encode_begin_ns,
         self.encode_end_ns, self.stride2, *planes) = fields
        self.sequence = sequence if sequence & _M == n else n
        self.plane_offset = tuple(planes)
        self.epoch, self.lost = mapped.epoch, lost
        self.key, self.online = bool(self.flags & KEY), bool(self.flags & ONLINE)
        self.full_range, self.bt709 = bool(self.flags & FULL_RANGE), bool(self.flags & BT709)
        self.format = self.fourcc.to_bytes(4, "little").decode("latin-1").rstrip()
        offset += mapped.data_offset
        self.data = mapped.view[offset:offset + self.size]

    def __repr__(self):
        return f"<hdmicast.Frame {self.sequence}: {self.format} {self.width}x{self.height}, {self.size} bytes>"

    def valid(self):
        """Whether all that was read from the frame up to now is right; else the writer has reached it, and it
        counts as lost."""
        if self._valid and not self._map.whole(self._n):
            self._valid = False
            self._ring._overwritten(self._map)
        return self._valid

    def copy(self):
        """Its bytes, to keep. Overwritten: too late."""
        copied = bytes(self.data)
        if not self.valid():
            raise _error(errno.ESTALE, self._ring.name)
        return copied

    def planes(self):
        """A numpy array for each plane of a raw picture, read-only, without copying. Rows may be padded."""
        width, height = self.width, self.height
        if self.format == "RGBP":
            return (self._array(0, (height, width), self.stride, "<u2"),)
        if self.format in _PACKED:
            pixel = _PACKED[self.format]
            return (self._array(0, (height, width, pixel) if pixel > 1 else (height, width), self.stride),)
        if self.format not in _PLANES:
            return (self._array(0, (self.size,), 0),)
        across, down, values = _PLANES[self.format]
        shape = ((height + down - 1) // down, (width + across - 1) // across) + ((values,) if values > 1 else ())
        return (self._array(0, (height, width), self.stride),
                *(self._array(at, shape, self.stride2) for at in self.plane_offset[:3 - values]))

    def numpy(self):
        """The picture as one numpy array, read-only, without copying:

        RGB24, BGR24 (height, width, 3) · YUYV, UYVY, YVYU (height, width, 2) · GREY, RGB565 (height, width) ·
        planar formats (rows of all planes, width), as OpenCV takes them · JPEG, H.264 (size,)
        """
        planes = self.planes()
        if len(planes) == 1:
            return planes[0]
        width, end = self.width, self.stride * self.height
        joined = end > 0 and width > 0
        for plane, at in zip(planes[1:], self.plane_offset):
            row = plane.nbytes // max(1, len(plane))
            is_tight = self.stride == width and self.stride2 == row
            joined = joined and at == end and (is_tight or (self.stride2 == self.stride and row == width))
            end += plane.shape[0] * self.stride2
        if not joined or end % self.stride:  # or, of YU12, half a row is left over
            raise ValueError(f"the planes of {self!r} are no single array: use planes()")
        return self._array(0, (end // self.stride, width), self.stride)

    def _array(self, offset, shape, stride, dtype="u1"):
        """numpy itself refuses what is not within the frame's bytes."""
        import numpy  # pylint: disable=import-outside-toplevel

        kind = numpy.dtype(dtype)
        strides = [kind.itemsize]
        if len(shape) == 3:
            strides.insert(0, shape[2] * kind.itemsize)
        if len(shape) > 1:
            strides.insert(0, stride)
        return numpy.ndarray(shape, kind, self.data, offset, tuple(strides))


# ---- uStreamer's sinks


def _layout(*fields):
    """A header as compilers for this machine lay it out, long double included."""
    class Header(ctypes.Structure):
        _fields_ = [("magic", ctypes.c_uint64), ("version", ctypes.c_uint32), ("id", ctypes.c_uint64),
                    ("used", ctypes.c_size_t), ("last_client_ts", ctypes.c_longdouble),
                    *fields]
    return Header


def _fields(kind, *names):
    return [(name, kind) for name in names]


_PICTURE = [*_fields(ctypes.c_uint32, "width", "height", "format", "stride"), *_fields(ctypes.c_bool, "online", "key"),
            ("gop", ctypes.c_uint32)]
_ENCODE = _fields(ctypes.c_longdouble, "encode_begin_ts", "encode_end_ts")
_GRAB = _fields(ctypes.c_longdouble, "grab_begin_ts", "grab_end_ts")
_WANTS = [*_fields(ctypes.c_uint32, "want_width", "want_height", "want_format", "want_fps"),
          ("wants_key", ctypes.c_bool)]
_SINK_6_10 = _layout(("wants_key", ctypes.c_bool), *_PICTURE, ("grab_ts", ctypes.c_longdouble), *_ENCODE)
_SINK_6_46 = _layout(("wants_key", ctypes.c_bool), *_PICTURE, *_GRAB, *_ENCODE)
_SINK_6_62 = _layout(*_WANTS, *_PICTURE, *_GRAB, *_ENCODE)
# By version. Two have the number 7: the size of the object tells, which is what a name ends in, and the header.
_SINKS = {7: (_SINK_6_10, _SINK_6_46), 8: (_SINK_6_46,), 10: (_SINK_6_62,)}
_ROOM = {"jpeg": (4 << 20,), "h264": (2 << 20,), "raw": (1920 * 1200 * 3, 3840 * 2160 * 3)}
_SINK_MAGIC = 0xCAFEBABECAFEBABE
_POLL, _PRESENCE, _SEARCH_SINK = 0.001, 0.1, 1.0  # s


class Memsink:
    """Reads one of uStreamer's sinks, of any of its layouts; the same interface as uStreamer's own module has.

    lock_timeout, wait_timeout: seconds. drop_same_frames: for how many seconds a frame that is the same as the one
    before is not given again.

    Nothing is mapped: who may write to a sink may also shorten it, which would end this process.
    """

    def __init__(self, obj, lock_timeout=1, wait_timeout=1, drop_same_frames=0):
        if lock_timeout <= 0 or wait_timeout <= 0 or drop_same_frames < 0:
            raise ValueError("timeouts are above 0, and drop_same_frames is not below")
        self.obj, self.lock_timeout, self.wait_timeout = obj, float(lock_timeout), float(wait_timeout)
        self.drop_same_frames = float(drop_same_frames)
        self._fd = self._id = self._last = None
        self._last_at = self._said_at = self._searched_at = 0.0
        self._fd = _open(_path(obj), os.O_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        if hasattr(self, "_fd"):
            self.close()

    def is_opened(self):
        return self._fd is not None

    def close(self):
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def wait_frame(self, key_required=False):
        """A new frame as a dictionary, or None when none came within wait_timeout."""
        if self._fd is None:
            raise RuntimeError("the sink is closed")
        end = time.monotonic() + self.wait_timeout
        asked = not key_required
        while True:
            now = time.monotonic()
            # One look without the lock, which the writer needs, too; with it, when there is something to do.
            raw = os.pread(self._fd, 24, 0)
            is_new = len(raw) == 24 and raw[16:24] != self._id
            if is_new or not asked or now - self._said_at >= _PRESENCE:
                frame, said = self._visit(key_required, min(end, now + self.lock_timeout))
                asked = asked or said
                if frame and not self._is_same(frame):
                    return frame
            if now >= end:
                self._search(now)
                return None
            time.sleep(_POLL)

    def _visit(self, key_required, end):
        """With the lock: says that we are there, asks for a key frame, takes a frame if there is a new one.
        Also whether anything could be said."""
        if not self._lock(end):
            return None, False
        try:
            raw = os.pread(self._fd, ctypes.sizeof(_SINK_6_62), 0)
            kind = self._kind(raw)
            if not kind:
                return None, False
            header = kind.from_buffer_copy(raw)
            self._said_at = time.monotonic()
            self._put(kind, "last_client_ts", bytes(ctypes.c_longdouble(self._said_at)))
            if key_required:
                self._put(kind, "wants_key", b"\1")
            if raw[16:24] == self._id:
                return None, True
            self._id = raw[16:24]
            data = os.pread(self._fd, min(header.used, self._size()), ctypes.sizeof(kind))
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        if len(data) != header.used:  # it says what cannot be
            return None, True
        frame = {name: getattr(header, name) for name, _ in kind._fields_[5:] if not name.startswith("want")}
        if "grab_ts" in frame:  # which was the only one; programs ask for the two that came later
            frame["grab_begin_ts"] = frame["grab_end_ts"] = frame["grab_ts"]
        return {**frame, "data": data}, True

    def _lock(self, end):
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if time.monotonic() >= end:
                    return False
            time.sleep(_POLL)

    def _put(self, kind, field, value):
        os.pwrite(self._fd, value, getattr(kind, field).offset)

    def _size(self):
        return os.fstat(self._fd).st_size

    def _kind(self, raw):
        """The layout of a header; None: not of a sink, or not of one that we know."""
        magic, version = struct.unpack_from("=QI", raw) if len(raw) >= 12 else (0, 0)
        if magic != _SINK_MAGIC or version not in _SINKS:
            return None
        suffix = self.obj.rpartition(":" if ":" in self.obj else ".")[2].lower()
        room = {self._size() - capacity for capacity in _ROOM.get(suffix, ())}
        kinds = _SINKS[version]
        kind = next((kind for kind in kinds if ctypes.sizeof(kind) in room), kinds[0])
        return kind if len(raw) >= ctypes.sizeof(kind) else None

    def _is_same(self, frame):
        """Repeats, as far as they are not wanted; times do not count."""
        now = time.monotonic()
        what = {name: value for name, value in frame.items() if not name.endswith("_ts")}
        if self.drop_same_frames and what == self._last and now - self._last_at < self.drop_same_frames:
            return True
        self._last, self._last_at = what if self.drop_same_frames else None, now
        return False

    def _search(self, now):
        """Nothing comes: a writer that was started again may have made another object of this name."""
        if now - self._searched_at < _SEARCH_SINK:
            return
        self._searched_at = now
        try:
            fd = _open(_path(self.obj), os.O_RDWR)
        except Error:
            return
        if os.path.samestat(os.fstat(fd), os.fstat(self._fd)):
            os.close(fd)
        else:
            os.close(self._fd)
            self._fd, self._id = fd, None
