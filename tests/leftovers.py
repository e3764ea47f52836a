# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs that were killed left behind, and how a run that is told to end leaves nothing. All that tests put into
/tmp and /dev/shm has in its name hdmicast-WORD-PID, of the program that made it; a user's own ring may be called
hdmicast-cam-2."""

import contextlib
import os
import re
import shutil
import signal
import sys
from pathlib import Path

NAME = re.compile(r"hdmicast-(?:bench|clock|e2e|fake|fuzz|gate|m2m|python|stress|test)-(\d+)\b")
# What tells us to end. Who was started in the background of a script hears no ^C, and leaves it so.
ENDING = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN]


def sweep(own=False):
    """Removes what is of nobody who lives; own: and of this process."""
    for place in ("/tmp", "/dev/shm"):
        for name in os.listdir(place):
            match = NAME.match(name)
            if not match or os.path.exists(f"/proc/{match[1]}") and not (own and int(match[1]) == os.getpid()):
                continue
            path = os.path.join(place, name)
            with contextlib.suppress(OSError):  # gone
                if os.lstat(path).st_uid != os.geteuid():
                    continue
                if os.path.isdir(path) and not os.path.islink(path):
                    shutil.rmtree(path)
                else:
                    os.unlink(path)


def end_when_told():
    """^C and SIGTERM raise SystemExit, once: who cleans up then is not disturbed, although timeout(1) sends two."""
    def end(number, _):
        for each in ENDING:
            signal.signal(each, lambda *_: None)
        sys.exit(128 + number)

    for number in ENDING:
        signal.signal(number, end)


def end_session(leader):
    """Kills a program that has a session of its own, with its tests and their daemons, whose groups are their own."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_bytes().rpartition(b")")[2].split()[3]) == leader:
                os.kill(int(stat.parent.name), signal.SIGKILL)
