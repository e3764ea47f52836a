# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes what the machine needs, from Debian packages alone: kernel, modules, initramfs, camera, pictures.

Each part is made once and kept in build/vm/; it is made again when what it is made from is newer.
"""

import gzip
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
BUILD = CHECKOUT / "build" / "vm"

KERNEL = BUILD / "kernel"
INITRAMFS = BUILD / "initramfs.img"
MODULES = BUILD / "modules"
GADGET = BUILD / "uvc-gadget"
JPEG_PLANES = BUILD / "jpeg-planes"
MEDIA = BUILD / "media"

# What /init needs to mount the host's files and to talk to the host; the rest is loaded from there.
INITRAMFS_MODULES = ["virtio_pci", "9p", "9pnet_virtio", "overlay", "virtio_console"]

# A module may use what those before it export.
MODULE_NAMES = ["dummy_hcd", "v4l2-mem2mem", "pcm264"]
# What their derive.py take from the kernel's source; all of it would take 1.5 GB.
SOURCES = ["drivers/usb/gadget/udc/dummy_hcd.c", "drivers/media/v4l2-core/v4l2-mem2mem.c"]

PICTURE_SIZES = [(640, 480), (1280, 720), (1920, 1080)]
PICTURES = 128  # a power of two: 7 bits of number


class Unavailable(Exception):
    """Something that is not ours to make is missing: the tests are skipped and say why."""


def everything():
    """Makes all parts; raises Unavailable or subprocess.CalledProcessError."""
    for tool in ("qemu-system-x86_64", "busybox", "cpio", "modprobe", "ffmpeg", "dpkg"):
        if not find_tool(tool):
            raise Unavailable(f"{tool} is not installed")
    release = kernel_release()
    make_kernel(release)
    make_initramfs(release)
    for index, name in enumerate(MODULE_NAMES):
        make_module(name, MODULE_NAMES[:index], release)
    make_program(GADGET, HERE / "gadget" / "uvc-gadget.c")
    make_program(JPEG_PLANES, HERE / "reference" / "jpeg-planes.c", "-ljpeg")
    for width, height in PICTURE_SIZES:
        make_pictures(width, height)


def find_tool(name):
    """modprobe and depmod live in /sbin, which is not in everyone's PATH."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def run(*command, **options):
    """Runs a command quietly; its output is shown when it fails."""
    result = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, **options)
    if result.returncode:
        sys.stderr.write(result.stdout)
        result.check_returncode()
    return result.stdout


def is_newer(target, *sources):
    """True when the target exists and none of its sources was changed after it."""
    return target.exists() and all(source.stat().st_mtime <= target.stat().st_mtime for source in sources)


def kernel_release():
    """The newest kernel whose headers are installed, e.g. 6.1.0-56-amd64."""
    headers = sorted(Path("/usr/src").glob("linux-headers-*-amd64"), key=lambda path: path.stat().st_mtime)
    if not headers:
        raise Unavailable("no linux-headers-*-amd64 is installed")
    return headers[-1].name.removeprefix("linux-headers-")


def make_kernel(release):
    """Unpacks Debian's kernel image, which need not be installed."""
    if (KERNEL / "boot" / f"vmlinuz-{release}").exists():
        return
    unpacked = KERNEL.with_suffix(".part")
    package = f"linux-image-{release}"
    download = BUILD / "download"
    download.mkdir(exist_ok=True)
    try:
        run("apt-get", "download", package, cwd=download)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unavailable(f"apt-get download {package} failed") from error
    archive = next(download.glob(f"{package}_*.deb"))
    shutil.rmtree(unpacked, ignore_errors=True)
    run("dpkg", "-x", archive, unpacked)
    run(find_tool("depmod"), "-b", unpacked, release)
    archive.unlink()
    shutil.rmtree(KERNEL, ignore_errors=True)
    unpacked.rename(KERNEL)


