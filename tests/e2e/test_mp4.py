# SPDX-License-Identifier: GPL-3.0-or-later
"""/stream.mp4 and /stream.avc: what each access unit is wrapped in, and that players take it."""

import contextlib
import json
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

from harness import LONG, PATIENCE, Daemon, Reply, Skip, ask_again, basic, check, equal, figure, free_name, test, wait_until
from test_h264 import CALM, CARD, IDR, PPS, SPS, Unit, check_decodes, check_units, h264
from test_http import check_no_cache

CONTAINERS = {b"moov": (b"mvhd", b"trak", b"mvex"), b"trak": (b"tkhd", b"mdia"), b"mdia": (b"mdhd", b"hdlr", b"minf"),
              b"minf": (b"vmhd", b"dinf", b"stbl"), b"dinf": (b"dref",), b"mvex": (b"trex",),
              b"stbl": (b"stsd", b"stts", b"stsc", b"stsz", b"stco"), b"moof": (b"mfhd", b"traf"),
              b"traf": (b"tfhd", b"tfdt", b"trun")}
LEAVES = {b"ftyp", b"prft", b"mdat", b"avcC"} | {name for names in CONTAINERS.values() for name in names} - set(CONTAINERS)
NTP_TO_1970 = 2208988800


def number(data, at, size=4):
    return int.from_bytes(data[at:at + size], "big")


