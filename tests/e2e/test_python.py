# SPDX-License-Identifier: GPL-3.0-or-later
"""python/hdmicast.py and its examples, on what the daemon writes."""

import contextlib
import os
import re
import subprocess
import sys
import time

from harness import ROOT, Daemon, check, equal, folder, free_name, jpeg_size, test, wait_until
from test_h264 import Unit
from test_memsink import CARD, H264, JPEG, named

sys.path.insert(0, str(ROOT / "python"))
import hdmicast  # noqa: E402


@contextlib.contextmanager
def ring_names():
    """Two of this test; nothing of them is left, also when the daemon is killed."""
    names = [f"hdmicast-e2e-{os.getpid()}-{os.path.basename(free_name())}" for _ in range(2)]
    try:
        yield names
    finally:
        for name in names:
            for suffix in ("", ".ctl"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"/dev/shm/{name}{suffix}")


def example(*command):
    """What an example prints. It runs with Debian's Python, which has Debian's numpy."""
    done = subprocess.run(["/usr/bin/python3", *map(str, command)], cwd=ROOT / "examples", stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, env={**os.environ, "PYTHONPATH": str(ROOT / "python")},
                          check=False, timeout=20)
    equal(done.returncode, 0, f"the exit status ({done.stdout[-300:]})")
    return done.stdout


@test
def python_reads_raw_and_h264_rings():
    with ring_names() as (raw, video), Daemon(*CARD, "--raw-ring", raw, "--h264-ring", video, "--h264-gop", 0):
        with hdmicast.Ring(raw, timeout=5, early=True) as pictures, hdmicast.Ring(video, timeout=5, early=True) as ring:
            frame = next(pictures)
            equal((frame.width, frame.height, frame.key, frame.online), (320, 240, True, True), "the picture's fields")
            captured = next(pictures).captured_ns
            age = time.monotonic_ns() - captured
            check(0 < age < 2e9, f"it was captured {age} ns ago")
            first = next(ring)
            check(first.key and first.format == "H264" and first.lost == 0, f"{first!r}")
            check(Unit([nal for nal in first.copy().split(b"\0\0\1") if nal.strip(b"\0")], 0).key, "it is no key frame")
            for _ in range(2):
                check(not next(ring).key, "a key frame that nobody asked for")
            ring.request_key()
            keys = [frame.key for frame, _ in zip(ring, range(30))]
            check(any(keys), "no key frame came")
            equal(ring.lost, 0, "what was lost")


@test
def pythons_examples_give_arrays_and_files():
    with ring_names() as (raw, jpeg), Daemon(*CARD, "--raw-ring", raw, "--jpeg-ring", jpeg):
        lines = example("ring-to-numpy.py", raw, 5).splitlines()
        check(len(lines) >= 4 and all(re.fullmatch(r"\d+ \w{4} \(\d+, 320(, \d)?\) \d+\.\d \d+ lost", line)
                                      for line in lines), f"{lines}")
        example("ring-to-jpegs.py", jpeg, os.path.join(folder(), "pictures"), 3)
        files = os.listdir(os.path.join(folder(), "pictures"))
        equal(len(files), 3, "the number of files")
        for name in files:
            with open(os.path.join(folder(), "pictures", name), "rb") as file:
                equal(jpeg_size(file.read()), (320, 240), "a JPEG's size")


@test
def pythons_memsink_reads_both_layouts():
    for abi, times in ((7, {"grab_ts"}), (10, {"grab_begin_ts", "grab_end_ts"})):
        with named("h264") as video, named("jpeg") as pictures, \
                Daemon(*CARD, "--h264-sink", video, "--jpeg-sink", pictures, "--h264-gop", 0, "--sink-abi", abi):
            with contextlib.ExitStack() as stack:
                for name in (video, pictures):
                    wait_until(lambda path=f"/dev/shm/{name}": os.path.exists(path), "the sinks")
                ring, jpegs = (stack.enter_context(hdmicast.Memsink(name, 1, 5)) for name in (video, pictures))
                check(ring.wait_frame(key_required=True), "no frame")
                frame = wait_until(lambda: (got := ring.wait_frame()) and not got["key"] and got, "a delta frame")
                fields = ("width", "height", "format", "online", "gop", "stride")
                equal([frame[name] for name in fields], [320, 240, H264, True, 0, 0], "the fields")
                begin = frame.get("grab_ts", frame.get("grab_begin_ts"))
                check(times < set(frame) and begin < frame["encode_begin_ts"] < frame["encode_end_ts"], f"{frame}")
                check(0 < time.monotonic() - begin < 2, f"grabbed at {begin}")
                wait_until(lambda: ring.wait_frame(key_required=True)["key"], "a key frame on request")
                picture = jpegs.wait_frame()
                equal((jpeg_size(picture["data"]), picture["format"]), ((320, 240), JPEG), "the JPEG")
