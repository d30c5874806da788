"""Whom an uplink's TLS context accepts, in handshakes over memory: no sockets."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from certificates import Certificate, certificate

from config.tls import Tls
from edge.uplink.tls import context

HOST = "platform.example"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Certificate:
    return certificate(folder, "authority", "DNS:authority")


@pytest.fixture(scope="module")
def signed(folder: Path, authority: Certificate) -> Certificate:
    return certificate(folder, "platform", f"DNS:{HOST}", authority)


@pytest.fixture(scope="module")
def self_signed(folder: Path) -> Certificate:
    return certificate(folder, "alone", "DNS:elsewhere.example")


def shake(tls: Tls, platform: Certificate, host: str = HOST, asks: Certificate | None = None) -> None:
    """A handshake of both ends; raises what either refuses. `asks`: the platform wants a certificate signed by it."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(platform.certificate, platform.key)
    if asks is not None:
        server.verify_mode = ssl.CERT_REQUIRED
        server.load_verify_locations(asks.certificate)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        context(tls).wrap_bio(down, up, server_hostname=tls.server_name or host),
        server.wrap_bio(up, down, server_side=True),
    ]
    for _ in range(10):
        for end in list(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                pass
    assert not ends


def test_certificate_of_a_trusted_authority_with_the_right_name_is_accepted(
    signed: Certificate, authority: Certificate
) -> None:
    shake(Tls(ca=authority.certificate), signed)
    shake(Tls(ca=authority.certificate, server_name=HOST), signed, host="10.0.0.5")


def test_unknown_authority_and_wrong_name_are_refused(signed: Certificate, authority: Certificate) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(Tls(), signed)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(Tls(ca=authority.certificate), signed, host="10.0.0.5")


def test_fingerprint_accepts_its_certificate_whatever_the_name_and_no_other(
    signed: Certificate, self_signed: Certificate
) -> None:
    shake(Tls(fingerprint=self_signed.fingerprint), self_signed)
    shake(Tls(fingerprint=self_signed.fingerprint.replace(":", "").lower()), self_signed)
    with pytest.raises(ssl.SSLCertVerificationError, match="another certificate"):
        shake(Tls(fingerprint=self_signed.fingerprint), signed)


def test_fingerprint_holds_for_plain_sockets_too(self_signed: Certificate, signed: Certificate) -> None:
    made = context(Tls(fingerprint=self_signed.fingerprint))
    assert issubclass(made.sslsocket_class, ssl.SSLSocket)
    assert made.sslsocket_class is not ssl.SSLSocket


def test_own_certificate_is_shown_to_a_platform_that_asks(
    folder: Path, signed: Certificate, authority: Certificate
) -> None:
    own = certificate(folder, "logger", "DNS:logger", authority)
    trusted = Tls(ca=authority.certificate)
    with pytest.raises(ssl.SSLError):
        shake(trusted, signed, asks=authority)
    shake(Tls(ca=authority.certificate, certificate=own.certificate, key=own.key), signed, asks=authority)


def test_file_that_is_missing_is_an_os_error() -> None:
    with pytest.raises(OSError, match="No such file"):
        context(Tls(ca="/nowhere/ca.pem"))
