#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A numpy array for each raw picture of a grabber, neither copied nor encoded: ring-to-numpy.py NAME [COUNT]

    hdmicast --raw-ring grabber &
    ./ring-to-numpy.py grabber
"""

import itertools
import sys

import hdmicast

name, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None

with hdmicast.Ring(name, newest=True, timeout=10, early=True) as ring:
    for frame in itertools.islice(ring, count):
        if frame.format in ("MJPG", "JPEG"):  # what the grabber gives is what the ring has
            sys.exit("these pictures are JPEGs: start hdmicast with --format YUYV, or decode them")
        picture = frame.numpy()  # read-only, in the ring itself; picture.copy() to keep or change it
        mean = picture[::8, ::8].mean()
        if frame.valid():  # else the writer has overwritten it meanwhile
            print(frame.sequence, frame.format, picture.shape, f"{mean:.1f}", f"{ring.lost} lost")
