#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the frame number that the fake devices draw into each picture (see fake.h).

    stamp.py WIDTH HEIGHT [grey|rgb24] < frames.raw      one number per frame and line

  ffmpeg -v error -f mjpeg -i out.mjpg -f rawvideo -pix_fmt gray - | stamp.py 1920 1080
"""
import sys

BITS = 32


def side(width):
    return 8 if width < 512 else 16


def read(picture, width, channels=1):
    """The number in one raw picture (bytes), top-left aligned."""
    block, number = side(width), 0
    for bit in range(BITS):
        total = 0
        for y in range(block // 4, block * 3 // 4):
            row = y * width
            for x in range(bit * block + block // 4, bit * block + block * 3 // 4):
                total += picture[(row + x) * channels]
        number = number << 1 | (total >= 128 * (block // 2) ** 2)
    return number


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    width, height = int(sys.argv[1]), int(sys.argv[2])
    channels = 3 if sys.argv[3:] == ["rgb24"] else 1
    while True:
        picture = sys.stdin.buffer.read(width * height * channels)
        if len(picture) < width * height * channels:
            break
        print(read(picture, width, channels))


if __name__ == "__main__":
    main()
