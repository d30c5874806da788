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
    barred: Path | None = None
    for path in paths:
        try:
            return _ask(path, what, args or {})
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            continue
        except PermissionError:
            barred = barred or path
        except OSError as error:
            raise NoDaemon(path) from error
    if barred is not None:
        raise Refused("edge.control-permission", {"path": str(barred)})
    raise NoDaemon(paths[0])


def _ask(path: Path, what: str, args: dict[str, Any]) -> Any:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(TIMEOUT_S)
        with short_address(path) as address:
            sock.connect(address)
        sock.sendall(json.dumps({"ask": what, "args": args}).encode() + b"\n")
        with sock.makefile("rb") as stream:
            line = stream.readline()
    if not line:
        raise NoDaemon(path)
    reply = json.loads(line)
    if not reply["ok"]:
        raise Refused(reply["code"], reply["params"])
    return reply["answer"]
