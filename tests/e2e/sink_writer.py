# SPDX-License-Identifier: GPL-3.0-or-later
"""A writer of uStreamer's shared memory, made from its layouts and its protocol alone: it shares nothing with ours."""

import contextlib
import ctypes
import fcntl
import mmap
import os
import struct
import time
from decimal import Decimal

MAGIC = 0xCAFEBABECAFEBABE

# Where 64-bit programs have each field; "7b" is what uStreamer 6.46 to 6.55 call 7.
LAYOUTS = {
    "7": {"version": 7, "wants_key": 48, "width": 52, "height": 56, "format": 60, "stride": 64, "online": 68, "key": 69,
          "gop": 72, "grab_ts": 80, "encode_begin_ts": 96, "encode_end_ts": 112, "payload": 128},
    "7b": {"version": 7, "wants_key": 48, "width": 52, "height": 56, "format": 60, "stride": 64, "online": 68,
           "key": 69, "gop": 72, "grab_begin_ts": 80, "grab_end_ts": 96, "encode_begin_ts": 112, "encode_end_ts": 128,
           "payload": 144},
    "10": {"version": 10, "wants_key": 64, "width": 68, "height": 72, "format": 76, "stride": 80, "online": 84,
           "key": 85, "gop": 88, "grab_begin_ts": 96, "grab_end_ts": 112, "encode_begin_ts": 128, "encode_end_ts": 144,
           "payload": 160},
}
LAYOUTS["8"] = {**LAYOUTS["7b"], "version": 8}
ROOM = {"jpeg": 4 << 20, "h264": 2 << 20}


class Writer:
    """An object with a name, as a context; it is removed at the end."""

    def __init__(self, name, abi, size=None):
        self.path, self.at = f"/dev/shm/{name}", LAYOUTS[abi]
        self.size = self.at["payload"] + ROOM[name.rpartition(":")[2]] if size is None else size
        self.number = 0

    def __enter__(self):
        self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(self.fd, self.size)
        self.memory = mmap.mmap(self.fd, self.size) if self.size else None
        return self

    def __exit__(self, *_):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        os.close(self.fd)

    @contextlib.contextmanager
    def lock(self):
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(0.001)
        try:
            yield
        finally:
            fcntl.flock(self.fd, fcntl.LOCK_UN)

    def set(self, at, layout, value):
        struct.pack_into(layout, self.memory, at, value)

    def put(self, data, used=None, magic=MAGIC, version=None, **fields):
        """One frame. Times are decimal strings, which floats would round."""
        self.number += 1
        with self.lock():
            self.memory[self.at["payload"]:self.at["payload"] + len(data)] = data
            for name, value in fields.items():
                if name.endswith("_ts"):
                    self.memory[self.at[name]:self.at[name] + 16] = long_double(value)
                else:
                    self.set(self.at[name], "B" if name in ("online", "key") else "I", value)
            self.set(16, "Q", self.number * 0x9E3779B97F4A7C15 % 2**64)
            self.set(24, "Q", len(data) if used is None else used)
            if fields.get("key"):
                self.memory[self.at["wants_key"]] = 0
            self.set(8, "I", self.at["version"] if version is None else version)
            self.set(0, "Q", magic)

    def wants_key(self):
        return self.memory[self.at["wants_key"]]

    def client_age(self):
        """Seconds since a reader said that it is there."""
        return time.monotonic() - ctypes.c_longdouble.from_buffer_copy(self.memory[32:48]).value


def long_double(text):
    """x87's extended format: a sign and 15 bits of exponent over 64 bits of fraction, padded to 16 bytes."""
    value = Decimal(text)
    if not value:
        return bytes(16)
    exponent = 0
    while value >= 2:
        value, exponent = value / 2, exponent + 1
    while value < 1:
        value, exponent = value * 2, exponent - 1
    return struct.pack("<QH6x", int(value * 2**63), exponent + 16383)
