"""Errors and notes of the protocol: a code and parameters, which the catalogue in `edge` turns into words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Note:
    """A defect that was tolerated: `code` names the text (`protocol.note…`), `params` fill it."""

    code: str
    params: dict[str, Any] = field(default_factory=dict)


class ProtocolError(Exception):
    """Something on the wire, or asked for the wire, is not HJ 212.

    `code` names the text in the catalogue (`protocol.…`), `params` fill it: where, what was expected, what came.
    """

    def __init__(self, code: str, **params: Any) -> None:
        super().__init__(code, params)
        self.code = code
        self.params = params

    def __str__(self) -> str:
        return self.code + "".join(f" {name}={value!r}" for name, value in self.params.items())


class BadFrame(ProtocolError):
    """The bytes are no frame: head, length, CRC, tail."""


class BadPacket(ProtocolError):
    """The frame is sound, its header or data region is not."""


class CannotEncode(ProtocolError):
    """What should be sent does not fit the standard: the sender must act."""
