"""The daemon as a process: start, refusal, end, and what systemd hears."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import time
from itertools import pairwise
from pathlib import Path

import pytest
from daemonkit import MN, PASSWORD, rig

STOP_S = 3.0


async def test_sigterm_ends_in_time_with_0_and_removes_the_socket(tmp_path: Path) -> None:
    async with rig(tmp_path) as site:
        await site.start()
        await site.until(lambda page: page["platforms"][0]["answered"] > 0)
        reader, writer = await asyncio.open_unix_connection(tmp_path / "control.sock")
        began = time.monotonic()
        assert await site.stop() == 0
        assert time.monotonic() - began < STOP_S
        assert not (tmp_path / "control.sock").exists()
        assert await reader.read() == b""
        writer.close()
        assert "Traceback" not in site.log


async def test_samples_of_the_open_slot_reach_the_disk_when_the_daemon_ends(tmp_path: Path) -> None:
    async with rig(tmp_path, speed=1.0) as site:
        await site.start()
        page = await site.until(lambda page: all(point["value"] is not None for point in page["points"]))
        await site.stop()
        newest = max(point["time"] for point in page["points"])
        _, out, _ = await site.hj212(
            "data",
            "show",
            "-c",
            str(site.config),
            "--kind",
            "sample",
            "--json",
            "--from",
            newest[:19],
            "--to",
            "2099-01-01",
        )
        assert {f'"{point["factor"]}"' for point in page["points"]} <= set(out.replace(",", "").split())


async def test_a_wrong_site_file_is_refused_with_line_and_key_and_nothing_is_created(tmp_path: Path) -> None:
    async with rig(tmp_path) as site:
        site.write_site(platform='realtme = "30s"')
        code, out, err = await site.hj212("run", "-c", str(site.config))
        number = site.config.read_text().splitlines().index('realtme = "30s"') + 1
        assert (code, out) == (2, "")
        assert f"{site.config}:{number}: platforms.city.realtme" in err
        assert not site.data.exists()


async def test_a_second_daemon_on_the_same_data_is_refused_and_names_the_first(tmp_path: Path) -> None:
    async with rig(tmp_path) as site:
        await site.start()
        code, _, err = await site.hj212("run", "-c", str(site.config), "--simulated-clock", site.clock_text)
        assert code == 2
        assert str(site.pid) in err
        assert (await site.status())["daemon"]["site"] == "试验站"


async def test_a_simulated_clock_is_refused_outside_a_demo_folder(tmp_path: Path) -> None:
    async with rig(tmp_path) as site:
        (tmp_path / ".hj212-demo").unlink()
        code, _, err = await site.hj212("run", "-c", str(site.config), "--simulated-clock", site.clock_text)
        assert code == 2
        assert str(tmp_path) in err
        assert not site.data.exists()


async def test_systemd_hears_ready_watchdog_and_stopping(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(5.0)
        async with rig(tmp_path) as site:
            site.env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "600000"}
            await site.start()
            heard = [await asyncio.to_thread(systemd.recv, 500) for _ in range(4)]
            await site.stop()
            heard.append(await asyncio.to_thread(systemd.recv, 500))
            while heard[-1] == b"WATCHDOG=1":
                heard.append(await asyncio.to_thread(systemd.recv, 500))
        assert sum(one.startswith(b"READY=1") for one in heard) == 1
        assert heard.count(b"WATCHDOG=1") >= 3
        assert heard[-1] == b"STOPPING=1"


async def test_a_daemon_whose_systemd_does_not_listen_works_on(tmp_path: Path) -> None:
    async with rig(tmp_path) as site:
        site.env = {"NOTIFY_SOCKET": str(tmp_path / "nobody"), "WATCHDOG_USEC": "300000"}
        await site.start()
        await asyncio.sleep(0.5)
        assert (await site.status())["daemon"]["site"] == "试验站"


async def test_the_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    async with rig(tmp_path) as site:
        site.preexec = lambda: os.dup2(writer, 2) and None
        await site.start(ready=False)
        os.close(writer)
        os.close(reader)
        await site.ready()
        await site.until(lambda page: page["platforms"][0]["answered"] > 0)
        assert await site.stop() == 0


async def test_a_missing_control_folder_is_said_and_the_socket_stands_in_data_dir(tmp_path: Path) -> None:
    async with rig(tmp_path) as site:
        site.config.write_text(site.config.read_text().replace("/control.sock", "/nowhere/control.sock"))
        await site.start(ready=False)
        (tmp_path / "control.sock").symlink_to(site.data / "control.sock")
        await site.ready()
        assert "edge.control-failed" in [event["code"] for event in (await site.status())["events"]]


async def test_a_full_disk_is_said_and_everything_arrives_when_there_is_room_again(tmp_path: Path) -> None:
    """RLIMIT_FSIZE: no file may grow beyond what it has (the write-ahead log is what grows first)."""
    async with rig(tmp_path, speed=40.0) as site:
        await site.start()
        await site.until(lambda page: page["platforms"][0]["answered"] > 0)
        resource.prlimit(site.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        codes = {"edge.store-failed", "store.full", "store.failed"}
        page = await site.until(lambda page: any(event["code"] in codes for event in page["events"]), 20.0)
        told = [event for event in page["events"] if event["code"] == "edge.store-failed"]
        await asyncio.sleep(3.0)
        page = await site.status()
        assert len([event for event in page["events"] if event["code"] == "edge.store-failed"]) <= len(told) + 2
        assert "edge.warn-disk" in [warning["code"] for warning in page["warnings"]]
        resource.prlimit(site.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        page = await site.until(lambda page: "edge.store-works" in [event["code"] for event in page["events"]], 20.0)
        assert "edge.warn-disk" not in [warning["code"] for warning in page["warnings"]]
        await site.drained()
        assert await site.differences() == []
        labels = sorted(site.sqlite("records.db", "SELECT DISTINCT start FROM record WHERE kind = 1"))
        assert {after[0] - before[0] for before, after in pairwise(labels)} == {60_000}


async def test_a_daemon_that_finds_its_disk_full_at_start_says_so(tmp_path: Path) -> None:
    def no_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))

    async with rig(tmp_path) as site:
        site.preexec = no_room
        await site.start(ready=False)
        assert site.process is not None
        assert await asyncio.wait_for(site.process.wait(), 10.0) == 2
        assert "Traceback" not in site.log
        assert len(site.log) > 10


async def test_passwords_stand_in_no_log_and_no_page(tmp_path: Path) -> None:
    async with rig(tmp_path) as site:
        await site.start()
        await site.until(lambda page: page["platforms"][0]["answered"] > 0)
        frame = f"QN=20261022225900000;ST=32;CN=1062;PW={PASSWORD};MN={MN};Flag=5;CP=&&RtdInterval=9&&".encode()
        logger = site.platform.loggers[MN]
        logger.write(b"##%04d%s0000\r\n" % (len(frame), frame))
        await site.platform.command(MN, "1062", [("RtdInterval", "x")])
        await site.until(lambda page: page["platforms"][0]["answered"] > 2)
        shown = str(await site.status()) + str(await site.ask("packets", {})) + str(await site.ask("connection"))
        await site.stop()
        assert PASSWORD not in shown
        assert PASSWORD not in site.log


@pytest.mark.parametrize("language", ["zh_CN.UTF-8", "C"])
async def test_the_status_page_is_printed_in_every_language(tmp_path: Path, language: str) -> None:
    async with rig(tmp_path) as site:
        await site.start()
        code, out, err = await site.hj212("status", "-c", str(site.config), env={"LANG": language, "COLUMNS": "80"})
        assert (code, err) == (0, "")
        assert all(name in out for name in ("city", "ww1", "w01018", "w00000", "rs485-1"))
        assert "…" not in out  # 80 columns hold the whole page
