#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's mem2mem core as it is: Debian's kernel for amd64 has no driver that needs it, and so leaves it out.

usage: derive.py LINUX_SOURCE OUTPUT_DIRECTORY
"""

import shutil
import sys
from pathlib import Path

shutil.copy(Path(sys.argv[1]) / "drivers/media/v4l2-core/v4l2-mem2mem.c", sys.argv[2])
