"""What is wrong with a platform's TLS: files that are not there or hold something else, keys that contradict.

A file that is missing, that this user may not read, or that OpenSSL does not take, is a warning: the daemon runs as
another user, certificates are renewed while it runs, and one file that was lost must not keep it from measuring.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath

from config.lines import Path
from config.merge import Merged
from config.problem import Problem
from config.site import Site
from config.tls import Tls


def tls(site: Site, merged: Merged) -> Iterator[Problem]:
    """All findings about TLS."""
    for name, platform in site.platforms.items():
        if platform.tls is not None:
            yield from _table(merged, ("platforms", name, "tls"), platform.tls)


def _table(merged: Merged, path: Path, table: Tls) -> Iterator[Problem]:
    if table.key is not None and table.certificate is None:
        yield merged.problem((*path, "key"), "config.tls-key-alone")
    if table.fingerprint is not None:
        for key in ("ca", "server_name"):
            if getattr(table, key) is not None:
                yield merged.problem((*path, key), "config.tls-fingerprint")
    found = list(_files(merged, path, table))
    yield from found or _contents(merged, path, table)


def _files(merged: Merged, path: Path, table: Tls) -> Iterator[Problem]:
    for key in ("ca", "certificate", "key"):
        name = getattr(table, key)
        if name is None:
            continue
        try:
            FilePath(name).open("rb").close()
        except OSError as error:
            yield merged.problem((*path, key), "config.tls-file", True, got=name, reason=error.strerror)


def _contents(merged: Merged, path: Path, table: Tls) -> Iterator[Problem]:
    import ssl  # some megabytes, for the sites that use it

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if table.ca is not None:
            context.load_verify_locations(table.ca)
    except (ssl.SSLError, OSError) as error:
        yield merged.problem((*path, "ca"), "config.tls-content", True, got=table.ca, reason=str(error))
    try:
        if table.certificate is not None:
            context.load_cert_chain(table.certificate, table.key, password=lambda: "")
    except (ssl.SSLError, OSError) as error:
        yield merged.problem(
            (*path, "certificate"), "config.tls-content", True, got=table.certificate, reason=str(error)
        )
