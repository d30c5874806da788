"""What `strace` saw a process do to some folders and to its sockets, as operations of a disk.

    strace -f -y -xx -s 1000000 --seccomp-bpf -e trace=…      see `command`

    4711 pwrite64(9<\\x2f\\x64…>, "\\x37\\x7f…", 32, 0) = 32
    4711 fdatasync(9<\\x2f…> <unfinished ...>     …     4711 <... fdatasync resumed>) = 0

What a process is sending counts from the moment in which it begins, what it syncs from the moment in which that has
ended. A call on a watched file that is not understood is an error: the rig must not look away. The shared memory of
SQLite (`-shm`) is mapped, not written, and made anew after a power cut: it is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.torture.disk import Copy, Create, Operation, Remove, Rename, Resize, Sync, Write

CALLS = (
    "write,pwrite64,pwritev,pwritev2,writev,fsync,fdatasync,sync_file_range,rename,renameat,renameat2,unlink,unlinkat,"
    "ftruncate,truncate,openat,open,creat,sendto,sendmsg,sendfile,copy_file_range,splice,mkdir,rmdir,link,linkat,"
    "symlink,fallocate"
)
_LEFT_OUT = ("-shm", ".sock", "/lock")
_CALL = re.compile(r"^(\d+) +(\w+)\((.*)$")
_RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")
_UNFINISHED = " <unfinished ...>"
_RESULT = re.compile(r"\) += (-?\d+)(?:<((?:\\x[0-9a-f]{2})*)>)?[^)]*$")
_DESCRIPTOR = re.compile(r"^(?:-?\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_SENDFILE = re.compile(r", \d+<((?:\\x[0-9a-f]{2})*)>, \[(\d+)\]")
_PACKET = re.compile(rb"##\d{4}QN=(\d{17});ST=[^;]*;CN=([23]\d{3});")


@dataclass(frozen=True, slots=True)
class Committed:
    """A line of `--marks`: a file's transaction is on disk as far as the daemon knows; and what the file says."""

    file: str
    digest: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A data packet is about to leave."""

    qn: str
    data: bytes


Event = Operation | Committed | Sent


class NotUnderstood(Exception):
    """A call that the rig does not know what to make of."""


def command(output: Path, program: Sequence[str]) -> list[str]:
    """`program` under strace."""
    how = ["-f", "-y", "-xx", "-s", "1000000", "--seccomp-bpf", "-e", "signal=none", "-e", f"trace={CALLS}"]
    return ["strace", *how, "-o", str(output), *program]


def events(lines: Iterable[str], folders: Sequence[Path], marks: Path) -> Iterator[Event]:
    """What happened, in order."""
    reader = _Reader(tuple(f"{folder}/" for folder in folders), tuple(map(str, folders)), str(marks))
    waiting: dict[str, tuple[str, str]] = {}
    for line in lines:
        line = line.rstrip("\n")
        if (found := _CALL.match(line)) is not None:
            pid, name, rest = found.groups()
            if rest.endswith(_UNFINISHED):
                rest = rest.removesuffix(_UNFINISHED)
                waiting[pid] = name, rest
                yield from reader.begun(name, rest)
            else:
                yield from reader.begun(name, rest)
                yield from reader.ended(name, rest)
        elif (found := _RESUMED.match(line)) is not None:
            pid, name, rest = found.groups()
            begun, arguments = waiting.pop(pid)
            yield from reader.ended(begun, arguments + rest)


class _Reader:
    def __init__(self, inside: tuple[str, ...], folders: tuple[str, ...], marks: str) -> None:
        self._inside = inside
        self._folders = folders
        self._marks = marks
        self._files: set[str] = set()

    def begun(self, name: str, rest: str) -> Iterator[Event]:
        """A call begins: what leaves, and what is told."""
        path = _path(rest)
        if name in ("sendto", "write", "sendmsg", "writev") and path is not None:
            if path == self._marks:
                for line in _texts(rest)[0].decode().splitlines():
                    yield Committed(*line.split())
            elif path.startswith("socket:"):
                for data in _texts(rest)[:1]:
                    yield from _packets(data)

    def ended(self, name: str, rest: str) -> Iterator[Event]:
        """A call has ended: what is in the page cache, or on the disk."""
        result = _RESULT.search(rest)
        if result is None or int(result[1]) < 0:
            return
        if name in (
            "rename",
            "renameat",
            "renameat2",
            "unlink",
            "unlinkat",
            "mkdir",
            "rmdir",
            "link",
            "linkat",
            "symlink",
        ):
            yield from self._named(name, rest)
            return
        if name in ("openat", "open", "creat"):
            yield from self._opened(rest, _decoded(result[2] or "").decode())
            return
        path = _path(rest)
        if path is None or not self._watched(path):
            return
        yield from self._changed(name, path, rest, int(result[1]))

    def _changed(self, name: str, path: str, rest: str, result: int) -> Iterator[Event]:
        numbers = [part.strip() for part in rest[: rest.rindex(")")].split(",")]
        if name == "pwrite64":
            yield Write(path, _texts(rest)[0][:result], int(numbers[-1]))
        elif name == "write":
            yield Write(path, _texts(rest)[0][:result])
        elif name == "ftruncate":
            yield Resize(path, int(numbers[-1]))
        elif name in ("fsync", "fdatasync"):
            yield Sync(path)
        elif name == "sendfile":
            found = _SENDFILE.search(rest)
            if found is None:
                raise NotUnderstood(f"{name}({rest[:200]}")
            if result:
                yield Copy(path, _decoded(found[1]).decode(), int(found[2]), result)
        else:
            raise NotUnderstood(f"{name}({rest[:200]}")

    def _named(self, name: str, rest: str) -> Iterator[Event]:
        paths = [text.decode() for text in _texts(rest)]
        folder = _path(rest)
        if folder is not None:
            paths = [path if path.startswith("/") else f"{folder}/{path}" for path in paths]
        if not any(map(self._watched, paths)) or name in ("mkdir", "rmdir") or "AT_REMOVEDIR" in rest:
            return
        if name.startswith("unlink"):
            yield Remove(paths[0])
        elif name.startswith("rename"):
            yield Rename(paths[0], paths[1])
        else:
            raise NotUnderstood(f"{name}({rest[:200]}")

    def _opened(self, rest: str, path: str) -> Iterator[Event]:
        if not self._watched(path) or "O_DIRECTORY" in rest or path in self._folders:
            return
        if "O_CREAT" in rest:
            yield Create(path)
        if "O_TRUNC" in rest:
            yield Resize(path, 0)

    def _watched(self, path: str) -> bool:
        inside = path.startswith(self._inside) or path in self._folders
        return inside and not path.endswith(_LEFT_OUT) and not path.endswith(" (deleted)")


def _packets(data: bytes) -> Iterator[Sent]:
    for found in _PACKET.finditer(data):
        end = data.find(b"\r\n", found.start())
        yield Sent(found[1].decode(), data[found.start() : end + 2 if end >= 0 else None])


def _path(rest: str) -> str | None:
    found = _DESCRIPTOR.match(rest)
    return None if found is None else _decoded(found[1]).decode(errors="replace")


def _texts(rest: str) -> list[bytes]:
    return [_decoded(text) for text in _TEXT.findall(rest)]


def _decoded(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))
