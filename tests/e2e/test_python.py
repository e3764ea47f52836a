# SPDX-License-Identifier: GPL-3.0-or-later
"""python/hdmicast.py and its examples, on what the daemon writes."""

import contextlib
import os
import re
import subprocess
import sys
import time

from harness import PATIENCE, ROOT, Daemon, check, equal, folder, free_name, jpeg_size, test, wait_until
from sink_writer import LAYOUTS, Writer
from test_h264 import Unit
from test_memsink import CARD, H264, JPEG, named

sys.path.insert(0, str(ROOT / "python"))
import hdmicast  # noqa: E402


@contextlib.contextmanager
def ring_names():
    """Two of this test; nothing of them is left, also when the daemon is killed."""
    names = [f"{os.path.basename(folder())}-{os.path.basename(free_name())}" for _ in range(2)]
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
                          check=False, timeout=PATIENCE)
    equal(done.returncode, 0, f"the exit status ({done.stdout[-300:]})")
    return done.stdout


@test
def python_reads_raw_and_h264_rings():
    with ring_names() as (raw, video), Daemon(*CARD, "--raw-ring", raw, "--h264-ring", video, "--h264-gop", 0,
                                             clock=4):
        with hdmicast.Ring(raw, timeout=PATIENCE, early=True) as pictures, hdmicast.Ring(video, timeout=PATIENCE, early=True) as ring:
            frame = next(pictures)
            equal((frame.width, frame.height, frame.key, frame.online), (320, 240, True, True), "the picture's fields")
            captured = next(pictures).captured_ns
            age = time.monotonic_ns() - captured
            check(0 < age < PATIENCE * 1e9, f"it was captured {age} ns ago")
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


def check_times(frame, names):
    """In order, of now, and as far apart as they can be."""
    times = [frame[name] for name in names]
    equal(times, sorted(times), f"the order of {names}")
    check(0 < time.monotonic() - times[0] < PATIENCE, f"grabbed {time.monotonic() - times[0]:.3f} s ago")
    check(times[-1] <= time.monotonic(), "it comes from the future")


TIMES = ("grab_begin_ts", "grab_end_ts", "encode_begin_ts", "encode_end_ts")


@test
def pythons_memsink_reads_both_layouts():
    for abi, more in ((7, {"grab_ts"}), (10, set())):
        with named("h264") as video, named("jpeg") as pictures, \
                Daemon(*CARD, "--h264-sink", video, "--jpeg-sink", pictures, "--h264-gop", 25, "--sink-abi", abi):
            with contextlib.ExitStack() as stack:
                for name in (video, pictures):
                    wait_until(lambda path=f"/dev/shm/{name}": os.path.exists(path), "the sinks")
                ring, jpegs = (stack.enter_context(hdmicast.Memsink(name, PATIENCE, PATIENCE)) for name in (video, pictures))
                check(ring.wait_frame(key_required=True), "no frame")
                frame = wait_until(lambda: (got := ring.wait_frame()) and not got["key"] and got, "a delta frame")
                picture = jpegs.wait_frame()
                for got, form, key, gop in ((frame, H264, False, 25), (picture, JPEG, True, 0)):
                    equal({name: got[name] for name in got if name not in (*TIMES, *more, "data")},
                          {"width": 320, "height": 240, "format": form, "stride": 0, "online": True, "key": key,
                           "gop": gop}, f"the fields of layout {abi}")
                    check_times(got, TIMES)
                    if more:
                        equal({got[field] for field in ("grab_begin_ts", "grab_end_ts")}, {got["grab_ts"]}, "the grab times")
                equal(jpeg_size(picture["data"]), (320, 240), "the size of the JPEG")
                check(Unit([nal for nal in frame["data"].split(b"\0\0\1") if nal.strip(b"\0")], 0).key is False, "a key frame")
                wait_until(lambda: ring.wait_frame(key_required=True)["key"], "a key frame on request")


@test
def pythons_memsink_reads_every_field_of_a_foreign_writer():
    for abi, layout in LAYOUTS.items():
        with named("h264") as name, Writer(name, abi) as writer, hdmicast.Memsink(name, PATIENCE, PATIENCE) as reader:
            for number in range(3):
                wanted = {"width": 640 + number, "height": 480 + number, "format": H264, "stride": 7 * number,
                          "online": number % 2, "key": (number + 1) % 2, "gop": 30 + number}
                times = {field: f"{81234 + number}.{i}25" for i, field in enumerate(("grab_ts", *TIMES)) if field in layout}
                data = bytes(range(256))[:200 + number] * (1 + 50 * number)
                writer.put(data, **wanted, **times)
                frame = reader.wait_frame()
                times = {field: float(value) for field, value in times.items()}
                if "grab_ts" in times:
                    times["grab_begin_ts"] = times["grab_end_ts"] = times["grab_ts"]
                equal(frame, {**wanted, **times, "data": data}, f"a frame of layout {abi}")
                check(0 <= writer.client_age() < PATIENCE, "the reader does not show up")
            check(not writer.wants_key(), "it asks for a key frame")
            reader.wait_timeout = 0.05
            equal(reader.wait_frame(key_required=True), None, "another frame")
            check(writer.wants_key(), "it asks for no key frame")
