# SPDX-License-Identifier: GPL-3.0-or-later
"""Command lines: those of existing launchers, and mistakes in them; and the process around it."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

from harness import (DAEMON, Clock, Daemon, Failure, Skip, check, equal, folder, free_name, free_port, jpeg_size, test,
                     wait_until)

CARD = ("--source", "testcard", "--resolution", "320x240")
USB, HDMI = "uvc", "csi:edid=set,signal=1920x1080@30"

TINYPILOT = ("--persistent --h264-sink tinypilot::ustreamer::h264 --h264-sink-mode 777 --h264-sink-rm "
             "--encoder {encoder} --format {format}")
PIKVM = ("--device=/dev/video0 --persistent {} --quality=80 --desired-fps=30 --drop-same-frames=30 "
         "--unix={unix} --unix-rm --unix-mode=0660 --exit-on-parent-death --process-name-prefix=kvmd "
         "--notify-parent --no-log-colors --jpeg-sink=kvmd::ustreamer::jpeg --jpeg-sink-mode=0660")
PIKVM_H264 = " --h264-sink=kvmd::ustreamer::h264 --h264-sink-mode=0660 --h264-bitrate=5000 --h264-gop=0"
BLIKVM = "--device=/dev/video0 --host=0.0.0.0 {} --drop-same-frames=30"
CROWSNEST = ("--host 127.0.0.1 --resolution 1280x720 --desired-fps 15 --allow-origin * --static {site} "
             "--device /dev/video0 {}")


@contextlib.contextmanager
def own_sinks():
    """What stands for "…::" in the names of sinks: begins with what a sweep looks for. None is left."""
    own = f"{os.path.basename(folder())}-sinks::"  # tests run side by side
    try:
        yield own
    finally:
        for name in os.listdir("/dev/shm"):
            if name.startswith(own):
                os.unlink(f"/dev/shm/{name}")


def launch(line, fake, size, notices):
    """Starts it with somebody's command line, the port aside, and looks at all three endpoints."""
    site = os.path.join(folder(), "www")
    os.makedirs(site, exist_ok=True)
    unix = free_name(".sock") if "{unix}" in line else None
    with own_sinks() as own:
        options = re.sub(r"\w+::(?=ustreamer)", own, line.format(unix=unix, site=site)).split()
        with Daemon(*options, fake=fake, node="/dev/video0", listen=not unix) as daemon:
            daemon.unix = unix
            daemon.wait_state("online")
            equal((daemon.source()["resolution"]["width"], daemon.source()["resolution"]["height"]), size, "the size")
            reply = daemon.get("/snapshot")
            equal((reply.status, reply.headers["x-ustreamer-online"]), (200, "true"), "/snapshot")
            equal(jpeg_size(reply.body), size, "the size of the snapshot")
            with daemon.stream("extra_headers=1") as stream:
                equal([part.online for part in stream.parts(3)], [True] * 3, "three pictures")
            said = [line.split(" -- ")[-1] for line in daemon.lines if re.search(r" -- --[a-z]", line)]
            equal([line.split(":")[0] for line in said], notices, "the notices")
            wanted = {word for word in options if own in word}
            wanted = {word.rpartition("=")[2] for word in wanted}
            wait_until(lambda: {line.split()[-7] for line in daemon.lines if " is ready: " in line} == wanted,
                       "the sinks are ready")
            equal({name for name in os.listdir("/dev/shm") if name.startswith(own)}, wanted, "the sinks")
    return daemon


@test
def tinypilot_with_a_usb_dongle_starts_it():
    line = TINYPILOT.format(encoder="hw", format="jpeg") + " --desired-fps 30 --resolution 1920x1080 --quality 80"
    launch(line, USB, (1920, 1080), [])


