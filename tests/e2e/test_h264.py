# SPDX-License-Identifier: GPL-3.0-or-later
"""/stream.h264: whole access units from a key frame on, for each viewer as fast as its line is."""

import contextlib
import shutil
import socket
import subprocess
import threading
import time

from harness import (DAEMON, LONG, PATIENCE, Daemon, Failure, Reply, Skip, ask_again, basic, check, equal, figure,
                     free_name, no_rates, test, wait_until)
from test_http import BOOL, INTEGER, WORD, check_no_cache, check_schema

CARD = ("--source", "testcard", "--resolution", "640x480", "--h264-encoder", "x264")
SLICE, IDR, SEI, SPS, PPS, AUD = 1, 5, 6, 7, 8, 9
CALM = None if LONG else 4  # how much slower time goes where no viewer may fall behind
STATES = {"off", "idle", "starting", "running", "fallback", "failed"}


class Bits:
    """Reads the payload of a NAL unit, emulation prevention removed."""

    def __init__(self, nal):
        self.value = int.from_bytes(b"\1" + nal.replace(b"\0\0\3", b"\0\0"), "big")
        self.left = self.value.bit_length() - 1

    def u(self, count):
        self.left -= count
        return self.value >> self.left & (1 << count) - 1

    def ue(self):
        zeros = 0
        while not self.u(1):
            zeros += 1
        return (1 << zeros) - 1 + self.u(zeros)


def frame_num_bits(sps):
    bits = Bits(sps[1:])
    profile = bits.u(8)
    bits.u(16)
    bits.ue()
    if profile >= 100:
        for _ in range(3):
            bits.ue()
        equal(bits.u(2), 0, "lossless flag and scaling matrix")
    return bits.ue() + 4


class Unit:
    """An access unit: its NAL units, and when its first byte was read."""

    def __init__(self, nals, received_ns):
        self.nals, self.received_ns = nals, received_ns
        self.types = [nal[0] & 31 for nal in nals]
        self.key = IDR in self.types

    def find(self, kind):
        return self.nals[self.types.index(kind)]

    @property
    def bytes(self):
        return b"".join(b"\0\0\0\1" + nal for nal in self.nals)


def begins_unit(nal, seen_slice):
    """Whether this NAL unit is the first of the next access unit."""
    kind = nal[0] & 31
    if kind in (SLICE, IDR):
        return seen_slice and nal[1] & 0x80  # first_mb_in_slice is 0
    return seen_slice and kind in (SEI, SPS, PPS, AUD)


