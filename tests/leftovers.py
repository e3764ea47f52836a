# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs that were killed left behind. All that tests put into /tmp and /dev/shm has in its name
hdmicast-WORD-PID, of the program that made it; a user's own ring may be called hdmicast-cam-2."""

import contextlib
import os
import re
import shutil

NAME = re.compile(r"hdmicast-(?:bench|clock|e2e|fake|fuzz|gate|m2m|python|stress|test)-(\d+)\b")


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