@test
def tinypilot_voyager_starts_it():
    line = TINYPILOT.format(encoder="m2m-image", format="uyvy")
    line += " --workers 3 --drop-same-frames 30 --dv-timings --h264-bitrate 5000"
    launch(line, HDMI, (1920, 1080), ["--encoder"])


@test
def pikvm_v3_starts_it():
    line = PIKVM.replace("{}", "--dv-timings --format=uyvy --buffers=6 --encoder=m2m-image --workers=3") + PIKVM_H264
    launch(line, HDMI, (1920, 1080), ["--encoder"])


@test
def pikvm_v4_starts_it():
    line = PIKVM.replace("{}", "--dv-timings --format=rgb24 --format-swap-rgb --buffers=8 --encoder=cpu --workers=3")
    launch(line + PIKVM_H264 + " --v4p --h264-boost --slowdown", HDMI + ",lanes=4", (1920, 1080),
           ["--slowdown", "--v4p"])


@test
def pikvm_with_a_usb_dongle_starts_it():
    launch(PIKVM.replace("{}", "--format=mjpeg --resolution=1280x720 --encoder=hw"), USB, (1280, 720), [])


@test
def blikvm_starts_it():
    launch(BLIKVM.format("--persistent --dv-timings --format=uyvy --encoder=omx --workers=3 --quality=80 "
                         "--desired-fps=30"), HDMI, (1920, 1080), ["--encoder"])
    launch(BLIKVM.format("--format=MJPEG --resolution=1920x1080 --desired-fps=20"), USB, (1920, 1080), [])


@test
def crowsnest_starts_it():
    launch(CROWSNEST.replace("{}", "--device-timeout 2 --format MJPEG --encoder HW"), USB, (1280, 720), [])
    launch(CROWSNEST.replace("{}", "--format MJPEG --device-timeout 5 --buffers 3 --allow-truncated-frames"), USB,
           (1280, 720), [])


@test
def historic_options_are_noticed_once_each():
    historic = ("--glitched-resolutions 640x480 --blank /x.jpg --last-as-blank 3 --slowdown --v4p --gpio-device /dev/g "
                "--gpio-consumer-prefix u --gpio-prog-running 1 --gpio-stream-online 2 --gpio-has-http-clients 3 "
                "--io-method USERPTR --m2m-device /dev/video31 --blank /y.jpg --encoder OMX").split()
    with Daemon(*CARD, *historic) as daemon:
        for name in {word for word in historic if word.startswith("--")}:
            equal(daemon.count_log(f" {name}: "), 1, f"how often {name} is noticed")


# ---- mistakes


def complain(*options, status, words, fake=None, env=None, **more):
    """Starts it with something wrong: it must end at once, and say why in one line with these words."""
    with Daemon(*options, exit_status=status, ready=False, fake=fake, env=env, **more) as daemon:
        equal(daemon.wait_exit(), status, f"the exit status of {' '.join(map(str, options))}")
        lines = [line for line in daemon.lines if "-- INFO" not in line]
        equal(len(lines), 1, f"the number of lines ({lines})")
        for word in words:
            check(word in lines[0], f"no '{word}' in: {lines[0]}")


@test
def a_wrong_command_line_is_one_line_and_status_two():
    for options, words in (
            (["--quality", "101"], ["--quality", "101", "1", "100"]),
            (["--port", "0"], ["--port", "0", "1", "65535"]),
            (["--port", "x"], ["--port", "x", "1", "65535"]),
            (["--resolution", "1x1"], ["--resolution", "1x1", "160x120", "15360x8640"]),
            (["--format", "XYZ"], ["--format", "XYZ", "YUYV", "MJPEG"]),
            (["--unix-mode", "999"], ["--unix-mode", "999", "777"]),
            (["--h264-bitrate", "1"], ["--h264-bitrate", "25", "20000"]),
            (["--instance-id", "a b"], ["--instance-id", "a b"]),
            (["--nonsense"], ["--nonsense"]),
            (["--quality"], ["--quality"]),
            (["stray"], ["stray"])):
        complain(*options, status=2, words=words, listen=False)


