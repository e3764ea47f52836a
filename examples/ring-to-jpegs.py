#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Saves each picture as a file: ring-to-jpegs.py NAME FOLDER [COUNT]

    hdmicast --jpeg-ring pictures &
    ./ring-to-jpegs.py pictures /tmp/pictures
"""

import itertools
import os
import sys

import hdmicast

name, folder, count = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else None

with hdmicast.Ring(name, timeout=10, early=True) as ring:
    os.makedirs(folder, exist_ok=True)
    for frame in itertools.islice(ring, count):
        try:
            jpeg = frame.copy()
        except hdmicast.Overwritten:
            continue
        with open(os.path.join(folder, f"{frame.captured_ns}.jpg"), "wb") as file:
            file.write(jpeg)
