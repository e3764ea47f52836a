# SPDX-License-Identifier: GPL-3.0-or-later
"""A driver may hang in any call, for ever: only the thread that made it waits for it."""

import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor

from harness import LONG, PATIENCE, ROOT, Daemon, Failure, check, equal, figure, test, wait_until

AT_ONCE = 4

UVC = ("uvc:size=320x240,fmt=YUYV,fps=30,mode=cheap", "--format", "YUYV", "--resolution", "320x240")
CSI = ("csi:edid=set,signal=640x480@30", "--format", "UYVY", "--dv-timings")
M2M = "--h264-encoder", "m2m", "--h264-m2m-device", "/dev/fake-m2m", "--h264-static-fps", "0"


class Case:
    """A call that is to hang, and what makes the daemon make it; later: not before pictures flow."""

    def __init__(self, device=UVC, *options, kind=None, config="", m2m="", then=None, later=False):
        self.device, self.options, self.kind, self.then, self.later = device, options, kind, then, later
        self.config, self.m2m = config, m2m


def change_mode(daemon):
    """An event tells of it."""
    daemon.wait_state("online", PATIENCE)
    daemon.tell("signal 800x600@30")


def close_source(daemon):
    """By an error; the driver is asked to stop then."""
    daemon.wait_state("online", PATIENCE)
    daemon.tell("eio")


def show_the_slate(daemon):
    """It goes a way of its own into an encoder that reads the grabber's memory."""
    wait_until(lambda: daemon.state()["h264"]["encoded"] > 0, "H.264 flows", PATIENCE)
    daemon.tell("signal none")


def close_encoder(daemon):
    """By an error."""
    wait_until(lambda: daemon.state()["h264"]["encoded"] > 0, "H.264 flows", PATIENCE)
    daemon.tell("m2m.eio")


def post(daemon, method, path, body):
    """The answer is not waited for."""
    request = (f"{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
               f"Content-Length: {len(body)}\r\n\r\n{body}").encode()
    peer = daemon.connect(PATIENCE)
    peer.sendall(request)
    return peer


def change_a_control(daemon):
    daemon.peer = post(daemon, "PATCH", "/settings", '{"brightness": 20}')


def ask_for_a_key_frame(daemon):
    daemon.peer = post(daemon, "POST", "/keyframe", "{}")


def leave(daemon):
    """The network's thread lets go of the pictures that nobody takes now."""
    wait_until(lambda: "hanging=qbuf" in daemon.tell("status"), "qbuf hangs", PATIENCE)
    daemon.viewer.close()
    wait_until(lambda: daemon.state()["stream"]["clients"] == 0, "the viewer is gone", PATIENCE)


CAPTURE = {
    **{name: Case() for name in (
        "dqbuf enum_frameintervals g_ctrl g_parm qbuf querybuf querycap queryctrl reqbufs s_fmt s_input s_parm "
        "streamon").split()},
    **{name: Case(CSI) for name in (
        "enuminput expbuf g_input query_dv_timings s_dv_timings subscribe_event").split()},
    "dqevent": Case(CSI, then=change_mode),
    "enum_fmt": Case(config=",fail=s_fmt einval 9"),
    "g_edid": Case(CSI, config=",signal=none"),
    "s_ctrl": Case(UVC, "--brightness", "10"),
    "s_std": Case(UVC, "--tv-standard", "PAL"),
    "streamoff": Case(then=close_source),
    "qbuf of what comes back": Case(then=leave, later=True),
    "reqbufs at the end": Case(then=close_source, later=True),
    "s_ctrl on request": Case(then=change_a_control, later=True),
}
ENCODER = {
    **{name: Case(kind="m2m") for name in (
        "dqbuf enum_fmt g_ctrl qbuf querybuf querycap queryctrl querymenu reqbufs s_ctrl s_fmt s_parm "
        "streamon").split()},
    "expbuf": Case(CSI, kind="m2m", then=show_the_slate),
    "s_selection": Case(kind="m2m", m2m=",variant=venus"),
    "streamoff": Case(kind="m2m", then=close_encoder),
    "qbuf of a picture": Case(kind="m2m", later=True),
    "reqbufs at the end": Case(kind="m2m", then=close_encoder, later=True),
    "s_ctrl on request": Case(kind="m2m", then=ask_for_a_key_frame, later=True),
}


