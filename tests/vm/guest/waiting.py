# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a condition instead of for time to pass."""

import time


def until(condition, seconds, what):
    """Returns the first true value of condition(); fails with `what` when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what() if callable(what) else what}")
        time.sleep(0.02)
