"""What the running daemon can be asked, by whom, and how the command line tells it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from daemonkit import MN, PASSWORD, START_MS, rig

from edge.control import server

EARLIER_MS = START_MS - 240_000
"""Five minutes before an hour ends: a start on a busy machine takes two of them, and the next hour is far."""


async def test_malformed_requests_are_answered_and_harm_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path) as site:
        await site.start()
        lines = [
            b"\n", b"{}\n", b"[]\n", b"null\n", b"hello\n", b"\xff\xfe\n", b'{"ask": 1}\n', b'{"ask": ["status"]}\n',
            b'{"ask": "status", "args": [1]}\n', b'{"ask": "packets", "args": {"limit": "x"}}\n',
            b'{"ask": "records", "args": {}}\n', b'{"ask": "records", "args": {"kind": "year", "outlet": "a"}}\n',
            b'{"ask": "samples", "args": {"outlet": "ww1", "from": "a", "to": {}}}\n',
            b'{"ask": "packets", "args": {"limit": 99999999999999999999999}}\n',
            b'{"ask": "settings", "args": {"platforms": 5}}\n', b"[" * 50_000 + b"\n",
        ]  # fmt: skip
        for line in lines:
            got = await site.raw(line)
            assert got.startswith(b'{"ok": false'), (line[:99], got[:99])
            answer = json.loads(got)
            assert answer["code"].startswith(("edge.control-", "store.")), line
        assert json.loads(await site.raw(b'{"ask": "nothing"}\n'))["code"] == "edge.control-unknown"
        assert await site.raw(b"x" * (server.LINE_LIMIT + 10) + b"\n") == b""
        assert json.loads(await site.raw(b'{"ask": "status", "args": null}\n'))["ok"] is True
        await site.stop()
        assert "Traceback" not in site.log


@pytest.mark.parametrize(
    ("groups", "reads", "changes"),
    [(set(), False, False), ({"hj212"}, True, False), ({"hj212-admin"}, True, True)],
)
def test_rights_come_from_the_groups(
    monkeypatch: pytest.MonkeyPatch, groups: set[str], reads: bool, changes: bool
) -> None:
    names = dict(enumerate(groups, 5000))
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    monkeypatch.setattr(os, "getgrouplist", lambda _user, _gid: list(names))
    monkeypatch.setattr(server, "_group_name", names.__getitem__)
    who = server.who_is(1, 1)
    assert (who.reads, who.changes) == (reads, changes)


STRANGER = """
import socket, sys
with socket.socket(socket.AF_UNIX) as sock:
    sock.connect(sys.argv[1])
    sock.sendall(b'{"ask": "status"}' + bytes([10]))
    print(sock.recv(200).decode(errors="replace"))