def calls_of(folder):
    """Names of all that is asked of drivers there."""
    text = "".join(path.read_text() for path in (ROOT / "src" / folder).rglob("*.[ch]"))
    return {name.lower() for name in re.findall(r"\bVIDIOC_([A-Z0-9_]+)\b", text)}


def hangs(daemon, case, name):
    status = daemon.tell(f"{case.kind}.status" if case.kind else "status")
    return name in re.search(r"hanging=(\S+)", status)[1].split("+")


def run(item):
    """Seconds that /healthz and the way out took; None and why not."""
    name, case = item[0].split()[0], item[1]
    config, *options = case.device
    hang = "" if case.later else f",hang={name} forever"
    config = f"{config}{case.config}" + (f";m2m:latency=5{case.m2m}{hang}" if case.kind else hang)
    daemon = Daemon(*options, *case.options, *(M2M if case.kind else ("--h264-encoder", "auto")), fake=config,
                    node="/dev/fake-csi" if case.device is CSI else "/dev/fake-uvc", violations=False,
                    clock=4 if case.kind and not LONG else None)  # a viewer waits for four seconds
    with daemon, daemon.connect(PATIENCE) as viewer:
        viewer.sendall(b"GET /stream.h264 HTTP/1.0\r\n\r\n" if case.kind else b"GET /stream HTTP/1.0\r\n\r\n")
        daemon.viewer = viewer
        if case.later:
            daemon.wait_state("online", PATIENCE)
            if case.kind:
                wait_until(lambda: daemon.state()["h264"]["encoded"] > 0, "H.264 flows", PATIENCE)
            daemon.tell(f"{case.kind + '.' if case.kind else ''}hang {name} forever")
        if case.then:
            case.then(daemon)
        wait_until(lambda: hangs(daemon, case, name), f"{name} hangs", PATIENCE)
        began = time.monotonic()
        check(daemon.get("/healthz", seconds=PATIENCE).status in (200, 503), "the answer of /healthz")
        asked = time.monotonic() - began
        check(hangs(daemon, case, name), f"{name} hangs no more: nothing is proved")
        if daemon.clock:
            daemon.clock.stretch(1)
        began = time.monotonic()
        daemon.child.send_signal(signal.SIGTERM)
        daemon.wait_exit(PATIENCE)
        return asked, time.monotonic() - began


def try_all(folder, cases):
    equal(sorted(calls_of(folder) - {name.split()[0] for name in cases}), [], f"what src/{folder} asks of drivers and no case hangs")
    failed, health, ends = [], [], []

    def attempt(item):
        try:
            asked, ended = run(item)
            health.append((asked, item[0]))
            ends.append((ended, item[0]))
        except (Failure, OSError) as error:
            failed.append(f"{item[0]}: {error}")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(attempt, cases.items()))
    equal(failed, [], "calls whose hanging is noticed")
    (asked, first), (ended, second) = max(health), max(ends)
    figure(f"{len(cases)} calls: /healthz after {1000 * asked:.0f} ms at most ({first}), "
           f"gone {1000 * ended:.0f} ms after SIGTERM at most ({second})")
    if LONG:
        check(asked <= 0.1 and ended <= 1, "how fast that was")


@test(seconds=600)
def each_call_to_a_grabber_may_hang_for_ever():
    try_all("capture", CAPTURE)


@test(seconds=600)
def each_call_to_an_encoder_may_hang_for_ever():
    try_all("encoder", ENCODER)


@test
def an_encoder_that_another_program_keeps_busy_holds_nobody_up():
    """Its open() and poll() wait then for that program's call."""
    config, *options = UVC
    with Daemon(*options, *M2M, fake=f"{config};m2m:latency=5", violations=False) as daemon, \
            daemon.connect(PATIENCE) as viewer:
        viewer.sendall(b"GET /stream.h264 HTTP/1.0\r\n\r\n")
        wait_until(lambda: daemon.state()["h264"]["encoded"] > 0, "H.264 flows", PATIENCE)
        daemon.tell("m2m.busy on")
        before = daemon.state()["source"]["captured"]
        wait_until(lambda: daemon.state()["source"]["captured"] > before + 10, "pictures go on", PATIENCE)
        check(daemon.get("/healthz", seconds=PATIENCE).status in (200, 503), "the answer of /healthz")
        daemon.child.send_signal(signal.SIGTERM)
        daemon.wait_exit(PATIENCE)
