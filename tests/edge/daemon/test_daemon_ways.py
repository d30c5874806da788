"""The daemon on other ways than plain TCP to one address, and what its link log says after a kill."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import sys
from dataclasses import replace
from pathlib import Path

from daemonkit import rig

from edge.bench.conversation import Outcome
from edge.bench.platform import BenchPlatform, Options

sys.path.insert(0, str(Path(__file__).parents[2]))
from certificates import certificate
from faultproxy import FaultProxy


async def test_a_platform_that_connects_to_the_logger_gets_all_and_commands_it(tmp_path: Path) -> None:
    async with rig(tmp_path, speed=40.0) as site:
        site.write_site()
        listen = f'listen = "{site.platform.address}"\nallow_from = ["127.0.0.1"]'
        text = site.config.read_text(encoding="utf-8").replace(f'address = "{site.platform.address}"', listen)
        site.config.write_text(text, encoding="utf-8")
        address = site.platform.address
        await site.platform.stop()
        await site.start()
        page = await site.status()
        assert page["platforms"][0]["address"] == f"listen:{address}"
        assert not page["platforms"][0]["connected"]
        options = replace(Options(), connect=address)
        comes = BenchPlatform(profile=site.platform.profile, clock=site.clock, options=options)
        await comes.start()
        await comes.until(lambda: comes.counts["2051"] >= 2 and comes.connected(site.mn))
        result = await comes.command(site.mn, "1011")
        assert [packet.cn for packet in result.data] == ["1011"]
        await site.drained()
        page = await site.status()
        assert page["platforms"][0]["lost"] == 0
        await comes.stop()


async def test_a_platform_that_connects_with_tls_needs_the_certificate_that_the_logger_asks_for(tmp_path: Path) -> None:
    own = certificate(tmp_path, "logger", "DNS:logger")
    right, wrong = certificate(tmp_path, "platform", "DNS:platform"), certificate(tmp_path, "other", "DNS:platform")
    async with rig(tmp_path, speed=40.0) as site:
        site.write_site()
        address = site.platform.address
        tls = f'tls = {{ certificate = "{own.certificate}", key = "{own.key}", ca = "{right.certificate}" }}'
        listen = f'listen = "{address}"\nallow_from = ["127.0.0.1"]\n{tls}'
        text = site.config.read_text(encoding="utf-8").replace(f'address = "{address}"', listen)
        site.config.write_text(text, encoding="utf-8")
        await site.platform.stop()
        await site.start()
        for shown, gets in ((None, False), (wrong, False), (right, True)):
            context = ssl.create_default_context(cafile=own.certificate)
            context.check_hostname = False
            if shown is not None:
                context.load_cert_chain(shown.certificate, shown.key)
            options = replace(Options(), connect=address, tls=context)
            comes = BenchPlatform(profile=site.platform.profile, clock=site.clock, options=options)
            await comes.start()
            if gets:
                await comes.until(lambda comes=comes: comes.counts["2051"] >= 1)  # type: ignore[misc]
                assert (await comes.command(site.mn, "1011")).outcome is Outcome.DONE
            else:
                await asyncio.sleep(0.5)
                assert comes.counts.total() == 0
                (row,) = (await site.status())["platforms"]
                assert not row["connected"]
            await comes.stop()
        codes = {event["code"] for event in (await site.status())["events"]}
        assert "edge.peer-failed" in codes


async def test_over_tls_data_arrive_and_a_wrong_certificate_gets_none(tmp_path: Path) -> None:
    one = certificate(tmp_path, "platform", "IP:127.0.0.1")
    other = certificate(tmp_path, "other", "IP:127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(one.certificate, one.key)
    async with rig(tmp_path, speed=40.0) as site:
        await site.platform.stop()
        site.platform.options = replace(site.platform.options, tls=context)
        await site.platform.start()
        site.write_site(platform=f'tls = {{ fingerprint = "{other.fingerprint}" }}')
        await site.start()
        page = await site.until(lambda page: page["platforms"][0]["down_cause"] == "tls")
        assert site.platform.counts.total() == 0
        assert "another certificate: SHA-256" in page["platforms"][0]["down_detail"]
        for verb in (("status",), ("platform", "list")):
            _, out, _ = await site.hj212(*verb, "-c", str(site.config))
            assert "(TLS failed: another certificate: SHA-256" in out
        await site.stop()
        site.write_site(platform=f'tls = {{ ca = "{one.certificate}" }}')
        await site.start()
        await site.platform.until(lambda: site.platform.counts["2051"] >= 1)
        page = await site.until(lambda page: page["platforms"][0]["rtt_ms"] is not None)
        assert page["platforms"][0]["connected"]


async def test_the_link_log_knows_drops_from_kills_and_what_went_over_the_link(tmp_path: Path) -> None:
    async with rig(tmp_path, speed=40.0) as site:
        host, port = site.platform.address.split(":")
        async with FaultProxy(host, int(port)) as proxy:
            spare = f'["{proxy.address}", "{site.platform.address}"]'
            site.write_site()
            text = site.config.read_text(encoding="utf-8").replace(f'"{site.platform.address}"', spare)
            site.config.write_text(text, encoding="utf-8")
            await site.start()
            await site.platform.until(lambda: site.platform.counts["2051"] >= 1)
            await proxy.refuse()
            proxy.cut()
            page = await site.until(lambda page: page["platforms"][0]["peer"] == site.platform.address)
            assert page["platforms"][0]["address"] == site.platform.address
            assert page["platforms"][0]["addresses"] == [proxy.address, site.platform.address]
            count = site.platform.counts["2051"]
            await site.platform.until(lambda: site.platform.counts["2051"] > count + 1)
            os.kill(site.pid, signal.SIGKILL)
            assert site.process is not None
            await site.process.wait()
            await site.start()
            await site.platform.until(lambda: site.platform.counts["2081"] >= 2)
            code, out, _ = await site.hj212("platform", "links", "--json", "-c", str(site.config))
            assert code == 0
            log = json.loads(out)
            (link,) = log["links"]
            assert [run["how"] for run in log["runs"]] == ["killed", None]
            assert [one["cause"] for one in link["connections"]][1:] == ["killed", None]
            assert link["connections"][0]["cause"] in ("reset", "closed")
            assert [one["address"] for one in link["connections"]] == [
                proxy.address,
                site.platform.address,
                site.platform.address,
            ]
            assert (link["drops"], link["connects"]) == (1, 3)
            assert link["reconnect_max_s"] < 60
            assert 0.5 < link["online_rate"] <= 1
            assert await site.differences() == []
