"""What becomes due when minutes are sealed, also with gaps, restarts and another interval."""

from __future__ import annotations

from config.site import Access, Platform
from edge.agenda import Agenda
from edge.store.outbox import Due
from edge.uplink.terms import Terms
from edge.values import HOUR_MS, MINUTE_MS, Kind, Record

NOON = 1_790_049_600_000


def terms(minutes: int, platform: str = "city") -> Terms:
    access = Access(mn="A1", password="123456")
    site = Platform(edition="2017", address="a:1", outlets={"ww1": access}, minute=minutes * MINUTE_MS)
    return Terms(platform, "ww1", "32", site, access)


def minutes(begin: int, end: int) -> list[Record]:
    """Records of the minutes from 12:00 + begin up to before 12:00 + end."""
    return [Record("ww1", Kind.MINUTE, "w01018", NOON + number * MINUTE_MS, avg=1.0) for number in range(begin, end)]


def spans(dues: list[Due]) -> list[tuple[int, int]]:
    return [((due.start - NOON) // MINUTE_MS, ((due.end or 0) - NOON) // MINUTE_MS) for due in dues]


def one_by_one(agenda: Agenda, records: list[Record]) -> list[Due]:
    return [due for record in records for due in agenda.after([record])]


def test_each_platform_gets_its_own_interval_with_its_last_minute() -> None:
    agenda = Agenda([terms(1), terms(10, "county")])
    dues = one_by_one(agenda, minutes(0, 10))
    assert spans([due for due in dues if due.platform == "city"]) == [(number, number + 1) for number in range(10)]
    assert spans([due for due in dues if due.platform == "county"]) == [(0, 10)]


def test_an_interval_without_its_last_minute_is_due_with_the_next_minute() -> None:
    assert spans(one_by_one(Agenda([terms(10)]), minutes(0, 7) + minutes(23, 24))) == [(0, 10)]


def test_an_interval_of_which_nothing_was_sealed_is_never_due() -> None:
    assert spans(one_by_one(Agenda([terms(10)]), minutes(0, 10) + minutes(30, 40))) == [(0, 10), (30, 40)]


def test_hours_and_days_are_due_at_once() -> None:
    records = [Record("ww1", Kind.HOUR, "w01018", NOON), Record("ww1", Kind.DAY, "w01018", NOON - 12 * HOUR_MS)]
    assert {(due.cn, due.start) for due in Agenda([terms(10)]).after(records)} == {
        ("2061", NOON),
        ("2031", NOON - 12 * HOUR_MS),
    }


def test_after_a_restart_the_open_interval_goes_on_and_nothing_is_due_twice() -> None:
    agenda = Agenda([terms(10)])
    assert spans(agenda.resume("ww1", minutes(-43, 17), {"city": NOON + 10 * MINUTE_MS})) == []
    assert spans(one_by_one(agenda, minutes(17, 40))) == [(10, 20), (20, 30), (30, 40)]


def test_a_longer_interval_after_a_restart_begins_where_the_outbox_ends() -> None:
    agenda = Agenda([terms(30)])
    agenda.resume("ww1", minutes(-43, 17), {"city": NOON + 10 * MINUTE_MS})
    assert spans(one_by_one(agenda, minutes(17, 60))) == [(10, 30), (30, 60)]


def test_a_shorter_interval_after_a_restart_sends_what_the_longer_one_had_not() -> None:
    agenda = Agenda([terms(1)])
    before = agenda.resume("ww1", minutes(-43, 13), {"city": NOON + 10 * MINUTE_MS})
    assert spans(before + one_by_one(agenda, minutes(13, 15))) == [(10, 11), (11, 12), (12, 13), (13, 14), (14, 15)]


def test_a_new_platform_begins_with_the_open_interval() -> None:
    agenda = Agenda([terms(10)])
    assert spans(agenda.resume("ww1", minutes(-43, 17), {"city": None})) == []
    assert spans(one_by_one(agenda, minutes(17, 20))) == [(10, 20)]


def test_a_clock_set_far_back_after_a_restart_does_not_bend_periods() -> None:
    agenda = Agenda([terms(10)])
    agenda.resume("ww1", minutes(0, 17), {"city": NOON + 10 * MINUTE_MS})
    assert (-200, -190) in spans(one_by_one(agenda, minutes(-200, -190)))


def equipment(kind: Kind, start: int, hours: float | None = 1.0) -> Record:
    return Record("ww1", kind, "SB1", start, cou=hours, count=0 if hours is None else 1)


def test_running_times_are_due_with_the_day_right_after_it() -> None:
    day = NOON - 12 * HOUR_MS
    records = [equipment(Kind.DAY, day), Record("ww1", Kind.DAY, "w01018", day, avg=1.0)]
    dues = Agenda([terms(10), terms(1, "county")]).after(records)
    assert [(due.platform, due.cn) for due in dues] == [
        ("city", "2031"), ("county", "2031"), ("city", "2041"), ("county", "2041"),
    ]  # fmt: skip
    assert all(due.start == day and due.kept for due in dues)


def test_minutes_and_hours_of_equipment_and_a_day_of_which_nothing_is_known_are_not_due() -> None:
    records = [equipment(kind, NOON - kind.ms) for kind in (Kind.MINUTE, Kind.HOUR)]
    records.append(equipment(Kind.DAY, NOON - 12 * HOUR_MS, None))
    agenda = Agenda([terms(1)])
    assert agenda.after(records) == []
    assert agenda.resume("ww1", [equipment(Kind.MINUTE, NOON)], {"city": None}) == []
