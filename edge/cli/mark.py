"""`hj212 mark`: marks set by hand, corrected and withdrawn later, and the sheet for the enterprise's portal."""

from __future__ import annotations

import csv
import sys
import tomllib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

import click

from edge.catalogue import language, text
from edge.cli.common import Stop, Where, config_option, json_option, print_json, table, where, writing
from edge.cli.mark_words import in_words, short
from edge.cli.moments import Time, in_order
from edge.cli.ordering import by_option, folder_of, order, say
from edge.mark_tables import TableError, class_named, classes, columns
from protocol.factors import factor as table_row

TITLES = ("number", "kind", "points", "mark", "class", "from", "to", "reason", "operator", "state")


@click.group("mark", help=text("marks.verb-mark"))
def mark_group() -> None:
    """Marks by hand."""


def _what_options(command: Any) -> Any:
    for option in (
        click.option("--to", "end", type=Time(), help=text("marks.to-option")),
        click.option("--class", "named", help=text("marks.class-option")),
        click.option("--mark", help=text("marks.mark-option")),
        click.option("--point", "points", multiple=True, help=text("marks.point-option")),
    ):
        command = option(command)
    return command


@mark_group.command(help=text("marks.verb-add"))
@config_option
@_what_options
@click.option("--from", "begin", type=Time(), required=True, help=text("marks.from-option"))
@click.option("--reason", required=True, help=text("marks.reason-option"))
@by_option
@json_option
def add(config: Path, begin: int, reason: str, by: str | None, as_json: bool, **what: Any) -> None:
    """A new mark on points or whole outlets."""
    place = where(config)
    args = {"do": "add", "from": begin, "reason": reason, "by": by, **_what(place, **what)}
    done = order(place, "mark", args)
    say(done, as_json, "marks.added", "marks.nothing")
    if not as_json and any(map(_revises, done)):
        click.echo(text("marks.revises"))


def _revises(mark: dict[str, Any]) -> bool:
    """Whether a mark says something about data of before it was set."""
    begin, now = (datetime.fromisoformat(mark[name]) for name in ("from", "at"))
    return mark["mark"] is not None and begin < now


@mark_group.command(help=text("marks.verb-correct"))
@config_option
@click.argument("number", type=click.IntRange(1))
@_what_options
@click.option("--from", "begin", type=Time(), help=text("marks.from-option"))
@click.option("--open", "is_open", is_flag=True, help=text("marks.open-option"))
@click.option("--reason", required=True, help=text("marks.reason-option"))
@by_option
@json_option
def correct(
    config: Path, number: int, begin: int | None, is_open: bool, reason: str, by: str | None, as_json: bool, **what: Any
) -> None:
    """A mark says something else from now on; what it said stays readable."""
    place = where(config)
    args = {"do": "correct", "number": number, "from": begin, "reason": reason, "by": by, "open": is_open or None}
    say(order(place, "mark", args | _what(place, **what)), as_json, "marks.changed", "marks.nothing")


@mark_group.command(help=text("marks.verb-end"))
@config_option
@click.argument("number", type=click.IntRange(1))
@click.option("--at", "end", type=Time(), help=text("marks.at-option"))
@click.option("--reason", help=text("marks.reason-option"))
@by_option
@json_option
def end(config: Path, number: int, end: int | None, reason: str | None, by: str | None, as_json: bool) -> None:
    """An open mark ends."""
    args = {"do": "end", "number": number, "to": end, "reason": reason, "by": by}
    say(order(where(config), "mark", args), as_json, "marks.changed", "marks.nothing")


@mark_group.command(help=text("marks.verb-withdraw"))
@config_option
@click.argument("number", type=click.IntRange(1))
@click.option("--reason", required=True, help=text("marks.reason-option"))
@by_option
@json_option
def withdraw(config: Path, number: int, reason: str, by: str | None, as_json: bool) -> None:
    """A mark that was set by mistake holds no longer."""
    args = {"do": "withdraw", "number": number, "reason": reason, "by": by}
    say(order(where(config), "mark", args), as_json, "marks.changed", "marks.nothing")


def _range_options(command: Any) -> Any:
    for option in (
        click.option("--to", "end", type=Time(last=True), help=text("marks.until-option")),
        click.option("--from", "begin", type=Time(), help=text("marks.since-option")),
    ):
        command = option(command)
    return command


