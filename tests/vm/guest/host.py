# SPDX-License-Identifier: GPL-3.0-or-later
"""The line to the host: one JSON object per line through the virtio port named "host"."""

import json
import os
from functools import cache
from pathlib import Path

OUT = Path("/out")  # a folder of the host, read-write


@cache
def port():
    """The port's descriptor; there is no udev to give it a path by name."""
    for name in Path("/sys/class/virtio-ports").glob("*/name"):
        if name.read_text().strip() == "host":
            return os.open(f"/dev/{name.parent.name}", os.O_RDWR)
    raise FileNotFoundError("no virtio port named host")


def tell(**message):
    """Sends a message that needs no answer."""
    os.write(port(), json.dumps(message).encode() + b"\n")


def ask(**message):
    """Sends a request and waits for its answer."""
    tell(**message)
    answer = b""
    while not answer.endswith(b"\n"):
        answer += os.read(port(), 65536)
    return json.loads(answer)


def ffmpeg(*arguments):
    """Runs ffmpeg on the host, in the folder that is /out here; returns what it has written to stderr."""
    answer = ask(ffmpeg=[str(argument) for argument in arguments])
    if answer["status"]:
        raise AssertionError(f"ffmpeg failed: {answer['stderr']}")
    return answer["stderr"]
