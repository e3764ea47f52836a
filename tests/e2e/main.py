#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the end-to-end tests, or those whose name contains one of the words given.

One line for each test, `ok NAME`, `not ok NAME: reason` or `skipped: NAME: reason`, figures above
it, and the sums last. Each test runs in a process of its own. $BUILD is the build to test, $SAN how
it is instrumented, $HDMICAST another daemon to test. $E2E_LONG=1 measures, too, on a machine with
nothing else to do, and takes the long windows.
"""

import contextlib
import importlib
import os
import select
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import harness  # noqa: E402
from cores import cores  # noqa: E402
from leftovers import ENDING, end_when_told, sweep  # noqa: E402

AT_ONCE = max(2, cores()) + 2  # most tests wait most of the time
# They are not left for the end, when the others have nothing to do.
LONGEST = ["colours_are_those", "changes_during_play", "curl_and_ffmpeg", "the_daemons_sinks", "spoiled_pictures",
           "range_is_shown_alike", "pictures_are_mended", "ffmpeg_and_ffprobe", "that_stops_or_dawdles", "a_wedged_encoder",
           "a_bus_without_bandwidth", "the_first_picture_may_take", "a_slate_is_shown", "every_format_of"]


def fold(text):
    return " ".join(text.split())


def run_here(test):
    """In the child: prints the outcome; what was printed before are figures."""
    try:
        test.function()
        print(f"ok {test.name}")
    except harness.Enough:
        print(f"ok {test.name}")
    except harness.Skip as reason:
        print(f"skipped: {test.name}: {fold(str(reason))}")
    except BaseException as error:  # pylint: disable=broad-except
        at = traceback.extract_tb(error.__traceback__)
        line = next((frame for frame in at if "/test_" in frame.filename), at[-1])
        where = f"{Path(line.filename).name}:{line.lineno}"
        kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
        print(f"not ok {test.name}: {kind}{fold(str(error))[:1500]} ({where})")
        if os.environ.get("E2E_TRACE"):
            traceback.print_exc()
    finally:
        if harness.folder.path:
            shutil.rmtree(harness.folder.path, ignore_errors=True)
        sys.stdout.flush()


class Job:
    """A test that runs: a process group, so that its daemons go with it."""

    def __init__(self, test):
        self.test, self.began = test, time.monotonic()
        reading, writing = os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if not self.pid:
            try:
                self.be_child(reading, writing)
            finally:
                os._exit(0)
        with contextlib.suppress(OSError):  # the child does so, too: whoever is first
            os.setpgid(self.pid, self.pid)
        os.close(writing)
        self.pipe, self.output = reading, b""

    def be_child(self, reading, writing):
        """Runs the test, whose output is ours to read."""
        os.setpgid(0, 0)
        for number in ENDING:  # the runner's business
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        signal.signal(signal.SIGUSR2, lambda *_: None)  # --notify-parent means us
        os.dup2(writing, 1)
        os.close(reading)
        os.close(writing)
        run_here(self.test)

    def read(self):
        """False at its end."""
        got = os.read(self.pipe, 65536)
        self.output += got
        return bool(got)

    def is_late(self):
        return time.monotonic() - self.began > self.test.seconds

    def finish(self, late=False):
        """The whole group goes, whatever the test left behind."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        os.close(self.pipe)
        os.waitpid(self.pid, 0)
        lines = self.output.decode(errors="replace").splitlines()
        if late:
            lines.append(f"not ok {self.test.name}: longer than {self.test.seconds} s")
        elif not lines or not lines[-1].startswith(("ok ", "not ok ", "skipped: ")) and not os.environ.get("E2E_TRACE"):
            lines.append(f"not ok {self.test.name}: its process died")
        return lines


@contextlib.contextmanager
def undisturbed():
    """We are told to end before or after: no job is forgotten, or finished twice."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def run(tests, at_once, report):
    waiting, running = list(tests), []
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                with undisturbed():
                    running.append(Job(waiting.pop(0)))
            readable, _, _ = select.select([job.pipe for job in running], [], [], 0.5)
            for job in list(running):
                ended = job.pipe in readable and not job.read()
                if ended or job.is_late():
                    with undisturbed():
                        running.remove(job)
                        lines = job.finish(late=not ended)
                    report(job, lines)
    finally:
        for job in running:  # when we are told to end
            job.finish()


def main():
    here = Path(__file__).resolve().parent
    for path in sorted(here.glob("test_*.py")):
        importlib.import_module(path.stem)
    if not harness.FAKE.exists():
        sys.exit(f"{harness.FAKE} is not there: make fake, or tests/run e2e")
    words = sys.argv[1:]
    tests = [test for test in harness.TESTS if (not words or any(word in test.name for word in words)) and
             (harness.LONG or not test.long)]
    tests.sort(key=lambda test: not any(word in test.name for word in LONGEST))
    sums = {"ok": 0, "not ok": 0, "skipped:": 0}

    def report(job, lines):
        for line in lines:
            print(line if line.startswith(tuple(sums)) else f"# {line}")
            for outcome in sums:
                sums[outcome] += line.startswith(outcome + " ")
        if os.environ.get("E2E_TIMES"):
            print(f"# {time.monotonic() - job.began:.1f} s")
        sys.stdout.flush()

    end_when_told()
    sweep()
    try:
        run([test for test in tests if not test.alone], AT_ONCE, report)
        # An instrumented build is not measured.
        run([test for test in tests if test.alone], 2 if harness.SAN else 1, report)
    finally:
        sweep(own=True)
    skipped = f", {sums['skipped:']} skipped" if sums["skipped:"] else ""
    print(f"{sums['ok']} passed, {sums['not ok']} failed{skipped}")
    sys.exit(sums["not ok"] > 0)


if __name__ == "__main__":
    main()