@test
def a_port_in_use_is_one_line_with_a_remedy_and_status_one():
    with Daemon(*CARD) as first:
        complain(*CARD, status=1, words=[str(first.port), "--port"], port=first.port)
        equal(first.get("/state").status, 200, "/state of the first")


@test
def what_cannot_be_served_is_one_line_with_a_remedy_and_status_one():
    path = free_name(".txt")
    with open(path, "w", encoding="utf-8"):
        pass
    complain(*CARD, "--static", "/nonexistent", status=1, words=["--static", "/nonexistent"])
    complain(*CARD, "--static", path, status=1, words=["--static", path])
    complain(*CARD, "--unix", "/nonexistent/x.sock", status=1, words=["--unix", "/nonexistent/x.sock"])
    complain(*CARD, "--unix", path, status=1, words=["--unix", path])
    complain(*CARD, "--host", "no..host", status=1, words=["--host", "no..host"])
    complain(*CARD, "--systemd", status=1, words=["--systemd"])
    complain(*CARD, "--systemd", status=1, words=["--systemd"], env={"LISTEN_FDS": "1", "LISTEN_PID": "1"})


@test
def help_version_and_features_need_nothing():
    for option, word in (("--help", "--device"), ("--version", "."), ("--features", "WITH_")):
        done = subprocess.run([DAEMON, option], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                              timeout=60)
        equal((done.returncode, done.stderr), (0, ""), option)
        check(word in done.stdout, f"no {word} in {option}")
    equal(subprocess.run([DAEMON, "-v"], stdout=subprocess.PIPE, text=True, check=False).stdout.count("\n"), 1,
          "the lines of -v")


# ---- devices that are not there


@test
def a_missing_device_never_ends_it():
    with Daemon("--device", "/dev/nothing") as daemon:
        daemon.wait_state("no-device")
        equal(daemon.get("/snapshot").headers["x-ustreamer-online"], "false", "X-UStreamer-Online")
        wait_until(lambda: daemon.source()["restarts"] >= 2, "it looks again, and again")
        equal(daemon.source()["state"], "no-device", "the state")
        equal(daemon.count_log("No capture device"), 1, "how often it is said")


@test
def what_is_no_grabber_is_told_apart():
    path = free_name(".txt")
    with open(path, "w", encoding="utf-8"):
        pass
    for device in ("/dev/null", path):
        with Daemon("--device", device) as daemon:
            daemon.wait_state("not-a-grabber")


@test
def an_unexpected_error_is_explained_in_the_log():
    with Daemon("--device", folder()) as daemon:
        daemon.wait_state("device-error")
        wait_until(lambda: daemon.source()["restarts"] >= 2, "it tried twice")
        equal(daemon.count_log("Is a directory"), 1, "how often the error is in the log")


@test
def a_device_that_is_not_ours_to_open_is_said_to_be_so():
    if os.getuid():
        uid = os.getuid()
    else:
        uid = 65534
    path = free_name(".dev")
    with open(path, "w", encoding="utf-8"):
        pass
    os.chmod(path, 0)
    os.chmod(folder(), 0o755)
    with Daemon("--device", path, **({"user": uid} if not os.getuid() else {})) as daemon:
        daemon.wait_state("no-permission")


@test
def a_device_error_ends_it_only_when_asked_to():
    with Daemon("--device", "/dev/nothing", "--exit-on-device-error", exit_status=1) as daemon:
        equal(daemon.wait_exit(), 1, "the exit status")
    with Daemon("--exit-on-device-error", "--format", "MJPEG", fake="uvc:size=640x480", exit_status=1) as daemon:
        daemon.wait_state("online")
        daemon.tell("unplug")
        equal(daemon.wait_exit(), 1, "the exit status when it is unplugged")
    with Daemon("--exit-on-device-error", fake="csi:edid=set,signal=none") as daemon:
        for command, state in (("signal none", "no-signal"), ("cable out", "no-cable"), ("cable in", "no-signal")):
            daemon.tell(command)
            daemon.wait_state(state)  # neither is a device
        equal(daemon.source()["state"], "no-signal", "the state")


