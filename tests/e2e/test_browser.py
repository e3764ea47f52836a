# SPDX-License-Identifier: GPL-3.0-or-later
"""Chromium shows the page, and in it a picture that moves, whatever happens to the daemon."""

import contextlib
import json

from browser import INSECURE, Browser
from harness import PATIENCE, Daemon, check, equal, free_port, test, wait_until

H264 = ("--source", "testcard", "--resolution", "640x480", "--desired-fps", 30, "--h264-encoder", "x264")

# 64 x 48 grey pixels of what is shown.
PIXELS = """
const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
context.drawImage(document.getElementById(document.body.dataset.element), 0, 0, 64, 48);
return [...context.getImageData(0, 0, 64, 48).data].filter((_, i) => i % 4 === 1);
"""

# Decoders that take everything and show nothing.
DEAF_WEBCODECS = "VideoDecoder.prototype.decode = () => {};"
DEAF_MSE = """
SourceBuffer.prototype.appendBuffer = function () { setTimeout(() => this.dispatchEvent(new Event("updateend"))); };
"""
# The daemon's state cannot be had for a while.
DEAF_STATE = """
const get = self.fetch;
self.fetch = (address, ...more) =>
    self.isDeaf && address.endsWith("/state") ? Promise.reject(new TypeError("deaf")) : get(address, ...more);
"""

# A source that never opens.
CLOSED_MSE = """
const listen = MediaSource.prototype.addEventListener;
MediaSource.prototype.addEventListener = function (type, ...more) {
    if (type !== "sourceopen")
        listen.call(this, type, ...more);
};
"""

# A setting and its new value, as if by hand.
CHANGE = """
const input = document.getElementById("set-" + arguments[0]);
input.value = arguments[1];
input.dispatchEvent(new Event("change"));
"""


def shown(browser):
    """By which path a frame was seen last, and when: in ms since the page came."""
    return browser.run("return [document.body.dataset.path || '', stats.seen.length && stats.seen.at(-1).at]")


def has_begun(browser):
    """Whether the page's scripts ran; before, `stats` is the element of that name."""
    return browser.run("return typeof stats === 'object' && !!stats.seen")


def wait_path(browser, path):
    """Until a frame is shown by it that was not there before."""
    last = shown(browser)[1] if has_begun(browser) else 0
    wait_until(lambda: has_begun(browser) and shown(browser)[0] == path and
               shown(browser)[1] not in (0, last), f"a picture by {path}", 240)


def numbers(browser):
    return browser.run("return document.getElementById('numbers').innerText")


def check_moves(browser):
    first = browser.run(PIXELS)
    check(max(first) - min(first) > 100, "the picture is one colour")
    wait_until(lambda: sum(abs(a - b) > 40 for a, b in zip(first, browser.run(PIXELS))) >= 3, "the picture moves")


def size(browser):
    return browser.run("const e = document.getElementById(document.body.dataset.element);"
                       "return [e.videoWidth || e.width, e.videoHeight || e.height]")


def text(browser):
    return browser.run("return document.body.innerText")


def before_scripts(browser, source):
    return browser.call("POST", "goog/cdp/execute", {"cmd": "Page.addScriptToEvaluateOnNewDocument",
                                                     "params": {"source": source}})


def be_patient(browser):
    """A busy machine may need more than two seconds for the first picture: the page does not leave a path for it."""
    before_scripts(browser, """
self.isPatient = true;
const every = self.setInterval;
self.setInterval = (f, ms, ...more) => every(ms === 200 ? () => self.isPatient || f() : f, ms, ...more);
""")


