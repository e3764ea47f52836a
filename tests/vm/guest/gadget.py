# SPDX-License-Identifier: GPL-3.0-or-later
"""A USB camera made of the kernel's UVC gadget on an emulated bus, seen through the real uvcvideo."""

import os
import signal
import subprocess
from pathlib import Path

import host
import waiting

SIZES = [(640, 480), (1280, 720), (1920, 1080)]  # those of uvc-gadget.c, in its order
CONFIG = Path("/sys/kernel/config/usb_gadget/camera")
FAIL_URBS = Path("/sys/module/dummy_hcd/parameters/fail_urbs")
LINK = Path("/dev/v4l/by-id/usb-hdmicast_Camera_0001-video-index0")


def set_up():
    """Loads the drivers and describes the camera, once."""
    if CONFIG.exists():
        return
    for module in ("udc-core", "libcomposite", "usb_f_uvc", "uvcvideo"):
        subprocess.run(["modprobe", module], check=True)
    subprocess.run(["insmod", f"{os.environ['MODULES']}/dummy_hcd.ko"], check=True)
    if not os.path.ismount("/sys/kernel/config"):
        subprocess.run(["mount", "-t", "configfs", "configfs", "/sys/kernel/config"], check=True)
    describe_device()
    describe_camera(CONFIG / "functions" / "uvc.0")
    (CONFIG / "configs" / "c.1" / "uvc.0").symlink_to(CONFIG / "functions" / "uvc.0")


def write(folder, **values):
    """Makes a configfs folder and sets its attributes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (folder / name).write_text(f"{value}\n")


def describe_device():
    """Device and configuration descriptors: class, subclass, protocol are those of an interface association."""
    write(CONFIG, idVendor="0x1d6b", idProduct="0x0102", bcdDevice="0x0100", bcdUSB="0x0200",
          bDeviceClass="0xEF", bDeviceSubClass=2, bDeviceProtocol=1)
    write(CONFIG / "strings" / "0x409", serialnumber="0001", manufacturer="hdmicast", product="Camera")
    write(CONFIG / "configs" / "c.1" / "strings" / "0x409", configuration="uvc")


def describe_camera(function):
    """One MJPEG format in three sizes. High speed, three transactions per microframe: 24 MB/s."""
    write(function, streaming_maxpacket=3072, streaming_interval=1)
    streaming = function / "streaming"
    for index, (width, height) in enumerate(SIZES):
        size = width * height * 2
        write(streaming / "mjpeg" / "m" / f"{index}", wWidth=width, wHeight=height, dwMaxVideoFrameBufferSize=size,
              dwMinBitRate=size * 8 * 5, dwMaxBitRate=size * 8 * 60,
              dwFrameInterval="166666\n333333\n666666\n2000000", dwDefaultFrameInterval=333333)
    (streaming / "header" / "h").mkdir(parents=True)
    (streaming / "header" / "h" / "m").symlink_to(streaming / "mjpeg" / "m")
    for speed in ("fs", "hs", "ss"):
        (streaming / "class" / speed / "h").symlink_to(streaming / "header" / "h")
    (function / "control" / "header" / "h").mkdir(parents=True)
    for speed in ("fs", "ss"):
        (function / "control" / "class" / speed / "h").symlink_to(function / "control" / "header" / "h")


def capture_node():
    """The camera's /dev/videoN; None while it is not on the bus. Its index 1 carries metadata."""
    for entry in Path("/sys/class/video4linux").glob("video*"):
        try:
            driver = os.path.basename(os.readlink(entry / "device" / "driver"))
            if driver == "uvcvideo" and (entry / "index").read_text().strip() == "0":
                return Path("/dev") / entry.name
        except OSError:
            pass  # it went while we looked
    return None


class Camera:
    """A plugged-in camera. Options are those of uvc-gadget.c; LINK is kept as udev would keep it."""

    def __init__(self, *options):
        set_up()
        self.options = options
        self.program = None
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def start(self):
        """Starts the program behind the gadget, which is what makes it appear on the bus."""
        with open(host.OUT / "gadget.log", "ab") as log:
            self.program = subprocess.Popen([os.environ["GADGET"], "-m", os.environ["MEDIA"], *self.options],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.plug()

    def close(self):
        """Takes the camera away for good."""
        self.unplug()
        self.program.terminate()
        self.program.wait()

    def plug(self):
        """Connects the camera; returns when its node is there."""
        if not self.controller():
            (CONFIG / "UDC").write_text("dummy_udc.0\n")
        node = waiting.until(capture_node, 5, "the camera's node appears")
        LINK.parent.mkdir(parents=True, exist_ok=True)
        LINK.unlink(missing_ok=True)
        LINK.symlink_to(node)
        return node

    def unplug(self):
        """Disconnects it; returns when its node is gone. The kernel waits for the program to close its own."""
        if self.controller():
            (CONFIG / "UDC").write_text("\n")
        self.await_gone()

    def await_gone(self):
        """Waits for the node's end and removes the link to it."""
        waiting.until(lambda: not capture_node(), 5, "the camera's node goes")
        LINK.unlink(missing_ok=True)

    def controller(self):
        """What the gadget is connected to; empty when unplugged."""
        return (CONFIG / "UDC").read_text().strip()

    def toggle_stall(self):
        """Stops the frames, or starts them again."""
        self.program.send_signal(signal.SIGUSR1)

    def kill(self):
        """Kills the program: the camera drops off the bus while frames are under way."""
        self.program.kill()
        self.program.wait()
        self.await_gone()
