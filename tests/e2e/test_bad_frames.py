# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures that are no pictures: dropped or mended, counted by reason, said at most once a second,
and never in the way of the good ones.
"""

import re
import threading
import time

from harness import LONG, Daemon, check, decode, equal, jpeg_size, stamps, test, wait_until

SIZE = (640, 480)
CALM = 1 if LONG else 10  # how much slower time goes: a second without a picture shows a card
OPTIONS = ("--format", "MJPEG", "--resolution", "640x480")


class Follower:
    """A viewer that keeps every picture, on a thread."""

    def __init__(self, daemon):
        self.stream, self.parts, self.error = daemon.stream("extra_headers=1"), [], None
        self.done = False
        self.stream.wait_part(lambda part: part.online, "the first picture")
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        try:
            while not self.done:
                self.parts.append(self.stream.part())
        except BaseException as error:  # pylint: disable=broad-except
            self.error = error

    def more(self, count):
        """Waits for so many pictures from now on."""
        before = len(self.parts)
        wait_until(lambda: len(self.parts) >= before + count or self.error, f"{count} more pictures")
        check(not self.error, f"the viewer lost its stream: {self.error}")

    def finish(self):
        """All pictures; each must be a good one of the right size."""
        self.more(2)
        self.done = True
        check(all(part.online for part in self.parts), "a card was shown")
        equal({jpeg_size(part.body) for part in self.parts}, {SIZE}, "the sizes")
        return [part.body for part in self.parts]


# What the fake is told, the reason it must be counted under, or None where it can be mended.
SPOILED = (("zero", "empty"), ("tiny", "small"), ("truncate", "truncated"), ("garbage", "malformed"),
           ("bomb", "oversized"))


@test
def spoiled_pictures_are_dropped_and_counted_by_reason():
    for command, reason in SPOILED:
        with Daemon(*OPTIONS, fake="uvc:fps=60", clock=CALM) as daemon:
            viewer, began = Follower(daemon), daemon.now()
            viewer.more(3)
            for count in (1, 20):
                before = daemon.drops().get(reason, 0)
                daemon.tell(f"{command} {count}")
                wait_until(lambda before=before, count=count: daemon.drops().get(reason, 0) >= before + count,
                           f"{count} are counted as {reason} (now {daemon.drops()})")
                viewer.more(3)
            equal(daemon.drops(), {reason: 21}, f"what is counted for {command}")
            numbers = stamps(viewer.finish())
            check(numbers == sorted(set(numbers)), "a picture came twice or after a later one")
            check(len(numbers) >= 9, f"only {len(numbers)} pictures")
            said, most = daemon.count_log("frame dropped"), 1 + daemon.now() - began
            check(1 <= said <= most, f"21 drops within {most - 1:.1f} s are said {said} times")
            equal((daemon.source()["restarts"], daemon.source()["state"]), (0, "online"), "restarts and state")


@test
def spoiled_pictures_without_end_are_said_once_a_second():
    with Daemon(*OPTIONS, fake="uvc:fps=60,zero=100000") as daemon:
        wait_until(lambda: daemon.drops().get("empty", 0) > 10, "drops are counted")
        lines = len(daemon.lines)
        wait_until(lambda: daemon.count_log("frame dropped", lines) >= 3, "it is said again and again")
        said = [float(re.search(r"\[ *([0-9.]+)", line)[1]) for line in daemon.lines[lines:] if "frame dropped" in line]
        check(said[2] - said[0] > 1.5, f"said three times in {said[2] - said[0]:.1f} s")
        equal(daemon.source()["state"], "damaged-frames", "the state")
        check(daemon.get("/snapshot").headers["x-ustreamer-online"] == "false", "a snapshot is a picture")
        daemon.tell("zero 0")
        daemon.wait_state("online")


@test
def truncated_pictures_are_taken_when_asked_for():
    with Daemon(*OPTIONS, "--allow-truncated-frames", fake="uvc:fps=30") as daemon, \
            daemon.stream("extra_headers=1") as stream:
        full = len(stream.part().body)
        daemon.tell("truncate 100")
        short = [stream.wait_part(lambda part: len(part.body) < full * 0.8, "a short picture")[0].body
                 for _ in range(2)]
        check(all(body.endswith(b"\xff\xd9") for body in short), "they have no end")
        equal(len(decode(short, strict=False)), 2, "how many ffmpeg shows")
        equal(daemon.drops(), {}, "drops")


@test
def a_small_picture_is_dropped_only_below_the_minimum():
    small = "uvc:fps=30,size=320x180,quality=5,look=black"
    with Daemon(*OPTIONS, "--min-frame-size", 8192, fake=small) as daemon:
        wait_until(daemon.drops, "a drop")
        equal((set(daemon.drops()), daemon.source()["online"]), ({"small"}, False), "the reason")
    with Daemon(*OPTIONS, fake=small) as daemon:
        daemon.wait_state("online")
        equal(daemon.drops(), {}, "drops")


@test
def pictures_are_mended_into_what_every_decoder_takes():
    for spoil in ("no-dht=on", "avi1=on", "no-dht=on,avi1=on", "trailing=500 zero", "trailing=500 ff",
                  "trailing=5000 stale", "no-jfif=on", "no-dht=on,no-jfif=on,trailing=64 ff"):
        with Daemon(*OPTIONS, fake=f"uvc:fps=60,{spoil}", clock=CALM) as daemon:
            viewer = Follower(daemon)
            viewer.more(10)
            bodies = viewer.finish()
            for body in bodies:
                check(b"AVI1" not in body[:64], "AVI1 is still there")
                check(body.startswith(b"\xff\xd8") and body.endswith(b"\xff\xd9"), "it is not cut at its end")
                check(body.count(b"\xff\xc4") >= 1, "no Huffman tables")
            numbers = stamps(bodies)
            check(numbers == sorted(set(numbers)), f"{spoil}: a picture came twice or after a later one")
            equal(daemon.drops(), {}, f"drops for {spoil}")


@test
def flipped_bits_do_no_harm():
    with Daemon(*OPTIONS, fake="uvc:fps=60,flip=100000") as daemon:
        viewer = Follower(daemon)
        viewer.more(100)
        check(daemon.process.rss_kib() < 400_000, "it grows")


@test
def a_grabber_that_changes_its_size_without_a_word_is_believed():
    with Daemon(*OPTIONS, fake="uvc:fps=30") as daemon, daemon.stream("extra_headers=1") as stream:
        stream.part()
        daemon.tell("lie 1280x720")
        part, _ = stream.wait_part(lambda part: jpeg_size(part.body) == (1280, 720), "the other size")
        equal((part.headers["x-ustreamer-width"], part.headers["x-ustreamer-height"]), ("1280", "720"),
              "the size in the headers")
        equal(daemon.source()["resolution"], {"width": 1280, "height": 720}, "the size in /state")
        equal(daemon.drops(), {}, "drops")


@test
def a_picture_that_lies_about_its_size_is_dropped_and_counted():
    with Daemon(*OPTIONS, fake="uvc:fps=30") as daemon, daemon.stream("extra_headers=1") as stream:
        stream.part()
        daemon.tell("false-sof 10")
        wait_until(lambda: daemon.drops() == {"lying": 10}, "ten lies are counted")
        for part in stream.parts(12):
            equal(jpeg_size(part.body), (640, 480), "the size")


@test
def raw_pictures_with_too_few_bytes_are_dropped():
    with Daemon("--format", "YUYV", "--resolution", "640x480", fake="uvc:fps=60,nodrop=on", clock=CALM) as daemon:
        viewer = Follower(daemon)
        viewer.more(3)
        daemon.tell("truncate 10")
        wait_until(lambda: sum(daemon.drops().values()) >= 10, "they are counted")
        check(set(daemon.drops()) <= {"short", "flagged"}, f"{daemon.drops()}")
        daemon.tell("zero 5")
        wait_until(lambda: daemon.drops().get("empty") == 5, "empty ones are counted")
        numbers = stamps(viewer.finish())
        check(numbers == sorted(set(numbers)), "a picture came twice or after a later one")
