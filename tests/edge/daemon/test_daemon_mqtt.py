"""The daemon with a platform of HJ 212 and one behind a real MQTT broker: kills, a dead broker, what the verbs show."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from broker import Broker, Subscriber, free_port
from daemonkit import MN, ROOT, Rig, rig
from faultproxy import FaultProxy

WINDOW = 4
KILLS = 4
"""Three of the daemon, one of the broker."""
NEW = 5
"""Records that arrive between two kills, at least."""
NUMBERS = ("min", "avg", "max", "zs_min", "zs_avg", "zs_max", "cou", "count", "mark")


def fleet(address: str | list[str], more: str = "") -> str:
    return (
        f'[platforms.fleet]\nprotocol = "mqtt"\naddress = {json.dumps(address)}\n'
        f'outlets = {{ ww1 = {{ mn = "{MN}" }} }}\n'
        f'realtime = "30s"\nminute = "1min"\nwindow = {WINDOW}\nbackfill_rate = 0.0\n{more}'
    )


def told(seen: Subscriber) -> dict[tuple[str, str, str, int], dict[str, Any]]:
    """Record → what the broker got for it; another value for the same one fails."""
    found: dict[tuple[str, str, str, int], dict[str, Any]] = {}
    for one in (one.content for kind in ("minute", "hour", "day") for one in seen.of(kind)):
        key = one["kind"], one["factor"], one["start"], one["revision"]
        values = {name: one[name] for name in NUMBERS}
        assert found.setdefault(key, values) == values
    return found


async def assert_all_told(site: Rig, seen: Subscriber) -> int:
    """Every record that is sealed and delivered has arrived with the values of the store; how many."""
    await asyncio.sleep(0.3)
    records = {
        (one["kind"], one["factor"], one["start"], one["revision"]): {name: one[name] for name in NUMBERS}
        for one in await site.records()
        if not one["factor"].startswith("SB")  # of equipment a day's runtime is told
    }
    arrived = told(seen)
    missing = {key for key in records if key not in arrived}
    newest = max(key[2] for key in records if key[0] == "minute")
    assert {key for key in missing if key[2] < newest} == set()
    assert all(records[key] == values for key, values in arrived.items())
    return len(arrived)


@pytest.fixture
def broker(tmp_path: Path) -> Any:
    with Broker(tmp_path / "broker") as made:
        yield made


async def test_records_survive_kills_of_daemon_and_broker_and_arrive_as_stored(tmp_path: Path, broker: Broker) -> None:
    with Subscriber(broker) as seen:
        async with rig(tmp_path) as site, FaultProxy("127.0.0.1", broker.port) as proxy:
            site.write_site(more=fleet(proxy.address))
            for _ in range(KILLS - 1):
                await site.start()
                count = len(told(seen))
                await asyncio.to_thread(seen.wait, lambda own, count=count: len(told(own)) >= count + NEW)
                os.kill(site.pid, signal.SIGKILL)
                assert site.process is not None
                await site.process.wait()
            await asyncio.to_thread(broker.kill)
            await proxy.refuse()
            await site.start()
            city, dead = (lambda page: page["platforms"][0]), (lambda page: page["platforms"][1])
            page = await site.until(lambda page: dead(page)["outbox"] > 4 and city(page)["outbox"] == 0, 30)
            assert dead(page)["connected"] is False  # a dead broker delays nobody
            assert city(page)["connected"] is True
            await asyncio.to_thread(broker.start)
            await asyncio.to_thread(seen.ready)
            await proxy.accept()
            await site.until(lambda page: all(row["outbox"] == 0 for row in page["platforms"]), 60)
            assert await assert_all_told(site, seen) > (KILLS - 1) * NEW
            rows = {row["platform"]: row for row in (await site.status())["platforms"]}
            assert (rows["fleet"]["protocol"], rows["fleet"]["lost"], rows["fleet"]["role"]) == ("mqtt", 0, "other")
            again = sum(copies - 1 for copies in seen.copies().values())
            # what was under way when a connection ended comes once more; on a busy machine a PUBACK that is late by the
            # daemon's fast clock ends one, too
            assert proxy.accepted >= KILLS
            assert again <= (proxy.accepted - 1) * WINDOW
            assert all(len(payloads) == 1 for payloads in seen.bytes_by_id().values())
            assert {row["platform"] for row in (await site.ask("connection"))["receipts"]} == {"city"}
            assert {"realtime", "startup", "minute"} <= {one.kind for one in seen.got}


async def test_the_verbs_show_an_mqtt_platform_as_any_other(tmp_path: Path, broker: Broker) -> None:
    with Subscriber(broker) as seen:
        async with rig(tmp_path) as site:
            site.write_site(more=fleet([f"127.0.0.1:{free_port()}", broker.address]))  # nobody at the preferred one
            await site.start()
            await asyncio.to_thread(seen.wait, lambda own: len(own.of("minute")) > 8)
            config = ("-c", str(site.config))
            code, out, _ = await site.hj212("platform", "packets", "fleet", "--json", *config)
            packets = json.loads(out)
            assert code == 0
            assert {row["direction"] for row in packets} == {"in", "out"}
            assert any(row["packet"].startswith("PUBACK 2") for row in packets)
            code, out, _ = await site.hj212("platform", "list", "--json", *config)
            (row,) = [row for row in json.loads(out) if row["platform"] == "fleet"]
            assert (row["connected"], row["peer"]) == (True, broker.address)
            code, out, _ = await site.hj212("outbox", "show", "--json", *config)
            assert "fleet" in {row["platform"] for row in json.loads(out)["platforms"]}
            code, out, _ = await site.hj212("platform", "test", "fleet", "--json", *config)
            trial = json.loads(out)
            assert (code, trial["connected"], trial["puback"], trial["error"]) == (0, True, 0, None)
            assert trial["address"] == broker.address
            assert trial["topic"] in {one.topic for one in seen.got}
            assert (await site.status())["platforms"][1]["connected"] is True  # the test has not thrown it out
            code, out, _ = await site.hj212("outbox", "hold", "fleet", *config)
            assert code == 0
            await site.until(lambda page: page["platforms"][1]["outbox"] > 1, 30)
            code, out, _ = await site.hj212("outbox", "hold", "fleet", "--release", *config)
            await site.until(lambda page: page["platforms"][1]["outbox"] == 0, 30)
            assert await site.stop() == 0
            await asyncio.to_thread(seen.wait, lambda own: own.of("status")[-1].content["online"] is False)


async def test_a_site_without_tls_and_mqtt_has_no_openssl_in_memory(tmp_path: Path, broker: Broker) -> None:
    for more, there in (("", False), (fleet(broker.address), True)):
        async with rig(tmp_path) as site:
            site.write_site(more=more)
            await site.start()
            mapped = await asyncio.to_thread(Path(f"/proc/{site.pid}/maps").read_text)
            assert {name in mapped for name in ("libcrypto", "libssl")} == {there}
            assert await site.stop() == 0


async def test_what_a_site_without_mqtt_does_not_use_is_not_imported(tmp_path: Path) -> None:
    async with rig(tmp_path) as site:
        tell = "import sys; from edge.delivering import Delivering; from config.load import load_in_child"
        tell += f"; load_in_child({str(site.config)!r})"
        tell += "; print([name for name in sys.modules if name.partition('.')[0] in ('aiomqtt', 'paho')])"
        tell += "; print([name for name in sys.modules if 'mqtt' in name])"
        arguments = sys.executable, "-c", tell
        process = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
        out, _ = await process.communicate()
        assert out.decode().splitlines() == ["[]", "['config.mqtt']"]


async def test_memory_with_mqtt_is_within_bounds(tmp_path: Path, broker: Broker) -> None:
    with Subscriber(broker) as seen:
        async with rig(tmp_path) as site:
            site.write_site(more=fleet(broker.address))
            await site.start()
            await asyncio.to_thread(seen.wait, lambda own: len(own.of("minute")) > 8)
            memory = (await site.status())["daemon"]["memory_kb"]
            print("RSS with MQTT, kB:", memory)
            assert memory <= 60_000