class Viewer:
    """A reader of /stream.h264, as a context. rate: bytes a second, with small buffers."""

    def __init__(self, daemon, rate=None, headers=None):
        self.rate, self.began = rate, time.monotonic()
        self.reply = ask_again(lambda: self._ask(daemon, headers))
        equal(self.reply.status, 200, "the status of /stream.h264")
        self.rest, self.rest_ns, self.n_bytes = b"", 0, 0
        self.nals, self.nals_ns, self.seen_slice, self.ready = [], 0, False, []

    def _ask(self, daemon, headers):
        if self.rate:
            self.peer = socket.socket()
            self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            self.peer.settimeout(PATIENCE)
            self.peer.connect(("127.0.0.1", daemon.port))
        else:
            self.peer = daemon.connect()
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        self.peer.sendall(f"GET /stream.h264 HTTP/1.1\r\nHost: test\r\n{lines}\r\n".encode())
        self.file = self.peer.makefile("rb", buffering=0)
        return Reply(self.file, with_body=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.peer.close()

    def _read(self):
        if self.rate:
            ahead = self.n_bytes / self.rate - (time.monotonic() - self.began)
            if ahead > 0:
                time.sleep(ahead)
        got = self.peer.recv(2048 if self.rate else 1 << 18)
        check(got, "the stream ended")
        self.n_bytes += len(got)
        return got

    def units(self, count=None, seconds=None):
        """Access units as they come; each is known to be whole when the next one begins."""
        end = time.monotonic() + seconds if seconds else None
        while count is None or count > 0:
            if end and time.monotonic() >= end:
                return
            if not self.ready:
                self._split(self._read())
                continue
            yield self.ready.pop(0)
            count = count - 1 if count else None

    def _split(self, got):
        now = time.monotonic_ns()
        pieces = (self.rest + got).split(b"\0\0\1")
        self.rest = pieces.pop()
        for piece in pieces:
            # A fourth byte of a start code is not part of the NAL unit before it.
            unit = self._add(piece.rstrip(b"\0"), self.rest_ns)
            self.rest_ns = now
            if unit:
                self.ready.append(unit)

    def _add(self, nal, now):
        if not nal:
            return None
        unit = None
        if begins_unit(nal, self.seen_slice):
            unit = Unit(self.nals, self.nals_ns)
            self.nals, self.seen_slice = [], False
        if not self.nals:
            self.nals_ns = now
        self.nals.append(nal)
        self.seen_slice |= nal[0] & 31 in (SLICE, IDR)
        return unit


def check_units(units):
    """The first is a key frame, and each other one follows the one before, or is one."""
    check(units[0].key, f"it begins with NAL units {units[0].types}")
    bits, last = 0, None
    for unit in units:
        if unit.key:
            check(SPS in unit.types and PPS in unit.types, f"a key frame of NAL units {unit.types}")
            bits = frame_num_bits(unit.find(SPS))
        slices = [nal for nal in unit.nals if nal[0] & 31 in (SLICE, IDR)]
        numbers = set()
        for nal in slices:
            head = Bits(nal[1:40])
            head.ue(), head.ue(), head.ue()
            numbers.add(head.u(bits))
        equal(len(numbers), 1, "the number of pictures in an access unit")
        number, = numbers
        if unit.key:
            equal(number, 0, "frame_num of a key frame")
        else:
            equal(number, (last + 1) % (1 << bits), "frame_num after a picture that was not skipped")
        last = number


def check_decodes(units):
    """By ffmpeg, each of them, and it may warn of nothing."""
    if not shutil.which("ffmpeg"):
        raise Skip("ffmpeg is not installed")
    path = free_name(".h264")
    with open(path, "wb") as file:
        file.writelines(unit.bytes for unit in units)
    done = subprocess.run(["ffmpeg", "-nostdin", "-v", "warning", "-probesize", "100M", "-f", "h264", "-i", path, "-fps_mode", "passthrough",
                           "-f", "framehash", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                          timeout=2 * PATIENCE)
    check(done.returncode == 0 and not done.stderr, f"ffmpeg: {done.stderr.decode(errors='replace')[:300]}")
    pictures = [line for line in done.stdout.decode().splitlines() if not line.startswith("#")]
    equal(len(pictures), len(units), "the number of pictures that ffmpeg decodes")


def h264(daemon):
    return daemon.state()["h264"]


def wait_clients(daemon, count):
    wait_until(lambda: h264(daemon)["clients"] == count, f"{count} viewers in /state")


@test
def every_access_unit_comes_once_in_order_and_decodes():
    with Daemon(*CARD, clock=CALM) as daemon, Viewer(daemon) as viewer:
        equal(viewer.reply.version, "1.0", "the version")
        equal(viewer.reply.headers["content-type"], "video/h264", "Content-Type")
        check("content-length" not in viewer.reply.headers, "a stream has no length")
        check_no_cache(viewer.reply.headers)
        units = list(viewer.units(75))
        check_units(units)
        check_decodes(units)
        equal(h264(daemon)["skipped_frames"], 0, "skipped frames")
        check(sum(unit.key for unit in units) in (2, 3), "a key frame in every 30 frames")


@test
def curl_and_ffmpeg_play_it():
    with Daemon(*CARD, clock=CALM) as daemon:
        url = f"http://127.0.0.1:{daemon.port}/stream.h264"
        play = ["ffmpeg", "-nostdin", "-v", "warning", "-f", "h264", "-i", url, "-frames:v", "40", "-f", "null", "-"]
        done = subprocess.run(play, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=PATIENCE)
        equal((done.returncode, done.stderr), (0, b""), "what ffmpeg says")
        play[play.index(url)] = "-"
        play.remove("-nostdin")
        with subprocess.Popen(["curl", "-sfN", url], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as curl:
            done = subprocess.run(play, stdin=curl.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                                  timeout=PATIENCE)
            curl.stdout.close()
            curl.kill()
        equal((done.returncode, done.stderr), (0, b""), "what ffmpeg says behind curl")
        wait_clients(daemon, 0)


@test
def head_and_the_password_work_as_everywhere():
    with Daemon(*CARD, "--user", "u", "--passwd", "p", "--allow-origin", "*") as daemon:
        equal(daemon.get("/stream.h264").status, 401, "without the password")
        equal(daemon.get("/stream.h264", "HEAD", basic("u", "p")).status, 200, "HEAD")
        equal(daemon.get("/stream.h264", "POST", basic("u", "p")).status, 501, "POST")
        equal(daemon.get("/stream.h264", "OPTIONS").status, 200, "OPTIONS")
        with Viewer(daemon, headers=basic("u", "p")) as viewer:
            equal(viewer.reply.headers["access-control-allow-origin"], "*", "Allow-Origin")
            check_units(list(viewer.units(5)))


@test
def viewers_see_the_same():
    with Daemon(*CARD, clock=CALM) as daemon, Viewer(daemon) as first, Viewer(daemon) as second:
        a, b = [], []
        reader = threading.Thread(target=lambda: a.extend(first.units(60)), daemon=True)
        reader.start()
        b.extend(second.units(45))
        reader.join(PATIENCE)
        check_units(a)
        check_units(b)
        every = [unit.bytes for unit in a]
        at = every.index(b[0].bytes)
        seen = every[at:at + len(b)]
        equal([unit.bytes for unit in b[:len(seen)]], seen, "what the second sees")
        check(len(seen) > 20, f"they have {len(seen)} access units in common")


@test(measures=True)
def a_latecomer_sees_a_picture_at_once():
    with Daemon(*CARD, "--h264-gop", 0, clock=CALM) as daemon, Viewer(daemon) as first:
        seen = list(first.units(20))
        keys = h264(daemon)["keys"]
        waited = []
        for _ in range(8):
            asked = time.monotonic_ns()
            with Viewer(daemon) as late:
                unit, = late.units(1)
                check(unit.key, "it does not begin with a key frame")
                waited.append((unit.received_ns - asked) / 1e6)
            seen.extend(first.units(5))
        keys = h264(daemon)["keys"] - keys
        check(4 <= keys <= 8, f"{keys} key frames for eight latecomers")
        check_units([*seen, *first.units(20)])
        no_rates()
        waited.sort()
        figure(f"first picture after {waited[4]:.0f} ms (median), {waited[-1]:.0f} ms (most)")
        check(waited[-1] < 300, f"a latecomer waited {waited[-1]:.0f} ms")


@test
def key_frames_are_made_for_those_who_need_them_only():
    with Daemon(*CARD, "--h264-gop", 0, clock=CALM) as daemon, Viewer(daemon) as viewer:
        units = list(viewer.units(70))
        check_units(units)
        equal([unit.key for unit in units].count(True), 1, "key frames in 70")


@test
def a_viewer_that_pauses_goes_on_with_a_key_frame():
    with Daemon(*CARD) as daemon, Viewer(daemon) as quick, Viewer(daemon, rate=1e9) as slow:
        seen = list(slow.units(3))
        while h264(daemon)["skipped_frames"] < 10:
            list(quick.units(10))
        seen += slow.units(200)  # what waited, and beyond
        check_units(seen)
        check_decodes(seen)


@test(long=True)
def a_slow_viewer_skips_to_key_frames_and_holds_up_nobody():
    with Daemon("--source", "testcard", "--resolution", "1280x720", "--h264-encoder", "x264") as daemon, \
            Viewer(daemon) as quick:
        units = list(quick.units(60))
        rate = sum(len(unit.bytes) for unit in units) / 2
        seen, lasting = [], 8

        def watch():
            with Viewer(daemon, rate=rate / 3) as slow:
                seen.extend(slow.units(seconds=lasting))

        watcher = threading.Thread(target=watch, daemon=True)
        before = h264(daemon)
        watcher.start()
        rest = list(quick.units(seconds=lasting))
        watcher.join(PATIENCE)
        after = h264(daemon)
        check(not watcher.is_alive() and seen, "the slow viewer saw nothing")
        check_units(units + rest)
        check_units(seen)
        check_decodes(seen)
        skipped, keys = after["skipped_frames"] - before["skipped_frames"], after["keys"] - before["keys"]
        figure(f"a third of {rate * 8 / 1e6:.1f} Mbit/s: {len(seen)} of {len(rest)} frames, {skipped} skipped, "
               f"{keys} key frames")
        check(skipped > 10, f"only {skipped} frames were skipped")
        # One in 30, and at most two a second more for those who fell behind.
        check(keys <= 1 + lasting + 1 + 2 * lasting, f"{keys} key frames in {lasting} s")
        no_rates()
        gap = max(b.received_ns - a.received_ns for a, b in zip(rest, rest[1:])) / 1e6
        check(len(rest) > 28 * lasting, f"the quick viewer saw {len(rest)} frames in {lasting} s")
        check(gap < 150, f"the quick viewer saw nothing for {gap:.0f} ms")


@test
def a_viewer_that_reads_nothing_is_closed_and_costs_nothing():
    with Daemon(*CARD, "--server-timeout", 2 if LONG else 6) as daemon, Viewer(daemon) as quick:
        check_units(list(quick.units(10)))
        with Viewer(daemon, rate=1) as slow:
            wait_clients(daemon, 2)
            keys = h264(daemon)["keys"]
            seen, began = 0, time.monotonic()
            while h264(daemon)["clients"] == 2 and time.monotonic() - began < PATIENCE:
                seen += len(list(quick.units(15)))
            equal(h264(daemon)["clients"], 1, "viewers after the time-out")
            check(slow.peer.fileno() >= 0, "the slow viewer closed by itself")
            keys = h264(daemon)["keys"] - keys
            check(keys <= seen / 30 + 2, f"{keys} key frames in {seen} frames")


@test
def a_build_without_x264_says_so_and_goes_on_with_mjpeg():
    done = subprocess.run([DAEMON, "--features"], capture_output=True, text=True, check=True)
    if "+ WITH_X264" in done.stdout:
        raise Skip("this build has x264; .ci/run builds one without")
    with Daemon("--source", "testcard", "--resolution", "640x480") as daemon:
        reply = daemon.get("/stream.h264")
        equal((reply.status, reply.headers["retry-after"]), (503, "5"), "the reply")
        check(b"no hardware encoder found; this build has no x264" in reply.body, f"the reason is {reply.body!r}")
        equal(h264(daemon)["state"], "failed", "the state")
        with daemon.stream() as stream:
            stream.part()


@test
def without_an_encoder_it_says_why():
    with Daemon(*CARD[:-1], "off") as daemon:
        reply = daemon.get("/stream.h264")
        equal(reply.status, 503, "the status")
        check(b"--h264-encoder off" in reply.body, f"the reason is {reply.body!r}")
        equal(daemon.get("/stream.h264", "HEAD").status, 503, "HEAD")
        equal(h264(daemon)["state"], "off", "the state")
        equal(daemon.get("/snapshot").status, 200, "/snapshot meanwhile")
    with Daemon(*CARD[:-1], "m2m", "--h264-m2m-device", "/dev/nothing") as daemon:
        reply = daemon.get("/stream.h264")
        equal((reply.status, reply.headers["retry-after"]), (503, "5"), "with no encoder in hardware")
        check(b"no hardware encoder" in reply.body, f"the reason is {reply.body!r}")
        with daemon.stream() as stream:
            stream.part()


STATE = {
    "bitrate": INTEGER, "gop": INTEGER, "online": BOOL, "fps": INTEGER,  # as uStreamer has them
    "state": WORD, "encoder": WORD, "device": WORD, "text": WORD, "profile": WORD, "level": WORD, "codec": WORD,
    "width": INTEGER, "height": INTEGER, "bitrate_in_force": INTEGER, "gop_in_force": INTEGER,
    **{name: INTEGER for name in ("encoded", "keys", "same", "late", "lost", "opened", "failures", "clients",
                                  "skipped_frames")},
    "encode_ms": float, "convert_ms": float,
    "adaptive": {"enabled": BOOL, "active": BOOL, "bitrate": INTEGER, "fps": INTEGER, "reason": WORD},
}


@test
def state_tells_what_it_does_and_nothing_is_done_for_nobody():
    with Daemon(*CARD, "--h264-bitrate", 1234, "--h264-gop", 7) as daemon:
        daemon.wait_state("online")
        at_rest = h264(daemon)
        check_schema(at_rest, STATE, "h264")
        equal(set(at_rest), set(STATE), "the names in h264")
        equal((at_rest["bitrate"], at_rest["gop"]), (1234, 7), "what was asked for")
        equal((at_rest["state"], at_rest["encoded"], at_rest["online"]), ("idle", 0, False), "before anybody watches")
        with Viewer(daemon) as viewer:
            for _ in viewer.units(70):
                pass
            busy = h264(daemon)
            check_schema(busy, STATE, "h264")
            equal((busy["state"], busy["encoder"], busy["online"], busy["clients"]), ("running", "x264", True, 1),
                  "while somebody watches")
            equal((busy["width"], busy["height"], busy["profile"]), (640, 480, "constrained-baseline"), "what it makes")
            equal((busy["bitrate_in_force"], busy["gop_in_force"], busy["opened"]), (1234, 7, 1), "what is in force")
            check(busy["encoded"] >= 70 and busy["keys"] >= 10, f"{busy['encoded']} encoded, {busy['keys']} keys")
            check(busy["encode_ms"] > 0, "encoding takes no time")
        wait_clients(daemon, 0)
        encoded = wait_until(lambda: settled(daemon), "the encoder rests")
        with daemon.stream() as stream:
            for _ in stream.parts(20):
                pass
        equal(h264(daemon)["encoded"], encoded, "access units after the last viewer left")


def settled(daemon):
    """How many were encoded, when it was no more a moment later."""
    before = h264(daemon)["encoded"]
    daemon.get("/snapshot")
    daemon.get("/snapshot")
    return before if h264(daemon)["encoded"] == before else None


@test
def it_goes_on_through_a_change_of_size_and_an_outage():
    with Daemon("--format", "UYVY", "--h264-encoder", "x264", fake="csi:edid=set,signal=640x480@30") as daemon, \
            Viewer(daemon) as viewer:
        daemon.wait_state("online")
        units = list(viewer.units(20))
        daemon.tell("signal 800x600@30")
        sizes = {units[0].find(SPS)}

        def seen(count):
            for unit in viewer.units(300):
                units.append(unit)
                if unit.key:
                    sizes.add(unit.find(SPS))
                if len(sizes) >= count and not unit.key:
                    return
            raise Failure(f"{len(sizes)} parameter sets in 300 access units")

        seen(2)
        wait_until(lambda: (h264(daemon)["width"], h264(daemon)["height"]) == (800, 600), "the size in /state")
        daemon.tell("signal none")
        daemon.wait_state("no-signal")
        wait_until(lambda: not h264(daemon)["online"], "h264.online is false")
        units.extend(viewer.units(2))  # the card
        daemon.tell("signal 800x600@30")
        daemon.wait_state("online")
        units.extend(viewer.units(20))
        check(h264(daemon)["online"], "h264.online")
        check_units(units)


@test
def it_stops_at_once_with_viewers():
    with Daemon(*CARD, "--server-timeout", 60, clock=1) as daemon, contextlib.ExitStack() as stack:
        viewers = [stack.enter_context(Viewer(daemon)) for _ in range(5)]
        slow = [stack.enter_context(Viewer(daemon, rate=1)) for _ in range(5)]
        check_units(list(viewers[0].units(10)))
        wait_clients(daemon, len(viewers + slow))
        daemon.stop_at_once("with viewers")
    with Daemon(*CARD[:-1], "x264", fake="uvc:first-frame-delay=60000", clock=1) as daemon:
        with daemon.connect() as peer:  # it waits for its first key frame
            peer.sendall(b"GET /stream.h264 HTTP/1.1\r\n\r\n")
            daemon.stop_at_once("with one who waits")


@test
def its_viewers_are_clients():
    with Daemon(*CARD, "--exit-on-no-clients", 2, clock=20) as daemon:
        with Viewer(daemon) as viewer:
            daemon.clock.stretch(1)
            list(viewer.units(105))  # three seconds and a half
        daemon.wait_exit()
        check(daemon.count_log("nobody watched"), "it does not say why it ended")


@test
def viewers_that_come_and_go_leave_nothing():
    with Daemon(*CARD) as daemon:
        with Viewer(daemon) as viewer:
            for _ in viewer.units(5):
                pass
        wait_clients(daemon, 0)
        files = len(daemon.process.fds())
        for _ in range(30):
            with Viewer(daemon) as viewer, daemon.connect() as other:
                other.sendall(b"GET /stream.h264 HTTP/1.1\r\n\r\n")
                for _ in viewer.units(1):
                    pass
        wait_clients(daemon, 0)
        wait_until(lambda: len(daemon.process.fds()) <= files + 1, "the descriptors are closed")


GRABBER = ("--resolution", "640x480", "--format", "MJPEG", "--h264-encoder", "x264")


@test
def a_damaged_jpeg_is_left_out_and_counted():
    with Daemon(*GRABBER, fake="uvc:size=640x480,fmt=MJPG", clock=CALM) as daemon, Viewer(daemon) as viewer:
        units = list(viewer.units(count=30))
        daemon.tell("uvc.flip 5")
        wait_until(lambda: daemon.drops().get("corrupt", 0) >= 3, "damaged pictures are counted")
        units += viewer.units(count=30)
        check_units(units)
        check_decodes(units)
        equal(daemon.source()["restarts"], 0, "restarts")


@test
def nothing_but_damaged_jpegs_open_the_device_again():
    with Daemon(*GRABBER, fake="uvc:size=640x480,fmt=MJPG") as daemon, Viewer(daemon) as viewer:
        units = list(viewer.units(count=10))
        daemon.tell("uvc.flip 100000")
        daemon.wait_state("damaged-frames")
        wait_until(lambda: daemon.source()["restarts"] >= 2, "it is opened again, and again")
        daemon.tell("uvc.flip 0")
        began = time.monotonic()
        wait_until(lambda: daemon.source()["online"] and h264(daemon)["online"], "the picture is back")
        figure(f"picture back within {time.monotonic() - began:.1f} s")
        units += viewer.units(count=60)
        check_units(units)
        opened = h264(daemon)["opened"]
        equal(opened, 1, "encoders opened")