# ---- the process


@test
def it_ends_when_nobody_watches():
    with Daemon(*CARD, "--exit-on-no-clients", 2, clock=20) as daemon:
        with daemon.stream() as stream:
            daemon.clock.stretch(1)
            for _ in stream.parts(105):  # three seconds and a half
                pass
            daemon.clock.stop()
            for _ in range(2):  # what was due is done, and we are counted
                equal(daemon.get("/state").status, 200, "the status of /state")
        wait_until(lambda: daemon.state()["stream"]["clients"] == 0, "it knows that the viewer went")
        daemon.clock.step(1)
        for _ in range(10):
            check(daemon.get("/state").status == 200, "it does not wait two seconds")
            time.sleep(0.02)
        daemon.clock.step(2)
        daemon.wait_log("stopping: nobody watched for 2 s")
        daemon.clock.stretch(1)
        daemon.wait_exit()


WITH_PARENT = """
import os, signal, subprocess, sys
signal.signal(signal.SIGUSR2, lambda *_: os.write(1, b"usr2\\n"))
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
os.write(1, b"pid %d\\n" % child.pid)
child.wait()
"""


class Parent:
    """A program that starts the daemon as kvmd does, and prints its signals."""

    def __init__(self, *options, env=None):
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-c", WITH_PARENT, DAEMON, "--port", str(self.port), *options], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env={**os.environ, **(env or {})})
        self.pid = int(self.process.stdout.readline().split()[1])
        self.n_signals = 0
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self):
        for _ in self.process.stdout:
            self.n_signals += 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@test
def it_dies_with_its_parent_when_asked_to():
    with Parent("--exit-on-parent-death", *CARD) as parent:
        wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", parent.port)) == 0, "it listens")
        parent.process.kill()
        wait_until(lambda: is_gone(parent.pid), "it is gone")


@test
def it_ends_when_its_parent_was_gone_before():
    """Its parent is the first process of a namespace, as who lost his own has it."""
    space = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*space, "true"], stderr=subprocess.DEVNULL, check=False).returncode:
        raise Skip("no namespace of processes for us")
    with Daemon("--exit-on-parent-death", *CARD, ready=False, command=[*space, "sh", "-c", '"$@" & wait $!', "sh"]) as daemon:
        daemon.wait_exit()
        check(daemon.count_log("stopping: "), "it does not say that it stops")


@test
def the_parent_hears_of_every_change():
    with Daemon("--notify-parent", "--format", "uyvy", fake="csi:edid=set,signal=1280x720", node="/dev/fake-csi") as daemon:
        heard = []
        signal.signal(signal.SIGUSR2, lambda *_: heard.append(1))
        daemon.wait_state("online")
        wait_until(lambda: heard, "SIGUSR2 when the picture is there")
        for command, state in (("signal none", "no-signal"), ("signal 1920x1080@30", "online")):
            heard.clear()
            daemon.tell(command)
            daemon.wait_state(state)
            wait_until(lambda: heard, f"SIGUSR2 after {command}")
        heard.clear()
        daemon.tell("signal 1280x720")
        wait_until(lambda: daemon.source()["resolution"]["width"] == 1280, "the new size")
        wait_until(lambda: heard, "SIGUSR2 after a change of size")


# ---- systemd