@test(alone=True)
def the_page_shows_the_picture_by_the_best_path_there_is():
    with Browser() as browser:
        be_patient(browser)
        with Daemon(*H264) as daemon:
            for path, host in (("webcodecs", "127.0.0.1"), ("mse", INSECURE)):
                browser.open(daemon, host=host)
                wait_path(browser, path)
                check_moves(browser)
                equal(size(browser), [640, 480], f"the size of the picture by {path}")
            wait_until(lambda: "640×480" in text(browser) and "Online" in text(browser), "words about the picture")
            equal(browser.said(), [], "what the browser complains of")
        with Daemon(*H264[:-1], "off") as daemon:
            browser.open(daemon)
            wait_path(browser, "mjpeg")
            check_moves(browser)


@test(alone=True)
def the_page_leaves_a_path_that_shows_nothing():
    with Daemon(*H264) as daemon, Browser() as browser:
        before_scripts(browser, DEAF_WEBCODECS)
        browser.open(daemon)
        wait_path(browser, "mse")
        before_scripts(browser, DEAF_MSE)
        browser.open(daemon, host=INSECURE)
        wait_path(browser, "mjpeg")
        check_moves(browser)


@test(alone=True)
def a_late_answer_does_not_disturb_a_path_that_plays():
    with Daemon(*H264) as daemon, Browser() as browser:
        before_scripts(browser, DEAF_WEBCODECS + DEAF_STATE)
        browser.open(daemon)
        wait_path(browser, "mse")
        browser.run("self.before = player.link; self.isDeaf = true")
        wait_until(lambda: "No connection" in text(browser), "the page says that the daemon is away")
        browser.run("self.isDeaf = false")
        wait_until(lambda: "No connection" not in text(browser), "the page says that all is well")
        wait_path(browser, "mse")
        check(browser.run("return player.link === self.before"), "the picture was begun anew")


@test(alone=True)
def the_page_leaves_a_path_that_never_ends():
    with Daemon(*H264) as daemon, Browser() as browser:
        before_scripts(browser, CLOSED_MSE)
        browser.open(daemon, host=INSECURE)
        wait_path(browser, "mjpeg")
        check_moves(browser)


# A page that does something else meanwhile, for longer than the decoder's queue is.
BE_BUSY = """
self.isPatient = false;
self.before = player.link;
for (const until = performance.now() + 2000; performance.now() < until;);
self.shownThen = player.link.framesShown;
"""


@test(alone=True)
def a_page_that_fell_behind_asks_for_a_key_frame():
    with Daemon(*H264, "--h264-gop", 0) as daemon, Browser() as browser:
        be_patient(browser)
        browser.open(daemon)
        wait_path(browser, "webcodecs")
        browser.run(BE_BUSY)
        wait_until(lambda: browser.run("return player.link.framesShown") > browser.run("return self.shownThen") + 10,
                   "the picture moves again")
        equal(browser.run("return [player.link === self.before, player.left.size]"), [True, 0], "the same stream")


@test(alone=True)
def who_looks_away_and_back_at_once_has_one_stream():
    with Daemon(*H264) as daemon, Browser() as browser:
        be_patient(browser)
        browser.open(daemon)
        wait_path(browser, "webcodecs")
        browser.run("player.stop(); player.start()")
        wait_path(browser, "webcodecs")
        for _ in range(10):  # of two, each shows a frame now and then
            wait_path(browser, "webcodecs")
        equal(browser.run("return player.left.size"), 0, "paths that were left")
        wait_until(lambda: daemon.state()["h264"]["clients"] == 1, "one stream")
        wait_path(browser, "webcodecs")
        equal(daemon.state()["h264"]["clients"], 1, "streams")


@test(alone=True)
def the_page_may_be_opened_with_the_password_in_its_address():
    with Daemon(*H264, "--user", "u", "--passwd", "p") as daemon, Browser() as browser:
        be_patient(browser)
        browser.open(daemon, host="u:p@127.0.0.1")
        wait_path(browser, "webcodecs")
        check_moves(browser)


