"""From the command line to the daemon: reads the site file, then loads what that site needs.

    python -m edge.launch SITE.toml [json|text] [START_MS,SPEED,SINCE_REAL_MS]

The site file is checked by a child process: what does not check never starts. asyncio and hashlib load OpenSSL where
they find it, a tenth of the daemon's memory: it is hidden from them where no platform has TLS or MQTT, so the site file
is read before either is imported.
"""

from __future__ import annotations

import faulthandler
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from config.load import load_in_child
from config.problem import ConfigErrors
from config.site import Site
from edge.catalogue import explain, text, use_language
from edge.problems import problem_text

if TYPE_CHECKING:
    from edge.clock import Clock

DEMO_MARK = ".hj212-demo"
"""The file that tells a demo's folder: only there a simulated clock is allowed."""
WRONG_USE = 2
_OWN_DIGESTS = ("_sha2", "_sha256")
"""Python's own SHA-256, since 3.12 and before; hashlib takes it where it finds no OpenSSL."""


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0 after a stop that was asked for, 2 for a site file that does not check or a store in use."""
    faulthandler.enable()  # systemd ends a daemon that hangs with SIGABRT: then the stacks are in its log
    path, form = arguments[0], arguments[1] if len(arguments) > 1 else "text"
    try:
        site = load_in_child(path)
    except ConfigErrors as error:
        for problem in error.problems:
            print(problem_text(path, problem), file=sys.stderr)
        return WRONG_USE
    use_language(site.site.language)
    if not needs_openssl(site):
        hide_openssl()
    return _run(site, Path(path), form, arguments[2] if len(arguments) > 2 else None)


def needs_openssl(site: Site) -> bool:
    """Whether a platform has TLS, or MQTT, whose library imports it."""
    return any(platform.tls is not None or platform.protocol == "mqtt" for platform in site.platforms.values())


def hide_openssl() -> None:
    """For this process and for good: `import ssl` fails, as where Python was built without it."""
    for name in ("ssl", "_hashlib") if any(map(find_spec, _OWN_DIGESTS)) else ("ssl",):
        sys.modules[name] = None  # type: ignore[assignment]  # makes the import fail, as Python defines


def _run(site: Site, path: Path, form: str, simulated: str | None) -> int:
    import asyncio

    from edge.app import Daemon
    from edge.clock import SystemClock
    from edge.logs import set_up_logs
    from edge.store.errors import StoreError

    set_up_logs(form, sys.stderr)
    clock = SystemClock() if simulated is None else _simulated(simulated, site)
    try:
        daemon = Daemon(site, clock, path)
    except StoreError as error:
        print(explain(error), file=sys.stderr)
        return WRONG_USE
    except OSError as error:
        place = error.filename or site.site.data_dir
        print(text("edge.no-data-dir", path=place, why=error.strerror), file=sys.stderr)
        return WRONG_USE
    asyncio.run(daemon.run())
    return 0


def _simulated(argument: str, site: Site) -> Clock:
    """A demo's clock; SystemExit outside a demo's folder: a wrong time in real data is a crime."""
    from edge.clock import SimulatedClock

    folder = Path(site.site.data_dir).parent
    if not (folder / DEMO_MARK).exists():
        print(text("edge.simulated-clock-refused", folder=folder), file=sys.stderr)
        raise SystemExit(WRONG_USE)
    return SimulatedClock.from_text(argument)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
