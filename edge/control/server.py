"""The control socket: JSON lines over a Unix socket, one request a line, one answer a line.

    {"ask": "status", "args": {…}}  ─▶  {"ok": true, "answer": …} | {"ok": false, "code": "…", "params": {…}}

Who may: root and the daemon's own user everything; group `hj212-admin` may change, group `hj212` may read. The peer is
known from the kernel (SO_PEERCRED), not from what it says.
"""

from __future__ import annotations

import asyncio
import grp
import json
import os
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from sqlite3 import Error as SqlError
from typing import Any

from edge.control.client import short_address
from edge.store.errors import StoreError

READERS, ADMINS = "hj212", "hj212-admin"
LINE_LIMIT = 1024 * 1024
WHY_LIMIT = 300


class SocketTaken(Exception):
    """Another daemon answers at this socket: it is not ours to take away."""


class Denied(Exception):
    """A request was refused: code and params of the text."""

    def __init__(self, code: str, **params: Any) -> None:
        super().__init__(code, params)
        self.code = code
        self.params = params


@dataclass(frozen=True, slots=True)
class Who:
    """Who asks over one connection: user name for the journal, and what the groups allow."""

    name: str
    reads: bool
    changes: bool
    at_end: list[Callable[[], None]] = field(default_factory=list, compare=False)
    """Called when the connection ends, however it does: what was lent for its time comes back."""


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing that can be asked."""

    answer: Callable[[dict[str, Any], Who], Awaitable[Any]]
    changes: bool = False


def who_is(uid: int, gid: int) -> Who:
    """Rights of a user by its groups."""
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        return Who(str(uid), uid in (0, os.geteuid()), uid in (0, os.geteuid()))
    if uid in (0, os.geteuid()):
        return Who(user, True, True)
    groups = {_group_name(number) for number in os.getgrouplist(user, gid)}
    return Who(user, bool(groups & {READERS, ADMINS}), ADMINS in groups)


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


class ControlServer:
    """Answers the command line."""

    def __init__(self, path: Path, verbs: dict[str, Verb]) -> None:
        self._path = path
        self._verbs = verbs
        self._server: asyncio.Server | None = None
        self._stopped = False

    async def start(self) -> None:
        """Listen; a stale socket of a dead daemon is replaced. Raises SocketTaken, OSError."""
        if self._is_alive():
            raise SocketTaken(str(self._path))
        self._path.unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        with short_address(self._path) as address:
            sock.bind(address)
        self._path.chmod(0o660)
        self._give_to_readers()
        self._server = await asyncio.start_unix_server(self._serve, sock=sock, limit=LINE_LIMIT)

    def _is_alive(self) -> bool:
        """The store's lock keeps a second daemon out of our data, not out of /run/hj212-edge."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock:
            sock.setblocking(False)
            try:
                with short_address(self._path) as address:
                    sock.connect(address)
            except BlockingIOError:  # its queue is full: somebody is there
                return True
            except OSError:
                return False
        return True

    def _give_to_readers(self) -> None:
        """Members of the reading group reach the socket; without the group or the right, only the owner does."""
        try:
            os.chown(self._path, -1, grp.getgrnam(READERS).gr_gid)
        except (KeyError, PermissionError):
            return

    async def stop(self) -> None:
        """Close and remove the socket."""
        self._stopped = True
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        _pid, uid, gid = struct.unpack("3i", raw)
        who = who_is(uid, gid)
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line, who), ensure_ascii=False).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):  # ValueError: a line longer than LINE_LIMIT
            return
        except asyncio.CancelledError:
            if not self._stopped:
                raise  # else: the daemon ends, and asyncio 3.11 would log this as a fault
        finally:
            for give_back in who.at_end:
                give_back()
            writer.close()

    async def _answer(self, line: bytes, who: Who) -> dict[str, Any]:
        try:
            asked = _request(line)
            verb = self._verbs.get(asked["ask"])
            if verb is None:
                raise Denied("edge.control-unknown", ask=asked["ask"])
            if not (who.changes if verb.changes else who.reads):
                raise Denied("edge.control-denied", user=who.name, group=ADMINS if verb.changes else READERS)
            return {"ok": True, "answer": await verb.answer(asked["args"], who)}
        except (Denied, StoreError) as error:
            return {"ok": False, "code": error.code, "params": error.params}
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError, SqlError) as error:
            # what a client may get wrong: no JSON, a missing argument, one of the wrong type or beyond all size
            why = f"{type(error).__name__}: {error}"[:WHY_LIMIT]
            return {"ok": False, "code": "edge.control-malformed", "params": {"why": why}}


def _request(line: bytes) -> dict[str, Any]:
    """`ask` a text, `args` an object; ValueError otherwise."""
    asked = json.loads(line)
    if not isinstance(asked, dict) or not isinstance(asked.get("ask"), str):
        raise ValueError('{"ask": "…", "args": {…}}')
    args = asked.get("args") or {}
    if not isinstance(args, dict):
        raise ValueError('{"ask": "…", "args": {…}}')
    return {"ask": asked["ask"], "args": args}
