#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the tests of python/hdmicast.py, or those whose name contains one of the words given.

One line for each, `ok NAME`, `not ok NAME: reason` or `skipped: NAME: reason`, and the sums last. The
time of the tests and of their writers goes four times slower, so that being late on a busy machine is
less late.
"""

import atexit
import os
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(path) for path in (HERE, ROOT / "python", ROOT / "tests/clock")]


def tests_of(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from tests_of(item)
        else:
            yield item


class Result(unittest.TestResult):
    def name(self, test):
        return "python: " + test.id().rpartition(".")[2].removeprefix("test_")

    def addSuccess(self, test):
        super().addSuccess(test)
        print(f"ok {self.name(test)}", flush=True)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        print(f"skipped: {self.name(test)}: {reason}", flush=True)

    def stopTest(self, test):
        super().stopTest(test)
        for _, trace in self.errors + self.failures:
            lines = trace.strip().splitlines()
            where = next((line.strip() for line in reversed(lines) if 'tests/python' in line), "")
            print(f"not ok {self.name(test)}: {' '.join(lines[-1].split())[:1000]} ({where})", flush=True)
            self.bad += 1
        self.errors.clear()
        self.failures.clear()

    bad = 0


def calm_down():
    """Begins again with a clock of our own. An instrumented writer would want its runtime before it."""
    path = os.environ.get("HDMICAST_TEST_CLOCK")
    if os.environ.get("SAN"):
        return
    if path:
        atexit.register(os.unlink, path)
        return
    import testclock  # pylint: disable=import-outside-toplevel
    clock = testclock.Clock(f"/dev/shm/hdmicast-clock-{os.getpid()}", 4)
    library = ROOT / os.environ.get("BUILD", "build") / "clock/libtestclock.so"
    os.environ.update(HDMICAST_TEST_CLOCK=clock.path, LD_PRELOAD=str(library))
    os.execv(sys.executable, [sys.executable, *sys.argv])


def main():
    calm_down()
    words = sys.argv[1:]
    found = [test for test in tests_of(unittest.defaultTestLoader.discover(str(HERE)))
             if not words or any(word in test.id() for word in words)]
    result = Result()
    unittest.TestSuite(found).run(result)
    n_skipped = len(result.skipped)
    print(f"{len(found) - result.bad - n_skipped} passed, {result.bad} failed" +
          (f", {n_skipped} skipped" if n_skipped else ""))
    sys.exit(result.bad > 0)


if __name__ == "__main__":
    main()
