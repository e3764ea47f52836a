# SPDX-License-Identifier: GPL-3.0-or-later
"""Colours as they are seen: read off a browser's screen, where a GPU composites."""

import subprocess

from browser import Browser
from harness import Daemon, Failure, check, equal, test, wait_until
from test_browser import has_begun, wait_path
from test_h264 import Viewer
from test_m2m import BARS, UVC, bars_of, decode, to_rgb

# Which element shows the picture, and where in the window.
WHERE = """
const id = document.body.dataset.element, box = document.getElementById(id).getBoundingClientRect();
return [id, box.x, box.y, box.width, box.height];
"""


def to_pixels(image, how):
    """One picture as ffmpeg decodes it: rows of RGB."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-f", how, "-i", "pipe:", "-frames:v", "1", "-vf",
               "scale=flags=accurate_rnd+full_chroma_int+full_chroma_inp", "-f", "rawvideo", "-pix_fmt", "rgb24",
               "pipe:"]
    return subprocess.run(command, input=image, stdout=subprocess.PIPE, check=True).stdout


def on_screen(browser):
    """The middle of each bar."""
    _, x, y, width, height = browser.run(WHERE)
    png = browser.screenshot()
    rgb, columns = to_pixels(png, "png_pipe"), int.from_bytes(png[16:20], "big")
    scale = min(width / 640, height / 480)
    left, row = x + (width - 640 * scale) / 2, int(y + height / 2)
    at = [(row * columns + int(left + (bar + 0.5) * 80 * scale)) * 3 for bar in range(8)]
    return [tuple(rgb[one:one + 3]) for one in at]


def apart(some, others):
    return max(abs(a - b) for one, other in zip(some, others) for a, b in zip(one, other))


def rounded(bars):
    return [tuple(round(value) for value in bar) for bar in bars]


def wait_bars(browser, path, decoded):
    """As they are when they have come to rest. A path that begins anew would leave its last picture to the canvas."""
    wait_until(lambda: has_begun(browser), "the page's scripts", 240)
    browser.run("Link.prototype.watch = () => {}")  # a busy machine draws a frame in seconds
    wait_path(browser, path)
    equal(browser.run(WHERE)[0], "video" if path == "mse" else "canvas", f"what shows the picture by {path}")
    seen = [on_screen(browser)]

    def is_good():
        seen.append(on_screen(browser))
        return apart(seen[-1], decoded) <= 3
    try:
        wait_until(is_good, path, 240, every=0.5)
    except Failure as error:
        raise Failure(f"{error}: the bars are {seen[-1]}, and ffmpeg decodes {rounded(decoded)}") from None
    return seen[-1]


def decoded_h264(daemon):
    with Viewer(daemon) as viewer:
        units = list(viewer.units(5))
    while not units[0].key:
        units.pop(0)
    return list(bars_of(decode(units, 640, 480), 640, 480))


def decoded_jpeg(daemon):
    return list(bars_of(to_pixels(daemon.get("/snapshot").body, "mjpeg"), 640, 480))


def check_paths(option, is_full):
    """The picture stands still, so that a busy machine has little to do for it."""
    source = [to_rgb(bar, is_full) for bar in BARS]
    seen = {}
    with Daemon("--format", "MJPEG" if is_full else option, "--resolution", "640x480", "--quality", 95,
                "--h264-encoder", "x264", "--h264-bitrate", 20000, fake=f"{UVC},frozen=on,quality=95,fmt={option}",
                violations=False) as daemon, \
            Browser(composited=True) as browser:
        for path in ("mse", "webcodecs", "mjpeg"):
            browser.open(daemon, f"?path={path}")
            seen[path] = wait_bars(browser, path, decoded_jpeg(daemon) if path == "mjpeg" else decoded_h264(daemon))
            check(apart(seen[path], source) <= 6, f"by {path} {option} is {seen[path]}, and was {rounded(source)}")
    for path, bars in seen.items():
        check(apart(bars, seen["mse"]) <= 3, f"by {path} {option} is {bars}, and by mse {seen['mse']}")


@test(seconds=900)
def full_range_is_shown_alike_by_all_paths_where_a_gpu_composites():
    check_paths("MJPG", True)


@test(seconds=900)
def limited_range_is_shown_alike_by_all_paths_where_a_gpu_composites():
    check_paths("YUYV", False)
