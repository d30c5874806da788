"""`make bench`: runs every `bench_*.py` of this folder, prints a table and writes `bench.json`.

A benchmark file has `run() -> list[dict]`, each with `name value unit against ratio`: what was measured, the
figure, its unit, what it is compared with in the same run (None: nothing), and how many times better it is
(None: no comparison). Names as arguments choose files: `codec` runs `bench_codec.py`. Benchmarks may import
their neighbours in this folder.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypedDict, cast

FOLDER = Path(__file__).parent
OUTPUT = Path("bench.json")


class Figure(TypedDict):
    """One measured figure."""

    name: str
    value: float | str
    unit: str
    against: float | str | None
    ratio: float | None


def bench_files(folder: Path, chosen: Sequence[str]) -> list[Path]:
    """The benchmark files, sorted; SystemExit when there is none or a chosen one does not exist."""
    files = sorted(folder.glob("bench_*.py"))
    names = {path.stem.removeprefix("bench_"): path for path in files}
    unknown = set(chosen) - names.keys()
    if unknown:
        raise SystemExit(f"no benchmark {' '.join(sorted(unknown))}; there are: {' '.join(names) or 'none'}")
    if not files:
        raise SystemExit(f"no bench_*.py in {folder}")
    return [names[name] for name in chosen] if chosen else files


def figures(path: Path) -> list[Figure]:
    """Load one file by its path and run it; ValueError when a figure has other keys than the five."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    rows: list[dict[str, object]] = module.run()
    for row in rows:
        if row.keys() != Figure.__annotations__.keys():
            expected = " ".join(Figure.__annotations__)
            raise ValueError(f"{path.name}: expected the keys {expected}, got {' '.join(row)}")
    return cast("list[Figure]", rows)


def _cell(value: float | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def table(rows: Iterable[Figure]) -> str:
    """The figures as aligned columns with a heading."""
    cells = [tuple(Figure.__annotations__)]
    cells += [(f["name"], _cell(f["value"]), f["unit"], _cell(f["against"]), _cell(f["ratio"])) for f in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    padded = (map(str.ljust, line, widths) for line in cells)
    return "\n".join("  ".join(line).rstrip() for line in padded)


def main(arguments: Sequence[str]) -> None:
    """Run, print, write."""
    sys.path.insert(0, str(FOLDER))
    rows: list[Figure] = []
    for path in bench_files(FOLDER, arguments):
        print(f"{path.name} …", file=sys.stderr, flush=True)
        rows += figures(path)
    print(table(rows))
    OUTPUT.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
