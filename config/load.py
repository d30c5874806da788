"""From the site file to a `Site`, or to everything that is wrong with it.

    bytes ─▶ document ─▶ merge (models, defaults) ─▶ schema ─▶ check ─▶ Site
                                                   problems with line and key ─▶ ConfigErrors

The command line checks here; the daemon calls `load_in_child`, which does it in a short-lived process
(`python -m config.load FILE`, JSON on its output), so that pydantic's memory is gone with it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config.document import parse, read_bytes
from config.plain import from_plain, to_plain
from config.problem import ConfigErrors, Problem, in_order
from config.site import Site

if TYPE_CHECKING:
    from config.merge import Merged

CHILD_TIMEOUT_S = 30.0
"""A small ARM board needs some 5 s to import pydantic and check a file."""


@dataclass(frozen=True, slots=True)
class Examined:
    """A checked file: the site (None where there are errors), all problems by line, and the merged tables."""

    site: Site | None
    problems: list[Problem]
    merged: Merged


def problems(path: Path | str) -> list[Problem]:
    """Errors and warnings of a site file, by line."""
    try:
        return examine(path).problems
    except ConfigErrors as error:
        return list(error.problems)


def load(path: Path | str) -> Site:
    """The site; raises ConfigErrors with all problems. Warnings do not raise."""
    return sound(examine(path), path)


def examine(path: Path | str) -> Examined:
    """Check a file; raises ConfigErrors only where it cannot be read as TOML."""
    return examine_bytes(read_bytes(Path(path)), path)


def examine_bytes(data: bytes, path: Path | str) -> Examined:
    """Check the bytes of a file; `path` is for messages and for the folders `models` and `platforms` beside it."""
    from config.check import check
    from config.merge import merge
    from config.platform_presets import OWN_PRESETS
    from config.schema import check_remainder, check_schema

    folder = Path(path).parent
    merged = merge(parse(data, Path(path)), folder / "models", folder / OWN_PRESETS)
    site, errors = check_schema(merged)
    errors += merged.problems
    checked = site or check_remainder(merged)
    wrong = {error.key for error in errors}
    found = errors + [p for p in (check(checked, merged) if checked else []) if p.key not in wrong]
    refused = any(not problem.warning for problem in found)
    return Examined(None if refused else site, in_order(found), merged)


def sound(examined: Examined, path: Path | str) -> Site:
    """The site of a file that checks; raises ConfigErrors otherwise."""
    if examined.site is None:
        raise ConfigErrors(path, examined.problems)
    return examined.site


def load_in_child(path: Path | str, timeout_s: float = CHILD_TIMEOUT_S) -> Site:
    """The site, checked in a process of its own; raises ConfigErrors, also where that process fails."""
    command = [sys.executable, "-P", "-m", "config.load", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, env=_environment(), check=False)
    except subprocess.TimeoutExpired as error:
        slow = Problem(None, "", "config.child.slow", {"seconds": timeout_s})
        raise ConfigErrors(path, [slow]) from error
    except OSError as error:
        lost = Problem(None, "", "config.child.start", {"reason": error.strerror or str(error)})
        raise ConfigErrors(path, [lost]) from error
    answer = _answer(done.stdout)
    if answer is None:
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2][:200]
        failed = Problem(None, "", "config.child.failed", {"status": done.returncode, "reason": last or "–"})
        raise ConfigErrors(path, [failed])
    if answer["site"] is None:
        raise ConfigErrors(path, [Problem(**problem) for problem in answer["problems"]])
    return from_plain(answer["site"])


def _answer(output: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(output)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) and answer.keys() == {"site", "problems"} else None


def _environment() -> dict[str, str]:
    """The child imports the packages that this process runs, also from a source folder."""
    root = Path(__file__).resolve().parent.parent
    if root.name in ("site-packages", "dist-packages"):
        return dict(os.environ)
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def main(arguments: list[str]) -> int:
    """The child: check the one file named and print `{"site": …, "problems": […]}`; 0 fine, 2 refused."""
    try:
        examined = examine(arguments[0])
    except ConfigErrors as error:
        site, found = None, list(error.problems)
    else:
        site, found = examined.site, examined.problems
    print(json.dumps({"site": to_plain(site) if site else None, "problems": [asdict(p) for p in found]}))
    return 0 if site else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
