"""`hj212 instrument filed` and `file`: parameters filed with the authority against what is there now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from config.problem import listed, nearest
from edge.catalogue import language, text
from edge.cli.common import CHECK_FAILED, WRONG_USE, Stop, config_option, json_option, print_json, table, where
from edge.cli.moments import Time
from edge.tools.own_line import site_tables

_COLUMNS = ("owner", "factor", "parameter", "name", "filed", "now", "unit", "verdict", "since", "filed-no")


@click.command("filed", help=text("cli.verb-instrument-filed"))
@config_option
@click.argument("name", required=False)
@json_option
def list_filed(config: Path, name: str | None, as_json: bool) -> None:
    """Each filed parameter, what it is now, and since when; exit code 1 where one differs."""
    owners = [*site_tables(config, "instruments"), *site_tables(config, "outlets")]
    if name is not None and name not in owners:
        near, known = nearest(name, owners) or "–", listed(owners)
        raise Stop("edge.filed-owner", WRONG_USE, got=name, nearest=near, known=known)
    found = [row for row in where(config).ask("status")["filed"] if name in (None, row["owner"])]
    if as_json:
        print_json(found)
    elif not found:
        click.echo(text("cli.nothing-filed"))
    else:
        table([f"cli.col-{title}" for title in _COLUMNS], [_cells(row) for row in found], text("cli.title-filed"))
    if any(row["differs"] for row in found):
        raise click.exceptions.Exit(CHECK_FAILED)


def _cells(row: dict[str, Any]) -> list[Any]:
    filed = f"{row['filed']} ±{row['tolerance']:g}" if row["tolerance"] else row["filed"]
    verdict = text("cli.filed-unknown" if row["differs"] is None else f"cli.filed-{'no' if row['differs'] else 'yes'}")
    since = row["since"] and row["since"][:16].replace("T", " ")
    now = row["error"] if row["now"] is None else row["now"]
    named = row["owner"], row["factor"], row["parameter"], row[f"name_{language()}"]
    return [*named, filed, now, row["unit"], verdict, since, row["filed_no"]]


@click.command("file", help=text("cli.verb-instrument-file"))
@config_option
@click.argument("name")
@click.argument("parameter")
@click.argument("value")
@click.option("--filed-no", required=True, help=text("cli.filed-no-option"))
@click.option("--why", required=True, help=text("cli.why-option"))
@click.option("--from", "since", type=Time(), help=text("cli.filed-from-option"))
@click.option("--tolerance", type=click.FloatRange(0), help=text("cli.tolerance-option"))
@click.option("--unit", help=text("cli.filed-unit-option"))
@click.option("--factor", help=text("cli.filed-factor-option"))
@click.option("--by", help=text("marks.by-option"))
@json_option
def file_value(
    config: Path, name: str, parameter: str, value: str, since: int | None, as_json: bool, **more: Any
) -> None:
    """A value that was filed anew; what the instrument has must agree with it from then on."""
    args = {"owner": name, "parameter": parameter, "value": value, "on": since, "no": more.pop("filed_no"), **more}
    row = where(config).ask("file-parameter", {key: each for key, each in args.items() if each is not None})
    if as_json:
        print_json(row)
        return
    since_text = row["filed_on"] or "–"
    click.echo(text("cli.filed-done", owner=name, parameter=parameter, value=row["filed"], since=since_text))
