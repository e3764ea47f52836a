# SPDX-License-Identifier: GPL-3.0-or-later
"""What the page does and when: in Chromium, on a clock and a network of the test's own (page_lab.js)."""

import contextlib
from pathlib import Path

from browser import Browser
from harness import Daemon, check, equal, test, wait_until
from test_browser import before_scripts, press, text

LAB = (Path(__file__).parent / "page_lab.js").read_text(encoding="utf-8")

STREAM = "lab.answers.stream = (options) => new lab.Stream(options);"
PUSH_JPEG = "lab.streams.at(-1).push('Content-Length: 3\\r\\n\\r\\nabc'); return lab.settle();"

# A decoder that notes what it gets, and shows what the test says.
DECODER = """
lab.answers["stream.avc"] = (options) => new lab.Stream(options);
self.VideoDecoder = class {
    constructor(init)
    {
        Object.assign(this, init, { state: "unconfigured", decodeQueueSize: 0, got: [], configs: [] });
        lab.decoder = this;
    }
    configure(config) { this.state = "configured"; this.configs.push(config); }
    decode({ type, timestamp }) { this.got.push(`${type} ${timestamp}`); }
    close() { this.state = "closed"; }
};
lab.pushUnit = (isKey, timestamp) => {
    const unit = new DataView(new ArrayBuffer(29));
    unit.setUint32(0, 5);
    unit.setUint32(4, (isKey ? 1 : 0) << 24 | 0x42c01f);
    unit.setBigInt64(8, BigInt(timestamp));
    lab.streams.at(-1).push(new Uint8Array(unit.buffer));
};
lab.show = () => {
    const frame = Object.assign(new OffscreenCanvas(64, 48), { displayWidth: 64, displayHeight: 48, timestamp: 0 });
    frame.close = () => {};
    lab.decoder.output(frame);
};
"""


@contextlib.contextmanager
def page(query="", before=""):
    """In its laboratory, when it has asked for what it wants at first."""
    with Daemon("--source", "testcard", "--desired-fps", 1, "--h264-encoder", "off") as daemon, Browser() as browser:
        before_scripts(browser, LAB + before)
        browser.open(daemon, query)
        wait_until(lambda: browser.run("return self.lab && document.readyState === 'complete'"), "the page", 60)
        browser.run("return lab.settle()")
        yield browser


def advance(browser, ms):
    browser.run("return lab.advance(arguments[0])", ms)


def moments(browser, name, since=0):
    return browser.run("return lab.moments(...arguments)", name, since)


def gaps(times):
    return [after - before for before, after in zip(times, times[1:])]


def now(browser):
    return browser.run("return lab.now")


# ---- what it asks for


@test(seconds=300)
def who_cannot_get_the_stream_asks_later_and_later():
    with page("?path=mjpeg") as browser:
        advance(browser, 6000)
        equal(gaps(moments(browser, "stream"))[:6], [200, 400, 800, 1000, 1000, 1000], "ms between attempts")
        browser.run(STREAM)
        advance(browser, 1000)
        browser.run(PUSH_JPEG)
        ended = now(browser)
        browser.run("lab.streams.at(-1).end()")
        advance(browser, 3000)
        equal(moments(browser, "stream", ended)[0] - ended, 200, "ms to the next attempt, after a picture")


@test(seconds=300)
def a_path_that_was_asked_for_and_is_refused_is_tried_later_and_later():
    """Twenty times at most, lest the page never comes to rest."""
    refuse = """
        lab.answers["stream.avc"] = () =>
            lab.moments("stream.avc").length < 20 ? lab.answer({}, 503) : new Promise(() => {});
    """
    with page("?path=webcodecs", DECODER + STREAM + refuse) as browser:
        advance(browser, 6000)
        equal(gaps(moments(browser, "stream.avc"))[:6], [200, 400, 800, 1000, 1000, 1000], "ms between attempts")
        equal(moments(browser, "stream"), [], "requests for another path")


@test(seconds=300)
def who_notices_that_the_daemon_is_back_does_not_wait_any_longer():
    with page("?path=mjpeg", "lab.back = lab.answers.state; delete lab.answers.state;") as browser:
        advance(browser, 10450)
        check("No connection" in text(browser), "the page does not say that the daemon is away")
        equal(now(browser) - moments(browser, "stream")[-1], 50, "ms since the last attempt")
        back = now(browser)
        browser.run("lab.answers.state = lab.back;" + STREAM)
        advance(browser, 3000)
        equal(moments(browser, "stream", back), moments(browser, "state", back)[:1], "the moment of the next attempt")
        check("Online" in text(browser), "the page does not say that all is well")


