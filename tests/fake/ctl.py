#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends commands to the fake devices of a running process.

    ctl.py SOCKET command [argument …]

Waits up to five seconds for the socket, prints the answer, exits 0 if it is "ok".
"""
import socket
import sys
import time


def connect(path, seconds=5.0):
    end = time.monotonic() + seconds
    while True:
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            peer.connect(path)
            return peer
        except (FileNotFoundError, ConnectionRefusedError):
            peer.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def send(path, line, seconds=5.0):
    """One command; the answer without its newline."""
    with connect(path, seconds) as peer:
        peer.sendall(line.encode() + b"\n")
        return peer.makefile().readline().rstrip("\n")


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    answer = send(sys.argv[1], " ".join(sys.argv[2:]))
    print(answer)
    sys.exit(not answer.startswith("ok"))


if __name__ == "__main__":
    main()
