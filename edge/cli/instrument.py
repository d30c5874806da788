"""`hj212 instrument models` and `show`: the register maps that there are; `list`, `read`, `watch`: the instruments."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from drivers import models
from drivers.errors import BadOption
from edge.catalogue import explain, text
from edge.cli import filed
from edge.cli.common import WRONG_USE, Stop, config_option, json_option, print_json, table
from edge.cli.instrument_read import list_instruments, read, watch

COLUMNS = ("cli.col-model", "cli.col-name", "cli.col-maker", "cli.col-kind", "cli.col-driver", "cli.col-grade")


@click.group("instrument", help=text("cli.verb-instrument"))
def instrument_group() -> None:
    """Instruments and their models."""


for _command in (list_instruments, read, watch):
    instrument_group.add_command(_command)


@instrument_group.command("models", help=text("cli.verb-instrument-models"))
@config_option
@click.option("--search", default="", help=text("cli.search-option"))
@json_option
def list_models(config: Path, search: str, as_json: bool) -> None:
    """One row a model; those beside the site file go before the shipped ones of the same name."""
    found = models.summaries(search, config.parent / "models")
    for error in models.faulty(config.parent / "models"):
        click.echo(explain(error), err=True)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    if not found:
        click.echo(text("cli.no-models", search=search))
        return
    rows = [[one.model, one.name, one.maker, one.kind, one.driver, _grade(one.grade)] for one in found]
    table(COLUMNS, rows, whole=("cli.col-model",))
    click.echo(text("cli.models-hint"))


def _grade(grade: str) -> str:
    return text(f"cli.grade-{grade}") if grade in models.GRADES else grade


@instrument_group.command("show", help=text("cli.verb-instrument-show"))
@config_option
@click.argument("model")
@json_option
def show(config: Path, model: str, as_json: bool) -> None:
    """The model's file as it is, to be copied and changed; `--json`: what it holds."""
    own = config.parent / "models"
    try:
        path, parsed = models.path_of(model, own), models.model(model, own)
    except BadOption as error:
        raise Stop("cli.no-model", WRONG_USE, why=explain(error)) from error
    if as_json:
        print_json({"file": str(path), **parsed})
        return
    click.echo(f"# {path}\n{path.read_text(encoding='utf-8')}", nl=False)


instrument_group.add_command(filed.list_filed)
instrument_group.add_command(filed.file_value)
