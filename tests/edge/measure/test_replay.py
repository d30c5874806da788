"""`hj212 data replay`: what it prints, and what it says of a file that it cannot use."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edge.cli.replay import replay

SITE = """
[site]
name = "示例"
[outlets.ww1]
name = "总排口"
st = "32"
statistics = "water"
[outlets.stack]
name = "烟囱"
st = "31"
statistics = "gas"
[outlets.stack.gas]
o2_reference = 6.0
minute_samples = 1
"""
HEADER = "time,outlet,factor,value,mark\n"


def run(folder: Path, csv_text: str, *options: str) -> Result:
    (folder / "site.toml").write_text(SITE, encoding="utf-8")
    (folder / "samples.csv").write_text(csv_text, encoding="utf-8")
    arguments = [str(folder / "samples.csv"), "-c", str(folder / "site.toml"), *options]
    return CliRunner().invoke(replay, arguments, env={"HJ212_LANG": "en"})


def records(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def rows(factor: str, value: object, seconds: int, step: int = 5, outlet: str = "ww1", mark: str = "N") -> str:
    times = [f"2025-11-22T{8 + at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}+08:00" for at in range(0, seconds, step)]
    return "".join(f"{time},{outlet},{factor},{value},{mark}\n" for time in times)


def test_whole_hour_prints_sixty_minutes_and_the_hour(tmp_path: Path) -> None:
    found = records(run(tmp_path, HEADER + rows("w00000", 12.5, 3600) + rows("w01018", 35, 3600), "--json"))
    assert [record["kind"] for record in found] == ["minute"] * 120 + ["hour"] * 2
    assert found[-1] == {
        "outlet": "ww1", "kind": "hour", "factor": "w01018", "start": "2025-11-22T08:00:00+08:00", "revision": 0,
        "min": 35.0, "avg": 35.0, "max": 35.0, "zs_min": None, "zs_avg": None, "zs_max": None,
        "cou": pytest.approx(1.575), "count": 60, "mark": "N",
        "wire": {"Cou": "1.575000", "Min": "35.0", "Avg": "35.0", "Max": "35.0", "Flag": "N"},
    }  # fmt: skip
    assert found[-2]["wire"]["Cou"] == "45.000"


def test_an_exported_mark_by_hand_counts_instead_of_the_samples_own(tmp_path: Path) -> None:
    lines = rows("w01001", 7.5, 120).splitlines()
    marked = "".join(f"{line},{'M' if 'T08:00' in line else ''}\n" for line in lines)
    found = records(run(tmp_path, HEADER.replace("mark", "mark,manual") + marked, "--json"))
    assert [(record["mark"], record["avg"], record["count"]) for record in found] == [("M", 7.5, 0), ("N", 7.5, 12)]
    wrong = run(tmp_path, HEADER.replace("mark", "mark,manual") + marked.replace(",M\n", ",Q\n"), "--json")
    assert (wrong.exit_code, "manual" in wrong.stderr) == (2, True)


def test_last_open_period_is_not_printed(tmp_path: Path) -> None:
    found = records(run(tmp_path, HEADER + rows("w01001", 7.5, 90), "--json"))
    assert [(record["kind"], record["start"]) for record in found] == [("minute", "2025-11-22T08:00:00+08:00")]
    assert found[0]["wire"] == {"Min": "7.50", "Avg": "7.50", "Max": "7.50", "Flag": "N"}


def test_one_sample_a_minute_stands_for_the_minute(tmp_path: Path) -> None:
    found = records(run(tmp_path, HEADER + rows("w00000", 12.5, 300, step=60), "--json"))
    assert [record["cou"] for record in found] == pytest.approx([0.75] * 5)


def test_unordered_lines_and_other_offsets_are_the_same_times(tmp_path: Path) -> None:
    lines = rows("w01001", 7, 60).splitlines(keepends=True)
    lines[0] = "2025-11-22T00:00:00Z,ww1,w01001,9,N\n"
    found = records(run(tmp_path, HEADER + "".join(reversed(lines)), "--json"))
    assert (found[0]["max"], found[0]["count"]) == (9.0, 12)


def test_gas_has_converted_values(tmp_path: Path) -> None:
    stack = rows("a21026", 40, 60, 60, "stack") + rows("a19001", 8.5, 60, 60, "stack")
    more = rows("a21026", 40, 120, 60, "stack").splitlines(keepends=True)[1]
    found = records(run(tmp_path, HEADER + stack + more, "--json"))
    so2 = next(record for record in found if record["factor"] == "a21026")
    assert (so2["zs_avg"], so2["mark"]) == (pytest.approx(48.0), "N")
    assert so2["wire"] == {
        "Min": "40.00", "Avg": "40.00", "Max": "40.00", "ZsMin": "48.00", "ZsAvg": "48.00", "ZsMax": "48.00",
        "Flag": "N",
    }  # fmt: skip


def test_minute_without_values_has_nulls_and_its_mark(tmp_path: Path) -> None:
    (found,) = records(run(tmp_path, HEADER + rows("w01001", "", 60, mark="D"), "--json"))
    assert (found["avg"], found["cou"], found["count"], found["mark"]) == (None, None, 0, "D")
    assert found["wire"] == {"Min": "0.00", "Avg": "0.00", "Max": "0.00", "Flag": "D"}


def test_factor_that_is_silent_while_another_speaks_is_b(tmp_path: Path) -> None:
    text = HEADER + rows("w00000", 12.5, 120) + rows("w01001", 7, 60)
    found = records(run(tmp_path, text, "--json"))
    assert [record["mark"] for record in found if record["factor"] == "w01001"] == ["N", "B"]


def test_file_without_samples_prints_nothing(tmp_path: Path) -> None:
    assert records(run(tmp_path, HEADER, "--json")) == []


def test_columns_may_stand_in_any_order_with_a_byte_order_mark(tmp_path: Path) -> None:
    line = "N,7,w01001,ww1,2025-11-22T08:00:00+08:00\n"
    more = "N,7,w01001,ww1,2025-11-22T08:01:00+08:00\n"
    found = records(run(tmp_path, "\ufeffmark,value,factor,outlet,time\n" + line + more, "--json"))
    assert [record["avg"] for record in found] == [7.0, 7.0]


def test_table_for_people(tmp_path: Path) -> None:
    result = run(tmp_path, HEADER + rows("w01001", 7.5, 60))
    assert result.exit_code == 0
    assert "2025-11-22 08:00:00" in result.stdout
    assert "w01001" in result.stdout


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("time,outlet,factor,value\n", ["line 1", "mark"]),
        ("", ["line 1", "time"]),
        (HEADER + "2025-11-22T08:00:00,ww1,w01001,7,N\n", ["line 2", "column time", "2025-11-22T08:00:00"]),
        (HEADER + "2025-11-22T08:00:00+08:00,ww9,w01001,7,N\n", ["line 2", "column outlet", "ww1", "ww9"]),
        (HEADER + "2025-11-22T08:00:00+08:00,ww1,w01081,7,N\n", ["line 2", "column factor", "w01081"]),
        (HEADER + "\n2025-11-22T08:00:00+08:00,ww1,w01001,nan,N\n", ["line 3", "column value", "nan"]),
        (HEADER + "2025-11-22T08:00:00+08:00,ww1,w01001,1e999,N\n", ["line 2", "column value", "1e999"]),
        (HEADER + "2025-11-22T08:00:00+08:00,ww1,w01001,7,X\n", ["line 2", "column mark", "X"]),
        (HEADER + "2025-11-22T08:00:00+08:00,ww1,w01001,7\n", ["line 2", "column mark"]),
    ],
)
def test_bad_line_is_named_with_what_was_expected_and_came(tmp_path: Path, text: str, parts: list[str]) -> None:
    result = run(tmp_path, text, "--json")
    assert result.exit_code == 2
    assert result.stdout == ""
    for part in parts:
        assert part in result.stderr


def test_bad_site_file_ends_with_2(tmp_path: Path) -> None:
    result = run(tmp_path, HEADER, "--json")
    assert result.exit_code == 0
    (tmp_path / "site.toml").write_text(SITE.replace('statistics = "water"', 'statistics = "watr"'), encoding="utf-8")
    result = CliRunner().invoke(replay, [str(tmp_path / "samples.csv"), "-c", str(tmp_path / "site.toml")])
    assert result.exit_code == 2
    assert "outlets.ww1.statistics" in result.stderr


def test_totaliser_of_the_site_gives_the_volumes_and_tells_what_happened(tmp_path: Path) -> None:
    site = SITE.replace('statistics = "water"', 'statistics = "water"\n[outlets.ww1.water]\nflow_from = "totaliser"')
    site += (
        '[lines.l]\nport = "/dev/ttyS0"\n[instruments.flow]\nline = "l"\ndriver = "modbus"\noutlet = "ww1"\n'
        '[[instruments.flow.points]]\nfactor = "w00000"\nkind = "total"\nregister = 0\ntype = "uint32"\nscale = 0.001\n'
        "max_flow = 50\n"
    )
    times = [f"2025-11-22T08:{at // 60:02}:{at % 60:02}+08:00" for at in range(0, 180, 5)]
    readings = [100.0 + 0.0625 * at if at < 24 else 0.0625 * (at - 24) for at in range(36)]
    lines = [f"{time},ww1,w00000-total,{reading},N\n" for time, reading in zip(times, readings, strict=True)]
    (tmp_path / "site.toml").write_text(site, encoding="utf-8")
    (tmp_path / "samples.csv").write_text(HEADER + "".join(lines), encoding="utf-8")
    arguments = [str(tmp_path / "samples.csv"), "-c", str(tmp_path / "site.toml"), "--json"]
    result = CliRunner().invoke(replay, arguments, env={"HJ212_LANG": "en"})
    found = records(result)
    assert [record["cou"] for record in found] == pytest.approx([11 * 0.0625, 0.75, 11 * 0.0625])
    assert [record["total"] for record in found] == pytest.approx([100.6875, 101.4375, 0.6875])
    assert found[1]["wire"] == {"Cou": "0.750", "Min": "12.50", "Avg": "12.50", "Max": "12.50", "Flag": "N"}
    assert "the totaliser was reset: 101.438 (2025-11-22T08:01:55" in result.stderr


def test_assigned_factor_is_replayed_as_a_held_one(tmp_path: Path) -> None:
    point = (
        '[lines.l]\nport = "/dev/ttyS0"\n[instruments.cod]\nline = "l"\ndriver = "modbus"\noutlet = "ww1"\n'
        '[[instruments.cod.points]]\nfactor = "w01018"\nregister = 0\ntype = "float32"\nbatch = "assigned"\n'
        'new_result = "change"\nanalysis = "40min"\n'
    )
    (tmp_path / "site.toml").write_text(SITE + point, encoding="utf-8")
    (tmp_path / "samples.csv").write_text(HEADER + rows("w01018", 35, 3600), encoding="utf-8")
    arguments = [str(tmp_path / "samples.csv"), "-c", str(tmp_path / "site.toml"), "--json"]
    found = records(CliRunner().invoke(replay, arguments, env={"HJ212_LANG": "en"}))
    assert [(r["kind"], r["avg"]) for r in found][-1:] == [("hour", 35.0)]
