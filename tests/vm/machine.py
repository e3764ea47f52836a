# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtual machine: Debian's kernel under QEMU's own CPU emulation, which needs no rights and no KVM.

It sees the host's / read-only through 9p, with a tmpfs on top, and one folder of the host read-write as /out.
Its virtio port is QEMU's stdin and stdout: one JSON object per line, in both directions.
"""

import json
import os
import shutil
import subprocess
import threading

import build


class Machine:
    """A running machine. Used with `with`: the machine is gone at the end, whatever happened."""

    def __init__(self, out, settings, seconds, shell=False):
        out.mkdir(parents=True, exist_ok=True)
        (out / "settings").write_text("".join(f"export {name}='{value}'\n" for name, value in settings.items()))
        port = ["-chardev", "stdio,id=host,signal=off", "-device", "virtio-serial-pci",
                "-device", "virtserialport,chardev=host,name=host"]
        console = "stdio" if shell else f"file:{out}/console"
        self.process = subprocess.Popen(
            [*bound_to_us(), "qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max",
             "-smp", "2", "-m", "2048", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
             "-kernel", kernel_image(), "-initrd", str(build.INITRAMFS),
             "-append", "console=ttyS0 quiet panic=-1 mitigations=off",
             *share("root", "/", "readonly=on"), *share("out", out),
             *([] if shell else port), "-serial", console],
            stdin=None if shell else subprocess.PIPE, stdout=None if shell else subprocess.PIPE,
            stderr=None if shell else open(out / "qemu.log", "wb"))
        self.timed_out = False
        self.timer = threading.Timer(seconds, self.give_up)
        if not shell:
            self.timer.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.timer.cancel()
        self.process.kill()
        self.process.wait()

    def give_up(self):
        """Ends a machine that takes too long; messages() then ends too."""
        self.timed_out = True
        self.process.kill()

    def messages(self):
        """What the guest says, until it powers off."""
        for line in self.process.stdout:
            yield json.loads(line)

    def reply(self, message):
        """Answers the guest's last request."""
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()


def bound_to_us():
    """What starts a program that dies with us, also when we are killed."""
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []


def kernel_image():
    """The unpacked package holds one kernel."""
    return str(next((build.KERNEL / "boot").glob("vmlinuz-*")))


def share(name, path, *flags):
    """QEMU's options for one folder of the host, mounted in the guest by its name."""
    settings = ",".join(["local", f"id={name}", f"path={path}", "security_model=none", "multidevs=remap", *flags])
    return ["-fsdev", settings, "-device", f"virtio-9p-pci,fsdev={name},mount_tag={name}"]


def run_ffmpeg(out, arguments):
    """Decodes on the host what the guest has put into /out: a hundred times as fast as there."""
    result = subprocess.run(["ffmpeg", "-hide_banner", "-nostdin", "-y", *arguments], cwd=out,
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            env={"PATH": os.environ["PATH"]})
    return {"status": result.returncode, "stderr": result.stderr}
