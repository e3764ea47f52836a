# SPDX-License-Identifier: GPL-3.0-or-later
"""Chromium shows the page, and in it a picture that moves."""

import base64
import json
import os
import shutil
import subprocess
import time
import urllib.request

from harness import Daemon, Failure, Skip, check, equal, folder, free_port, test, wait_until


class Browser:
    """Chromium by chromedriver's HTTP interface (W3C WebDriver)."""

    def __enter__(self):
        if not shutil.which("chromium") or not shutil.which("chromedriver"):
            raise Skip("chromium and chromedriver are not both installed")
        self.port = free_port()
        self.log = open(os.path.join(folder(), "chromedriver.log"), "wb")
        self.driver = subprocess.Popen(["chromedriver", f"--port={self.port}"], stdout=self.log, stderr=self.log,
                                       env={**os.environ, "HOME": folder(), "TMPDIR": folder()})
        self.session = ""
        wait_until(self._is_ready, "chromedriver answers", 15)
        options = {"binary": shutil.which("chromium"),
                   "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                            "--window-size=1000,700", f"--user-data-dir={folder()}/profile"]}
        answer = self.call("POST", "session", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options,
                                                                                "pageLoadStrategy": "none"}}})
        self.session = answer["sessionId"]
        return self

    def __exit__(self, *_):
        try:
            if self.session:
                self.call("DELETE", "")
        except Exception:  # pylint: disable=broad-except
            pass
        finally:
            self.driver.terminate()
            self.driver.wait()
            self.log.close()

    def _is_ready(self):
        try:
            return self.call("GET", "status")["ready"]
        except OSError:
            return False

    def call(self, method, path, body=None):
        path = f"session/{self.session}/{path}".rstrip("/") if self.session else path
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/{path}", method=method,
                                         data=json.dumps(body or {}).encode() if method == "POST" else None)
        try:
            with urllib.request.urlopen(request, timeout=40) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise Failure(f"chromedriver: {error.read().decode(errors='replace')[:300]}") from None

    def run(self, script):
        return self.call("POST", "execute/sync", {"script": script, "args": []})

    def picture(self):
        """What is to be seen of the img, in grey."""
        found = self.call("POST", "element", {"using": "css selector", "value": "img"})
        (identity,) = found.values()
        path = os.path.join(folder(), "picture.png")
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("GET", f"element/{identity}/screenshot")))
        return subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "gray",
                               "-"], stdout=subprocess.PIPE, check=True).stdout


@test(alone=True, seconds=120)
def chromium_shows_a_picture_that_moves():
    with Daemon("--source", "testcard", "--resolution", "640x480", "--desired-fps", 30) as daemon, \
            Browser() as browser:
        browser.call("POST", "url", {"url": f"http://127.0.0.1:{daemon.port}/"})
        wait_until(lambda: browser.run("const i = document.querySelector('img'); return i ? i.naturalWidth : 0"),
                   "the picture has a size", 20)
        equal(browser.run("const i = document.querySelector('img'); return [i.naturalWidth, i.naturalHeight]"),
              [640, 480], "the size of the picture")
        first = browser.picture()
        time.sleep(1)
        second = browser.picture()
        check(max(first) - min(first) > 100, "the picture is one colour")
        different = sum(abs(a - b) > 40 for a, b in zip(first, second))
        check(different > len(first) / 1000, f"only {different} of {len(first)} pixels differ after a second")
        wait_until(lambda: "fps" in browser.run("return document.body.innerText") or
                   "640" in browser.run("return document.body.innerText"), "the page says what is going on", 10)


@test(alone=True, seconds=120)
def chromium_shows_why_there_is_no_picture():
    with Daemon("--device", "/dev/nothing", "--resolution", "640x480") as daemon, Browser() as browser:
        browser.call("POST", "url", {"url": f"http://127.0.0.1:{daemon.port}/"})
        wait_until(lambda: browser.run("const i = document.querySelector('img'); return i ? i.naturalWidth : 0") == 640,
                   "the card is there", 20)
        wait_until(lambda: daemon.source()["text"] in browser.run("return document.body.innerText"),
                   "the page says the same words as /state", 10)