class Listener:
    """Stands for systemd: collects what is sent to NOTIFY_SOCKET."""

    def __init__(self, on_ready=None, now=time.monotonic, abstract=False):
        self.now, self.path = now, free_name(".notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.path if abstract else self.path)
        self.path = "@" * abstract + self.path
        self.messages, self.on_ready = [], on_ready
        threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self):
        while True:
            message = self.socket.recv(4096).decode()
            if "READY=1" in message and self.on_ready:
                self.on_ready()
            self.messages.append((self.now(), message))

    def count(self, text):
        return sum(text in message for _, message in self.messages)

    def fed(self):
        """How often it was, up to now: all that was sent before is read first."""
        marks = self.count("MARK")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"MARK", self.socket.getsockname())
        wait_until(lambda: self.count("MARK") > marks, "the mark")
        return self.count("WATCHDOG=1")

    def statuses(self):
        return [line[7:] for _, message in self.messages for line in message.splitlines() if line.startswith("STATUS=")]


@test
def systemd_hears_ready_when_the_port_answers():
    port = free_port()
    answers = []

    def try_port():
        with socket.socket() as probe:
            answers.append(probe.connect_ex(("127.0.0.1", port)) == 0)

    listener = Listener(try_port)
    with Daemon(*CARD, port=port, env={"NOTIFY_SOCKET": listener.path}) as daemon:
        wait_until(lambda: listener.count("READY=1"), "READY=1")
        equal(answers, [True], "whether the port answered when READY=1 came")
        wait_until(lambda: any("Online" in text for text in listener.statuses()), "STATUS=Online")
        equal(listener.count("WATCHDOG=1"), 0, "WATCHDOG=1 without being asked for")
        daemon.stop()
        wait_until(lambda: listener.count("STOPPING=1"), "STOPPING=1")
    equal(listener.count("READY=1"), 1, "how often READY=1 came")


@test
def systemd_reads_the_same_words_as_state():
    listener = Listener()
    with Daemon("--format", "uyvy", fake="csi:edid=set,signal=none", node="/dev/fake-csi",
                env={"NOTIFY_SOCKET": listener.path}) as daemon:
        for command, state in (("signal none", "no-signal"), ("cable out", "no-cable"), ("cable in", None),
                               ("signal 1280x720", "online")):
            daemon.tell(command)
            if not state:
                continue
            daemon.wait_state(state)
            source = daemon.source()
            wait_until(lambda: any(text.startswith(source["text"]) for text in listener.statuses()),
                       f"STATUS={source['text']}")
            check(any(source["hint"] in text for text in listener.statuses()), "the hint is not in STATUS")
            daemon.wait_log(source["text"])


@test
def the_watchdog_is_fed_in_time_and_only_with_progress():
    clock = Clock(5)
    listener = Listener(now=clock.now)
    with Daemon("--device", "/dev/nothing", clock=clock,
                env={"NOTIFY_SOCKET": listener.path, "WATCHDOG_USEC": "1500000"}) as daemon:
        wait_until(lambda: listener.count("WATCHDOG=1") >= 4, "four times WATCHDOG=1")
        times = [at for at, message in listener.messages if "WATCHDOG=1" in message]
        check(max(b - a for a, b in zip(times, times[1:])) < 1.2, "longer than 0.8 of the time between two")
        check(b"WATCHDOG_USEC" in (daemon.process.root / "environ").read_bytes(), "it was not there at all")
    listener = Listener()
    with Daemon("--device", "/dev/nothing", clock=1, env={"NOTIFY_SOCKET": listener.path, "WATCHDOG_USEC": "300000",
                                                          "WATCHDOG_PID": "1"}) as daemon:
        for _ in range(3):
            daemon.clock.step(1)
            daemon.state()
        daemon.stop()
        wait_until(lambda: listener.count("STOPPING=1"), "STOPPING=1")
        equal(listener.count("WATCHDOG=1"), 0, "WATCHDOG=1 meant for another process")


