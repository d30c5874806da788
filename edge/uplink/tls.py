"""The TLS of an uplink, of the site file's `[platforms.NAME.tls]`; `ssl` is imported by the sites that use it alone.

With `fingerprint` the context itself checks the certificate at the end of each handshake, whoever uses it (asyncio's
streams, paho's sockets): no connection comes out of it that was not checked.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from config.tls import Tls


def context(tls: Tls) -> ssl.SSLContext:
    """A client's context. Raises OSError (of which ssl.SSLError is one) for a file that is missing or no good."""
    with _read(tls.ca):
        made = ssl.create_default_context(cafile=tls.ca)
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT  # on from Python 3.13: it refuses authorities that 3.12 accepts
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.certificate is not None:
        _show(made, tls)
    if tls.fingerprint is not None:
        _pin(made, bytes.fromhex(tls.fingerprint.replace(":", "")))
    return made


def server_context(tls: Tls) -> ssl.SSLContext:
    """Of a logger that a platform connects to; `ca`: the platform needs a certificate of its own. Raises OSError."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    _show(made, tls)
    if tls.ca is not None:
        with _read(tls.ca):
            made.load_verify_locations(tls.ca)
        made.verify_mode = ssl.CERT_REQUIRED
    return made


def _show(made: ssl.SSLContext, tls: Tls) -> None:
    """Our own certificate."""
    with _read(tls.certificate, tls.key):
        made.load_cert_chain(tls.certificate or "", tls.key, password=lambda: "")  # never ask at a terminal


@contextmanager
def _read(*files: str | None) -> Iterator[None]:
    """OpenSSL does not say which file it was."""
    try:
        yield
    except OSError as error:
        error.filename = ", ".join(file for file in files if file)
        raise


def _pin(made: ssl.SSLContext, digest: bytes) -> None:
    """Accept the certificate of this SHA-256, and no other."""

    class PinnedObject(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            _check(self, digest)

    class PinnedSocket(ssl.SSLSocket):
        def do_handshake(self, *args: Any) -> None:
            super().do_handshake(*args)
            _check(self, digest)

    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.sslobject_class = PinnedObject
    made.sslsocket_class = PinnedSocket


def _check(end: ssl.SSLObject | ssl.SSLSocket, digest: bytes) -> None:
    """Raises ssl.SSLCertVerificationError for another certificate."""
    found = hashlib.sha256(end.getpeercert(binary_form=True) or b"").digest()
    if found != digest:
        raise ssl.SSLCertVerificationError(ssl.SSL_ERROR_SSL, f"another certificate: SHA-256 {found.hex(':').upper()}")
