"""Why data are missing: worked by hand from a day of records, journal entries and open deliveries."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from config.site import Retention
from edge.catalogue import use_language
from edge.cli.data import data_group
from edge.gaps import Gap, Label, Undelivered, joined, missing, undelivered, why_absent
from edge.store import journal, marks, records
from edge.store.journal import Entry
from edge.store.outbox import Due
from edge.store.store import Store
from edge.values import HOUR_MS, MINUTE_MS, Kind, Record

MIDNIGHT = 1_790_006_400_000
"""2026-09-22 00:00:00 in Beijing."""
OTHERS = {"w01001": "N"}


def at(hour: int, minute: int = 0) -> int:
    return MIDNIGHT + hour * HOUR_MS + minute * MINUTE_MS


def entry(when: int, action: str, **detail: Any) -> Entry:
    return Entry(1, when, "logger", action, detail, b"")


STARTED_FIRST = entry(at(0), "started", machine_up_s=60)


@pytest.mark.parametrize(
    ("history", "cause"),
    [
        # the machine itself came up at 05:58, two minutes before the daemon
        ([STARTED_FIRST, entry(at(6), "started", machine_up_s=120)], "power"),
        # the machine has been up for ten hours
        ([STARTED_FIRST, entry(at(3, 10), "stopped"), entry(at(6), "started", machine_up_s=36_000)], "stopped"),
        ([STARTED_FIRST, entry(at(6), "started", machine_up_s=36_000)], "killed"),
        # stopped in the evening before, started, and killed since
        ([entry(at(-3), "stopped"), STARTED_FIRST, entry(at(6), "started", machine_up_s=36_000)], "killed"),
        ([STARTED_FIRST, entry(at(3, 10), "stopped")], "stopped"),
        ([STARTED_FIRST], "unknown"),
        ([STARTED_FIRST, {"action": "clock.set", "ExeRtn": 1}], "clock"),
        ([STARTED_FIRST, {"action": "clock.stepped"}], "clock"),
        ([STARTED_FIRST, {"action": "clock.set", "ExeRtn": 2}], "unknown"),  # a step that was refused
        ([STARTED_FIRST, entry(at(5), "store.rebuilt"), entry(at(6), "started", machine_up_s=36_000)], "store"),
    ],
)
def test_the_cause_of_an_hour_without_any_record(history: list[Any], cause: str) -> None:
    steps = {"from": at(3, 50), "to": at(5, 5)}
    entries = [
        one if isinstance(one, Entry) else entry(at(5, 5), one.pop("action"), **one, **steps)
        for one in [dict(each) if isinstance(each, dict) else each for each in history]
    ]
    assert why_absent(at(4), HOUR_MS, entries) == cause


def test_the_first_setting_of_a_clock_that_woke_in_1970_explains_nothing() -> None:
    step = entry(at(5), "clock.stepped", **{"from": 60_000, "to": at(5)})
    assert why_absent(at(4), HOUR_MS, [STARTED_FIRST, step]) == "unknown"


def test_marks_tell_why_a_period_is_not_valid_and_neighbours_are_joined() -> None:
    def label(hour: int, mark: str) -> Label:
        return Label(at(hour), {"w01018": mark, **OTHERS})

    labels = [label(0, "N"), label(1, "B"), label(2, "B"), label(3, "M"), label(4, "N"), label(6, "B")]
    found = missing(Kind.HOUR, (at(0), at(8)), labels, [STARTED_FIRST])
    assert found == [
        Gap(at(1), at(3), "w01018", "silent", "B", periods=2),
        Gap(at(3), at(4), "w01018", "maintenance", "M"),
        Gap(at(5), at(6), None, "unknown"),
        Gap(at(6), at(7), "w01018", "silent", "B"),
        Gap(at(7), at(8), None, "unknown"),
    ]


def test_instruments_of_a_source_that_stands_still_are_not_called_faulty() -> None:
    labels = [Label(at(hour), {"w01018": mark}) for hour, mark in enumerate("BDMNB")]
    found = missing(Kind.HOUR, (at(0), at(5)), labels, [STARTED_FIRST], [(at(0, 30), at(4, 30))])
    assert [(gap.start, gap.cause, gap.mark) for gap in found] == [
        (at(0), "silent", "B"),  # it ran for half of this hour
        (at(1), "source-stopped", "D"),
        (at(2), "maintenance", "M"),
        (at(4), "silent", "B"),
    ]
    (last,) = missing(Kind.HOUR, (at(4), at(5)), labels, [STARTED_FIRST], [(at(0, 30), None)])
    assert last.cause == "source-stopped"


def test_too_few_samples_in_the_period_of_a_start_are_no_fault_of_an_instrument() -> None:
    labels = [Label(at(hour), {"w01018": mark}) for hour, mark in enumerate("DDM")]
    starts = [STARTED_FIRST, *(entry(at(hour, 30), "started", machine_up_s=36_000) for hour in (0, 2))]
    found = missing(Kind.HOUR, (at(0), at(3)), labels, starts)
    assert [gap.cause for gap in found] == ["partly-down", "fault", "maintenance"]


def test_a_factor_that_has_no_record_beside_others_is_not_measured() -> None:
    labels = [Label(at(0), {"w01018": "N", "w01001": "N"}), Label(at(1), OTHERS)]
    assert missing(Kind.HOUR, (at(-5), at(2)), labels, [STARTED_FIRST]) == [Gap(at(1), at(2), "w01018", "not-measured")]


def test_what_a_platform_lacks_is_the_link_or_its_refusal() -> None:
    waiting = [Undelivered("city", at(hour), at(hour + 1), aside=hour == 2) for hour in (0, 1, 2)]
    assert undelivered(waiting) == [
        Gap(at(0), at(2), None, "link", platform="city", periods=2),
        Gap(at(2), at(3), None, "refused", platform="city"),
    ]


def test_joining_neither_loses_nor_adds_a_period() -> None:
    dice = random.Random(4)
    for _ in range(200):
        single = [
            Gap(at(hour), at(hour + 1), factor, dice.choice(("silent", "fault")), "B")
            for hour in range(24)
            for factor in ("w01018", "w01001")
            if dice.random() < 0.6
        ]
        dice.shuffle(single)
        split = {
            (start, gap.factor, gap.cause) for gap in joined(single) for start in range(gap.start, gap.end, HOUR_MS)
        }
        assert split == {(gap.start, gap.factor, gap.cause) for gap in single}
        assert sum(gap.periods for gap in joined(single)) == len(single)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(f'[site]\nname = "x"\nlanguage = "en"\ndata_dir = "{tmp_path}"\n[outlets.ww1]\n', encoding="utf-8")
    return path


def run(site: Path, *arguments: str) -> str:
    try:
        result = CliRunner().invoke(data_group, [*arguments, "-c", str(site)], catch_exceptions=False)
    finally:
        use_language(None)
    assert result.exit_code == 0, result.output
    return result.output


def store_of_a_night(folder: Path) -> None:
    """Hours 0 to 2, 5 and 6; the daemon was asked to end at 03:00 and came back at 05:00; hour 6 is not answered."""
    store = Store(folder, retention=Retention(), on_event=lambda code, params: None)

    def fill(db: Any) -> None:
        for hour in (0, 1, 2, 5, 6):
            mark = "D" if hour == 1 else "N"
            record = Record("ww1", Kind.HOUR, "w01018", at(hour), avg=30.0 + hour, count=60, mark=mark)
            due = [Due("city", "ww1", "2061", at(hour))] if hour == 6 else []
            records.seal(db, [record], due, at(hour + 1))
        journal.append(db, "logger", "started", {"machine_up_s": 50}, at(0))
        journal.append(db, "logger", "stopped", {}, at(3))
        journal.append(db, "logger", "started", {"machine_up_s": 90_000}, at(5))

    store.call(fill).result(5)
    store.close()


def test_a_stop_that_was_told_afterwards_is_the_cause(tmp_path: Path, site: Path) -> None:
    store_of_a_night(tmp_path)
    store = Store(tmp_path, retention=Retention(), on_event=lambda code, params: None)
    stop = marks.Mark(kind="stop", points=("ww1",), begin=at(1), reason="overhaul")
    store.call(marks.add, stop, marks.By("root", "x", at(7))).result(5)
    store.close()
    rows = json.loads(run(site, "gaps", "--from", "2026-09-22", "--to", "2026-09-22 02:59", "--json"))
    assert [(row["start"][11:16], row["cause"], row["mark"]) for row in rows] == [("01:00", "source-stopped", "D")]


def test_the_gaps_of_a_night_from_the_command_line(tmp_path: Path, site: Path) -> None:
    store_of_a_night(tmp_path)
    span = ("--from", "2026-09-22", "--to", "2026-09-22 06:59")
    rows = json.loads(run(site, "gaps", *span, "--json"))
    assert [(row["start"][11:16], row["end"][11:16], row["factor"], row["cause"], row["platform"]) for row in rows] == [
        ("01:00", "02:00", "w01018", "fault", None),
        ("03:00", "05:00", None, "stopped", None),
        ("06:00", "07:00", None, "link", "city"),
    ]
    assert rows[1]["periods"] == 2
    shown = run(site, "gaps", *span)
    assert "daemon was stopped" in shown
    assert "2026-09-22 03:00:00" in shown


def test_a_trend_shows_what_is_not_normal_as_the_letter_of_its_mark(tmp_path: Path, site: Path) -> None:
    store_of_a_night(tmp_path)
    shown = run(site, "plot", "w01018", "--kind", "hour", "--from", "2026-09-22", "--to", "2026-09-22 06:59")
    body = shown.split("\n", 1)[1]
    assert "w01018" in shown.split("\n", 1)[0]
    assert body.count("D") == 1
    assert "36┤" in body  # the axis reaches the highest value
    assert body.count("T") == 0


def test_a_factor_without_data_is_said(tmp_path: Path, site: Path) -> None:
    store_of_a_night(tmp_path)
    result = CliRunner().invoke(data_group, ["plot", "w99999", "-c", str(site)])
    use_language(None)
    assert result.exit_code == 2
    assert "w99999" in result.output
