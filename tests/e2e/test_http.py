# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints, headers and parameters: what clients written for uStreamer rely on."""

import json
import os
import re
import socket
import stat
import subprocess
import sys

from harness import (LONG, Daemon, Reply, Skip, basic, check, decode, equal, folder, free_name, free_port, jpeg_size,
                     test, wait_until)

TIME = r"\d+\.\d{6}"
CARD = ("--source", "testcard", "--resolution", "320x240")


def check_no_cache(headers):
    for name in ("cache-control", "pragma", "expires"):
        check(name in headers, f"no {name}")
    check("no-store" in headers["cache-control"] and "no-cache" in headers["pragma"], "it may be cached")


@test
def snapshot_has_the_headers_of_both_generations():
    with Daemon(*CARD) as daemon:
        for path in ("/snapshot", "/?action=snapshot"):
            reply = daemon.get(path)
            equal(reply.status, 200, path)
            equal(reply.headers["content-type"], "image/jpeg", "Content-Type")
            equal(int(reply.headers["content-length"]), len(reply.body), "Content-Length")
            check_no_cache(reply.headers)
            equal(reply.headers["x-ustreamer-online"], "true", "X-UStreamer-Online")
            equal(reply.headers["x-ustreamer-width"], "320", "X-UStreamer-Width")
            equal(reply.headers["x-ustreamer-height"], "240", "X-UStreamer-Height")
            order = [float(reply.headers[f"x-ustreamer-{name}-timestamp"])
                     for name in ("grab-begin", "grab-end", "encode-begin", "encode-end", "send")]
            equal(order, sorted(order), "the order of the times")
            for name in ("x-timestamp", "x-ustreamer-grab-timestamp", "x-ustreamer-grab-begin-timestamp"):
                check(re.fullmatch(TIME, reply.headers[name]), f"{name} is {reply.headers[name]}")
            equal(reply.headers["x-ustreamer-grab-timestamp"], reply.headers["x-ustreamer-grab-begin-timestamp"],
                  "the older name")
            equal(jpeg_size(reply.body), (320, 240), "the size in the picture")
            decode([reply.body])


@test
def stream_speaks_as_its_readers_expect():
    with Daemon(*CARD) as daemon:
        for path in ("/stream", "/?action=stream"):
            separator = "&" if "?" in path else "?"
            with daemon.stream(path=f"{path}{separator}key=ab%20c%2F%C3%BC") as stream:
                equal(stream.reply.version, "1.0", "the version")
                equal(stream.reply.headers["content-type"], "multipart/x-mixed-replace;boundary=boundarydonotcross",
                      "Content-Type")
                check_no_cache(stream.reply.headers)
                match = re.fullmatch(r"stream_client=ab%20c%2F%C3%BC/([0-9a-f]+); path=/; max-age=30",
                                     stream.reply.headers["set-cookie"])
                check(match, f"the cookie is {stream.reply.headers['set-cookie']}")
                pictures = []
                for part in stream.parts(5):
                    equal(set(part.headers), {"content-type", "content-length", "x-timestamp"}, "the part's headers")
                    equal(part.headers["content-type"], "image/jpeg", "the part's Content-Type")
                    check(re.fullmatch(TIME, part.headers["x-timestamp"]), "X-Timestamp")
                    pictures.append(part.body)
                mine = daemon.state()["stream"]["clients_stat"][match[1]]
                equal(mine["key"], "ab%20c%2F%C3%BC", "the key in /state")
                decode(pictures)  # who reads nothing meanwhile is let go
            wait_until(lambda: daemon.state()["stream"]["clients"] == 0, "the client is gone from /state")


@test
def extra_headers_tell_all_about_a_picture():
    names = ("Online Dropped Width Height Client-FPS Grab-Time Grab-Begin-Time Grab-End-Time Encode-Begin-Time "
             "Encode-End-Time Expose-Begin-Time Expose-Cmp-Time Expose-End-Time Send-Time Latency").split()
    order = "Grab-Begin Grab-End Encode-Begin Encode-End Expose-Begin Expose-Cmp Expose-End Send".split()
    with Daemon(*CARD) as daemon, daemon.stream("extra_headers=1") as stream:
        for part in stream.parts(10):
            for name in names:
                check(f"x-ustreamer-{name.lower()}" in part.headers, f"no X-UStreamer-{name}")
            equal(part.headers["x-ustreamer-width"], "320", "X-UStreamer-Width")
            equal(part.headers["x-ustreamer-dropped"], "0", "X-UStreamer-Dropped")
            check(part.online, "X-UStreamer-Online")
            times = [part.time_ns(name) for name in order]
            equal(times, sorted(times), "the order of the times")
            check(times[-1] <= part.received_ns, "it was sent after it came")
            latency = float(part.headers["x-ustreamer-latency"]) * 1e9
            check(abs(latency - (times[-1] - times[0])) < 2000, "X-UStreamer-Latency")