"""


async def test_a_stranger_is_refused_by_the_kernels_word(tmp_path: Path) -> None:
    """As root another user asks and is refused; as anybody else one asks oneself and is answered."""
    as_root = os.geteuid() == 0
    async with rig(tmp_path) as site:
        await site.start()
        for folder in (tmp_path, *tmp_path.parents[:4]):
            if as_root and folder != Path("/tmp") and folder != Path("/"):
                folder.chmod(0o755)
        (tmp_path / "control.sock").chmod(0o666)
        other: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []} if as_root else {}
        command = ("/usr/bin/env", "python3", "-c", STRANGER, str(tmp_path / "control.sock"))
        asking = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd="/", **other)
        heard, _ = await asyncio.wait_for(asking.communicate(), 20)
        assert (b"edge.control-denied" in heard) == as_root
        assert (b'"ok": true' in heard) != as_root


async def test_every_start_is_in_the_journal_with_the_site_file_it_had(tmp_path: Path) -> None:
    async with rig(tmp_path) as site:
        await site.start()
        await site.until(lambda page: page["platforms"][0]["answered"] > 0)
        _, out, _ = await site.hj212("journal", "show", "-c", str(site.config), "--json")
        (started,) = [entry for entry in json.loads(out) if entry["action"] == "started"]
        assert started["detail"]["site_sha256"] == hashlib.sha256(site.config.read_bytes()).hexdigest()


async def test_every_question_is_answered_with_the_daemon_and_without_it(tmp_path: Path) -> None:
    async with rig(tmp_path, speed=40.0, start_ms=EARLIER_MS) as site:
        await site.start()
        await site.platform.until(lambda: site.platform.answered["2061"] > 0)
        span = ("--from", "2026-10-22", "--to", "2026-10-22")
        lists: list[tuple[str, ...]] = [
            ("data", "show", *span),
            ("data", "show", "--kind", "sample", *span),
            ("data", "show", "--kind", "hour", *span),
            ("outbox", "show"), ("connection",), ("platform", "packets"), ("journal", "show"), ("journal", "verify"),
            ("config", "show"),
        ]  # fmt: skip
        config = ("-c", str(site.config))
        with_daemon = {}
        for verb in lists:
            code, out, err = await site.hj212(*verb, *config, "--json")
            assert (code, err) == (0, ""), verb
            with_daemon[verb] = json.loads(out)
            assert with_daemon[verb], verb
            assert PASSWORD not in out, verb
        for verb in (("status",), ("platform", "list")):
            code, out, _ = await site.hj212(*verb, *config, "--json")
            assert code == 0
            json.loads(out)
        assert PASSWORD in (await site.hj212("platform", "packets", *config, "--raw"))[1]
        assert PASSWORD in (await site.hj212("connection", *config, "--raw"))[1]
        await site.stop()
        for verb in lists:
            code, out, err = await site.hj212(*verb, *config, "--json")
            assert (code, err) == (0, ""), verb
            assert json.loads(out), verb
            assert PASSWORD not in out, verb
        same = ("connection",)
        assert json.loads((await site.hj212(*same, *config, "--json"))[1]) == with_daemon[same]
        for verb in (("status",), ("platform", "list"), ("watch",)):
            code, out, err = await site.hj212(*verb, *config)
            assert (code, out) == (3, "")
            assert "hj212 run" in err


async def test_minutes_while_the_daemon_was_stopped_or_killed_are_gaps_with_their_cause(tmp_path: Path) -> None:
    async with rig(tmp_path, speed=40.0) as site:
        for end in ("stop", "kill", "stop"):
            await site.start()
            minutes = site.platform.counts["2051"]
            # a life without a record has no gap behind it
            await site.until(lambda page, before=minutes: site.platform.counts["2051"] > before, 30.0)
            if end == "stop":
                await site.stop()
            else:
                assert site.process is not None
                site.process.kill()
                await site.process.wait()
            await asyncio.sleep(130 / site.speed)  # two minutes in between
        span = ("--kind", "minute", "--from", "2026-10-22")
        code, out, _ = await site.hj212("data", "gaps", "-c", str(site.config), *span, "--json")
        causes = [row["cause"] for row in json.loads(out) if row["factor"] is None and row["platform"] is None]
        assert code == 0
        assert causes[:2] == ["stopped", "killed"]


async def test_what_the_daemon_sealed_is_explained_with_it_and_without_it(tmp_path: Path) -> None:
    async with rig(tmp_path, speed=40.0, start_ms=EARLIER_MS) as site:
        await site.start()
        await site.platform.until(lambda: site.platform.answered["2061"] > 0)
        rows = [row for row in await site.records() if row["outlet"] == "ww1" and row["factor"] in ("w00000", "w01018")]
        asked = [(row["factor"], row["kind"], row["start"][:16]) for row in rows]
        assert {"minute", "hour"} <= {kind for _, kind, _ in asked}  # the day too, where the start took long
        verdicts = []
        for stopped in (False, True):
            if stopped:
                await site.stop()
            for args in [*asked[:2], *(each for each in asked if each[1] == "hour")]:
                code, out, err = await site.hj212("data", "explain", *args, "-c", str(site.config), "--json")
                assert (code, err) == (0, ""), args
                verdicts.append((args, json.loads(out)["verdict"]))
        assert {verdict for _, verdict in verdicts} == {"equal"}, verdicts


async def test_export_gives_every_record_once_as_csv_and_json(tmp_path: Path) -> None:
    async with rig(tmp_path, speed=40.0) as site:
        await site.start()
        await site.until(lambda page: page["platforms"][0]["answered"] > 6)
        await site.stop()
        stored = site.sqlite("records.db", "SELECT count(*) FROM record WHERE kind = 1")[0][0]
        verb = ("data", "export", "-c", str(site.config), "--from", "2026-10-22", "--to", "2026-10-22")
        code, out, _ = await site.hj212(*verb)
        assert (code, len(out.splitlines())) == (0, stored + 1)
        rows = [json.loads(line) for line in (await site.hj212(*verb, "--json"))[1].splitlines()]
        assert len({(row["factor"], row["start"], row["revision"]) for row in rows}) == len(rows) == stored
        code, out, err = await site.hj212(*verb, "-o", str(tmp_path / "out.csv"))
        assert (code, out) == (0, "")
        assert str(stored) in err
        assert len((tmp_path / "out.csv").read_text().splitlines()) == stored + 1


async def test_a_platforms_settings_are_shown_with_their_origin_and_the_password_masked(tmp_path: Path) -> None:
    async with rig(tmp_path) as site:
        await site.start()
        await site.until(lambda page: page["platforms"][0]["answered"] > 0)
        await site.platform.command(MN, "1062", [("RtdInterval", "90")])
        await site.platform.command(MN, "1072", [("NewPW", "654321")])
        for _ in ("with the daemon", "without it"):
            code, out, _ = await site.hj212("config", "show", "-c", str(site.config), "--json")
            shown = {each["key"]: (each["value"], each["origin"]) for each in json.loads(out)}
            assert code == 0
            assert shown["platforms.city.realtime"] == ("90s", "platform")
            assert shown["platforms.city.outlets.ww1.password"] == ("***", "platform")
            assert shown["platforms.city.minute"] == ("1min", "file")
            assert "654321" not in out
            await site.stop()