@test(alone=True)
def the_page_waits_for_the_daemon_and_comes_back_by_the_same_path():
    port = free_port()
    with Browser() as browser:
        be_patient(browser)
        for path, host in (("webcodecs", "127.0.0.1"), ("mse", INSECURE)):
            with Daemon(*H264, port=port) as daemon:
                browser.open(daemon, host=host)
                wait_path(browser, path)
            wait_until(lambda: "No connection" in text(browser), "the page says that the daemon is away")
            check(max(browser.run(PIXELS)) > 100, "the last picture went away with the daemon")
            with Daemon(*H264, port=port):
                wait_path(browser, path)
                wait_until(lambda: "No connection" not in text(browser), "the page says that all is well")


@test(alone=True)
def the_page_says_why_there_is_no_picture_and_follows_a_change_of_size():
    with Daemon("--dv-timings", "--h264-encoder", "x264", fake="csi:edid=set,signal=640x480@30",
                node="/dev/fake-csi") as daemon, Browser() as browser:
        wide = False
        for path in ("webcodecs", "mse", "mjpeg"):
            browser.open(daemon, f"?path={path}")
            wait_path(browser, path)
            daemon.tell("signal none")
            wait_until(lambda: daemon.source()["text"] in text(browser) and not daemon.source()["online"],
                       "the page says the same words as /state")
            wait_until(lambda: "fps" in numbers(browser) and "ms" not in numbers(browser), "the card's age is not told")
            wide = not wide
            wanted = [800, 600] if wide else [640, 480]
            daemon.tell(f"signal {wanted[0]}x{wanted[1]}@30")
            wait_until(lambda wanted=wanted: size(browser) == wanted, f"{wanted} by {path}")
            wait_path(browser, path)


def press(browser, key):
    browser.run(f"document.body.dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}', bubbles: true }}))")


def settings(daemon):
    return json.loads(daemon.get("/settings").body)["result"]["settings"]


# How often statistics were drawn since the last call.
COUNT_DRAWINGS = """
const draw = stats.draw;
self.drawings = self.drawings || 0;
stats.draw = function (canvas) { self.drawings++; draw.call(this, canvas); };
"""


@test(alone=True)
def the_statistics_tell_path_size_rate_and_age():
    with Daemon(*H264) as daemon, Browser() as browser:
        for path, title in (("mse", "H.264, MP4"), ("webcodecs", "H.264, WebCodecs"), ("mjpeg", "Motion JPEG")):
            browser.open(daemon, f"?path={path}")
            wait_path(browser, path)
            press(browser, "s")
            wait_until(lambda: "not known" not in browser.run("return document.getElementById('stats').innerText"),
                       "the age of frames")
            lines = dict(browser.run("return stats.lines()"))
            equal((lines["Path"], lines["Size"]), (title, "640×480"), "path and size")
            age, p95 = (int(lines[name].removesuffix(" ms")) for name in ("Age, median", "95 % below"))
            check(age <= p95, f"ages of {age} and {p95} ms")
            check(float(lines["Shown"].split()[0]) > 0 and float(lines["Bit rate"].split()[0]) > 0, f"{lines}")
        # The daemon's clock is another one now; what was believed before came back sooner.
        browser.run("clock.best = { trip: .001, monotonic: 0, wall: 0 }; clock.exchanges = [clock.best];"
                    "clock.exchange()")
        wait_until(lambda: browser.run("return clock.best.trip !== .001"), "the new clock is believed")
        browser.run(COUNT_DRAWINGS)
        for _ in range(20):
            press(browser, "s")
        began = browser.run("return [drawings, performance.now()]")
        wait_until(lambda: browser.run("return drawings") >= began[0] + 4, "four drawings")
        took = browser.run("return performance.now()") - began[1]
        check(took > 700, f"four drawings took {took:.0f} ms")


