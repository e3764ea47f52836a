# SPDX-License-Identifier: GPL-3.0-or-later
"""/metrics, which has to be what Prometheus reads and has to count what happens, and /healthz."""

import contextlib
import os
import re
import subprocess
import time

from harness import LONG, Daemon, basic, check, equal, figure, folder, free_name, test, wait_until
from test_mp4 import Mp4

MJPEG = ("--format", "MJPEG")
YUYV = ("--format", "YUYV", "--resolution", "640x480", "--h264-encoder", "x264")
NAME, LABEL = r"[a-zA-Z_:][a-zA-Z0-9_:]*", r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\S+)")
PARTS = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}


def check_histogram(name, samples):
    """Each set of labels: bounds and counts grow, +Inf is last and is the count."""
    series = {}
    for (sample, labels), value in samples.items():
        pairs = [pair for pair in labels if not pair.startswith("le=")]
        series.setdefault(tuple(pairs), []).append((sample, [pair[4:-1] for pair in labels if pair not in pairs], value))
    for labels, found in series.items():
        buckets = [(float(le[0]), value) for sample, le, value in found if sample == name + "_bucket"]
        check(buckets == sorted(buckets) and len(set(buckets)) == len(buckets), f"bounds of {name}{labels}")
        check(all(a[1] <= b[1] for a, b in zip(buckets, buckets[1:])), f"{name}{labels} falls")
        rest = {sample: value for sample, le, value in found if not le}
        equal(set(rest), {name + "_sum", name + "_count"}, f"what {name}{labels} has")
        equal(buckets[-1], (float("inf"), rest[name + "_count"]), f"the last bucket of {name}{labels}")


def check_family(name, kind, text, samples):
    check(text, f"{name} has no help")
    equal(name.endswith("_total"), kind == "counter", f"whether {name}, a {kind}, ends with _total")
    check(not re.search(r"(milli|micro|nano|_ms|_us|_ns|kilo|kbps)", name), f"{name} is not in base units")
    for sample, _ in samples:
        check(sample.removeprefix(name) in PARTS[kind], f"{sample} among {name}")
    if kind == "histogram":
        check_histogram(name, samples)


def lint(text):
    """The format 0.0.4, strictly: HELP, TYPE, then all samples of a family, once. {(name, labels): value}"""
    families, samples, last = {}, {}, None
    check(text.endswith("\n"), "the last line does not end")
    for line in text.splitlines():
        if match := re.fullmatch(rf"# HELP ({NAME}) (.+)", line):
            last = match[1]
            check(last not in families, f"{last} comes twice")
            families[last] = [None, match[2], {}]
        elif match := re.fullmatch(rf"# TYPE ({NAME}) (counter|gauge|histogram)", line):
            equal((match[1], families[last][0]), (last, None), "what TYPE belongs to")
            families[last][0] = match[2]
        else:
            match = SAMPLE.fullmatch(line)
            check(match, f"neither sample nor comment: {line!r}")
            key = match[1], tuple(re.findall(LABEL, match[2] or ""))
            check(last and key[0].startswith(last) and families[last][0], f"{line!r} is outside its family")
            check(key not in samples, f"{line!r} comes twice")
            samples[key] = families[last][2][key] = float(match[3])
    for name, (kind, words, found) in families.items():
        check_family(name, kind, words, found)
    return samples


class Metrics:
    def __init__(self, daemon):
        reply = daemon.get("/metrics")
        equal((reply.status, reply.headers["content-type"]), (200, "text/plain; version=0.0.4; charset=utf-8"),
              "status and type")
        self.samples = lint(reply.body.decode())

    def get(self, name, **labels):
        return self.samples[name, tuple(f'{label}="{value}"' for label, value in labels.items())]


@test
def metrics_count_what_happens():
    ring = os.path.basename(folder())
    with Daemon(*YUYV, "--h264-ring", ring, "--h264-adaptive", 0, fake="uvc:fps=30,fmt=YUYV") as daemon, \
            contextlib.ExitStack() as stack:
        daemon.wait_state("online")
        before = Metrics(daemon)
        equal(before.get("hdmicast_clients", kind="mp4"), 0, "MP4 viewers")
        list(stack.enter_context(daemon.stream()).parts(5))
        movies = [stack.enter_context(Mp4(daemon)) for _ in range(2)]
        for movie in movies:
            for _ in range(24):
                movie.box()
        after = Metrics(daemon)
        for kind, count in (("mjpeg", 1), ("mp4", 2), ("avc", 0), ("h264", 0)):
            equal(after.get("hdmicast_clients", kind=kind), count, f"viewers of {kind}")
            grown = after.get("hdmicast_sent_bytes_total", kind=kind) - before.get("hdmicast_sent_bytes_total", kind=kind)
            equal(grown > 0, count > 0, f"whether bytes of {kind} were sent")
        check(after.get("hdmicast_sent_bytes_total", kind="other") > 0, "this very reply was not counted")
        check(after.get("hdmicast_h264_key_frames_total") >= 1, "no key frame")
        equal(after.get("hdmicast_h264_bitrate_bits_per_second"), daemon.state()["h264"]["bitrate_in_force"] * 1000,
              "the bitrate")
        for medium in ("jpeg", "h264"):
            frames = after.get("hdmicast_frames_published_total", medium=medium)
            check(frames > 3, f"{frames} frames of {medium}")
            for stage in ("grab", "wait", "encode", "publish", "send"):
                check(after.get("hdmicast_stage_seconds_count", medium=medium, stage=stage) > 0, f"{medium} has no {stage}")
            age, parts = after.get("hdmicast_frame_age_seconds_sum", medium=medium, at="published"), 0
            for stage in ("grab", "wait", "convert", "encode", "publish"):
                parts += after.samples.get(("hdmicast_stage_seconds_sum",
                                            (f'medium="{medium}"', f'stage="{stage}"')), 0)
            check(abs(age - parts) <= 0.2 * age, f"the stages of {medium} take {parts} s, frames are {age} s old")
        check(after.get("hdmicast_stage_seconds_count", medium="h264", stage="convert") > 0, "nothing was converted")
        equal(after.get("hdmicast_shm_readers", kind="ring", medium="h264"), 0, "readers of the ring")
        check(after.get("process_resident_memory_bytes") > 1e6, "no memory is used")
        check(abs(after.get("process_start_time_seconds") - time.time()) < 120, "the time of the start")
        published = daemon.state()["latency"]["h264"]["published"]
        check(0 < published["p50_ms"] <= published["p95_ms"] <= published["p99_ms"], f"{published} in /state")
        for movie in movies:
            movie.__exit__()
        wait_until(lambda: Metrics(daemon).get("hdmicast_clients", kind="mp4") == 0, "both are gone")


