"""The presets check as shipped and fit the simulated instruments; the reference and the catalogue are complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from config import load as loading
from config.load import load, problems
from config.shape import TABLES, keys
from drivers import registry
from drivers.registry import driver_class
from drivers.simulated import SETS
from edge.catalogue import text
from protocol.factors import wire_decimals

ROOT = Path(loading.__file__).parents[1]
PRESETS = ROOT / "config" / "presets"
CODE = re.compile(r'"(config\.[a-z][a-z.-]*[a-z])"')


@pytest.mark.parametrize("name", ["water", "gas", "voc", "station-room"])
def test_preset_checks_with_the_default_password_as_the_only_finding(name: str) -> None:
    assert [p.code for p in problems(PRESETS / f"{name}.toml")] == ["config.password-default"]


@pytest.mark.parametrize("name", ["water", "gas"])
def test_preset_reads_what_the_simulated_set_serves(name: str) -> None:
    site = load(PRESETS / f"{name}.toml")
    read = {
        (point.factor, i.address, point.options.function, point.options.register, point.options.type, point.scale)
        for i in site.instruments.values()
        for point in i.points
    }
    served = {
        (point.factor, one.address, one.function, point.register, point.type, point.scale)
        for one in SETS[name]
        for point in one.points
        if point.factor is not None and not one.is_equipment  # which machines there are only the site knows
    }
    assert read == served


def test_decimals_are_raised_where_the_tables_format_is_too_coarse() -> None:
    points = [
        point
        for name in ("water", "gas")
        for instrument in load(PRESETS / f"{name}.toml").instruments.values()
        for point in instrument.points
    ]
    assert {p.factor: p.decimals for p in points if p.decimals} == {"a34013": 2, "w21003": 3, "w21011": 3}
    assert load(PRESETS / "gas.toml").outlets["fg1"].decimals == {"a00000": 3}  # computed: it has no point
    assert all(p.decimals > wire_decimals(p.factor) for p in points if p.decimals)


def test_every_code_of_config_has_its_text_in_both_languages() -> None:
    sources = [*(ROOT / "config").glob("*.py"), ROOT / "edge" / "cli" / "config.py"]
    codes = {code for path in sources for code in CODE.findall(path.read_text("utf-8"))}
    codes |= {f"config.form.{key.form()}" for cls in TABLES.values() for key in keys(cls).values() if key.form()}
    codes |= {f"config.origin.{origin}" for origin in ("file", "model", "default", "platform")}
    codes |= {f"config.type.{t}" for t in ("integer", "number", "text", "boolean", "list", "table")}
    codes -= {"config.load", "config.presets"}
    assert [code for code in sorted(codes) for lang in ("zh", "en") if text(code, lang) == code] == []


@pytest.mark.parametrize("file", ["site-file.md", "site-file.zh-CN.md"])
def test_reference_has_every_key_with_what_it_allows_and_its_default(file: str) -> None:
    from config.shape import OPTIONS, reference

    written = (ROOT / "docs" / file).read_text("utf-8")
    for header, cls in {
        **TABLES,
        **{
            f"{name} {kind}": getattr(driver_class(name), kind)
            for name in registry.names()
            for kind in set(OPTIONS.values())
            if hasattr(driver_class(name), kind)
        },
    }.items():
        for row in reference(cls):
            assert f"| {' | '.join(row)} |" in written, header
