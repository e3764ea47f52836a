# SPDX-License-Identifier: GPL-3.0-or-later
"""Chromium without a screen, for tests and measurements of the page."""

import base64
import json
import os
import shutil
import subprocess
import urllib.request

from harness import SAN, Failure, Skip, folder, free_port, wait_until

INSECURE = "kvm.lan"  # as a browser sees http://192.168.x.y: not a secure origin, so no WebCodecs


class Browser:
    """Chromium by chromedriver's HTTP interface (W3C WebDriver). composited: as by a GPU, which is done in software."""

    def __init__(self, composited=False):
        self.drawing = (["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"] if composited else
                        ["--disable-gpu"])

    def __enter__(self):
        if SAN:
            raise Skip(f"what the page asks for is asked for by other tests: no Chromium with SAN={SAN}")
        if not shutil.which("chromium") or not shutil.which("chromedriver"):
            raise Skip("chromium and chromedriver are not both installed")
        self.port = free_port()
        self.log = open(os.path.join(folder(), "chromedriver.log"), "wb")
        self.driver = subprocess.Popen(["chromedriver", f"--port={self.port}"], stdout=self.log, stderr=self.log,
                                       env={**os.environ, "HOME": folder(), "TMPDIR": folder()})
        self.session = ""
        wait_until(self._is_ready, "chromedriver answers")
        options = {"binary": shutil.which("chromium"),
                   "args": ["--headless=new", "--no-sandbox", *self.drawing, "--disable-dev-shm-usage",
                            "--disable-background-networking", "--disable-component-update", "--disable-sync",
                            "--disable-quic", "--no-first-run", "--no-proxy-server", "--window-size=1000,700",
                            f"--host-resolver-rules=MAP {INSECURE} 127.0.0.1", f"--user-data-dir={folder()}/profile"]}
        answer = self.call("POST", "session", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options,
                                                                                "goog:loggingPrefs": {"browser": "ALL"},
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
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise Failure(f"chromedriver: {error.read().decode(errors='replace')[:300]}") from None

    def run(self, script, *args):
        return self.call("POST", "execute/sync", {"script": script, "args": args})

    def screenshot(self):
        """A PNG."""
        return base64.b64decode(self.call("GET", "screenshot"))

    def open(self, daemon, path="", host="127.0.0.1"):
        self.call("POST", "url", {"url": f"http://{host}:{daemon.port}/{path}"})

    def said(self):
        """What scripts and the browser itself wrote to the console since the last call."""
        return [entry["message"] for entry in self.call("POST", "se/log", {"type": "browser"})]
