"""What the JSON says, against the shipped schema and against values worked out by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from mqttkit import HEAD, ROOT, FakeBroker, MqttWorld
from virtual_time import MN, NOON, virtual

from edge.cli.main import hj212
from edge.store import outbox, records
from edge.store.outbox import Due
from edge.uplink.mqtt_messages import SCHEMA, JsonBuilder
from edge.values import MINUTE_MS, Kind, Record

HEADER = {
    "schema": 1, "site": "示例站", "outlet": "ww1", "outlet_name": "总排口", "mn": MN, "st": "32",
}  # fmt: skip


def faults(schema: dict[str, Any], value: Any, whole: dict[str, Any], path: str = "$") -> Iterator[str]:
    """What a value breaks of a schema: the words that ours uses, after JSON Schema 2020-12."""
    if "$ref" in schema:
        yield from faults(whole["$defs"][schema["$ref"].rpartition("/")[2]], value, whole, path)
    yield from (
        f"{path}: {word}" for word, holds in _WORDS.items() if word in schema and not holds(schema[word], value)
    )
    if isinstance(value, dict):
        for name, part in schema.get("properties", {}).items():
            if name in value:
                yield from faults(part, value[name], whole, f"{path}.{name}")
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from faults(schema.get("items", {}), item, whole, f"{path}[{number}]")
    for word, fits in _CHOICES.items():
        if word in schema and not fits([not [*faults(part, value, whole, path)] for part in schema[word]]):
            yield f"{path}: {word}"


_WORDS: dict[str, Callable[[Any, Any], bool]] = {
    "const": lambda word, value: value == word,
    "enum": lambda word, value: value in word,
    "type": lambda word, value: any(_is(value, name) for name in ([word] if isinstance(word, str) else word)),
    "pattern": lambda word, value: not isinstance(value, str) or re.search(word, value) is not None,
    "minimum": lambda word, value: value >= word,
    "required": lambda word, value: not isinstance(value, dict) or set(word) <= value.keys(),
}
_CHOICES: dict[str, Callable[[list[bool]], bool]] = {"oneOf": lambda each: sum(each) == 1, "anyOf": any, "allOf": all}


def _is(value: Any, name: str) -> bool:
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    types = {"string": str, "object": dict, "array": list, "boolean": bool, "null": type(None)}
    return isinstance(value, types[name])


def checked(message: dict[str, Any]) -> dict[str, Any]:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert [*faults(schema, message, schema)] == []
    return message


def published(folder: Path, *dues: Due, sealed: list[Record] | None = None, **changes: Any) -> list[dict[str, Any]]:
    """All messages but the birth, as they came, with their topics as `topic`."""
    found: list[dict[str, Any]] = []

    @virtual
    async def run() -> None:
        world, broker = MqttWorld(folder), FakeBroker()
        if sealed is not None:
            world.store.now(records.seal, sealed, dues, NOON)
        else:
            world.store.now(outbox.enqueue, dues, NOON)
        world.connect_to(broker, **changes)
        await world.sleep(10)
        assert (world.open_count(), world.counts().lost) == (0, 0)
        for _, topic, payload, _ in broker.got[1:]:
            assert b"NaN" not in payload
            found.append(checked(json.loads(payload)) | {"topic": topic.removeprefix(f"{ROOT}/")})
        checked(json.loads(broker.got[0][2]))
        await world.stop()

    run()
    return found


def text(cn: str, body: str) -> Due:
    return Due("fleet", "ww1", cn, NOON, payload=body.encode())


def test_a_record_is_told_with_names_units_times_and_the_numbers_of_the_store(tmp_path: Path) -> None:
    record = Record(
        "ww1", Kind.HOUR, "w01018", NOON, min=35.123456789, avg=36.2, max=40.0, cou=0.123, count=58, mark="N"
    )
    empty = Record("ww1", Kind.HOUR, "w01001", NOON, mark="B")
    first, second = published(tmp_path, Due("fleet", "ww1", "2061", NOON), sealed=[record, empty])
    by_topic = {one.pop("topic"): one for one in (first, second)}
    for one in by_topic.values():
        assert re.fullmatch(r"20260922120000\d{3}", one.pop("id"))
    times = {"start": "2026-09-22T12:00:00+08:00", "end": "2026-09-22T13:00:00+08:00", "revision": 0}
    none = {"zs_min": None, "zs_avg": None, "zs_max": None}
    assert by_topic["hour/w01018"] == {
        **HEADER, "kind": "hour", "factor": "w01018", "name_zh": "化学需氧量",
        "name_en": "Chemical oxygen demand (COD)", "unit": "mg/L", "cou_unit": "kg", **times,
        "min": 35.123456789, "avg": 36.2, "max": 40.0, **none, "cou": 0.123, "count": 58, "mark": "N",
    }  # fmt: skip
    assert by_topic["hour/w01001"] == {
        **HEADER, "kind": "hour", "factor": "w01001", "name_zh": "pH值", "name_en": "pH", "unit": "1",
        "cou_unit": None, **times, "min": None, "avg": None, "max": None, **none, "cou": None, "count": 0, "mark": "B",
    }  # fmt: skip


def test_a_longer_minute_interval_is_one_record_of_its_length(tmp_path: Path) -> None:
    minutes = [
        Record("ww1", Kind.MINUTE, "w01001", NOON + number * MINUTE_MS, min=7.0, avg=7.0 + number, max=9.0, count=12)
        for number in range(2)
    ]
    (one,) = published(tmp_path, Due("fleet", "ww1", "2051", NOON, end=NOON + 2 * MINUTE_MS), sealed=minutes)
    assert (one["topic"], one["start"], one["end"]) == (
        "minute/w01001", "2026-09-22T12:00:00+08:00", "2026-09-22T12:02:00+08:00",
    )  # fmt: skip
    assert (one["avg"], one["min"], one["max"], one["mark"]) == (7.5, 7.0, 9.0, "N")


def test_a_later_mark_is_told_for_its_record_alone(tmp_path: Path) -> None:
    sealed = [Record("ww1", Kind.HOUR, code, NOON, avg=1.0, count=1) for code in ("w01001", "w01018")]
    sealed.append(replace(sealed[1], revision=1, mark="M"))
    found = published(tmp_path, Due("fleet", "ww1", "2061", NOON, revision=1), sealed=sealed)
    assert [(one["factor"], one["revision"], one["mark"], one["avg"]) for one in found] == [("w01018", 1, "M", 1.0)]


def test_a_realtime_value_that_there_is_none_of_is_null_with_its_mark(tmp_path: Path) -> None:
    body = (
        "DataTime=20260922120000;w01018-SampleTime=20260922110000,w01018-Rtd=2.2,w01018-Flag=N;w01001-Flag=B;"
        "a21026-Rtd=1.5,a21026-ZsRtd=3.0,a21026-Flag=T"
    )
    (one,) = published(tmp_path, text("2011", body))
    assert (one["topic"], one["at"]) == ("realtime", "2026-09-22T12:00:00+08:00")
    values = [(v["factor"], v["unit"], v["value"], v["zs"], v["mark"], v["sampled"]) for v in one["values"]]
    assert values == [
        ("w01018", "mg/L", 2.2, None, "N", "2026-09-22T11:00:00+08:00"),
        ("w01001", "1", None, None, "B", None),
        ("a21026", "mg/m³", 1.5, 3.0, "T", None),
    ]


def test_states_and_runtimes_of_equipment(tmp_path: Path) -> None:
    (one,) = published(tmp_path / "state", text("2021", "DataTime=20260922120000;SB1-RS=1;SB2-RS=0"))
    assert [(each["factor"], each["state"]) for each in one["states"]] == [("SB1", 1), ("SB2", 0)]
    day = Record("ww1", Kind.DAY, "SB1", NOON - 12 * 3_600_000, cou=22.5, count=1, mark="N")
    (one,) = published(tmp_path / "day", Due("fleet", "ww1", "2041", day.start), sealed=[day])
    assert (one["topic"], one["hours"], one["start"]) == ("runtime/SB1", 22.5, "2026-09-22T00:00:00+08:00")


@pytest.mark.parametrize(
    ("cn", "body", "topic", "content"),
    [
        ("2081", "DataTime=20260922120000;RestartTime=20260922115959", "startup",
         {"restarted": "2026-09-22T11:59:59+08:00"}),
        ("3015", "DataTime=20260922120000;VaseNo=12", "sample", {"bottle": "12"}),
        ("3019", "DataTime=20260922120000;PolId=w01018;w01018-SN=00A8900016F000169DC0AB12", "identity",
         {"about": "w01018", "infos": [("SN", "00A8900016F000169DC0AB12")]}),
        ("3020", "DataTime=20260922120000;PolId=w01018;i12001-Info=2", "info",
         {"about": "w01018", "infos": [("i12001", "2")]}),
        ("3020", "DataTime=20260922120000;i21001-Info=//logger started version:0.1.0//", "info",
         {"about": None, "infos": [("i21001", "logger started version:0.1.0")]}),
    ],
)  # fmt: skip
def test_events_are_told_by_names(tmp_path: Path, cn: str, body: str, topic: str, content: dict[str, Any]) -> None:
    (one,) = published(tmp_path, text(cn, body))
    assert (one["topic"], one["kind"], one["at"]) == (topic, topic, "2026-09-22T12:00:00+08:00")
    if "infos" in one:
        one["infos"] = [(each["info"], each["value"]) for each in one["infos"]]
        one["about"] = one["about"] and one["about"]["factor"]
    assert {name: one[name] for name in content} == content


def test_a_number_that_is_none_sets_its_delivery_aside(tmp_path: Path) -> None:
    @virtual
    async def run() -> None:
        world, broker = MqttWorld(tmp_path), FakeBroker()
        wrong = Record("ww1", Kind.HOUR, "w01018", NOON, avg=float("inf"), count=1)
        world.store.now(records.seal, [wrong], [Due("fleet", "ww1", "2061", NOON)], NOON)
        world.connect_to(broker)
        await world.sleep(5)
        assert "edge.unbuildable" in world.codes()
        assert (world.counts().rejected, len(broker.got)) == (1, 1)
        await world.stop()

    run()


def test_under_another_mn_the_same_values_get_another_id(tmp_path: Path) -> None:
    @virtual
    async def run() -> None:
        world, broker = MqttWorld(tmp_path), FakeBroker(acks=lambda topic, payload: None)
        world.seal(NOON - MINUTE_MS, ("fleet",))
        session = world.connect_to(broker)
        await world.sleep(5)
        builder = world.builders["fleet"]
        assert isinstance(builder, JsonBuilder)
        other = replace(builder, head=replace(HEAD, mn="OTHER"))
        deliveries = world.store.now(outbox.open_deliveries, "fleet", "ww1")
        prepared, broken = world.store.now(other.prepare, [one.id for one in deliveries], 0, NOON + 9_000)
        assert broken == []
        before = json.loads(broker.of("minute")[0][2])
        after = [json.loads(one.packet.data) for one in prepared]
        assert [one["mn"] for one in after] == ["OTHER"] * 3
        assert after[0]["id"] > before["id"]
        assert after[0] | {"id": "", "mn": ""} == before | {"id": "", "mn": ""}
        assert session.link is not None
        await world.stop()

    run()


def test_the_command_prints_the_schema() -> None:
    result = CliRunner().invoke(hj212, ["platform", "mqtt-schema"])
    assert result.exit_code == 0
    assert json.loads(result.output) == json.loads(SCHEMA.read_text(encoding="utf-8"))


def test_the_schema_refuses_what_is_no_message() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    good = json.loads(HEAD.status(online=True, at_ms=NOON))
    assert [*faults(schema, good, schema)] == []
    for wrong in (
        good | {"online": 1},
        good | {"kind": "x"},
        good | {"at": "2026-09-22T12:00:00Z"},
        {"kind": "status"},
    ):
        assert [*faults(schema, wrong, schema)] != []
