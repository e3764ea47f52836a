# SPDX-License-Identifier: GPL-3.0-or-later
"""What the daemon sends at /stream.h264, and what is to be seen there."""

import http.client
import itertools
import re
import socket
import threading
import time

import host
import pictures
import waiting

SLICES = (1, 5)  # nal_unit_type
FIRST_OF_PICTURE = 0x80  # first_mb_in_slice is 0, of which the first bit says all

_names = (f"stream-{index}.264" for index in itertools.count())


def cut(data, units):
    """The first so many access units, or None when they are not complete yet."""
    begun, end = 0, None
    for match in re.finditer(b"\x00\x00\x01(.)(.)", data, re.DOTALL):
        is_slice = match[1][0] & 31 in SLICES
        if is_slice and match[2][0] & FIRST_OF_PICTURE:
            begun += 1
            if begun > units:
                return data[:end if end is not None else match.start()].rstrip(b"\x00")
        if is_slice:
            end = None
        elif end is None:
            end = match.start()  # parameter sets and the like belong to the picture behind them
    return None


def ask(daemon, seconds):
    """A connection and the reply to a viewer on it. Who is told to ask again later, as by a busy machine, does so."""
    deadline = time.monotonic() + seconds
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=seconds)
        connection.request("GET", "/stream.h264")
        response = connection.getresponse()
        if response.status == 200:
            return connection, response
        said = response.read(500)
        connection.close()
        if response.status != 503 or waiting.JUDGES_TIMES or time.monotonic() > deadline:
            raise AssertionError(f"/stream.h264: {response.status} {said!r}")


def read(daemon, units, seconds=15):
    """So many access units, read as a viewer does; the daemon may take that long for them."""
    seconds = waiting.limit(seconds)
    deadline = time.monotonic() + seconds
    connection, response = ask(daemon, seconds)
    data = b""
    try:
        while (whole := cut(data, units)) is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"{len(data)} bytes, but not {units} access units in {seconds} s")
            chunk = response.read1(1 << 20)
            if not chunk:
                raise AssertionError(f"the stream ended after {len(data)} bytes")
            data += chunk
    finally:
        connection.close()
    return whole


class Viewer:
    """Somebody who watches all the time and looks at nothing; used with `with`."""

    def __init__(self, daemon):
        self.daemon, self.connection, self.response = daemon, None, None
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.received = 0

    def __enter__(self):
        self.connection, self.response = ask(self.daemon, waiting.PATIENCE)
        self.thread.start()
        return self

    def __exit__(self, *_):
        if self.connection.sock:
            self.connection.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(5)
        self.connection.close()

    def watch(self):
        try:
            while chunk := self.response.read1(1 << 20):
                self.received += len(chunk)
        except (OSError, http.client.HTTPException):
            pass  # the daemon's end, or ours


def decode(data, width, height, pixel_format="yuv420p"):
    """The pictures in planar 4:2:0; the decoder must have nothing to say about them."""
    name = next(_names)
    (host.OUT / name).write_bytes(data)
    said = host.ffmpeg("-v", "warning", "-probesize", "1G", "-f", "h264", "-i", name, "-f", "null", "-")
    if said:
        raise AssertionError(f"ffmpeg about {name}: {said[:300]}")
    return pictures.convert(["-f", "h264"], name, "null", pixel_format, width * height * 3 // 2)


def status(daemon):
    """/state's word on the encoder."""
    return daemon.result()["h264"]
