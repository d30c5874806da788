"""Uploads of numbers (CN 2011, 2031, 2051, 2061): from values to frames, the way that nearly every packet goes.

    shape   w01018: Rtd 2 decimals, Flag N;  …       what a station sends, the same from packet to packet
    values  140.1537, …                              one number for each place of the shape
        │ realtime, statistics
    body    DataTime=…;w01018-Rtd=140.15,w01018-Flag=N;…        the text between `CP=&&` and `&&`
        │ frames: header, QN, PNUM and PNO where it does not fit, check code
    ##0434QN=…&&1C80 CR LF

Names and marks are checked once a shape, header fields once a station. What is left to each packet are the numbers:
all of them are formatted at once, and go the exact way (`region.number`) where one of them needs it.
HJ 212-2017 §6.3, Tables 2 to 4, Annex C.14 to C.18.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
from operator import mul
from typing import Literal, NamedTuple

from protocol.edition import EDITION_2017, Edition, Rate
from protocol.errors import CannotEncode
from protocol.factors import factor as table_row
from protocol.frame import wrap
from protocol.lenient import checked, region_of
from protocol.messages import FORM, LIMITS, Form, Header, Limits
from protocol.packet import Packet
from protocol.region import Body, number, rated_number, write
from protocol.split import split
from protocol.times import qn_text, time_text
from protocol.units import ratio

Message = Literal["realtime", "statistics"]
Slot = tuple[str, int | str]
"""Attribute and the decimals of its number, or its text: `("Rtd", 2)`, `("Flag", "N")`."""
Shape = tuple[tuple[str, tuple[Slot, ...]], ...]
"""Factors (2017 codes) with their attributes, in the order of Annex C."""
Units = tuple[tuple[str, str], ...]
"""Factors and the units that a platform wants their values in, where those are not its edition's."""

_ORDERS = {
    "realtime": ("SampleTime", "Rtd", "ZsRtd", "Flag", "EFlag"),
    "statistics": ("Cou", "Min", "Avg", "Max", "ZsMin", "ZsAvg", "ZsMax", "Data", "DayData", "NightData", "Flag"),
}
_CP_FRAME = len("CP=&&&&")
_SOME_QN = "20160801085857223"
_SOME_TIME = "20160801085857"
_EXACT = 1e9
"""Scaled values below it keep enough binary digits to tell a tie from its neighbours."""


class Issued(NamedTuple):
    """A frame to be sent; `pno` of `pnum` parts, 1 of 1 where it is whole."""

    qn: str
    pno: int
    pnum: int
    data: bytes


def realtime(
    data_time_ms: int, shape: Shape, values: Sequence[float], edition: Edition = EDITION_2017, units: Units = ()
) -> Body:
    """CN 2011: per factor SampleTime, Rtd, ZsRtd, Flag, EFlag; DataTime is the moment of acquisition."""
    return _layout("realtime", shape, edition, units).body(data_time_ms, values)


def statistics(
    data_time_ms: int, shape: Shape, values: Sequence[float], edition: Edition = EDITION_2017, units: Units = ()
) -> Body:
    """CN 2051, 2061, 2031: per factor Cou, Min, Avg, Max, ZsMin, ZsAvg, ZsMax, Flag; DataTime is the period's start."""
    return _layout("statistics", shape, edition, units).body(data_time_ms, values)


def unit_format(factor: str, unit: str, decimals: int) -> tuple[int, Rate]:
    """Decimals and rate of a factor's numbers in another unit than the table's: as fine as before, so that nothing is
    lost (2 decimals of µg/L are 5 of mg/L). ProtocolError where the unit is of another kind.
    """
    row = table_row(factor)
    over, under = ratio(row.unit, unit) if row else (1, 1)
    finer = decimals
    while finer > 0 and 10 ** (decimals - finer + 1) * under <= over:
        finer -= 1
    while 10 ** (finer - decimals) * over < under:
        finer += 1
    return finer, (over, under)


class _Layout:
    """The body of one shape, with places for its numbers."""

    def __init__(self, message: Message, shape: Shape, edition: Edition, units: Units) -> None:
        wanted = dict(units)
        columns = [_columns(message, factor, slots, edition, wanted.get(factor)) for factor, slots in shape]
        numbers = [(column.decimals, column.scale) for item in columns for column in item if column.text is None]
        self._decimals = [decimals for decimals, _ in numbers]
        self._scales = [10.0**decimals for decimals in self._decimals]
        self._rates = [scale for _, scale in numbers] if any(scale != (1, 1) for _, scale in numbers) else []
        self._fast = _template(columns, lambda decimals: f"%.{decimals}f")
        self._exact = _template(columns, lambda _: "%s")
        checked(self._exact % (_SOME_TIME, *["0"] * len(numbers)))  # every name and text, once

    def body(self, data_time_ms: int, values: Sequence[float]) -> Body:
        """The text; CannotEncode for other than one number a place, and for what is no number."""
        if len(values) != len(self._decimals):
            raise CannotEncode("protocol.encode.values", expected=len(self._decimals), came=len(values))
        rated = values
        if self._rates:
            rated = [value * over / under for value, (over, under) in zip(values, self._rates, strict=True)]
        if self._plain(rated):
            text = self._fast % (time_text(data_time_ms), *rated)
            if "=-" not in text:  # -0.0
                return Body(text)
        texts = map(rated_number, values, self._rates, self._decimals) if self._rates else None
        return Body(self._exact % (time_text(data_time_ms), *(texts or map(number, values, self._decimals))))

    def _plain(self, values: Sequence[float]) -> bool:
        """Whether `%.nf` rounds every value as `region.number` does: none near a tie, negative, huge or no number."""
        for scaled in map(mul, values, self._scales):
            if not 0.0 <= scaled < _EXACT or 0.499999 < scaled % 1.0 < 0.500001:
                return False
        return True