@test
def bad_frames_are_counted_by_their_reason():
    with Daemon(*MJPEG, fake="uvc:fps=30") as daemon:
        daemon.wait_state("online")
        before = Metrics(daemon)
        daemon.tell("tiny 3")
        wait_until(lambda: sum(daemon.drops().values()) == 3, "three drops")
        after = Metrics(daemon)
        for reason, count in daemon.state()["drops"].items():
            equal(after.get("hdmicast_frames_dropped_total", reason=reason), count, f"drops that are {reason}")
        wait_until(lambda: Metrics(daemon).get("hdmicast_frames_captured_total") >
                   before.get("hdmicast_frames_captured_total"), "frames are counted")


@test
def metrics_need_the_password_and_health_does_not():
    with Daemon("--source", "testcard", "--user", "me", "--passwd", "secret") as daemon:
        equal(daemon.get("/metrics").status, 401, "status without a password")
        equal(daemon.get("/metrics", headers=basic("me", "secret")).status, 200, "status with it")
        equal((daemon.get("/healthz").status, daemon.get("/healthz").body), (200, b"ok\n"), "health")
        equal(daemon.get("/healthz", method="HEAD").status, 200, "the status for HEAD")


@test
def a_driver_that_hangs_is_unhealthy_until_it_goes_on():
    with Daemon(*MJPEG, fake="uvc:fps=30", clock=1) as daemon:
        daemon.wait_state("online")
        equal(daemon.get("/healthz").status, 200, "status before")
        daemon.tell("hang dqbuf forever")
        wait_until(lambda: "hanging=dqbuf" in daemon.tell("status"), "the driver hangs")
        wait_until(lambda: daemon.clock.step(0.5) or daemon.get("/healthz").status == 503, "status 503")
        check(b"has not answered for 5 s" in daemon.get("/healthz").body, "the reason")
        equal(daemon.get("/healthz", method="HEAD").status, 503, "the status for HEAD")
        daemon.tell("release")
        wait_until(lambda: daemon.get("/healthz").status == 200, "status 200 again")


@test
def without_an_encoder_that_works_it_is_unhealthy():
    with Daemon("--source", "testcard", "--h264-encoder", "m2m", "--h264-m2m-device", "/dev/nothing") as daemon:
        equal(daemon.get("/healthz").status, 200, "status before anybody wanted H.264")
        equal(daemon.get("/stream.h264").status, 503, "the status of the stream")
        reply = daemon.get("/healthz")
        equal((reply.status, reply.body), (503, b"No H.264 encoder works.\n"), "health")


@test
def the_slate_that_says_why_is_healthy():
    with Daemon("--format", "UYVY", fake="csi:edid=set,signal=none", node="/dev/fake-csi") as daemon:
        daemon.wait_state("no-signal")
        equal(daemon.get("/healthz").status, 200, "status without a signal")
        check(Metrics(daemon).get("hdmicast_source_online") == 0, "it is online")


def check_plays(path):
    run = subprocess.run(["ffmpeg", "-v", "error", "-f", "mp4", "-i", path, "-f", "null", "-"], check=False,
                         stderr=subprocess.PIPE, text=True)
    equal((run.returncode, run.stderr), (0, ""), "what ffmpeg says")


@test
def every_viewer_of_a_crowd_gets_a_stream_that_decodes():
    clients = 50 if LONG else 5
    with Daemon("--source", "testcard", "--resolution", "1920x1080" if LONG else "640x480", "--desired-fps", "30",
                "--h264-bitrate", 8000, "--h264-encoder", "x264") as daemon:
        url = f"http://127.0.0.1:{daemon.port}/stream.mp4"
        paths = [free_name(".mp4") for _ in range(clients)]
        crowd = [subprocess.Popen(["curl", "-sN", "--retry", "15", "-o", path, url]) for path in paths]
        try:
            wait_until(lambda: all(os.path.exists(path) and os.path.getsize(path) > 100_000 for path in paths),
                       "each has something to decode")
        finally:
            for reader in crowd:
                reader.terminate()
                reader.wait()
    for path in paths:
        check_plays(path)
    figure(f"{clients} viewers of /stream.mp4: each one's stream decodes")
