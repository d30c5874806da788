"""Fields of edition 2017 (HJ 212-2017 Table 4; order and form of the examples C.16–C.18)."""

import pytest

from edge.measure.wire import Absent, sample_wire, wire_fields
from edge.values import Kind, Record, Sample

NOTHING = Record("o", Kind.MINUTE, "a21026", 0, mark="B")


def joined(fields: list[tuple[str, str]]) -> str:
    return ",".join(f"{name}={text}" for name, text in fields)


def test_flow_as_in_the_standards_minute() -> None:
    record = Record("o", Kind.MINUTE, "w00000", 0, min=16.4, avg=17.5, max=20.1, cou=10.5, count=120)
    assert joined(wire_fields(record, 1, "zero", None)) == "Cou=10.500,Min=16.4,Avg=17.5,Max=20.1,Flag=N"


def test_factor_without_mass_has_no_cou() -> None:
    record = Record("o", Kind.MINUTE, "w01001", 0, min=7.1, avg=7.5, max=7.8, count=120)
    assert joined(wire_fields(record, 2, "zero", None)) == "Min=7.10,Avg=7.50,Max=7.80,Flag=N"


def test_converted_values_stand_before_the_flag() -> None:
    record = Record(
        "o", Kind.HOUR, "a21026", 0, min=39.0, avg=40.0, max=41.0, zs_min=46.8, zs_avg=48.0, zs_max=49.2, cou=11.43632,
        mark="D",
    )  # fmt: skip
    assert joined(wire_fields(record, 2, "omit", None)) == (
        "Cou=11.436320,Min=39.00,Avg=40.00,Max=41.00,ZsMin=46.80,ZsAvg=48.00,ZsMax=49.20,Flag=D"
    )


@pytest.mark.parametrize(
    ("absent", "last", "expected"),
    [
        ("zero", 40.0, "Cou=0.000000,Min=0.00,Avg=0.00,Max=0.00,ZsMin=0.00,ZsAvg=0.00,ZsMax=0.00,Flag=B"),
        ("last", 40.0, "Cou=0.000000,Min=40.00,Avg=40.00,Max=40.00,Flag=B"),
        ("last", None, "Flag=B"),
        ("flag-only", 40.0, "Flag=B"),
        ("omit", 40.0, ""),
    ],
)
def test_record_without_a_value(absent: Absent, last: float | None, expected: str) -> None:
    assert joined(wire_fields(NOTHING, 2, absent, last)) == expected


@pytest.mark.parametrize(
    ("absent", "expected"),
    [("zero", "Rtd=0.0,Flag=B"), ("last", "Rtd=35.2,Flag=B"), ("flag-only", "Flag=B"), ("omit", "")],
)
def test_realtime_without_a_value_is_never_normal(absent: Absent, expected: str) -> None:
    assert joined(sample_wire(Sample(0, "o", "w01018", None, "N"), 1, absent, 35.2).fields()) == expected


def test_realtime_with_converted_value() -> None:
    assert joined(sample_wire(Sample(0, "o", "a21026", 40.0, "N"), 2, "zero", None, zs=48.0).fields()) == (
        "Rtd=40.00,ZsRtd=48.00,Flag=N"
    )