_layout = lru_cache(maxsize=128)(_Layout)


class _Column(NamedTuple):
    name: str
    text: str | None
    decimals: int
    scale: Rate


def _columns(
    message: Message, factor: str, slots: tuple[Slot, ...], edition: Edition, unit: str | None
) -> list[_Column]:
    order = _ORDERS[message]
    names = tuple(name for name, _ in slots)
    places = [order.index(name) if name in order else -1 for name in names]
    if -1 in places or places != sorted(set(places)) or not slots:
        raise CannotEncode("protocol.encode.attributes", field=factor, expected=",".join(order), came=",".join(names))
    return [
        _column(factor, name, what, edition, unit) for name, what in slots if name not in edition.unknown_attributes
    ]


def _column(factor: str, attribute: str, what: int | str, edition: Edition, unit: str | None) -> _Column:
    name = f"{edition.code(factor)}-{attribute}"
    if isinstance(what, str):
        return _Column(name, edition.mark(what) if attribute == "Flag" else what, 0, (1, 1))
    if unit is not None and attribute != "Cou":
        return _Column(name, None, *unit_format(factor, unit, what))
    decimals, scale = edition.number_format(factor, attribute, what)
    return _Column(name, None, decimals, scale)


def _template(columns: list[list[_Column]], place: Callable[[int], str]) -> str:
    def shown(column: _Column) -> str:
        text = place(column.decimals) if column.text is None else column.text.replace("%", "%%")
        return f"{column.name.replace('%', '%%')}={text}"

    return ";".join(chain(["DataTime=%s"], [",".join(map(shown, item)) for item in columns]))


def frames(
    header: Header,
    cn: str,
    body: Body,
    qn_ms: Callable[[], int],
    answer: bool,
    limits: Limits = LIMITS,
    form: Form = FORM,
    edition: Edition = EDITION_2017,
) -> list[Issued]:
    """The frames that carry a body: one, or several cut at factor borders where it does not fit.

    `qn_ms` gives the QN of each frame in UTC milliseconds, strictly rising; it is called once a frame.
    Limits are bytes.
    """
    data = body.encode()
    pieces, room = _head(header, cn, answer, None, limits, edition)
    if len(data) <= room:
        return [_issued(qn_text(qn_ms()), pieces, data, form)]
    region = region_of(body)
    for digits in range(1, 5):
        largest = 10**digits - 1
        _, room = _head(header, cn, answer, (largest, largest), limits, edition)
        parts = split(region, room)
        if len(parts) <= largest:
            break
    else:
        raise CannotEncode("protocol.encode.parts", came=len(parts))
    found: list[Issued] = []
    for pno, part in enumerate(parts, 1):
        pieces, _ = _head(header, cn, answer, (len(parts), pno), limits, edition, form.pno_first)
        qn = qn_text(qn_ms())
        if found and qn <= found[-1].qn:
            raise CannotEncode("protocol.encode.qn_order", expected=found[-1].qn, came=qn)
        found.append(_issued(qn, pieces, write(part).encode(), form, pno, len(parts)))
    return found


def _issued(qn: str, pieces: list[bytes], data: bytes, form: Form, pno: int = 1, pnum: int = 1) -> Issued:
    segment = b"%b%b&&" % (qn.encode().join(pieces), data)
    return Issued(qn, pno, pnum, wrap(segment, form.variant, form.tail))


@lru_cache(maxsize=256)
def _head(
    header: Header,
    cn: str,
    answer: bool,
    part: tuple[int, int] | None,
    limits: Limits,
    edition: Edition,
    pno_first: bool = False,
) -> tuple[list[bytes], int]:
    """The checked header, cut where its QN stands (one piece: it bears none), and the bytes that are left for a body.

    `part`: PNUM and PNO.
    """
    pnum, pno = part or (None, None)
    flag = edition.flag(answer, part is not None)
    packet = Packet(_SOME_QN, header.st, cn, header.pw, header.mn, flag, pnum, pno)
    head = edition.upload(packet).removesuffix(b"&&")
    if part and pno_first:
        head = head.replace(b"PNUM=%d;PNO=%d;" % part, b"PNO=%d;PNUM=%d;" % part[::-1], 1)
    room = min(limits.segment - len(head) - len("&&"), limits.cp - _CP_FRAME)
    return head.split(_SOME_QN.encode(), 1), room
