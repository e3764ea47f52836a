# SPDX-License-Identifier: GPL-3.0-or-later
"""Many clients, hostile ones and slow ones: memory stays bounded and nobody else notices."""

import contextlib
import ctypes
import json
import mmap
import os
import pickle
import resource
import socket
import subprocess
import time

from harness import (BUILD, LONG, PATIENCE, SAN, Daemon, Failure, Skip, Stream, check, equal, figure, free_name, jpeg_size,
                     no_rates, rate_of, stamps, test, wait_until)

FULL_HD = ("--format", "MJPEG", "--resolution", "1920x1080")
SMALL = ("--format", "MJPEG", "--resolution", "640x480", "--desired-fps", "30")
CLONE_NEWNET = 0x40000000


def allow_many_files():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        raise Skip(f"the hard limit of open files is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))


def drain(daemon, clients, seconds):
    """Starts the benchmark's reader: all clients in one C program, for Python cannot keep up.

    It ends after so many seconds; 0: when its standard input has ended, and each has had ten pictures.
    """
    return subprocess.Popen([BUILD / "bench" / "drain", str(daemon.port), str(clients), str(seconds)],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@test(alone=True)
def two_hundred_viewers_of_full_hd_get_the_full_rate_for_little_memory_each():
    allow_many_files()
    with Daemon(*FULL_HD, fake="uvc:fps=30,mode=cheap") as daemon, drain(daemon, 2, 1) as two:
        two.communicate()
        before = daemon.process.rss_kib()
        with drain(daemon, 200, 5 if LONG else 0) as crowd:
            wait_until(lambda: daemon.state()["stream"]["clients"] == 200, "200 clients in /state")
            crowd.stdin.close()
            most = before
            while crowd.poll() is None:
                most = max(most, daemon.process.rss_kib())
                time.sleep(0.1)
            got = json.load(crowd.stdout)
        each = (most - before) / 200
        figure(f"200 viewers of 1080p30 MJPEG: {got['fps']:.2f} fps each, {got['least_fps']:.2f} at least, "
               f"{each:.1f} KiB each, capture to client {got['p50_ms']:.1f} ms (median), {got['p95_ms']:.1f} ms (95 %)")
        check(SAN or each < 64, f"{each:.1f} KiB each")  # sanitizers keep what was freed
        check(got["least_fps"] > 0, "a viewer got nothing")
        no_rates()
        check(got["least_fps"] >= 28, f"a viewer got {got['least_fps']:.2f} fps")


@test(measures=True)
def viewers_that_never_read_cost_one_picture_each_and_are_closed():
    with Daemon(*FULL_HD, "--server-timeout", 3 if LONG else 6, fake="uvc:fps=30") as daemon, contextlib.ExitStack() as stack, \
            daemon.stream("extra_headers=1") as good:
        size = max(len(part.body) for part in good.parts(20)) / 1024
        before = daemon.process.rss_kib()
        for _ in range(50):
            peer = stack.enter_context(socket.socket())
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.connect(("127.0.0.1", daemon.port))
            peer.sendall(b"GET /stream HTTP/1.0\r\n\r\n")
        most, parts, began = 0, [], time.monotonic()
        while time.monotonic() - began < PATIENCE and (
                time.monotonic() - began < 2 or daemon.state()["stream"]["clients"] > 1):
            parts += good.parts(10)
            most = max(most, daemon.process.rss_kib())
        figure(f"50 viewers that never read: {(most - before) / 50:.0f} KiB each, pictures have {size:.0f} KiB, "
               f"closed after {time.monotonic() - began:.1f} s")
        equal(daemon.state()["stream"]["clients"], 1, "clients that are left")
        numbers = stamps([part.body for part in parts])
        check(numbers == sorted(set(numbers)), "the other viewer has pictures twice or in another order")
        check(SAN or (most - before) / 50 < size + 64, f"{(most - before) / 50:.0f} KiB each")
        no_rates()
        check(numbers == list(range(numbers[0], numbers[0] + len(numbers))), "the other viewer lost pictures")


class Witness:
    """A viewer that must not notice anything: in a process of its own, so that what the test does
    itself cannot hold it up.
    """

    KEPT = 400  # pictures; of later ones only the times

    def __init__(self, daemon):
        self.daemon, self.parts = daemon, []
        self.shared = mmap.mmap(-1, 8)  # pictures so far, and whether it shall end
        self.path = free_name(".parts")
        self.pid = os.fork()
        if not self.pid:
            os._exit(self._watch())

    def _watch(self):
        found = []
        try:
            with self.daemon.stream("extra_headers=1") as stream:
                while not self.shared[4]:
                    part = stream.part()
                    found.append((part.body if len(found) < self.KEPT else b"", part.received_ns,
                                  part.time_ns("Grab-Begin")))
                    self.shared[:4] = len(found).to_bytes(4, "little")
        except BaseException as error:  # pylint: disable=broad-except
            found = str(error)
        with open(self.path, "wb") as file:
            pickle.dump(found, file)
        return 0

    def count(self):
        return int.from_bytes(self.shared[:4], "little")

    def __enter__(self):
        wait_until(self.count, "the first picture")
        return self

    def __exit__(self, kind, *_):
        self.shared[4] = 1
        os.waitpid(self.pid, 0)
        if not kind:
            self.judge()

    def judge(self):
        with open(self.path, "rb") as file:
            found = pickle.load(file)
        check(not isinstance(found, str), f"the other viewer lost its stream: {found}")
        numbers = stamps([body for body, _, _ in found if body])
        check(numbers == sorted(set(numbers)), "a picture came twice or after a later one")
        if SAN or not LONG:
            return
        lost = numbers[-1] - numbers[0] + 1 - len(numbers)
        check(lost == 0, f"the other viewer lost {lost} of {len(numbers)} pictures")
        _, gap = rate_of([taken for _, _, taken in found])
        check(gap < 60, f"the other viewer lost pictures: {gap:.0f} ms between two")


def is_closed(peer):
    try:
        peer.setblocking(False)
        return peer.recv(65536) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


@test(measures=True)
def three_hundred_megabytes_from_a_client_go_nowhere():
    with Daemon(*SMALL, "--server-timeout", 5, fake="uvc") as daemon, Witness(daemon) as witness:
        wait_until(lambda: witness.count() > 30, "a second of pictures")
        before, most, chunk = daemon.process.rss_kib(), 0, b"x" * (1 << 20)
        for head in (b"POST /state HTTP/1.1\r\nHost: a\r\nContent-Length: 314572800\r\n\r\n",
                     b"GET /state HTTP/1.1\r\nHost: a\r\nContent-Length: 314572800\r\n\r\n",
                     b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /", b"GET / HTTP/1.1\r\nX: ", b""):
            with daemon.connect(3) as peer:
                sent = 0
                with contextlib.suppress(OSError):
                    peer.sendall(head)
                    while sent < 300:
                        # Read what comes, so that nobody can blame a full buffer.
                        peer.sendall(chunk)
                        sent += 1
                        peer.setblocking(False)
                        with contextlib.suppress(BlockingIOError):
                            while peer.recv(1 << 20):
                                pass
                        peer.settimeout(3)
                        if sent % 16 == 0:
                            most = max(most, daemon.process.rss_kib())
                most = max(most, daemon.process.rss_kib())
        figure(f"clients that send 300 MB: memory grew by {most - before} KiB at most")
        check(SAN or most - before < 4096, f"it grew by {most - before} KiB")


@test(alone=True)
def a_thousand_half_open_connections_keep_nobody_out():
    allow_many_files()
    with Daemon(*SMALL, "--server-timeout", 3 if LONG else 6, fake="uvc") as daemon, contextlib.ExitStack() as stack:
        with Witness(daemon) as witness:
            wait_until(lambda: witness.count() > 15, "pictures")
            before = daemon.process.rss_kib()
            peers = []
            for number in range(1200):
                peers.append(stack.enter_context(daemon.connect()))
                if number % 2:
                    peers[-1].sendall(b"GET / HTTP/1.1\r\n")
            equal(daemon.get("/state").status, 200, "/state for a newcomer")
            with daemon.stream() as stream:
                stream.part()
            grown = daemon.process.rss_kib() - before
            check(daemon.state()["http"]["connections"] <= 1000, "more connections than --max-clients")
            began = time.monotonic()
            wait_until(lambda: daemon.state()["http"]["connections"] <= 3, "they are closed")
            figure(f"1200 half-open connections: {grown} KiB, closed within {time.monotonic() - began:.1f} s")
            check(all(is_closed(peer) for peer in peers), "some are open")
        check(SAN or grown < 16 * 1024, f"{grown} KiB")


@test(measures=True)
def trickled_headers_have_a_deadline():
    allow_many_files()
    with Daemon(*SMALL, "--server-timeout", 2 if LONG else 6, fake="uvc") as daemon, contextlib.ExitStack() as stack:
        with Witness(daemon) as witness:
            wait_until(witness.count, "pictures")
            peers = {stack.enter_context(daemon.connect()) for _ in range(300)}
            n_all, began = len(peers), time.monotonic()
            text = b"GET /state HTTP/1.1\r\n" + b"X-Slow: 1\r\n" * 100
            for at in range(len(text)):
                for peer in list(peers):
                    try:
                        peer.sendall(text[at:at + 1])
                    except OSError:
                        peers.discard(peer)
                peers = {peer for peer in peers if not is_closed(peer)}
                if not peers or time.monotonic() - began > PATIENCE:
                    break
                time.sleep(0.2)
            took = time.monotonic() - began
            figure(f"{n_all} clients that send a byte every 0.2 s: closed after {took:.1f} s")
            check(not peers, f"{len(peers)} are open after {took:.1f} s")
        no_rates()
        check(took < 4.5, f"they were open for {took:.1f} s")


@test(measures=True)
def a_connection_flood_does_not_disturb():
    with Daemon(*SMALL, fake="uvc") as daemon, Witness(daemon) as witness:
        wait_until(lambda: witness.count() > 15, "pictures")
        before = len(daemon.process.fds())
        began = time.monotonic()
        count = 0
        while time.monotonic() - began < 2:
            with daemon.connect() as peer:
                peer.sendall(b"GET /state HTTP/1.0\r\n\r\n" if count % 3 else b"GET /snapshot HTTP/1.0\r\n\r\n")
            count += 1
            if count % 20 == 0:
                time.sleep(0.01)  # about two thousand a second
        wait_until(lambda: len(daemon.process.fds()) <= before + 1, "their descriptors are closed")
        figure(f"{count / 2:.0f} connections a second that hang up at once")


# ---- a slow link


def unshare_network():
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise Skip(f"no network namespace for us: {os.strerror(ctypes.get_errno())}")


def command(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise Skip(f"{' '.join(words)}: {done.stdout.strip()}")


class FarClient:
    """A viewer in a network namespace of its own, behind a slow link."""

    def __init__(self, port, seconds, rate="1mbit"):
        self.rate = rate
        ready, ready_end = os.pipe()
        go, go_end = os.pipe()
        self.result, result_end = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            for end in (ready, go_end, self.result):
                os.close(end)
            os._exit(self._watch(port, seconds, ready_end, go, result_end))
        for end in (ready_end, go, result_end):
            os.close(end)
        os.read(ready, 1)
        os.close(ready)
        self._connect()
        os.close(go_end)

    def _connect(self):
        command("ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", str(self.pid))
        command("ip", "addr", "add", "198.18.0.1/30", "dev", "near")
        command("ip", "link", "set", "near", "up")
        for words in (("addr", "add", "198.18.0.2/30", "dev", "far"), ("link", "set", "far", "up")):
            command("nsenter", "--net", "--target", str(self.pid), "ip", *words)
        command("tc", "qdisc", "add", "dev", "near", "root", "tbf", "rate", self.rate, "burst", "5kb", "limit", "15kb")

    @staticmethod
    def read(peer, seconds):
        with Stream(None, "extra_headers=1", peer=peer) as stream:
            return [(part.received_ns, part.time_ns("Grab-Begin"), len(part.body))
                    for part in stream.parts(seconds=seconds)]

    def _watch(self, port, seconds, ready_end, go, result_end):
        try:
            unshare_network()
            os.close(ready_end)
            os.read(go, 1)
            peer = socket.create_connection(("198.18.0.1", port), 20)
            answer = json.dumps(self.read(peer, seconds))
        except BaseException as error:  # pylint: disable=broad-except
            answer = json.dumps(str(error))
        with os.fdopen(result_end, "w") as file:
            file.write(answer)
        return 0

    def finish(self):
        with os.fdopen(self.result) as file:
            found = json.load(file)
        os.waitpid(self.pid, 0)
        if isinstance(found, str):
            raise Failure(f"the far client: {found}")
        return found


@test(long=True)
def a_slow_link_lowers_the_rate_and_not_the_freshness():
    if os.getuid():
        raise Skip("a link of 1 Mbit/s in a network namespace takes root")
    seconds = 60
    unshare_network()
    command("ip", "link", "set", "lo", "up")
    with Daemon(*FULL_HD, "--desired-fps", 30, "--host", "0.0.0.0", fake="uvc") as daemon:
        far = FarClient(daemon.port, seconds)
        with Witness(daemon):
            found = far.finish()
            equal(jpeg_size(daemon.get("/snapshot").body), (1920, 1080), "the size")
        check(len(found) > seconds / 3, f"only {len(found)} pictures in {seconds} s")
        # The first ones meet a connection that does not know the link yet.
        ages = [(received - taken) / 1e6 for received, taken, _ in found][2:]
        transmission = [size * 8 / 1e6 * 1e3 for _, _, size in found][2:]
        bounds = [2 * time_ms + 200 for time_ms in transmission]
        early, late = (sorted(half)[len(half) // 2] for half in (ages[:len(ages) // 2], ages[len(ages) // 2:]))
        figure(f"1080p over 1 Mbit/s for {seconds} s: {len(found) / seconds:.2f} fps, age {min(ages):.0f} to {max(ages):.0f} ms, "
               f"median {early:.0f} then {late:.0f} ms; one picture takes {max(transmission):.0f} ms, "
               f"the bound is {min(bounds):.0f} ms")
        no_rates()
        worst = max(age - bound for age, bound in zip(ages, bounds))
        check(worst < 0, f"a picture was {max(ages):.0f} ms old")
        check(late < early + 400, f"the age grows from {early:.0f} to {late:.0f} ms")
