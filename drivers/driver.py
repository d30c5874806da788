"""The contract between a line and the drivers of its instruments.

    line ──Bus.ask(Request)──▶ wire    one exchange: silence, gap, write, wait, retry, late-answer rule
    driver.read(bus) ─▶ [Reading, …]   one pass over the instrument's points, never longer than its time-outs
    driver.reader(…), driver.writer(…)  one exchange beside the polls: what a control command needs (`Commanded`)

A driver is one file in this folder with a class registered under its name. It declares frames and decodes
them; it does not sleep, retry, reconnect, log or keep module state: the line does that. A driver raises
`BadOption` in its constructor for options it cannot use, and lets `DriverError` from the bus pass through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeGuard


@dataclass(frozen=True, slots=True)
class Reading:
    """One point as the instrument said it: the number before scale and offset, and the raw bytes behind it.

    `value` is None where the instrument answered and had no number (NaN, a "no result" code); `error`, the
    code of a text, then says why. `text` is what a text holds, such as a serial number.
    """

    point: str
    value: float | None
    raw: bytes = b""
    error: str | None = None
    text: str | None = None
    mark: str | None = None
    """The mark (HJ 212-2017 Table 8) that the instrument itself gives the value; None: it says nothing."""


Value = float | int | str
"""What is written: a number, or decimal digits for BCD."""


@dataclass(frozen=True, slots=True)
class PointSpec:
    """One point: `key` comes back in `Reading.point`; `options` is the driver's `PointOptions`.

    `text_ok`: a text will do as well as a number, for a state.
    """

    key: str
    options: Any
    text_ok: bool = False


@dataclass(frozen=True, slots=True)
class Telegram:
    """What an HJ 212 packet says: command code, MN, and the fields (`Rtd`, `Flag`) of each factor code."""

    cn: str
    mn: str
    factors: Mapping[str, Mapping[str, str]]


def no_decoder(frame: bytes, variant: str) -> Telegram:
    """Stands in where a driver is made only to check its options."""
    raise RuntimeError("no decoder of HJ 212 frames was handed in")


@dataclass(frozen=True, slots=True)
class InstrumentSpec:
    """One instrument: name, address on the line, all its points, the driver's `InstrumentOptions`.

    `decode` turns a whole HJ 212 frame (with its CRC variant) into a `Telegram` or raises BadAnswer: the protocol is
    not known in this folder, so `edge` hands it in.
    """

    name: str
    address: int | str
    points: Sequence[PointSpec]
    options: Any = None
    decode: Callable[[bytes, str], Telegram] = no_decoder


@dataclass(frozen=True, slots=True)
class Request:
    """One exchange on a line.

    `length` tells from the bytes received so far how long the whole answer is (None: cannot be told yet, 0 or
    less: these bytes cannot begin an answer to this request). `check` gets the whole answer and raises
    `BadAnswer` or `DeviceRefused`. `confusable` is equal for two requests whose answers could be taken for
    each other (same slave, function and length): after a time-out the line does not send such a request
    before the late answer is out of the way; `()`: any answer could be taken for one to this request.
    `expected` is the length of the usual answer in bytes, from which the line computes when it is due (0:
    unknown).
    """

    data: bytes
    length: Callable[[bytes], int | None]
    check: Callable[[bytes], None]
    confusable: tuple[object, ...]
    expected: int = 0
    once: bool = False
    """It changes something in the instrument: sent once, never again blindly. Unanswered, its outcome is unknown."""
    anywhere: bool = True
    """The answer may begin at any byte of what comes, since noise does not pass its check. False: at the first only."""
    first: bytes = b""
    """The byte that every answer begins with, to find one quickly in much noise; empty: there are several."""
    lead: bytes = b""
    """Bytes that may stand before an answer and mean nothing, such as those that wake a meter's line."""
    idle_s: float | None = None
    """An answer whose length cannot be told is ended by this silence; None: it never is."""
    after: bytes | None = None
    """Nothing is sent, the instrument speaks by itself: a telegram begins behind these bytes, empty: anywhere."""
    paced: bool = True
    """Bytes take the time of the line's baud rate; False: a network's, so that the answer is looked for at once."""


class Bus(Protocol):
    """What the line offers a driver while the driver holds the line."""

    def ask(self, request: Request) -> bytes:
        """Send, wait, check; the checked answer.

        Raises DeviceSilent, BadAnswer, DeviceRefused, PortLost; OutcomeUnknown for a request sent `once`.
        """
        ...


class Driver(Protocol):
    """One instrument as a driver sees it; built once, read again and again.

    `PointOptions` and `InstrumentOptions` are frozen dataclasses: the keys that a point or an instrument of
    this driver may have in the site file, with their types, bounds (`annotated_types`) and defaults.
    """

    name: ClassVar[str]
    PointOptions: ClassVar[type]
    InstrumentOptions: ClassVar[type]

    def __init__(self, spec: InstrumentSpec) -> None: ...

    def read(self, bus: Bus) -> list[Reading]:
        """One pass over all points.

        A point whose part of the pass failed is not in the list; when nothing could be read the last
        error is raised.
        """
        ...


class Commanded(Driver, Protocol):
    """A driver whose instruments can also be told something: control commands, parameters, clocks.

    `WriteOptions` is a frozen dataclass: the keys that a write may have in the site file. What `reader` and
    `writer` give is one exchange each, to be run in the line's thread (`LineWorker.submit`), so that polls come
    in between. Both raise BadOption for what they cannot use.
    """

    WriteOptions: ClassVar[type]

    def reader(self, point: PointSpec) -> Callable[[Bus], Reading]:
        """Reads one quantity that is not polled; `point.options` are `PointOptions`."""
        ...

    def writer(self, options: Any, values: Sequence[Value], repeat: bool = False) -> Callable[[Bus], None]:
        """Writes `values`, one after the other from the place on that `options` name.

        `options` are `WriteOptions`, or the `PointOptions` of a quantity that is to be changed. With `repeat` an
        unanswered write is sent again; without, it fails with OutcomeUnknown.
        """
        ...


def commanded(driver: Driver) -> TypeGuard[Commanded]:
    """Whether this driver's instruments can be told something."""
    return hasattr(driver, "WriteOptions")