@test
def advance_headers_come_before_their_picture():
    with Daemon(*CARD, "--desired-fps", 5) as daemon:
        with daemon.stream("advance_headers=1") as stream:
            pictures = []
            for part in stream.parts(4):
                equal(set(part.headers), {"content-type", "x-timestamp"}, "the part's headers")
                pictures.append(part.body)
            decode(pictures)
            # The next part's headers are here although its picture is 200 ms away.
            equal(stream.file.peek(1)[:13] or stream.file.readline()[:13], b"Content-Type:", "what follows at once")
        with daemon.stream("extra_headers=1&advance_headers=1") as stream:
            equal(set(stream.part().headers), {"content-type", "x-timestamp"}, "advance headers win over extra ones")


@test
def zero_data_sends_headers_only():
    with Daemon(*CARD) as daemon, daemon.stream("zero_data=true&extra_headers=yes") as stream:
        for part in stream.parts(5):
            equal(part.body, b"", "the picture")
            equal(part.headers["content-length"], "0", "Content-Length")
            check("x-ustreamer-width" in part.headers, "no extra headers")


@test
def same_frames_are_left_out_and_the_last_may_come_twice():
    # Where frames come seldom, the time and not their number ends the dropping.
    with Daemon("--drop-same-frames", 10, "--format", "MJPEG", fake="uvc:fps=30,size=640x480", clock=4) as daemon, \
            daemon.stream("extra_headers=1") as plain:
        plain.part()
        daemon.tell("frozen on")
        plain.wait_part(lambda part: int(part.headers["x-ustreamer-dropped"]) == 10, "ten were dropped in a row")
        run = list(plain.parts(3))
        equal([int(part.headers["x-ustreamer-dropped"]) for part in run], [10] * 3, "how many were dropped")
        equal(len({part.body for part in run}), 1, "the number of different pictures")
        # A run: the picture, and once more for WebKit; then nothing until the 11th.
        with daemon.stream("dual_final_frames=1&extra_headers=1") as dual:
            dropped = [int(part.headers["x-ustreamer-dropped"]) for part in dual.parts(9)][3:]
        check(dropped in ([10, 0] * 3, [0, 10] * 3), f"not twice: {dropped} were dropped before each")
        daemon.tell("frozen off")
        plain.wait_part(lambda part: part.body != run[0].body, "it moves again")
        equal(len({part.body for part in plain.parts(10)}), 10, "the number of different pictures when it moves")


INTEGER, WORD, BOOL = int, str, bool
STATE = {
    "instance_id": WORD,
    "encoder": {"type": WORD, "quality": INTEGER},
    "source": {"resolution": {"width": INTEGER, "height": INTEGER}, "online": BOOL, "desired_fps": INTEGER,
               "captured_fps": INTEGER},
    "stream": {"queued_fps": INTEGER, "clients": INTEGER, "clients_stat": dict},
}
OURS = {
    "source": {"state": WORD, "text": WORD, "hint": WORD, "format": WORD, "captured": INTEGER, "skipped": INTEGER,
               "restarts": INTEGER},
    "drops": {name: INTEGER for name in ("empty", "small", "flagged", "short", "truncated", "malformed",
                                         "oversized", "no_memory", "encoder", "sink")},
}
CLIENT = {"fps": INTEGER, "extra_headers": BOOL, "advance_headers": BOOL, "dual_final_frames": BOOL,
          "zero_data": BOOL, "key": WORD}


def check_schema(document, schema, at="result"):
    for name, kind in schema.items():
        check(name in document, f"/state has no {at}.{name}")
        if isinstance(kind, dict):
            check_schema(document[name], kind, f"{at}.{name}")
        else:
            check(type(document[name]) is kind, f"{at}.{name} is {document[name]!r}")


