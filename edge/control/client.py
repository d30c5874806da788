"""Asking the daemon over its control socket."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

RUN_DIR = Path("/run/hj212-edge")
TIMEOUT_S = 10.0


class NoDaemon(Exception):
    """Nobody answers at the control socket: exit code 3."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.code = "edge.no-daemon"
        self.params = {"path": str(path)}


class Refused(Exception):
    """The daemon said no: code and params of the text."""

    def __init__(self, code: str, params: dict[str, Any]) -> None:
        super().__init__(code, params)
        self.code = code
        self.params = params


def socket_path(configured: str | None, data_dir: Path, uid: int | None = None) -> Path:
    """Where the socket is: as configured, else in /run/hj212-edge where that folder is ours, else in data_dir."""
    if configured:
        return Path(configured)
    owner = uid if uid is not None else os.geteuid()
    try:
        ours = RUN_DIR.stat().st_uid == owner
    except OSError:
        ours = False
    return (RUN_DIR if ours else data_dir) / "control.sock"


@contextmanager
def short_address(path: Path) -> Iterator[str]:
    """The socket's address by way of its folder's descriptor: a Unix address holds 107 bytes, a path may be longer."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def candidates(configured: str | None, data_dir: Path) -> list[Path]:
    """Where a client looks: the daemon may be another user than the technician."""
    if configured:
        return [Path(configured)]
    return [data_dir / "control.sock", RUN_DIR / "control.sock"]


def ask(paths: list[Path], what: str, args: dict[str, Any] | None = None) -> Any:
    """The daemon's answer; NoDaemon where nobody is there, Refused where it says no."""
    with Connection(paths) as connection:
        return connection.ask(what, args)


class Connection:
    """Several questions over one connection: the daemon takes back what it has lent when it ends."""

    def __init__(self, paths: list[Path], timeout_s: float = TIMEOUT_S) -> None:
        """Raises NoDaemon, Refused."""
        self._path, self._socket = _connected(paths)
        self._socket.settimeout(timeout_s)
        self._stream = self._socket.makefile("rb")

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """The end."""
        self._stream.close()
        self._socket.close()

    def ask(self, what: str, args: dict[str, Any] | None = None) -> Any:
        """The daemon's answer; NoDaemon where it is gone, Refused where it says no."""
        try:
            self._socket.sendall(json.dumps({"ask": what, "args": args or {}}).encode() + b"\n")
            line = self._stream.readline()
        except OSError as error:
            raise NoDaemon(self._path) from error
        if not line:
            raise NoDaemon(self._path)
        reply = json.loads(line)
        if not reply["ok"]:
            raise Refused(reply["code"], reply["params"])
        return reply["answer"]


def _connected(paths: list[Path]) -> tuple[Path, socket.socket]:
    barred: Path | None = None
    for path in paths:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(TIMEOUT_S)
        try:
            with short_address(path) as address:
                sock.connect(address)
        except OSError as error:
            sock.close()
            if isinstance(error, PermissionError):
                barred = barred or path
            elif not isinstance(error, (FileNotFoundError, ConnectionRefusedError, NotADirectoryError)):
                raise NoDaemon(path) from error
        else:
            return path, sock
    if barred is not None:
        raise Refused("edge.control-permission", {"path": str(barred)})
    raise NoDaemon(paths[0])