class Body:
    """A reader of the body of a reply of any length, as a context."""

    def __init__(self, daemon, path, version="1.1", headers=None, peer=None):
        self.peer = peer
        if peer:
            self.reply = self._ask(path, version, headers)
        else:
            self.reply = ask_again(lambda: self._ask(path, version, headers, daemon))
        equal(self.reply.status, 200, f"the status of {path}")
        self.chunked = self.reply.headers.get("transfer-encoding") == "chunked"
        self.rest = b""

    def _ask(self, path, version, headers, daemon=None):
        if daemon:
            self.peer = daemon.connect()
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        self.peer.sendall(f"GET {path} HTTP/{version}\r\nHost: test\r\n{lines}\r\n".encode())
        self.file = self.peer.makefile("rb", buffering=1 << 16)
        return Reply(self.file, with_body=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.peer.close()

    def _exactly(self, size):
        got = self.file.read(size)
        equal(len(got), size, "the number of bytes that came")
        return got

    def chunk(self):
        size = int(self.file.readline(), 16)
        check(size, "the stream ended")
        got = self._exactly(size)
        equal(self.file.readline(), b"\r\n", "the end of a chunk")
        return got

    def read(self, size):
        if not self.chunked:
            return self._exactly(size)
        while len(self.rest) < size:
            self.rest += self.chunk()
        got, self.rest = self.rest[:size], self.rest[size:]
        return got


class Avc(Body):
    """A reader of /stream.avc: units have captured_us, encoded_us, online and codec as well."""

    def __init__(self, daemon, path="/stream.avc", **more):
        super().__init__(daemon, path, **more)
        equal(self.reply.headers["content-type"], "application/x-hdmicast-avc", "Content-Type")

    def unit(self):
        head = self.read(24)
        data = self.read(number(head, 0))
        nals = [nal.rstrip(b"\0") for nal in data.split(b"\0\0\1")[1:]]
        unit = Unit(nals, time.monotonic_ns())
        check(head[4] in (0, 1, 2, 3), f"flags {head[4]}")
        equal(bool(head[4] & 1), unit.key, "the key flag")
        unit.online, unit.codec, unit.size = bool(head[4] & 2), head[5:8], len(data)
        unit.captured_us, unit.encoded_us = number(head, 8, 8), number(head, 16, 8)
        return unit

    def units(self, count=None, seconds=None):
        end = time.monotonic() + seconds if seconds else None
        while count is None or count > 0:
            if end and time.monotonic() >= end:
                return
            yield self.unit()
            count = count - 1 if count else None


class Box:
    """One box, whose children, if it may have some, were read strictly."""

    def __init__(self, kind, data):
        check(kind in LEAVES or kind in CONTAINERS, f"a box of type {kind}")
        self.kind, self.data, self.children = kind, data, {}
        if kind in CONTAINERS:
            for child in boxes(data):
                check(child.kind not in self.children, f"two {child.kind} in {kind}")
                self.children[child.kind] = child
            equal(tuple(self.children), CONTAINERS[kind], f"what is in {kind}")

    def __getitem__(self, path):
        found = self
        for kind in path.split("/"):
            found = found.children[kind.encode()]
        return found.data


def boxes(data):
    while data:
        check(len(data) >= 8 and 8 <= number(data, 0) <= len(data), "a box that is no box, or ends outside")
        yield Box(data[4:8], data[8:number(data, 0)])
        data = data[number(data, 0):]


class Mp4(Body):
    """A reader of /stream.mp4 that believes nothing: units have captured_us of the wall clock."""

    def __init__(self, daemon, path="/stream.mp4", **more):
        super().__init__(daemon, path, **more)
        self.codec = self.reply.headers["x-hdmicast-codecs"]
        equal(self.reply.headers["content-type"], f'video/mp4; codecs="{self.codec}"', "Content-Type")
        self.sets, self.inits, self.next_time, self.sequence = [], [], 0, 0

    def box(self):
        head = self.read(8)
        return Box(head[4:], self.read(number(head, 0) - 8))

    def _init(self, ftyp):
        equal(ftyp.data[:4], b"iso6", "the major brand")
        moov = self.box()
        equal(moov.kind, b"moov", "the box after ftyp")
        for path, at in (("mvhd", 16), ("trak/tkhd", 20), ("trak/mdia/mdhd", 16)):
            equal(number(moov[path], at), 0, f"the duration in {path}")
        for path in ("mvhd", "trak/mdia/mdhd"):
            equal(number(moov[path], 12), 90000, f"the time scale of {path}")
        equal((number(moov["trak/tkhd"], 0), number(moov["trak/tkhd"], 12)), (3, 1), "flags and number of the track")
        equal((number(moov["mvhd"], 96), moov["trak/mdia/hdlr"][8:12]), (2, b"vide"), "the next track, and what this is")
        for path, at in (("mvhd", 36), ("trak/tkhd", 40)):
            equal([number(moov[path], at + 4 * i) for i in range(9)],
                  [1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30], f"the matrix of {path}")
        equal([number(moov["mvex/trex"], at) for at in range(4, 24, 4)], [1, 1, 0, 0, 0x01010000], "trex")
        entry = moov["trak/mdia/minf/stbl/stsd"][8:]
        equal((number(entry, 0), entry[4:8]), (len(entry), b"avc1"), "the sample entry")
        size = number(entry, 32, 2), number(entry, 34, 2)
        equal((number(moov["trak/tkhd"], 76, 2), number(moov["trak/tkhd"], 80, 2)), size, "the size in tkhd")
        avcc = next(boxes(entry[86:])).data
        equal((avcc[0], avcc[4], avcc[5]), (1, 0xFF, 0xE1), "what avcC begins with")
        sps = avcc[8:8 + number(avcc, 6, 2)]
        equal(avcc[1:4], sps[1:4], "the profile in avcC")
        at = 8 + len(sps)
        equal(avcc[at], 1, "the number of PPS")
        end = at + 3 + number(avcc, at + 1, 2)
        self.sets = [sps, avcc[at + 3:end]]
        equal(avcc[end:], b"\xfd\xf8\xf8\0" if sps[1] == 100 else b"", "4:2:0, 8 bits, for High profile only")
        self.inits.append((size, sps))

    def unit(self):
        prft = self.box()
        if prft.kind == b"ftyp":
            self._init(prft)
            prft = self.box()
        moof, mdat = self.box(), self.box()
        received = time.monotonic_ns()
        equal((prft.kind, moof.kind, mdat.kind), (b"prft", b"moof", b"mdat"), "the boxes of a fragment")
        self.sequence += 1
        equal(number(moof["mfhd"], 4), self.sequence, "the sequence number")
        equal(number(moof["traf/tfdt"], 4, 8), self.next_time, "the decode time")
        equal(number(prft.data, 16, 8), self.next_time, "the time in prft")
        self.next_time += number(moof["traf/tfhd"], 8)
        trun = moof["traf/trun"]
        equal((number(trun, 0), number(trun, 4)), (0x205, 1), "flags and samples of trun")
        equal(number(trun, 8), 8 + len(moof.data) + 8, "the offset of the sample")
        equal(number(trun, 16), len(mdat.data), "the size of the sample")
        unit = self._make(mdat.data, received)
        equal(number(trun, 12), 0x02000000 if unit.key else 0x01010000, "the sample's flags")
        unit.captured_us = (number(prft.data, 8) - NTP_TO_1970) * 10**6 + (number(prft.data, 12) * 10**6 >> 32)
        return unit

    def _make(self, sample, received):
        nals = []
        while sample:
            check(4 < 4 + number(sample, 0) <= len(sample), "a NAL unit that is empty or ends outside")
            nals.append(sample[4:4 + number(sample, 0)])
            sample = sample[4 + number(sample, 0):]
        check(not {SPS, PPS} & {nal[0] & 31 for nal in nals}, "a parameter set in a sample")
        key = any(nal[0] & 31 == IDR for nal in nals)
        return Unit(self.sets + nals if key else nals, received)

    def units(self, count):
        for _ in range(count):
            yield self.unit()


def codec_of(daemon):
    return h264(daemon)["codec"]


@test
def high_profile_says_more_in_avcc():
    with Daemon(*CARD, "--h264-profile", "high") as daemon, Mp4(daemon) as viewer:
        units = list(viewer.units(20))
        equal(viewer.codec[:9], "avc1.6400", "the codec")
        check_units(units)
        check_decodes(units)


@test
def mp4_is_strict_and_decodes():
    with Daemon(*CARD, clock=CALM) as daemon:
        equal(codec_of(daemon), "", "the codec before anybody watched")
        with Mp4(daemon) as viewer:
            equal((viewer.reply.version, viewer.chunked), ("1.1", True), "the version, and chunks")
            check_no_cache(viewer.reply.headers)
            units = list(viewer.units(75))
            check_units(units)
            check_decodes(units)
            equal((len(viewer.inits), viewer.inits[0][0]), (1, (640, 480)), "initialization segments and the size")
            equal(viewer.codec, "avc1." + viewer.inits[0][1][1:4].hex().upper(), "the codec in the header")
            equal(codec_of(daemon), viewer.codec, "the codec in /state")
            equal(viewer.next_time, 75 * 3000, "the time after 75 frames")


@test
def mp4_tells_when_a_picture_was_captured():
    with Daemon(*CARD) as daemon, Mp4(daemon) as viewer:
        units = list(viewer.units(75))
        ages = [time.time() * 1e6 - (time.monotonic_ns() - unit.received_ns) / 1e3 - unit.captured_us for unit in units]
        most = 1e6 if LONG else PATIENCE * 1e6
        check(0 < min(ages) and sorted(ages)[37] < most, f"ages from {min(ages):.0f} to {max(ages):.0f} us")


@test
def each_viewer_begins_at_zero_with_a_key_frame():
    with Daemon(*CARD, "--h264-gop", 0) as daemon, Mp4(daemon) as first:
        seen = list(first.units(20))
        for version in ("1.0", "1.1"):
            with Mp4(daemon, version=version) as late:
                equal(late.chunked, version == "1.1", f"chunks for HTTP/{version}")
                check_units(list(late.units(3)))
        check_units(seen + list(first.units(20)))


@test
def avc_has_times_and_flags_before_each_access_unit():
    with Daemon(*CARD, "--h264-profile", "high") as daemon, Avc(daemon, "/stream.mp4?format=annexb") as viewer, \
            Avc(daemon, version="1.0") as plain:
        units = list(viewer.units(40))
        check_units(units)
        check_decodes(units)
        for unit in units:
            check(unit.captured_us <= unit.encoded_us <= unit.received_ns // 1000, "times that go backwards")
            equal((unit.online, unit.codec), (True, units[0].find(SPS)[1:4]), "online, and the codec")
            if unit.key:
                equal(unit.types[:2], [SPS, PPS], "what a key frame begins with")
        equal(viewer.reply.headers["x-hdmicast-codecs"], "avc1." + units[0].codec.hex().upper(), "the codec")
        equal((viewer.chunked, plain.chunked), (True, False), "chunks")
        check_units(list(plain.units(20)))


@test
def all_three_carry_the_same():
    with Daemon(*CARD, clock=CALM) as daemon, Avc(daemon) as avc, Mp4(daemon) as mp4:
        every = []
        reading = threading.Thread(target=lambda: every.extend(unit.nals for unit in avc.units(60)))
        reading.start()
        seen = [unit.nals for unit in mp4.units(30)]
        reading.join()
        at = every.index(seen[0])
        check(at < 50, "they have too little in common")
        equal(seen[:60 - at], every[at:at + 30], "what both see")


@test
def another_size_begins_a_new_segment_in_the_same_body():
    with Daemon("--format", "UYVY", "--h264-encoder", "x264", fake="csi:edid=set,signal=640x480@30") as daemon, \
            Mp4(daemon) as viewer, Avc(daemon) as avc:
        daemon.wait_state("online")
        list(viewer.units(10))
        daemon.tell("signal 800x600@30")
        deadline = time.monotonic() + PATIENCE
        while viewer.inits[-1][0] != (800, 600):  # the card may have one of its own
            check(time.monotonic() < deadline, "no new initialization segment")
            unit = viewer.unit()
        check(unit.key, "the new size does not begin with a key frame")
        equal(viewer.inits[0][0], (640, 480), "the size at first")
        while next(avc.units(1)).nals[0] != viewer.inits[-1][1]:
            check(time.monotonic() < deadline, "no new parameter set in /stream.avc")
        daemon.tell("signal none")
        while next(avc.units(1)).online:
            check(time.monotonic() < deadline + PATIENCE, "the card has the online flag")


@test
def head_and_refusals_are_those_of_get():
    with Daemon(*CARD, "--user", "u", "--passwd", "p", "--allow-origin", "*") as daemon:
        key = basic("u", "p")
        for path, kind in (("/stream.mp4", 'video/mp4; codecs="avc1.'), ("/stream.avc", "application/x-hdmicast-avc")):
            equal(daemon.get(path).status, 401, "without the password")
            reply = daemon.get(path, "HEAD", key)
            equal(reply.status, 200, "HEAD")
            check(reply.headers["content-type"].startswith(kind), f"Content-Type {reply.headers['content-type']}")
            check(reply.headers["x-hdmicast-codecs"].startswith("avc1."), "the codec")
            equal(reply.headers["access-control-expose-headers"], "X-Hdmicast-Codecs", "Expose-Headers")
            equal(reply.headers["access-control-allow-origin"], "*", "Allow-Origin")
            equal(daemon.get(path, "POST", key).status, 501, "POST")
        equal(daemon.get("/stream.mp4?format=webm", headers=key).status, 400, "another format")
        wait_until(lambda: b'"clients": 0' in daemon.get("/state", headers=key).body.split(b'"h264"')[1],
                   "nobody watches")
    with Daemon(*CARD[:-1], "off") as daemon:
        for path in ("/stream.mp4", "/stream.avc"):
            for method in ("GET", "HEAD"):
                equal(daemon.get(path, method).status, 503, f"{method} {path} without an encoder")
            check(b"--h264-encoder off" in daemon.get(path).body, "the reason")


@test
def head_costs_those_who_watch_no_key_frame():
    with Daemon(*CARD, "--h264-gop", 0, clock=CALM) as daemon, Mp4(daemon) as viewer:
        list(viewer.units(10))
        keys = daemon.state()["h264"]["keys"]
        for path in ("/stream.mp4", "/stream.avc") * 3:
            equal(daemon.get(path, "HEAD").headers["x-hdmicast-codecs"], viewer.codec, "the codec")
        check(not any(unit.key for unit in viewer.units(20)), "a key frame")
        equal(daemon.state()["h264"]["keys"], keys, "key frames")


@test
def the_clock_tells_what_frames_are_dated_by():
    with Daemon("--source", "testcard", "--resolution", "640x480") as daemon:
        before = time.monotonic_ns() // 1000, int(time.time() * 1e6)
        reply = daemon.get("/clock")
        after = time.monotonic_ns() // 1000, int(time.time() * 1e6)
        check_no_cache(reply.headers)
        clock = json.loads(reply.body)
        for name, least, most in zip(("monotonic_us", "wall_us"), before, after):
            check(least <= clock[name] <= most, f"{name} is {clock[name]}, not between {least} and {most}")


# ---- players


def run(*words, **more):
    if not shutil.which(words[0]):
        raise Skip(f"{words[0]} is not installed")
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=2 * PATIENCE, check=False,
                          **more)


@contextlib.contextmanager
def on_air():
    """A daemon whose stream has been running for a while, so that nothing begins at its zero."""
    with Daemon(*CARD, clock=CALM) as daemon, Mp4(daemon) as viewer:
        list(viewer.units(30))
        yield f"http://127.0.0.1:{daemon.port}/stream.mp4"


@test
def ffmpeg_and_ffprobe_find_no_fault():
    with on_air() as url:
        done = run("ffmpeg", "-nostdin", "-v", "warning", "-i", url, "-frames:v", "40", "-f", "null", "-")
        equal((done.returncode, done.stderr), (0, b""), "what ffmpeg says")
        done = run("ffprobe", "-v", "warning", "-show_entries", "stream=width,avg_frame_rate", "-of", "csv=p=0", url)
        equal((done.returncode, done.stdout.strip(), done.stderr), (0, b"640,30/1", b""), "what ffprobe says of the URL")
        path = free_name(".mp4")
        with subprocess.Popen(["curl", "-sN", "-o", path, url]) as curl:
            wait_until(lambda: os.path.exists(path) and Path(path).read_bytes().count(b"moof") > 60, "60 pictures")
            curl.terminate()
    done = run("ffprobe", "-v", "warning", "-show_entries", "stream=codec_tag_string,width,avg_frame_rate,start_time",
               "-of", "csv=p=0", path)
    said = [line for line in done.stderr.decode().splitlines() if "partial file" not in line]  # curl cut it
    equal((done.returncode, said), (0, []), "what ffprobe says")
    equal(done.stdout.decode().strip(), "avc1,640,30/1,0.000000", "what ffprobe finds")


@test
def mpv_plays_it():
    with on_air() as url:
        done = run("mpv", "--no-config", "--vo=null", "--ao=null", "--msg-level=all=warn", "--frames=40", url)
        said = [line for line in done.stdout.decode().splitlines() if line.strip()]
        equal((done.returncode, said), (0, []), "what mpv says")


@test
def gstreamer_plays_it_in_time():
    with on_air() as url:
        began = time.monotonic()
        done = run("gst-launch-1.0", "souphttpsrc", f"location={url}", "!", "qtdemux", "!", "h264parse", "!", "fakesink",
                   "sync=true", "num-buffers=30")
        took = time.monotonic() - began
        equal((done.returncode, done.stderr), (0, b""), "what GStreamer says")
        figure(f"GStreamer shows 30 frames in {took:.1f} s, its start included")
