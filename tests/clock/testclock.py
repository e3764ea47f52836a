# SPDX-License-Identifier: GPL-3.0-or-later
"""The owner's side of clock.h: the time of all processes that preload libtestclock.so with its file."""

import mmap
import struct
import threading
import time

SLOTS, SLOT = 16, struct.Struct("=4q")


class Clock:
    """Goes as the machine's does, n times slower where that is said, until it is told otherwise. Any thread.

    On a slow one, a deadline of the program under test is as many times further away for a busy machine.
    """

    def __init__(self, path, slower=1):
        self.path, self.lock = path, threading.Lock()
        wall = time.clock_gettime_ns(time.CLOCK_REALTIME) - time.monotonic_ns()
        with open(path, "wb+") as file:
            file.write(struct.pack("=Qq", 0, wall) + SLOT.pack(0, 0, 1, 1) * 2)
            file.flush()
            self.memory = mmap.mmap(file.fileno(), SLOTS + 2 * SLOT.size)
        if slower != 1:
            self.stretch(slower)

    def _slot(self, generation):
        return SLOT.unpack_from(self.memory, SLOTS + SLOT.size * (generation & 1))

    def _generation(self):
        return struct.unpack_from("=Q", self.memory)[0]

    def now_ns(self):
        """Its CLOCK_MONOTONIC."""
        real, virtual, rate, per = self._slot(self._generation())
        return virtual + (time.monotonic_ns() - real) * rate // per

    def now(self):
        return self.now_ns() / 1e9

    def _set(self, step_ns, rate=None, per=None):
        with self.lock:
            generation = self._generation() + 1
            last = self._slot(generation - 1)
            rate, per = last[2:] if rate is None else (rate, per)
            SLOT.pack_into(self.memory, SLOTS + SLOT.size * (generation & 1), time.monotonic_ns(),
                           self.now_ns() + step_ns, rate, per)
            struct.pack_into("=Q", self.memory, 0, generation)

    def stretch(self, times):
        """From now on a second takes as many of the machine's."""
        self._set(0, 1, times)

    def hurry(self, times):
        """From now on so many seconds go by in one."""
        self._set(0, times, 1)

    def stop(self):
        self._set(0, 0, 1)

    def step(self, seconds):
        """Now it is later, and whoever waited for a moment in between has it; it goes on as it did."""
        self._set(int(seconds * 1e9))

    def sleep(self, seconds):
        """Until it is later by itself."""
        end = self.now() + seconds
        while self.now() < end:
            time.sleep(0.005)