@test(seconds=300)
def a_hidden_tab_wants_no_picture_and_one_that_is_seen_wants_it_at_once():
    with page("?path=mjpeg", "lab.isHidden = true;" + STREAM) as browser:
        advance(browser, 5300)
        equal(moments(browser, "stream"), [], "streams of a tab that was opened hidden")
        for times in (1, 2):
            browser.run("lab.hide(false)")
            advance(browser, 0)
            equal(moments(browser, "stream")[-1:], [now(browser)], "when the stream was asked for")
            equal(moments(browser, "state")[-1], now(browser), "when the state was asked for")
            browser.run(PUSH_JPEG)
            browser.run("lab.hide(true)")
            check(browser.run("return lab.streams.every(({ signal }) => signal.aborted)"), "a stream goes on")
            advance(browser, 60300)
            equal(len(moments(browser, "stream")), times, "streams")


@test(seconds=300)
def the_state_is_asked_for_once_a_second_however_often_somebody_looks():
    with page("?path=mjpeg", STREAM) as browser:
        for _ in range(5):
            browser.run("lab.hide(true); lab.hide(false); return lab.settle()")
        began = now(browser)
        advance(browser, 10000)
        equal(moments(browser, "state", began + 1), [began + 1000 * second for second in range(1, 11)], "the moments")


@test(seconds=300)
def a_stream_in_which_nothing_comes_is_opened_again():
    with page("?path=mjpeg", STREAM) as browser:
        for _ in range(10):
            advance(browser, 3000)
            browser.run(PUSH_JPEG)
        equal(len(moments(browser, "stream")), 1, "streams, of which the first said something")
        last = now(browser)
        advance(browser, 4000)
        equal(len(moments(browser, "stream")), 1, "streams, after a silence of 4 s")
        advance(browser, 500)
        equal(len(moments(browser, "stream")), 2, f"streams, {now(browser) - last} ms after the last picture")
    with page("?path=mjpeg", "lab.answers.stream = () => new Promise(() => {});") as browser:
        advance(browser, 8000)
        equal(len(moments(browser, "stream")), 1, "requests that wait for an answer, after 8 s")
        advance(browser, 1000)
        equal(len(moments(browser, "stream")), 2, "requests, after 9 s")


@test(seconds=300)
def what_the_daemon_may_be_able_to_do_again_is_tried_again():
    refuse = """
        lab.state.h264.state = "failed";
        lab.refused = lab.answers["stream.avc"];
        lab.answers["stream.avc"] = () => lab.answer({}, 503);
    """
    with page("", DECODER + STREAM + refuse) as browser:
        advance(browser, 3000)
        equal([len(moments(browser, name)) for name in ("stream.avc", "stream.mp4", "stream")], [1, 0, 1],
              "requests for each path when H.264 is refused")
        browser.run("lab.state.h264.state = 'running'; lab.answers['stream.avc'] = lab.refused;" + PUSH_JPEG)
        advance(browser, 1500)
        equal(len(moments(browser, "stream.avc")), 2, "requests for H.264, which came back")
        # It breaks in this browser, which may not be so with pictures of another size.
        browser.run("lab.answers['stream.mp4'] = () => new Promise(() => {});"
                    "lab.decoder.error(new Error('too large'))")
        advance(browser, 1500)
        equal([len(moments(browser, name)) for name in ("stream.avc", "stream.mp4")], [2, 1],
              "requests after the decoder failed")
        equal(browser.run("return lab.decoder.state"), "closed", "the decoder that was left")
        browser.run("lab.state.source.resolution = { width: 320, height: 240 }")
        advance(browser, 3000)
        equal(len(moments(browser, "stream.avc")), 3, "requests for H.264 of another size")


@test(seconds=300)
def a_path_that_has_proven_itself_gets_another_chance():
    with page("", DECODER + "lab.answers['stream.mp4'] = () => new Promise(() => {});") as browser:
        for frames, then in ((100, [2, 0]), (99, [2, 1])):
            browser.run("for (let i = 0; i < arguments[0]; i++) lab.show()", frames)
            browser.run("lab.decoder.error(new Error('broken'))")
            advance(browser, 200)
            equal([len(moments(browser, name)) for name in ("stream.avc", "stream.mp4")], then,
                  f"requests for each path when one has broken after {frames} frames")


# ---- what it says


@test(seconds=300)
def typing_is_not_overwritten_by_what_the_daemon_says():
    with page("?path=mjpeg", STREAM) as browser:
        press(browser, "c")
        advance(browser, 0)
        value = "return document.getElementById('set-quality').value"
        equal(browser.run(value), "80", "the quality in force")
        browser.run("""
            const input = document.getElementById("set-quality");
            input.focus();
            input.value = "9";
            lab.settings.settings.quality.value = 70; /* by somebody else */
        """)
        advance(browser, 5000)
        equal(browser.run(value), "9", "what was typed")
        browser.run("document.activeElement.blur()")
        advance(browser, 1000)
        equal(browser.run(value), "70", "the quality that somebody else has set")


