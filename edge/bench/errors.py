"""What the bench platform refuses from its user: a code and parameters, put into words by the catalogue."""

from __future__ import annotations

import os
from typing import Any


class BenchError(Exception):
    """`code` names the text, `params` fill it."""

    def __init__(self, code: str, **params: Any) -> None:
        super().__init__(code, params)
        self.code = code
        self.params = params

    def __str__(self) -> str:
        return self.code + "".join(f" {name}={value!r}" for name, value in self.params.items())


class BadProfile(BenchError):
    """No such profile, or its option is missing or wrong."""


class BadLine(BenchError):
    """A line of the prompt or the script is no command, or lacks something."""


class Unmet(BenchError):
    """A script's `expect` or `wait` was not met: the script ends."""


class BadEdition(BenchError):
    """No such edition."""


class NotTested(BenchError):
    """A test of a platform cannot be done: who asks must look at the address, the site file, or the permission."""


def reason_of(error: OSError) -> str:
    """Why a connection did not come about, in the system's words: asyncio says `Connect call failed (…)`."""
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)
    return error.strerror or str(error)