def make_initramfs(release):
    """A static busybox, our init and the few modules that it takes to mount the host's files."""
    init = HERE / "guest" / "init"
    kernel = KERNEL / "boot" / f"vmlinuz-{release}"
    if is_newer(INITRAMFS, init, kernel, Path(__file__)):
        return
    root = BUILD / "initramfs"
    shutil.rmtree(root, ignore_errors=True)
    for folder in ("bin", "modules", "proc", "sys", "dev", "root", "lower", "writable"):
        (root / folder).mkdir(parents=True)
    shutil.copy(find_tool("busybox"), root / "bin" / "busybox")
    shutil.copy(init, root / "init")
    (root / "init").chmod(0o755)
    order = modules_in_load_order(release)
    for module in order:
        shutil.copy(module, root / "modules")
    (root / "modules" / "order").write_text("".join(f"{module.name}\n" for module in order))
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    archive = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=names.encode(),
                             stdout=subprocess.PIPE, check=True).stdout
    INITRAMFS.write_bytes(gzip.compress(archive, 1))


def modules_in_load_order(release):
    """The files of INITRAMFS_MODULES, each after those that it depends on."""
    order = []
    for name in INITRAMFS_MODULES:
        steps = run(find_tool("modprobe"), "-d", KERNEL, "-S", release, "--show-depends", name)
        for line in steps.splitlines():
            action, path = line.split()[:2]
            if action == "insmod" and Path(path) not in order:
                order.append(Path(path))
    return order


def make_module(name, before, release):
    """Builds one kernel module; a folder with a derive.py makes its source from the kernel's own."""
    folder = HERE / "modules" / name
    target = MODULES / f"{name}.ko"
    sources = [path for path in folder.iterdir() if path.is_file()]
    exported = [MODULES / other / "Module.symvers" for other in before]
    if is_newer(target, *sources, *exported):
        return
    work = MODULES / name
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(folder, work)
    derive = folder / "derive.py"
    if derive.exists():
        run(sys.executable, derive, linux_source(), work)
    run("make", "-s", "-C", f"/usr/src/linux-headers-{release}", f"M={work}",
        f"KBUILD_EXTRA_SYMBOLS={' '.join(map(str, exported))}", "modules")
    shutil.copy(work / f"{name}.ko", target)


def linux_source():
    """Those files of the kernel that modules are made of, unpacked once."""
    source = BUILD / "linux-source"
    if all((source / file).exists() for file in SOURCES):
        return source
    archives = sorted(Path("/usr/src").glob("linux-source-6.*.tar.xz"))
    if not archives:
        raise Unavailable("no linux-source-6.* is installed")
    source.mkdir(exist_ok=True)
    run("tar", "-xJf", archives[-1], "-C", source, "--strip-components=1", "--wildcards",
        *(f"*/{file}" for file in SOURCES))
    return source


def make_program(target, source, *libraries):
    """Builds a program of one file."""
    if not is_newer(target, source):
        run("gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-o", target, source, *libraries)


def make_pictures(width, height):
    """A moving picture as JPEGs, each with its number in black and white blocks along the top.

    The first half of the blocks is the number, lowest bit first; the second half is its inverse, so that a
    grey or shifted picture is not mistaken for a number. guest/pictures.py reads it back. The Huffman tables
    are the standard's, so that a camera may leave them out.
    """
    target = MEDIA / f"{width}x{height}.mjpg"
    if is_newer(target, Path(__file__)):
        return
    MEDIA.mkdir(exist_ok=True)
    bits = PICTURES.bit_length() - 1
    block = "w=iw/20:h=ih/12:y=0:color=white:t=fill"
    filters = [f"drawbox=x=0:y=0:w=iw*{2 * bits}/20:h=ih/12:color=black:t=fill"]
    for bit in range(bits):
        is_set = f"mod(floor(n/{2 ** bit}),2)"
        filters.append(f"drawbox=x=iw*{bit}/20:{block}:enable='{is_set}'")
        filters.append(f"drawbox=x=iw*{bits + bit}/20:{block}:enable='not({is_set})'")
    part = target.with_suffix(".part")
    run("ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", f"testsrc2=size={width}x{height}:rate=30",
        "-vf", ",".join(filters), "-frames:v", PICTURES, "-pix_fmt", "yuvj422p", "-q:v", "5",
        "-huffman", "default", "-f", "mjpeg", part)
    part.rename(target)