@test(seconds=300)
def a_number_is_sent_when_it_can_be_and_not_otherwise():
    with page("?path=mjpeg", STREAM) as browser:
        press(browser, "c")
        advance(browser, 0)
        sent = """
            const input = document.getElementById("set-quality");
            input.value = arguments[0];
            input.dispatchEvent(new Event("change"));
            return lab.settle().then(() => lab.asked.filter(({ method }) => method === "PATCH").map((one) =>
                [one.name, one.headers["Content-Type"], one.body]));
        """
        equal(browser.run(sent, "101"), [], "what is sent of a number beyond the limit")
        check("JPEG quality: 1 to 100." in text(browser), "the page does not say the limits")
        equal(browser.run("return document.getElementById('set-quality').value"), "80", "the quality in force")
        equal(browser.run(sent, ""), [], "what is sent of no number")
        equal(browser.run(sent, "55"), [["settings", "application/json", '{"quality":55}']], "what is sent of 55")


@test(seconds=300)
def keys_belong_to_the_page_only_where_nobody_types_and_alone():
    save = "HTMLAnchorElement.prototype.click = function () { lab.saved = this.pathname; };"
    with page("?path=mjpeg", STREAM + save) as browser:
        def is_shown(key, more="", where="document.body"):
            event = f"new KeyboardEvent('keydown', {{ key: '{key}', bubbles: true, {more} }})"
            browser.run(f"{where}.dispatchEvent({event})")
            advance(browser, 0)
            return browser.run("return ['stats', 'settings'].filter((id) => !document.getElementById(id).hidden)")
        equal(is_shown("s", "ctrlKey: true"), [], "what Ctrl+S opens")
        equal(is_shown("s", "repeat: true"), [], "what S opens that is held")
        equal(is_shown("S"), ["stats"], "what S opens")
        equal(is_shown("c"), ["stats", "settings"], "what is open after C")
        field = "document.getElementById('set-quality')"
        equal(is_shown("c", where=field), ["stats", "settings"], "what is open after C in a field")
        is_shown("p", where=field)
        equal(browser.run("return lab.saved"), None, "what P saves in a field")
        equal(is_shown("Escape", where=field), ["stats"], "what is open after Escape in a field")
        is_shown("p")
        equal(browser.run("return lab.saved"), "/snapshot", "what P saves")


@test(seconds=300)
def words_change_only_when_there_is_something_to_say():
    with page("?path=mjpeg", STREAM) as browser:
        advance(browser, 1000)
        browser.run("""
            lab.changes = 0;
            new MutationObserver((list) => { lab.changes += list.length; })
                .observe(document.getElementById("state"), { childList: true, characterData: true, subtree: true });
        """)
        advance(browser, 3000)
        equal(browser.run("return lab.changes"), 0, "changes of an unchanged state")
        browser.run("Object.assign(lab.state.source, { online: false, text: 'No signal', hint: 'Plug it in.' })")
        advance(browser, 1000)
        check("No signal Plug it in." in text(browser), "the page does not say the new state")
        browser.run("lab.answers.state = () => lab.answer({}, 401)")
        advance(browser, 1000)
        check("Password needed" in text(browser), "the page does not say that it needs the password")
        browser.run("""
            lab.answers.state = ({ signal }) => new Promise((_, reject) =>
                signal.addEventListener("abort", () => reject(signal.reason)));
        """)
        advance(browser, 5000)
        check("No answer" in text(browser), "the page does not say that nothing answers")


# ---- what it makes of frames


@test(seconds=300)
def of_pictures_that_wait_the_newest_is_shown():
    with page("?path=mjpeg", STREAM) as browser:
        browser.run("lab.decoded = new Promise((resolve) => { lab.go = resolve; })")
        for _ in range(4):
            browser.run(PUSH_JPEG)
        equal(browser.run("return [lab.bitmaps.length, stats.framesIn, stats.dropped]"), [1, 4, 2],
              "pictures that are decoded, came, and were dropped")
        browser.run("lab.go(); return lab.settle()")
        equal(browser.run("return [player.link.framesShown, ...lab.bitmaps.map((one) => one.isClosed)]"),
              [2, True, True], "how many pictures were shown, and which were closed")


