"""Small file systems of their own, for disks that fail: ext4 on a loop device, and a tmpfs of some megabytes.

Both need root. Whatever was mounted is unmounted, and the loop device let go, when the `with` ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

GOING_DOWN = 0x8004_587D
"""FS_IOC_GOINGDOWN, _IOR('X', 125, __u32): ext4 and XFS."""
NO_LOG_FLUSH = struct.pack("I", 2)
"""What is not on the disk yet never gets there, not even the file system's own journal."""
HOW = "Type: sudo .venv/bin/python -m tests.torture.run {scale} {test}"
IMAGE_MB = 64


def why_not(*programs: str) -> str | None:
    """What is missing to mount; None: nothing."""
    missing = [program for program in programs if _tool(program) is None]
    if missing:
        return f"{', '.join(missing)} not installed. Type: sudo apt-get install e2fsprogs mount strace"
    if os.geteuid() != 0:
        return "needs root, to mount. " + HOW
    if "losetup" in programs and not Path("/dev/loop-control").exists():
        return "there are no loop devices. Type: sudo modprobe loop"
    return None


@dataclass(slots=True)
class Loop:
    """An ext4 in a file, mounted at `at`."""

    at: Path
    device: str

    def power_cut(self) -> None:
        """From this moment nothing more reaches the disk; whoever writes gets EIO."""
        folder = os.open(self.at, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(folder, GOING_DOWN, NO_LOG_FLUSH)
        finally:
            os.close(folder)

    def remount(self) -> None:
        """The power is back: the file system replays its journal."""
        _run("umount", str(self.at))
        _run("mount", "-t", "ext4", self.device, str(self.at))


@contextmanager
def ext4(image: Path, at: Path) -> Iterator[Loop]:
    """A new file system in `image`, mounted at `at`."""
    with image.open("wb") as file:
        file.truncate(IMAGE_MB << 20)
    _run("mkfs.ext4", "-q", "-F", str(image))
    at.mkdir(parents=True, exist_ok=True)
    device = _run("losetup", "--find", "--show", str(image)).strip()
    try:
        _run("mount", "-t", "ext4", device, str(at))
        try:
            yield Loop(at, device)
        finally:
            _unmount(at)
    finally:
        _run("losetup", "--detach", device)


@contextmanager
def tmpfs(at: Path, megabytes: int) -> Iterator[None]:
    """A disk of some megabytes, in memory, mounted at `at`."""
    at.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(at))
    try:
        yield
    finally:
        _unmount(at)


def _unmount(at: Path) -> None:
    with suppress(subprocess.CalledProcessError):
        _run("umount", str(at))
        return
    _run("umount", "--lazy", str(at))  # somebody still has a file open: it must not stay for that


def _tool(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _run(program: str, *arguments: str) -> str:
    command = [_tool(program) or program, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
