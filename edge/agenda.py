"""Which uploads become due when periods are sealed: minutes to each platform's interval, hours and days at once.

Of equipment only the day is due, right after that of the pollutants: its running times (2041).

A platform's longer minute interval is due with its last minute; where that minute is missing (the daemon was down),
with the next minute that is sealed. What is due twice is the same delivery: the outbox keeps one per label, and one
more for each factor that is sealed later than the others of its hour or day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from edge.store.outbox import Due
from edge.uplink.terms import Terms
from edge.values import MINUTE_MS, Kind, Record, period_start
from protocol.equipment import is_equipment

NONE_LATE: Mapping[str, frozenset[str]] = {}
CN_OF_RECORD = {Kind.MINUTE: "2051", Kind.HOUR: "2061", Kind.DAY: "2031"}


def cn_of(record: Record) -> str | None:
    """The CN that sends a record; None: none does."""
    if not is_equipment(record.factor):
        return CN_OF_RECORD[record.kind]
    return "2041" if record.kind is Kind.DAY and record.cou is not None else None


class Agenda:
    """Uploads due per platform and outlet."""

    def __init__(self, terms: Sequence[Terms]) -> None:
        self._terms = terms
        self._covered: dict[tuple[str, str], int] = {}
        self._open: dict[tuple[str, str], dict[int, int]] = {(each.platform, each.outlet): {} for each in terms}

    def resume(self, outlet: str, minutes: Iterable[Record], covered: Mapping[str, int | None]) -> list[Due]:
        """What is due of an outlet's newest stored minutes after a restart; call it once, before anything else.

        `covered` says by platform until when its minute data are in the outbox: with another interval than before the
        restart, the first period begins there, so that no minute is sent twice or left out. None: it never had any.
        """
        dues: list[Due] = []
        starts = sorted({record.start for record in minutes if cn_of(record) is not None})
        for terms in self._terms:
            if terms.outlet != outlet or not starts:
                continue
            begin = covered.get(terms.platform)
            if begin is None:
                begin = period_start(starts[-1], terms.minute_at(starts[-1]))
            self._covered[terms.platform, outlet] = begin
            for start in starts:
                if start >= begin:
                    dues += self._minute(terms, start)
        return dues

    def after(self, records: Iterable[Record], late: Mapping[str, frozenset[str]] = NONE_LATE) -> list[Due]:
        """What is due once these records are sealed; `late`: by outlet, the factors that may be sealed after the
        others of their hour or day. Such a one is a delivery of its own.
        """
        labels: dict[tuple[int, Kind, str, str], set[str]] = {}
        for record in records:
            if (cn := cn_of(record)) is not None:
                labels.setdefault((record.start, record.kind, cn, record.outlet), set()).add(record.factor)
        dues: list[Due] = []
        for (start, kind, cn, outlet), factors in sorted(labels.items()):
            alone = sorted(factors) if factors <= late.get(outlet, frozenset()) else [None]
            for terms in self._terms:
                if terms.outlet != outlet:
                    continue
                if kind is Kind.MINUTE:
                    dues += self._minute(terms, start)
                else:
                    dues += [Due(terms.platform, outlet, cn, start, factor=factor) for factor in alone]
        return dues

    def _minute(self, terms: Terms, start: int) -> list[Due]:
        waiting = self._open[terms.platform, terms.outlet]
        interval = terms.minute_at(start)
        waiting[period_start(start, interval)] = interval
        ended = [(begin, length) for begin, length in waiting.items() if begin + length <= start + MINUTE_MS]
        for begin, _length in ended:
            del waiting[begin]
        covered = self._covered.get((terms.platform, terms.outlet), 0)
        return [
            Due(terms.platform, terms.outlet, "2051", covered if begin < covered < end else begin, end=end)
            for begin, end in sorted((begin, begin + length) for begin, length in ended)
        ]