@mark_group.command("list", help=text("marks.verb-list"))
@config_option
@_range_options
@click.option("--number", type=click.IntRange(1), help=text("marks.number-option"))
@click.option("--all", "with_withdrawn", is_flag=True, help=text("marks.all-option"))
@json_option
def list_marks(
    config: Path, begin: int | None, end: int | None, number: int | None, with_withdrawn: bool, as_json: bool
) -> None:
    """The marks that touch a time, or all entries of one."""
    place = where(config)
    in_order(begin, end)
    args = {"from": begin, "to": end, "number": number, "all": with_withdrawn}
    found = place.query("marks", args)
    if as_json:
        print_json(found)
        return
    rows = [
        [
            each[name]
            for name in ("number", "kind", "points", "mark", "label", "begin", "end", "reason", "operator", "state")
        ]
        for each in map(in_words, found)
    ]
    table([f"marks.col-{title}" for title in TITLES], rows, text("marks.title"))


@mark_group.command("classes", help=text("marks.verb-classes"))
@config_option
@json_option
def list_classes(config: Path, as_json: bool) -> None:
    """The vocabulary: what `--class` takes."""
    try:
        known = classes(folder_of(where(config)))
    except TableError as error:
        raise Stop(error.code, **error.params) from error
    if as_json:
        print_json([{"class": c.category, "item": c.item, "mark": c.mark, "name": c.name} for c in known])
        return
    rows = [[each.category, each.item, each.name, each.mark] for each in known]
    table(("marks.col-class", "marks.col-item", "marks.col-name", "marks.col-mark"), rows)


@mark_group.command("export", help=text("marks.verb-export"))
@config_option
@_range_options
@click.option(
    "--columns", "map_file", type=click.Path(path_type=Path, dir_okay=False), help=text("marks.columns-option")
)
@click.option("-o", "--output", default="-", help=text("cli.output-option"))
def export_sheet(config: Path, begin: int | None, end: int | None, map_file: Path | None, output: str) -> None:
    """A row for each mark and factor, columns by the map."""
    place = where(config)
    in_order(begin, end)
    try:
        sheet = columns(folder_of(place), map_file)
    except TableError as error:
        raise Stop(error.code, **error.params) from error
    found = place.query("marks", {"from": begin, "to": end})
    names = _outlet_names(place)
    rows = [[row[name] for _, name in sheet] for each in found for row in _sheet_rows(names, each)]
    headings = [heading for heading, _ in sheet]
    if output == "-":
        _write(sys.stdout, headings, rows)
        return
    # utf-8-sig: the mark by which Excel knows UTF-8
    with writing(output), Path(output).open("w", encoding="utf-8-sig", newline="") as stream:
        _write(stream, headings, rows)
    click.echo(text("cli.exported", count=len(rows), file=output), err=True)


def _write(stream: TextIO, headings: list[str], rows: list[list[Any]]) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(headings)
    writer.writerows(rows)


def _outlet_names(place: Where) -> dict[str, str]:
    """Names on the permit, where the site file may be read."""
    try:
        outlets = tomllib.loads(place.config.read_text(encoding="utf-8")).get("outlets", {})
    except PermissionError:
        return {}
    return {name: str(table.get("name", name)) for name, table in outlets.items() if isinstance(table, dict)}


def _sheet_rows(names: Mapping[str, str], mark: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for point in mark["points"]:
        outlet, _, factor = point.partition("/")
        known = table_row(factor) if factor else None
        name = (known.name_zh if language() == "zh" else known.name_en) if known else factor
        own = {"outlet": outlet, "outlet_name": names.get(outlet, outlet), "factor": factor}
        words = in_words(mark)
        shown = {
            **{key: "" if value is None else value for key, value in mark.items()},
            "from": short(mark["from"]),
            "to": short(mark["to"]) or "",
            "at": short(mark["at"]),
            "kind": words["kind"],
            "state": words["state"],
            "factor_name": name or text("marks.all-factors"),
        }
        rows.append(shown | own)
    return rows


def _what(
    place: Where, points: tuple[str, ...], mark: str | None, named: str | None, end: int | None
) -> dict[str, Any]:
    """Arguments of an order; the class brings its mark, and no other one goes with it."""
    args: dict[str, Any] = {"points": list(points) or None, "to": end}
    if named is not None:
        try:
            word = class_named(folder_of(place), named)
        except TableError as error:
            raise Stop(error.code, **error.params) from error
        if mark is not None and word.mark is not None and mark != word.mark:
            label = f"{word.category}/{word.item}"
            raise Stop("marks.class-mark", label=label, name=word.name, mark=word.mark, got=mark)
        args |= {"class": word.category, "item": word.item, "mark": mark or word.mark or "-"}
    elif mark is not None:
        args["mark"] = mark
    return {name: value for name, value in args.items() if value is not None}
