"""`hj212 platform presets`: the ready-made sets of platform keys, shipped and the site's own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from edge.catalogue import language, text
from edge.cli.common import WRONG_USE, Stop, config_option, json_option, print_json, table


@click.command("presets", help=text("config.cli.presets"))
@config_option
@json_option
def presets(config: Path, as_json: bool) -> None:
    """One row per preset; `notes` say where the hint comes from. The site file itself is not read."""
    from config.platform_presets import OWN_PRESETS, names, preset
    from config.problem import ConfigError, toml_text

    own = config.parent / OWN_PRESETS
    try:
        found = [preset(name, own) for name in names(own)]
    except ConfigError as error:
        raise Stop(error.code, WRONG_USE, **error.params) from error
    if as_json:
        print_json([asdict(each) for each in found])
        return
    columns = ("config.cli.col-preset", "config.cli.col-name", "config.cli.col-grade", "config.cli.col-keys")
    rows = [
        (
            each.name,
            each.name_zh if language() == "zh" else each.name_en,
            text(f"config.grade.{each.grade}"),
            "\n".join(f"{key} = {toml_text(value)}" for key, value in each.keys.items()),
        )
        for each in found
    ]
    table(columns, rows)
    for each in found:
        click.echo(f"{each.name}: {each.notes}")
