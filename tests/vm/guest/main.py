# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the tests in the machine and tells the host about each.

Tests are unittest's, found in test_*.py. A test's name is its method's, without `test_`: a sentence.
Arguments are parts of names; with any, only tests that contain one of them run.
"""

import sys
import time
import traceback
import unittest
from pathlib import Path

import host

LONGEST_REASON = 400  # the whole of it is in the log


class Report(unittest.TestResult):
    """Sends one message per test, also where both the test and its clean-up failed."""

    def startTest(self, test):
        super().startTest(test)
        self.outcome, self.reason = "passed", ""
        self.started = time.monotonic()

    def addSkip(self, test, reason):
        self.outcome, self.reason = "skipped", reason

    def addFailure(self, test, error):
        self.fail(error)

    def addError(self, test, error):
        if not hasattr(test, "_testMethodName"):  # a class could not be set up: none of its tests runs
            self.startTest(test)
            self.fail(error)
            self.stopTest(test)
        else:
            self.fail(error)

    def addSubTest(self, test, subtest, error):
        if error:
            print(subtest, flush=True)
            self.fail(error)

    def fail(self, error):
        traceback.print_exception(*error)
        self.outcome = "failed"
        text = " ".join(str(error[1]).split()) or error[0].__name__
        self.reason = (f"{self.reason}; {text}" if self.reason else text)[:LONGEST_REASON]

    def stopTest(self, test):
        super().stopTest(test)
        seconds = time.monotonic() - self.started
        name = name_of(test)
        print(f"{self.outcome}: {name} ({seconds:.1f} s)", flush=True)
        host.tell(outcome=self.outcome, name=name, reason=self.reason, seconds=round(seconds, 2))


def name_of(test):
    """The sentence that the method's name is."""
    return getattr(test, "_testMethodName", str(test)).removeprefix("test_")


def flatten(suite):
    """The single tests of nested suites."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flatten(test)
        else:
            yield test


def main():
    patterns = sys.argv[1:]
    tests = flatten(unittest.defaultTestLoader.discover(Path(__file__).parent))
    chosen = [test for test in tests if not patterns or any(part in name_of(test) for part in patterns)]
    unittest.TestSuite(chosen).run(Report())
    host.tell(finished=True)


if __name__ == "__main__":
    main()
