# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's virtual HDMI receivers: one with the single-planar, one with the multi-planar API."""

import subprocess
import time
from pathlib import Path

import waiting

SINGLE_PLANAR = Path("/dev/video20")
MULTI_PLANAR = Path("/dev/video21")

# dv_timings_signal_mode
SIGNAL_GOOD = 4
NO_SIGNAL = 1
NO_LOCK = 2
OUT_OF_RANGE = 3

# dv_timings: places in the driver's table of modes
MODE_640X480P60 = 0
MODE_576P50 = 4
MODE_720P30 = 7
MODE_1080P30 = 12
MODE_1360X768P60 = 54
MODE_1366X768P59 = 56

# horizontal_movement
NO_MOVEMENT = 3
FAST_TO_THE_RIGHT = 6


def load():
    """Two receivers in their first state, with nothing written over the picture."""
    subprocess.run(["modprobe", "-r", "vivid"], check=True)
    subprocess.run(["modprobe", "vivid", "n_devs=2", "vid_cap_nr=20,21", "node_types=1,1", "num_inputs=1,1",
                    "input_types=3,3", "multiplanar=1,2"], check=True)
    for device in (SINGLE_PLANAR, MULTI_PLANAR):
        control(device, osd_text_mode=2)
        set_mode(device, MODE_1080P30)


def v4l2(device, *arguments):
    """Runs v4l2-ctl; returns its output."""
    result = subprocess.run(["v4l2-ctl", "-d", str(device), *arguments], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, check=False, timeout=waiting.PATIENCE)
    if result.returncode:
        raise AssertionError(f"v4l2-ctl {' '.join(arguments)}: {result.stdout.strip()}")
    return result.stdout


def control(device, **values):
    """Sets controls by their names; buttons are pressed with 1."""
    v4l2(device, "-c", ",".join(f"{name}={value}" for name, value in values.items()))


def rate(device, fourcc, width, height):
    """Frames a second that v4l2-ctl takes, of 60."""
    v4l2(device, f"--set-fmt-video=width={width},height={height},pixelformat={fourcc}")
    started = time.monotonic()
    v4l2(device, "--stream-mmap=4", "--stream-count=60")
    return 60 / (time.monotonic() - started)


def send_mode(device, mode):
    """What the far end of the cable sends from now on; the receiver follows when it is told to."""
    control(device, dv_timings_signal_mode=SIGNAL_GOOD, dv_timings=mode)


def set_mode(device, mode):
    """Sends a mode and has the receiver follow; possible while nobody captures."""
    send_mode(device, mode)
    v4l2(device, "--set-dv-bt-timings", "query")


def offers(device, fourcc):
    """True when the device captures in this format."""
    return f"'{fourcc}'" in v4l2(device, "--list-formats")
