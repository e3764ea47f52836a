# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs that were killed left behind. All that tests put into /tmp and /dev/shm has in its name
hdmicast-WORD-PID, of the program that made it."""

import contextlib
import os
import re
import shutil

NAME = re.compile(r"hdmicast-[a-z0-9]+-(\d+)")


def sweep(own=False):
    """Removes what is of nobody who lives; own: and of this process."""
    for place in ("/tmp", "/dev/shm"):
        for name in os.listdir(place):
            match = NAME.search(name)
            if not match or os.path.exists(f"/proc/{match[1]}") and not (own and int(match[1]) == os.getpid()):
                continue
            path = os.path.join(place, name)
            with contextlib.suppress(OSError):  # somebody else's, or gone
                if os.path.isdir(path) and not os.path.islink(path):
                    shutil.rmtree(path)
                else:
                    os.unlink(path)
