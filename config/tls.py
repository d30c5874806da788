"""`[platforms.NAME.tls]`: the link is encrypted. The empty table asks for what is usual: TLS 1.2 or later, and a
certificate that bears the platform's name and was signed by an authority that the system trusts.

Verification cannot be switched off. A platform whose certificate no authority has signed is trusted either by `ca`
(the file of its own certificate) or by `fingerprint`, which stands in place of authority, name and dates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from config.markers import Pattern

FilePath = Annotated[str, Pattern(r"/.+", "path")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How the other end is known, and how we are."""

    ca: FilePath | None = None
    """PEM file of the authorities that are trusted; None: those of the system."""
    certificate: FilePath | None = None
    """PEM file of our own certificate, where the platform asks for one."""
    key: FilePath | None = None
    """PEM file of its private key; None: it is in `certificate`."""
    server_name: str | None = None
    """The name that the platform's certificate must bear; None: the host of the address."""
    fingerprint: Annotated[str, Pattern(r"([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}", "fingerprint")] | None = None
    """SHA-256 of the only certificate that is accepted, as `openssl x509 -fingerprint -sha256` prints it."""