@test
def state_has_every_field_of_the_contract():
    with Daemon(*CARD, "--desired-fps", 20, "--quality", 71, "--instance-id", "a.b/c_d-e+1") as daemon, \
            daemon.stream("extra_headers=1&advance_headers=1&dual_final_frames=1&zero_data=1") as stream:
        for _ in stream.parts(50):
            pass
        reply = daemon.get("/state")
        equal(reply.headers["content-type"], "application/json", "Content-Type")
        document = json.loads(reply.body)
        equal(set(document), {"ok", "result"}, "the top of /state")
        check(document["ok"] is True, "ok")
        result = document["result"]
        check_schema(result, STATE)
        check_schema(result, OURS)
        check("sinks" not in result and "drm" not in result, "things that are not there")
        check("h264" in result, "h264: see test_h264.py")
        equal(result["instance_id"], "a.b/c_d-e+1", "instance_id")
        equal(result["encoder"], {"type": "CPU", "quality": 71}, "encoder")
        equal(result["source"]["resolution"], {"width": 320, "height": 240}, "resolution")
        equal(result["source"]["desired_fps"], 20, "desired_fps")
        check(result["source"]["online"], "online")
        least, most = (18, 22) if LONG else (1, 60)  # who is late shows it here

        def rates():
            for _ in stream.parts(5):
                pass
            state = daemon.state()
            (stat,) = state["stream"]["clients_stat"].values()
            return [state["source"]["captured_fps"], state["stream"]["queued_fps"], stat["fps"]]
        # They are 0 after a second without a picture.
        wait_until(lambda: all(least <= fps <= most for fps in rates()), "captured_fps, queued_fps and the client's fps")
        equal(result["stream"]["clients"], 1, "clients")
        (identity, client), = result["stream"]["clients_stat"].items()
        check_schema(client, CLIENT, "client")
        equal((client["extra_headers"], client["advance_headers"], client["dual_final_frames"], client["zero_data"],
               client["key"]), (True, True, True, True, "0"), "the client's wishes")
        equal(stream.reply.headers["set-cookie"], f"stream_client_a.b/c_d-e+1=0/{identity}; path=/; max-age=30",
              "the cookie")


@test
def state_has_sinks_when_they_are_asked_for():
    with Daemon(*CARD, "--h264-sink", "t::h264", "--h264-sink-rm", "--jpeg-sink", "t::jpeg", "--sink-rm",
                "--h264-bitrate", 1234, "--h264-gop", 7,
                "--fake-resolution", "4096x2160") as daemon:
        result = daemon.state()
        equal({name: result["h264"][name] for name in ("bitrate", "gop")}, {"bitrate": 1234, "gop": 7}, "h264")
        check(type(result["h264"]["online"]) is bool and type(result["h264"]["fps"]) is int, "h264.online and .fps")
        check(type(result["sinks"]["jpeg"]["has_clients"]) is bool, "sinks.jpeg")
        check(type(result["sinks"]["h264"]["has_clients"]) is bool, "sinks.h264")
        equal(result["source"]["resolution"], {"width": 4096, "height": 2160}, "the fake resolution")
        equal(daemon.get("/snapshot").headers["x-ustreamer-width"], "320", "the true width")


@test
def a_picture_that_stands_still_is_sent_now_and_then():
    """The card comes twice a second: thirty of them in a row would be a quarter of a minute."""
    with Daemon("--device", "/dev/nothing", "--drop-same-frames", 30) as daemon, \
            daemon.stream("extra_headers=1") as stream:
        dropped = [int(part.headers["x-ustreamer-dropped"]) for part in stream.parts(3)]
        check(max(dropped) < 10, f"{dropped} were dropped before each")


@test
def a_jpeg_source_is_named_hw_with_quality_zero():
    with Daemon("--format", "MJPEG", fake="uvc:size=640x480") as daemon:
        daemon.wait_state("online")
        equal(daemon.state()["encoder"], {"type": "HW", "quality": 0}, "the encoder before anyone watches")
        daemon.get("/snapshot")
        equal(daemon.state()["encoder"], {"type": "HW", "quality": 0}, "the encoder")


@test
def methods_and_unknown_paths_are_answered_like_ustreamer():
    with Daemon(*CARD) as daemon:
        for path in ("/", "/state", "/snapshot", "/stream", "/favicon.ico"):
            reply = daemon.get(path, "HEAD")
            equal((reply.status, reply.body), (200, b""), f"HEAD {path}")
            equal(daemon.get(path, "OPTIONS").status, 200, f"OPTIONS {path}")
            for method in ("POST", "PUT", "DELETE", "PATCH", "NONSENSE"):
                equal(daemon.get(path, method).status, 501, f"{method} {path}")
        for path in ("/nothing", "/stream/", "/state.json", "/../etc/passwd"):
            equal(daemon.get(path).status, 404, path)
        page = daemon.get("/")
        equal(page.headers["content-type"].split(";")[0], "text/html", "the page's type")
        check(b"stream" in page.body, "the page does not show the stream")
        icon = daemon.get("/favicon.ico")
        check(icon.headers["content-type"].startswith("image/"), "the icon's type")


