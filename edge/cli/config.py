"""`hj212 config …`: the site file made, checked, shown and changed.

A change that does not check is refused and the file stays as it was. Exit codes: 0 fine, 2 the file or the
request is wrong.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from config.load import Examined, examine
from config.problem import ConfigError, ConfigErrors, Problem, toml_text
from edge.catalogue import text, use_language
from edge.cli.common import WRONG_USE, Stop, config_option, json_option, print_json, where
from edge.problems import problem_text

_DURATIONS = frozenset({"realtime", "minute", "timeout"})
_PLATFORM_SET = _DURATIONS | {"retries"}
"""Keys of a platform that 1062, 1064 and 1000 override; 1072 overrides the password."""
_ONLY_SET = re.compile(r"warn_time|alarm_target|report_time|limit\..+")
"""Values that only a platform sets (edition 2005): the site file has no key for them."""
_PRESETS = Path(__file__).parents[2] / "config" / "presets"


@click.group("config", help=text("config.cli.group"))
def config_group() -> None:
    """The group of the verbs below."""


@config_group.command("new", help=text("config.cli.new"))
@config_option
@click.option("--preset", type=click.Choice(["water", "gas", "voc"]), required=True, help=text("config.cli.preset"))
@click.option("--output", type=click.Path(path_type=Path, allow_dash=True), help=text("config.cli.output"))
@click.option("--force", is_flag=True, help=text("config.cli.force"))
def new(config: Path, preset: str, output: Path | None, force: bool) -> None:
    """Write a preset to the site file, or to standard output."""
    from config.edit import write_file

    data = (_PRESETS / f"{preset}.toml").read_bytes()
    target = output or config
    if str(target) == "-":
        click.echo(data, nl=False)
        return
    if target.exists() and not force:
        raise Stop("config.cli.exists", file=target)
    try:
        write_file(target, data)
    except ConfigError as error:
        raise Stop(error.code, **error.params) from error
    click.echo(text("config.cli.written", file=target))


@config_group.command("check", help=text("config.cli.check"))
@config_option
@json_option
def check(config: Path, as_json: bool) -> None:
    """Print every error and warning with file, line and key."""
    try:
        examined = examine(config)
    except ConfigErrors as error:
        found, is_fine = list(error.problems), False
    else:
        _speak(examined)
        found, is_fine = examined.problems, examined.site is not None
    if as_json:
        print_json([_plain(config, problem) for problem in found])
    else:
        _print(config, found, err=False)
        _summary(config, found)
    if not is_fine:
        raise click.exceptions.Exit(WRONG_USE)


@config_group.command("show", help=text("config.cli.show"))
@config_option
@json_option
def show(config: Path, as_json: bool) -> None:
    """Print every setting that holds, with where it comes from."""
    from config.effective import settings

    examined = _examined(config)
    found = settings(examined, _platform_set(config, examined))
    if as_json:
        print_json([asdict(setting) for setting in found])
        return
    width = max(len(setting.key) for setting in found)
    for setting in found:
        value = "–" if setting.value is None else toml_text(setting.value)
        origin = text(f"config.origin.{setting.origin}", line=setting.line)
        click.echo(f"{setting.key:{width}} = {value}  # {origin}")


@config_group.command("get", help=text("config.cli.get"))
@config_option
@json_option
@click.option("--raw", is_flag=True, help=text("config.cli.raw"))
@click.argument("key")
def get(config: Path, as_json: bool, raw: bool, key: str) -> None:
    """Print the value of a key, or the keys of a table."""
    from config.edit import get_key

    _examined(config)
    try:
        found = get_key(config, key, secrets=raw)
    except ConfigError as error:
        raise Stop(error.code, **error.params) from error
    if as_json:
        print_json([asdict(setting) for setting in found])
    elif len(found) == 1:
        value = found[0].value
        click.echo(value if isinstance(value, str) else "–" if value is None else toml_text(value))
    else:
        for setting in found:
            click.echo(f"{setting.key} = {'–' if setting.value is None else toml_text(setting.value)}")


@config_group.command("set", help=text("config.cli.set"))
@config_option
@click.argument("key")
@click.argument("value")
@click.option("--same-platform", is_flag=True, help=text("config.cli.same-platform"))
def set_(config: Path, key: str, value: str, same_platform: bool) -> None:
    """Set a key; the file stays as it was where the result does not check."""
    from config.edit import set_key

    if not same_platform:
        _ask_same_platform(config, key)
    try:
        examined = set_key(config, key, value)
    except ConfigErrors as error:
        _print(config, error.problems)
        raise Stop("config.cli.not-set", file=config) from error
    except ConfigError as error:
        raise Stop(error.code, **error.params) from error
    _speak(examined)
    _print(config, [problem for problem in examined.problems if problem.key.startswith(key)])
    click.echo(text("config.cli.set-done", key=key, file=config))


def _ask_same_platform(config: Path, key: str) -> None:
    """A platform that has answered data has fixed a legal date: another address must be the same platform."""
    match = re.fullmatch(r"platforms\.([^.]+)\.(?:address|listen)", key)
    if match is None:
        return
    try:
        receipts = where(config).query("connection")["receipts"]
    except Stop:
        return
    name = match[1]
    if not any(receipt["platform"] == name for receipt in receipts):
        return
    if not sys.stdin.isatty():
        raise Stop("config.cli.which-platform", platform=name)
    if not click.confirm(text("config.cli.ask-platform", platform=name)):
        raise Stop("config.cli.which-platform", platform=name)


def _platform_set(config: Path, examined: Examined) -> dict[str, Any]:
    """What platforms have set over the wire, by the key of the site file that it overrides.

    A key that several outlets of a platform share is overridden outlet by outlet: there the value names the outlet.
    Without a daemon and without a store (a site that never ran) there is nothing.
    """
    from config.markers import duration_text

    if examined.site is None:
        return {}
    platforms = examined.site.platforms
    try:
        rows = where(config).query("settings", {"platforms": list(platforms)})
    except Stop:
        return {}
    found: dict[str, Any] = {}
    for row in rows:
        name, platform, outlet, value = row["name"], row["platform"], row["outlet"], row["value"]
        if name == "password":
            found[f"platforms.{platform}.outlets.{outlet}.password"] = value
        elif name in _PLATFORM_SET or _ONLY_SET.fullmatch(name):
            shown = duration_text(int(value)) if name in _DURATIONS else int(value) if name == "retries" else value
            key = f"platforms.{platform}.{name}"
            if len(platforms[platform].outlets) > 1:
                earlier = found.get(key)
                shown = f"{earlier}, {outlet}: {shown}" if earlier else f"{outlet}: {shown}"
            found[key] = shown
    return found


def _examined(config: Path) -> Examined:
    """The checked file; ends with its errors where it has some."""
    try:
        examined = examine(config)
    except ConfigErrors as error:
        _print(config, error.problems)
        raise click.exceptions.Exit(WRONG_USE) from error
    _speak(examined)
    if examined.site is None:
        _print(config, [problem for problem in examined.problems if not problem.warning])
        raise click.exceptions.Exit(WRONG_USE)
    return examined


def _speak(examined: Examined) -> None:
    """Use the site's language, where the file names one."""
    general = examined.merged.tree.get("site")
    language = general.get("language") if isinstance(general, dict) else None
    if language in ("zh", "en"):
        use_language(language)


def _words(problem: Problem) -> str:
    return text(problem.code, **problem.params)


def _print(config: Path, found: Sequence[Problem], err: bool = True) -> None:
    for problem in found:
        click.echo(problem_text(config, problem), err=err)


def _summary(config: Path, found: list[Problem]) -> None:
    warnings = sum(problem.warning for problem in found)
    errors = len(found) - warnings
    code = "config.cli.refused" if errors else "config.cli.fine"
    click.echo(text(code, file=config, errors=errors, warnings=warnings))


def _plain(config: Path, problem: Problem) -> dict[str, Any]:
    return {
        "file": str(config),
        "line": problem.line,
        "key": problem.key,
        "code": problem.code,
        "warning": problem.warning,
        "text": _words(problem),
    }
