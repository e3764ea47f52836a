# SPDX-License-Identifier: GPL-3.0-or-later
"""How much may run at once."""

import contextlib
import os


def cores():
    """Of the machine's, those that we may use, and no more than the cgroup's quota pays for."""
    count = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):  # "max", or no such file
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = map(int, file.read().split())
        count = min(count, -(-quota // period))
    return max(1, count)
