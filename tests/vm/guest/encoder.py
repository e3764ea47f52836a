# SPDX-License-Identifier: GPL-3.0-or-later
"""The H.264 encoder that modules/pcm264 is: lossless, at the node where a Raspberry Pi has its own."""

import os
import subprocess
from pathlib import Path

import waiting

NODE = Path("/dev/video11")
PARAMETERS = Path("/sys/module/pcm264/parameters")
COUNTERS = ("jobs", "imported", "attached")
FAULTS = ("latency_us", "drop_every", "empty_every", "err_every", "hang", "wedge", "fail_streamon")


def load(**parameters):
    """A new encoder; parameters are the module's."""
    unload()
    for module in ("videodev", "videobuf2-v4l2", "videobuf2-vmalloc"):
        subprocess.run(["modprobe", module], check=True)
    if not Path("/sys/module/v4l2_mem2mem").exists():
        subprocess.run(["insmod", f"{os.environ['MODULES']}/v4l2-mem2mem.ko"], check=True)
    settings = [f"{name}={value}" for name, value in parameters.items()]
    subprocess.run(["insmod", f"{os.environ['MODULES']}/pcm264.ko", *settings], check=True)
    waiting.until(NODE.exists, 5, "the encoder's node appears")


def unload():
    """Takes it away: that fails while anyone holds the node, or a buffer of it."""
    if PARAMETERS.exists():
        heal()
        subprocess.run(["rmmod", "pcm264"], check=True)


def heal():
    """Ends all faults and starts counting anew."""
    for name in (*FAULTS, *COUNTERS):
        put(name, 0)
    put("only", "")


def put(name, value):
    """Sets a parameter."""
    (PARAMETERS / name).write_text(f"{value}\n" if value != "" else "\n")


def count(name):
    """A counter."""
    return int((PARAMETERS / name).read_text())
