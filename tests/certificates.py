"""Certificates for TLS tests, made by the `openssl` command: an authority, and ends that it has signed."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificate:
    """PEM files of a certificate and its key."""

    certificate: str
    key: str

    @property
    def fingerprint(self) -> str:
        """SHA-256, as openssl prints it."""
        line = _openssl("x509", "-in", self.certificate, "-noout", "-fingerprint", "-sha256")
        return line.strip().partition("=")[2]


def _openssl(*arguments: str) -> str:
    done = subprocess.run(["openssl", *arguments], check=True, capture_output=True, text=True, timeout=30)
    return done.stdout


def certificate(folder: Path, name: str, alt: str, issuer: Certificate | None = None) -> Certificate:
    """A certificate for `alt` (`DNS:localhost`), signed by the issuer; None: by itself, and an authority."""
    made = Certificate(str(folder / f"{name}.pem"), str(folder / f"{name}.key"))
    signed = ["-CA", issuer.certificate, "-CAkey", issuer.key] if issuer else []
    authority = "FALSE" if issuer else "TRUE"
    _openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", f"/CN={name}", "-addext", f"subjectAltName={alt}",
        "-addext", f"basicConstraints=critical,CA:{authority}",
        "-keyout", made.key, "-out", made.certificate, *signed,
    )  # fmt: skip
    return made