@test
def one_connection_serves_many_requests():
    with Daemon(*CARD) as daemon, daemon.connect() as peer, peer.makefile("rb") as answers:
        for path in ("/state", "/snapshot", "/", "/nothing", "/state"):
            peer.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
            equal(Reply(answers).status, 404 if path == "/nothing" else 200, path)
        # A HEAD is answered without a body, errors too: else the next reply would begin in it.
        for path in ("/nothing", "/state", "/nothing", "/stream", "/"):
            peer.sendall(f"HEAD {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
            equal(Reply(answers, with_body=False).status, 404 if path == "/nothing" else 200, f"HEAD {path}")
        peer.sendall(b"GET /state HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        for _ in range(3):
            equal(Reply(answers).status, 200, "a pipelined request")


@test
def with_a_user_everything_wants_the_password():
    with Daemon(*CARD, "--user", "admin", "--passwd", "s:e c") as daemon:
        for path in ("/", "/state", "/snapshot", "/stream", "/favicon.ico"):
            reply = daemon.get(path)
            equal(reply.status, 401, path)
            check(reply.headers["www-authenticate"].startswith("Basic "), "WWW-Authenticate")
            equal(daemon.get(path, "HEAD").status, 401, f"HEAD {path}")
            equal(daemon.get(path, "OPTIONS").status, 200, f"OPTIONS {path}")
        equal(daemon.get("/nothing").status, 404, "an unknown path")
        for wrong in (basic("admin", "s:e"), basic("admin", ""), basic("", "s:e c"), basic("admin", "s:e cc"),
                      {"Authorization": "Basic"}, {"Authorization": "Bearer x"}):
            equal(daemon.get("/state", headers=wrong).status, 401, str(wrong))
        equal(daemon.get("/state", headers=basic("admin", "s:e c")).status, 200, "the right password")
        with daemon.stream(headers=basic("admin", "s:e c")) as stream:
            stream.part()


@test
def the_password_is_not_to_be_seen_from_outside():
    with Daemon(*CARD, "--user", "admin", "--passwd", "geheimnis", "--process-name-prefix", "kvmd") as daemon:
        line = (daemon.process.root / "cmdline").read_bytes()
        check(b"geheimnis" not in line, "it is in /proc/PID/cmdline")
        check(line.startswith(b"kvmd: "), f"the prefix is not there: {line[:40]!r}")
        check(not daemon.count_log("geheimnis"), "it is in the log")
    with Daemon(*CARD, "--user", "admin", "--passwd", "geheimnis") as daemon:
        check(b"geheimnis" not in (daemon.process.root / "cmdline").read_bytes(), "without a prefix it is in /proc/PID/cmdline")


@test
def cors_echoes_what_is_asked_for():
    with Daemon(*CARD, "--allow-origin", "https://x.example") as daemon:
        reply = daemon.get("/state", "OPTIONS", {"Access-Control-Request-Headers": "x-one, x-two",
                                                 "Access-Control-Request-Method": "GET"})
        equal(reply.status, 200, "OPTIONS")
        equal(reply.headers["access-control-allow-headers"], "x-one, x-two", "Allow-Headers")
        equal(reply.headers["access-control-allow-methods"], "GET", "Allow-Methods")
        for path in ("/state", "/snapshot"):
            reply = daemon.get(path)
            equal(reply.headers["access-control-allow-origin"], "https://x.example", "Allow-Origin")
            equal(reply.headers["access-control-allow-credentials"], "true", "Allow-Credentials")
        with daemon.stream() as stream:
            equal(stream.reply.headers["access-control-allow-origin"], "https://x.example", "Allow-Origin of /stream")
    with Daemon(*CARD) as daemon:
        check("access-control-allow-origin" not in daemon.get("/state").headers, "CORS without being asked")


@test
def a_unix_socket_has_its_mode_and_goes_at_the_end():
    path = free_name(".sock")
    with Daemon(*CARD, "--unix", path, "--unix-mode", "0640") as daemon:
        daemon.unix = path
        equal(stat.S_IMODE(os.stat(path).st_mode), 0o640, "the mode")
        check(daemon.state()["source"]["online"] in (True, False), "/state")
        equal(daemon.get("/snapshot").status, 200, "/snapshot")
        with daemon.stream() as stream:
            stream.part()
        with socket.socket() as other:
            check(other.connect_ex(("127.0.0.1", daemon.port)) != 0, "it listens on TCP as well")
        # Another one may replace it on demand, and the first then leaves the other's socket alone.
        with Daemon(*CARD, "--unix", path, exit_status=1, ready=False) as second:
            equal(second.wait_exit(), 1, "the exit status without --unix-rm")
            check(any(path in line and "--unix-rm" in line for line in second.lines), "no remedy")
        with Daemon(*CARD, "--unix", path, "--unix-rm", "--unix-mode", "660") as second:
            second.unix = path
            equal(second.get("/state").status, 200, "/state of the second")
            daemon.stop()
            check(os.path.exists(path), "the first removed the second's socket")
            equal(second.get("/state").status, 200, "/state of the second, after the first ended")
    check(not os.path.exists(path), "the socket is still there")


@test
def unix_rm_does_not_remove_other_files():
    path = free_name(".txt")
    with open(path, "w", encoding="utf-8") as file:
        file.write("precious")
    with Daemon(*CARD, "--unix", path, "--unix-rm", exit_status=1, ready=False) as daemon:
        daemon.wait_exit()
        check(os.path.getsize(path) == 8, "the file is gone")


PASS_SOCKET = """
import os, socket, sys
kind, where = sys.argv[1:3]
listening = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET)
listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listening.bind(where if kind == "unix" else ("127.0.0.1", int(where)))
listening.listen()
second = socket.socket(socket.AF_UNIX)
descriptors = [os.dup(listening.fileno()), os.dup(second.fileno())]
os.dup2(descriptors[0], 3)
os.dup2(descriptors[1], 4)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2", LISTEN_FDNAMES="a:b")
os.execv(sys.argv[3], sys.argv[3:])
"""


@test
def systemd_may_pass_the_socket():
    """It is taken without the option, too."""
    for kind, *options in (("unix", "--systemd"), ("tcp", "--systemd"), ("tcp",)):
        path, port = free_name(".sock"), free_port()
        command = [sys.executable, "-c", PASS_SOCKET, kind, path if kind == "unix" else str(port)]
        with Daemon(*CARD, *options, port=port, listen=False, command=command, close_fds=False) as daemon:
            equal(daemon.count_log(f":{port}/"), kind == "tcp", "whether it tells the port")
            daemon.unix = path if kind == "unix" else None
            equal(daemon.get("/state").status, 200, f"/state over {kind}")
            with daemon.stream() as stream:
                stream.part()
            check(daemon.process.fds()[3].startswith("socket:"), "descriptor 3")
        if kind == "unix":
            check(os.path.exists(path), "it removed systemd's socket")


@test
def systemd_socket_activate_starts_it():
    if not os.path.exists("/usr/bin/systemd-socket-activate"):
        raise Skip("systemd-socket-activate is not installed")
    port = free_port()
    with Daemon(*CARD, "--systemd", port=port, listen=False, ready=False,
                command=["systemd-socket-activate", f"--listen=127.0.0.1:{port}"]) as daemon:
        wait_until(lambda: daemon.count_log("Listening on"), "it listens")
        equal(daemon.get("/state").status, 200, "/state")
        equal(daemon.get("/snapshot").status, 200, "/snapshot")


def site():
    root = os.path.join(folder(), "site")
    os.makedirs(os.path.join(root, "sub", "deep"))
    os.makedirs(os.path.join(folder(), "outside"))
    files = {"site/index.html": b"<p>mine", "site/app.js": b"js", "site/style.css": b"css", "site/a.unknownext": b"?",
             "site/sub/index.html": b"<p>sub", "site/sub/deep/x.png": b"png", "site/.hidden": b"hidden",
             "site/empty.txt": b"", "outside/secret.txt": b"SECRET"}
    for name, content in files.items():
        with open(os.path.join(folder(), name), "wb") as file:
            file.write(content)
    os.symlink(os.path.join(folder(), "outside", "secret.txt"), os.path.join(root, "link.txt"))
    os.symlink(os.path.join(folder(), "outside"), os.path.join(root, "linkdir"))
    os.symlink("/etc", os.path.join(root, "sub", "etc"))
    os.mkfifo(os.path.join(root, "pipe"))
    return root


@test
def a_static_directory_is_served_and_nothing_beside_it():
    with Daemon(*CARD, "--static", site()) as daemon:
        for path, kind, body in (("/", "text/html", b"<p>mine"), ("/index.html", "text/html", b"<p>mine"),
                                 ("/app.js", None, b"js"), ("/style.css", "text/css", b"css"),
                                 ("/sub/", "text/html", b"<p>sub"), ("/sub/deep/x.png", "image/png", b"png"),
                                 ("/%61pp.js", None, b"js"), ("/sub/../app.js", None, None),
                                 ("/a.unknownext", None, b"?"), ("/empty.txt", "text/plain", b"")):
            reply = daemon.get(path)
            if body is None:
                check(reply.status in (200, 400, 403, 404), f"{path}: {reply.status}")
                continue
            equal((reply.status, reply.body), (200, body), path)
            if kind:
                equal(reply.headers["content-type"].split(";")[0], kind, f"the type of {path}")
        outside = ("/../outside/secret.txt", "/sub/../../outside/secret.txt", "/%2e%2e/outside/secret.txt",
                   "/..%2foutside/secret.txt", "/%2e%2e%2foutside%2fsecret.txt", "/link.txt", "/linkdir/secret.txt",
                   "/sub/etc/passwd", "//etc/passwd", "/./../outside/secret.txt", "/sub/..%5c..%5coutside/secret.txt",
                   "/..%00/outside/secret.txt", "/link.txt%00.html", "/%252e%252e/outside/secret.txt",
                   folder() + "/outside/secret.txt", "/nothing", "/pipe")
        for path in outside:
            reply = daemon.get(path)
            check(reply.status in (400, 403, 404), f"{path}: {reply.status}")
            check(b"SECRET" not in reply.body and b"root:" not in reply.body, f"{path} is served")
        equal(daemon.get("/state").headers["content-type"], "application/json", "/state beside files")
        equal(daemon.get("/?action=snapshot").headers["content-type"], "image/jpeg", "/?action=snapshot beside files")
        equal(daemon.get("/index.html?action=snapshot").headers["content-type"], "image/jpeg", "an action of a file")
        with daemon.stream(path="/?action=stream") as stream:
            stream.part()
        equal(daemon.get("/app.js", "HEAD").status, 200, "HEAD of a file")


@test
def static_files_want_the_password_as_well():
    with Daemon(*CARD, "--static", site(), "--user", "u", "--passwd", "p") as daemon:
        equal(daemon.get("/app.js").status, 401, "without")
        equal(daemon.get("/app.js", headers=basic("u", "p")).status, 200, "with")


@test
def requests_that_are_not_http_do_no_harm():
    noise = (b"\0" * 100, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n",
             b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 70000 + b"\r\n\r\n",
             b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(5000)) + b"\r\n",
             b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
             b"POST /state HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"\x16\x03\x01\x02\x00\x01\x00",
             b"GET /%zz%00%ff HTTP/1.1\r\n\r\n", b"GET /stream?key=" + b"k" * 4000 + b" HTTP/1.1\r\n\r\n",
             b"GET /stream?key=%0d%0aSet-Cookie:%20evil=1 HTTP/1.0\r\n\r\n",
             b"GET / HTTP/1.1\r\nAccess-Control-Request-Headers: a\rb\r\n\r\n")
    with Daemon(*CARD, "--allow-origin", "*") as daemon:
        for sent in noise:
            with daemon.connect(3) as peer:
                try:
                    peer.sendall(sent)
                    peer.shutdown(socket.SHUT_WR)
                    got = peer.recv(4096)
                except OSError:
                    got = b""
                check(b"\nSet-Cookie: evil" not in got, f"a header was injected by {sent[:40]!r}")
                check(not got or got.startswith(b"HTTP/1."), f"{sent[:40]!r} got {got[:40]!r}")
            equal(daemon.get("/state").status, 200, f"/state after {sent[:40]!r}")


@test
def curl_saves_a_snapshot():
    with Daemon(*CARD) as daemon:
        done = subprocess.run(["curl", "-sf", f"http://127.0.0.1:{daemon.port}/snapshot"], stdout=subprocess.PIPE,
                              check=False)
        equal(done.returncode, 0, "curl's exit status")
        equal(jpeg_size(done.stdout), (320, 240), "the size")
