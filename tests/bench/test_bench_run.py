"""The runner of the benchmarks: what it finds, what it refuses, what it prints."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def runner() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_runner", Path(__file__).with_name("run.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_benchmark_is_loaded_by_path_and_run(runner: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "bench_sum.py"
    path.write_text("def run():\n    return [dict(name='sum', value=2, unit='s', against='plain', ratio=1.5)]\n")

    assert runner.bench_files(tmp_path, []) == [path]
    assert runner.figures(path) == [{"name": "sum", "value": 2, "unit": "s", "against": "plain", "ratio": 1.5}]


def test_a_figure_without_its_unit_is_refused_with_the_name_of_the_file(runner: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "bench_bad.py"
    path.write_text("def run():\n    return [dict(name='sum', value=2)]\n")

    with pytest.raises(ValueError, match=r"bench_bad\.py.*unit"):
        runner.figures(path)


def test_an_unknown_name_lists_the_benchmarks_that_exist(runner: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "bench_codec.py").touch()

    with pytest.raises(SystemExit, match="no benchmark crc; there are: codec"):
        runner.bench_files(tmp_path, ["crc"])


def test_columns_are_aligned_and_missing_comparisons_are_a_dash(runner: ModuleType) -> None:
    rows = [
        {"name": "decode", "value": 123456.7, "unit": "packets/s", "against": 61728.35, "ratio": 2.0},
        {"name": "RSS", "value": 38.25, "unit": "MB", "against": None, "ratio": None},
    ]

    assert runner.table(rows).splitlines() == [
        "name    value    unit       against  ratio",
        "decode  123,457  packets/s  61,728   2",
        "RSS     38.25    MB         -        -",
    ]
