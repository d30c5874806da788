"""Every command of Table 9 from the prompt, as Annex C writes its data region."""

import asyncio

import annexc
import pytest
from bench_peer import ManualClock, Peer

from edge.bench.errors import BadLine, Unmet
from edge.bench.platform import BenchPlatform
from edge.bench.prompt import Prompt
from edge.bench.screen import JsonScreen, TextScreen
from edge.bench.verbs import VERBS, region
from edge.catalogue import use_language
from protocol.commands import commands
from protocol.region import write

NOW = 1470013137223  # 2016-08-01 08:58:57.223 in Beijing


@pytest.mark.parametrize(
    ("line", "cn", "expected"),
    [
        ("get-time", "1011", ""),
        ("get-time w01018", "1011", "PolId=w01018"),
        ("set-time", "1012", "SystemTime=20160801085857"),
        ("set-time 20160801090000", "1012", "SystemTime=20160801090000"),
        ("set-time w01018", "1012", "PolId=w01018;SystemTime=20160801085857"),
        ("set-time 20160801085857 w01018", "1012", "PolId=w01018;SystemTime=20160801085857"),
        ("set-password 654321", "1072", "NewPW=654321"),
        ("get-minutes 201608010840 201608010840", "2051", "BeginTime=20160801084000;EndTime=20160801084000"),
        ("get-days 20160801 20160801", "2031", "BeginTime=20160801000000;EndTime=20160801000000"),
        ("calibrate w01018", "3011", "PolId=w01018"),
        ("sample-now w01018", "3012", "PolId=w01018"),
        ("clean w01018", "3013", "PolId=w01018"),
        ("compare w01018", "3014", "PolId=w01018"),
        ("keep-sample", "3015", ""),
        ("set-cycle w01018 000000 2", "3016", "PolId=w01018;CstartTime=000000;CTime=2"),
        ("get-cycle w01018", "3017", "PolId=w01018"),
        ("get-time-to-result w01018", "3018", "PolId=w01018"),
        ("get-serial-number w01018", "3019", "PolId=w01018"),
        (
            "get-log i11001 20160801010522 20160801085857 w01018",
            "3020",
            "PolId=w01018;InfoId=i11001;BeginTime=20160801010522;EndTime=20160801085857",
        ),
        ("get-info i12001 w01018", "3020", "PolId=w01018;InfoId=i12001"),
        ("get-info i22001", "3020", "InfoId=i22001"),
        ("set-parameter i13004 168.0 w01018", "3021", "PolId=w01018;InfoId=i13004;i13004-Info=168.0"),
        ("set-parameter PolId=w01018 i13004 168.0", "3021", "PolId=w01018;InfoId=i13004;i13004-Info=168.0"),
    ],
)
def test_line_gives_the_region_of_annex_c(line: str, cn: str, expected: str) -> None:
    word, *arguments = line.split()
    verb = VERBS[word]
    assert (verb.cn, write(region(verb, arguments, NOW))) == (cn, expected)


def test_every_command_to_the_logger_has_a_word() -> None:
    asked = {row.cn for row in commands() if row.direction == "to-logger"}
    assert {verb.cn for verb in VERBS.values()} == asked


@pytest.mark.parametrize("line", ["calibrate", "set-cycle w01018 000000", "get-time w01018 w01001", "set-timeout 5"])
def test_wrong_number_of_arguments_is_refused(line: str) -> None:
    word, *arguments = line.split()
    with pytest.raises(BadLine) as caught:
        region(VERBS[word], arguments, NOW)
    assert caught.value.code == "bench.line.arguments"


async def test_script_can_insist_on_the_verdict(platform: BenchPlatform, clock: ManualClock, peer: Peer) -> None:
    use_language("en")
    said: list[str] = []
    screen = TextScreen(said.append, quiet=False)
    platform.options = type(platform.options)(timing=platform.options.timing, on_result=screen.result)
    prompt = Prompt(platform, clock, screen)
    peer.say(annexc.MINUTE)
    await peer.hear()
    acting = asyncio.create_task(prompt.act("set-timeout 5 3"))
    await peer.hear()
    peer.say(annexc.EXECUTED)
    await acting
    await prompt.play(["expect deviates", "expect done"])
    with pytest.raises(Unmet):
        await prompt.act("expect conforms")
    assert "sequence: 9012; verdict: deviates" in said[0]
    assert "9011 is missing before 9012" in said[0]
    use_language(None)


async def test_json_of_a_result_has_the_verdict_and_what_came(
    platform: BenchPlatform, clock: ManualClock, peer: Peer
) -> None:
    import json

    said: list[str] = []
    peer.say(annexc.MINUTE)
    await peer.hear()
    acting = asyncio.create_task(platform.command(annexc.MN, "1000", (("OverTime", "5"), ("ReCount", "3"))))
    await peer.hear()
    peer.say(annexc.ACCEPTED, annexc.EXECUTED)
    JsonScreen(said.append, quiet=False).result(await acting)
    shown = json.loads(said[0])
    assert (shown["verdict"], shown["heard"], shown["deviations"]) == ("conforms", ["9011", "9012"], [])
