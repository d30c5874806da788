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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.control.client import short_address

READERS, ADMINS = "hj212", "hj212-admin"
LINE_LIMIT = 4 * 1024 * 1024


class Denied(Exception):
    """A request was refused: code and params of the text."""

    def __init__(self, code: str, **params: Any) -> None:
        super().__init__(code, params)
        self.code = code
        self.params = params


@dataclass(frozen=True, slots=True)
class Who:
    """Who asks: user name for the journal, and what the groups allow."""

    name: str
    reads: bool
    changes: bool


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

    async def start(self) -> None:
        """Listen; a stale socket of a dead daemon is replaced (the store's lock says that no other is alive)."""
        self._path.unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        with short_address(self._path) as address:
            sock.bind(address)
        self._path.chmod(0o660)
        self._give_to_readers()
        self._server = await asyncio.start_unix_server(self._serve, sock=sock, limit=LINE_LIMIT)

    def _give_to_readers(self) -> None:
        """Members of the reading group reach the socket; without the group or the right, only the owner does."""
        try:
            os.chown(self._path, -1, grp.getgrnam(READERS).gr_gid)
        except (KeyError, PermissionError):
            return

    async def stop(self) -> None:
        """Close and remove the socket."""
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
        except (ConnectionError, ValueError):
            return
        finally:
            writer.close()

    async def _answer(self, line: bytes, who: Who) -> dict[str, Any]:
        try:
            asked = json.loads(line)
            verb = self._verbs.get(asked["ask"])
            if verb is None:
                raise Denied("edge.control-unknown", ask=asked["ask"])
            if not (who.changes if verb.changes else who.reads):
                raise Denied("edge.control-denied", user=who.name, group=ADMINS if verb.changes else READERS)
            return {"ok": True, "answer": await verb.answer(asked.get("args", {}), who)}
        except Denied as error:
            return {"ok": False, "code": error.code, "params": error.params}
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            return {"ok": False, "code": "edge.control-malformed", "params": {"why": str(error)}}