@test(alone=True)
def the_page_changes_settings_while_the_picture_runs():
    with Browser() as browser:
        be_patient(browser)
        with Daemon(*H264, "--h264-gop", 0) as daemon:
            browser.open(daemon)
            wait_path(browser, "webcodecs")
            press(browser, "c")
            wait_until(lambda: browser.run("return document.getElementById('set-h264-bitrate')?.value") == "5000",
                       "the bit rate as it is")
            browser.run(CHANGE, "h264-bitrate", 1500)
            wait_until(lambda: settings(daemon)["h264-bitrate"]["value"] == 1500, "the daemon has the new bit rate")
            browser.run(CHANGE, "h264-min-qp", 40)
            browser.run(CHANGE, "h264-max-qp", 20)
            wait_until(lambda: browser.run("return document.querySelector('#said.bad')?.textContent"),
                       "the page says why not")
            wait_until(lambda: browser.run("return document.getElementById('set-h264-max-qp').value") == "51",
                       "the page shows what is in force")
            keys = daemon.state()["h264"]["keys"]
            browser.run("document.getElementById('key').click()")
            wait_until(lambda: daemon.state()["h264"]["keys"] > keys, "a key frame")
            equal(browser.run("return [player.link.path.name, player.left.size]"), ["webcodecs", 0],
                  "what came of the picture meanwhile")
        with Daemon(*H264, "--h264-gop", 0, "--settings", "ro") as daemon:
            browser.open(daemon)
            wait_path(browser, "webcodecs")
            press(browser, "c")
            wait_until(lambda: "not changed" in text(browser), "the page says that nothing can be changed")
            check(browser.run("return document.querySelectorAll('#fields :enabled').length === 0"), "a field is enabled")
            keys = daemon.state()["h264"]["keys"]
            browser.run("document.getElementById('key').click()")
            wait_until(lambda: daemon.state()["h264"]["keys"] > keys, "a key frame, which is no setting")


# Frames as the decoder gives them out.
NOTE_FRAMES = """
self.frames = [];
self.VideoDecoder = class extends VideoDecoder {
    constructor({ output, error })
    {
        super({ output: (frame) => { frames.push(frame); output(frame); }, error });
    }
};
"""


@test(alone=True)
def every_frame_that_was_painted_is_closed():
    with Daemon(*H264) as daemon, Browser() as browser:
        be_patient(browser)
        before_scripts(browser, NOTE_FRAMES)
        browser.open(daemon)
        wait_path(browser, "webcodecs")
        wait_until(lambda: browser.run("return frames.length") >= 5, "five frames")
        equal(browser.run("return frames.filter(({ format }) => format !== null).length"), 0, "frames that are open")


NOTE_BUFFER = """
const append = SourceBuffer.prototype.appendBuffer;
SourceBuffer.prototype.appendBuffer = function (...bytes) {
    self.buffer = this;
    append.apply(this, bytes);
};
"""
RANGE = "return [buffer.buffered.start(0), buffer.buffered.end(0), document.getElementById('video').currentTime]"


@contextlib.contextmanager
def playing_mse(*options):
    """A page that takes a slow machine's pauses for nothing, and tells its buffer."""
    with Daemon(*H264, *options) as daemon, Browser() as browser:
        before_scripts(browser, NOTE_BUFFER)
        browser.open(daemon, "?path=mse")
        wait_path(browser, "mse")
        browser.run("Link.prototype.watch = () => {}")
        yield browser


@test(alone=True)
def what_was_played_is_given_up():
    with playing_mse("--h264-gop", 15) as browser:
        def is_given_up():
            start, end, _ = browser.run(RANGE)
            return start > 0 and end > 12 and end - start < 9
        wait_until(is_given_up, "of 12 s of video and more, less than 9 are kept", 3 * PATIENCE)
        wait_path(browser, "mse")


@test(alone=True)
def a_video_that_fell_behind_jumps_to_the_newest_frame():
    with playing_mse() as browser:
        stood = browser.run("const video = document.getElementById('video'); video.playbackRate = 0;"
                            "return video.currentTime")

        def jumped():
            _, end, at = browser.run(RANGE)
            return at > stood + 0.5 and end - at < 4
        wait_until(jumped, "a jump, to where the newest frames are", 3 * PATIENCE)