@test
def the_watchdog_hears_nothing_while_a_driver_hangs():
    """Fifteen seconds of it, then nothing, then all is well again."""
    listener = Listener()
    with Daemon("--format", "MJPEG", fake="uvc:fps=30", violations=False, clock=1,
                env={"NOTIFY_SOCKET": listener.path, "WATCHDOG_USEC": "300000"}) as daemon:
        daemon.wait_state("online")
        wait_until(lambda: listener.count("WATCHDOG=1"), "it is fed")
        daemon.tell("hang dqbuf forever")
        wait_until(lambda: "hanging=dqbuf" in daemon.tell("status"), "the driver hangs")
        daemon.clock.step(16)
        daemon.get("/state")  # a turn of the main thread, with what it was to say before
        fed = listener.fed()
        for _ in range(10):
            daemon.clock.step(0.3)
            daemon.get("/state")
        equal(listener.fed(), fed, "WATCHDOG=1 while nothing goes on")
        daemon.tell("release")
        wait_until(lambda: listener.fed() > fed, "it is fed again")


@test
def the_notify_socket_may_be_abstract():
    listener = Listener(abstract=True)
    with Daemon(*CARD, env={"NOTIFY_SOCKET": listener.path}):
        wait_until(lambda: listener.count("READY=1"), "READY=1")


@test
def a_notify_socket_that_is_full_holds_nobody_up():
    path = free_name(".notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as full, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
        full.bind(path)
        with contextlib.suppress(BlockingIOError):
            while True:
                sender.sendto(b"X", path)
        with Daemon(*CARD, env={"NOTIFY_SOCKET": path}) as daemon:
            equal(daemon.get("/state").status, 200, "/state")


@test
def without_anyone_at_the_notify_socket_it_runs_all_the_same():
    for path in ("/nonexistent", "@abstract-nothing", "relative", "/" + "x" * 200):
        with Daemon(*CARD, env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "junk"}) as daemon:
            equal(daemon.get("/state").status, 200, "/state")


@test
def all_signals_that_end_programs_end_it_in_order():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        with Daemon(*CARD) as daemon:
            daemon.stop(number)
            check(daemon.count_log("stopping: "), "it does not say that it stops")
    with Daemon(*CARD) as daemon:
        daemon.child.send_signal(signal.SIGPIPE)
        equal(daemon.get("/state").status, 200, "/state after SIGPIPE")


@test
def it_takes_as_many_descriptors_as_it_may():
    limit = "import resource, os, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 512)); os.execv(sys.argv[1], sys.argv[1:])"
    with Daemon(*CARD, command=[sys.executable, "-c", limit]) as daemon:
        limits = (daemon.process.root / "limits").read_text()
        check(re.search(r"^Max open files +512 +512 ", limits, re.M), f"its limits are {limits}")


@test
def viewers_leave_forty_descriptors_for_the_device_and_the_rest():
    limit = "import resource, os, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (120, 120)); os.execv(sys.argv[1], sys.argv[1:])"
    with Daemon(*CARD, "--server-timeout", 60, command=[sys.executable, "-c", limit]) as daemon, \
            contextlib.ExitStack() as stack:
        daemon.wait_log("80 connections at most, not 1000: raise the limit of open files")
        answers = []
        for _ in range(100):
            peer = stack.enter_context(daemon.connect())
            peer.sendall(b"GET /stream HTTP/1.0\r\n\r\n")
            answers.append(peer.recv(12))
        equal((answers.count(b"HTTP/1.0 200"), answers.count(b"HTTP/1.1 503")), (80, 20), "viewers and refused ones")


@test
def it_runs_with_few_descriptors_left():
    limit = "import resource, os, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)); os.execv(sys.argv[1], sys.argv[1:])"
    with Daemon(*CARD, command=[sys.executable, "-c", limit]) as daemon:
        peers = []
        try:
            for _ in range(80):
                peers.append(daemon.connect())
        except OSError as error:
            raise Failure(f"connecting fails: {error}") from None
        finally:
            for peer in peers:
                peer.close()
        wait_until(lambda: daemon.get("/state").status == 200, "/state after the rush")