@test(seconds=300)
def a_decoder_begins_with_a_key_frame_and_goes_to_one_when_it_is_behind():
    with page("", DECODER + "lab.answers.keyframe = () => lab.answer({});") as browser:
        got = "return lab.settle().then(() => [lab.decoder.got, stats.dropped, lab.moments('keyframe').length])"

        def push(*units):
            browser.run("for (const [isKey, time] of arguments[0]) lab.pushUnit(isKey, time)", units)
            return browser.run(got)
        equal(push((0, 1), (0, 2), (1, 3), (0, 4)), [["key 3", "delta 4"], 2, 0], "frames at first")
        equal(browser.run("return lab.decoder.configs"), [{"codec": "avc1.42c01f", "optimizeForLatency": True}],
              "what the decoder was told")
        browser.run("lab.decoder.decodeQueueSize = 31")
        equal(push((0, 5), (0, 6)), [["key 3", "delta 4"], 4, 1], "frames behind")
        browser.run("lab.decoder.decodeQueueSize = 0")
        equal(push((0, 7), (1, 8), (0, 9)), [["key 3", "delta 4", "key 8", "delta 9"], 5, 1], "frames afterwards")
        equal(browser.run("return lab.decoder.configs.length"), 1, "how often it was told the same")


# When key frames begin, and the newest frame ends.
UNREMOVED = """
return (async () => {
    const played = Object.assign(Object.create(MsePlayer.prototype), { video: { currentTime: 0 } });
    const asked = [];
    for (const [key, edge] of [[0, 20], [0, 20.1], [0, 30], [31, 31.5], [31, 51], [31, 51.1]]) {
        Object.assign(played, { keys: [key], edge }).removeOld();
        await lab.settle();
        asked.push(lab.moments("keyframe").length);
    }
    return asked;
})();
"""


@test(seconds=300)
def without_key_frames_to_remove_up_to_one_is_asked_for_after_twenty_seconds():
    with page("?path=mjpeg", "lab.answers.keyframe = () => lab.answer({});") as browser:
        equal(browser.run(UNREMOVED), [0, 1, 1, 1, 1, 2], "key frames that were asked for")


INLET = """
return (async () => {
    const stream = new lab.Stream({ signal: new AbortController().signal });
    const inlet = new Inlet(stream.body, () => {});
    const heads = [], says = (error) => error.message;
    for (const letter of "A: 1\\r\\n\\r\\nxyzB: 2\\r\\n\\r\\n")
        stream.push(letter);
    heads.push(await inlet.takeHead(), String.fromCharCode(...await inlet.take(3)), await inlet.takeHead());
    for (let i = 0; i < 32; i++)
        stream.push(new Uint8Array(30000).fill(i));
    const much = await inlet.take(32 * 30000);
    heads.push(much.every((byte, at) => byte === Math.floor(at / 30000)));
    heads.push(await inlet.take((64 << 20) + 1).catch(says));
    stream.push(new Uint8Array(20000));
    heads.push(await inlet.takeHead().catch(says));
    stream.end();
    heads.push(await inlet.take(20001).catch(says));
    return heads;
})();
"""


@test(seconds=300)
def a_body_is_taken_in_pieces_however_it_comes_and_never_without_limit():
    with page("?path=mjpeg") as browser:
        equal(browser.run(INLET), ["A: 1", "xyz", "B: 2", True, "The stream is damaged.", "The stream is damaged.",
                                   "The stream ended."], "what was taken")


@test(seconds=300)
def the_statistics_are_about_the_last_seconds():
    with page("?path=mjpeg") as browser:
        browser.run("for (let age = 1; age <= 100; age++) { stats.addShown(age, 1); stats.addShown(NaN, 1); }")
        equal(browser.run("return [stats.ages(), stats.fps()]"), [{"median": 51, "p95": 96}, 100], "ages and rate")
        browser.run("lab.now += 2000; stats.addShown(7, 3)")
        equal(browser.run("return [stats.ages().p95, stats.fps()]"), [95, 1.5], "ages and rate 2 s later")
        browser.run("lab.now += 8001")
        equal(browser.run("return [stats.ages(), stats.fps()]"), [{"median": 7, "p95": 7}, 0],
              "ages and rate 10 s later")


@test(seconds=300)
def of_the_exchanges_about_the_clock_the_soonest_is_believed():
    slow = """
        lab.trips = [100, 20, 300];
        lab.ahead = 5000;
        lab.answers.clock = async () => {
            await new Promise((resolve) => setTimeout(resolve, lab.trips.shift() || 50));
            return lab.answer({ monotonic_us: (lab.now + 5000) * 1000, wall_us: (lab.now + lab.ahead) * 1000 });
        };
    """
    with page("?path=mjpeg", slow) as browser:
        advance(browser, 2000)
        equal(browser.run("return [clock.fromMonotonic(9000 * 1000), clock.fromWall(9000)]"), [3990, 3990],
              "what the daemon's 9 s are")
        browser.run("lab.ahead = 7000; lab.trips = [200]")
        advance(browser, 10000)
        equal(browser.run("return clock.fromWall(9000)"), 1900, "what its 9 s are when its clock was set")
