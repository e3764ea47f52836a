#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the tests of python/hdmicast.py, or those whose name contains one of the words given.

One line for each, `ok NAME` or `not ok NAME: reason`, and the sums last.
"""

import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "python")]


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

    def stopTest(self, test):
        super().stopTest(test)
        for _, trace in self.errors + self.failures:
            lines = trace.strip().splitlines()
            where = next((line.strip() for line in reversed(lines) if 'tests/python' in line), "")
            print(f"not ok {self.name(test)}: {' '.join(lines[-1].split())} ({where})", flush=True)
            self.bad += 1
        self.errors.clear()
        self.failures.clear()

    bad = 0


def main():
    words = sys.argv[1:]
    found = [test for test in tests_of(unittest.defaultTestLoader.discover(str(HERE)))
             if not words or any(word in test.id() for word in words)]
    result = Result()
    unittest.TestSuite(found).run(result)
    print(f"{len(found) - result.bad} passed, {result.bad} failed")
    sys.exit(result.bad > 0)


if __name__ == "__main__":
    main()
