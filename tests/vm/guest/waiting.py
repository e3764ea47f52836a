# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a condition instead of for time to pass.

How fast things are is judged by `make check-long`, on a machine that does nothing else: $LONG is 1 then. Elsewhere a
limit is there only against waiting for ever, since a machine under emulation has as much CPU as it is left.
"""

import os
import time

JUDGES_TIMES = os.environ.get("LONG") == "1"
PATIENCE = 300


def limit(seconds):
    """How long something may take that is promised within so many seconds."""
    return seconds if JUDGES_TIMES else PATIENCE


def until(condition, seconds, what):
    """Returns the first true value of condition(); fails with `what` when there is none in time."""
    seconds = limit(seconds)
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what() if callable(what) else what}")
        time.sleep(0.02)
