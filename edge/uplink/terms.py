"""What holds between the logger and one platform for one outlet: the site file, overridden by what the platform set.

A platform sets values over the wire (1000, 1062, 1064, 1072, 2011/2012, 2021/2022). They are kept in the store before
they are used, survive restarts and are shown with their origin.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from config.site import Access, Platform, UploadKind
from edge.uplink.health import SILENT_AFTER
from edge.uplink.kinds import ALARM_NOTICE, ALARMS, KIND_OF_CN
from edge.values import BEIJING_MS
from protocol.edition import Edition, edition
from protocol.frame import wrap
from protocol.messages import Form, Limits
from protocol.packet import Packet

MINUTE_NAMES = ("minute_before", "minute_from")
"""When a platform-set minute interval begins, and what goes before: kept when it is undone."""
WARN_TIME = "warn_time"
"""Name of the setting of 1001 (2005), seconds."""
DEFAULT_WARN_S = 60
"""Before a platform has set WarnTime: one minute, so that a single outlier is no alarm."""


def destination(site: Platform) -> str:
    """For whom packets are made: one that was made for another address or check code is of no use to a platform."""
    usual = site.crc == "hj212" and site.tail == "crlf"
    addresses = " ".join(sorted(site.addresses))  # another order of the same ones is no other place
    return addresses if usual else f"{addresses} {site.crc} {site.tail}"


@dataclass(slots=True)
class Terms:
    """Platform, outlet, and the values in force between them; times in milliseconds."""

    platform: str
    outlet: str
    st: str
    site: Platform
    access: Access
    overrides: dict[str, str] = field(default_factory=dict)
    address_since_ms: int = 0
    """Packets made before this were made for another address of the platform."""
    set_at: dict[str, int] = field(default_factory=dict)
    """When each override was set."""
    held: bool = False
    """A technician holds the platform: nothing is sent but answers to commands."""

    def override(self, values: Mapping[str, str], at_ms: int) -> None:
        """What the platform has set."""
        self.overrides.update(values)
        self.set_at.update(dict.fromkeys(values, at_ms))

    def reset(self, names: Iterable[str]) -> None:
        """The site file counts again."""
        for name in names:
            self.overrides.pop(name, None)
            self.set_at.pop(name, None)

    def as_file(self, values: Mapping[str, str]) -> list[str]:
        """Names of the values that the site file has too, or, where it has no word, that hold unless a platform sets
        others. The border of a minute interval is one of them where that interval is in force anyway.
        """
        site = self.site
        said = {"realtime": site.realtime, "minute": site.minute, "timeout": site.timeout, "retries": site.retries}
        unsaid = {"realtime_on": 1, "state_on": 1, WARN_TIME: DEFAULT_WARN_S}
        file = {"password": self.access.password} | {key: str(number) for key, number in (said | unsaid).items()}
        same = [name for name, value in values.items() if file.get(name) == value]
        if "minute" in same and values.get("minute_before") == values["minute"]:
            same += MINUTE_NAMES
        return same

    def _number(self, name: str, default: int) -> int:
        return int(self.overrides.get(name, default))

    @property
    def edition(self) -> Edition:
        """The edition that the platform speaks."""
        return edition(self.site.edition)

    @property
    def is_mqtt(self) -> bool:
        """Whether a broker stands between the logger and the platform."""
        return self.site.protocol == "mqtt"

    @property
    def unheard_limit(self) -> float:
        """Packets in a row, during which nothing at all arrived, that end the link.

        A publish is not repeated on the same MQTT connection; one without PUBACK is a dead broker.
        """
        if self.is_mqtt:
            return 1
        return SILENT_AFTER if self.site.no_answer == "close" else math.inf

    @property
    def mn(self) -> str:
        """The outlet's MN at this platform."""
        return self.access.mn

    @property
    def password(self) -> str:
        """PW in force."""
        return self.overrides.get("password", self.access.password)

    @property
    def realtime_ms(self) -> int:
        """Interval of 2011 and 2021."""
        return self._number("realtime", self.site.realtime)

    @property
    def minute_ms(self) -> int:
        """Interval of 2051."""
        return self._number("minute", self.site.minute)

    def minute_at(self, start_ms: int) -> int:
        """Interval of 2051 for data that begin at `start_ms`: a new one begins where both intervals have a border."""
        if start_ms < self._number("minute_from", 0):
            return self._number("minute_before", self.site.minute)
        return self.minute_ms

    def minute_border(self, after: int, now_ms: int) -> dict[str, str]:
        """What has to be kept for the interval `after` to begin where it and the present one both have a border."""
        # what is in force now, which is not what was set last where that has not begun yet
        before = self.minute_at(now_ms)
        border = math.lcm(before, after)
        begin = -(-(now_ms + BEIJING_MS) // border) * border - BEIJING_MS
        return {"minute_before": str(before), "minute_from": str(begin)}

    @property
    def timeout_s(self) -> float:
        """How long an answer may take."""
        return self._number("timeout", self.site.timeout) / 1000

    @property
    def retries(self) -> int:
        """Resends after the first sending."""
        return self._number("retries", self.site.retries)

    @property
    def realtime_on(self) -> bool:
        """Whether realtime data are uploaded (2011 starts, 2012 stops)."""
        return self.overrides.get("realtime_on", "1") == "1"

    @property
    def state_on(self) -> bool:
        """Whether equipment states are uploaded (2021 starts, 2022 stops)."""
        return self.overrides.get("state_on", "1") == "1"

    def asks_answer(self, cn: str) -> bool:
        """Whether an upload of this code wants an answer: Flag bit A, in 2005 a QN. A notice always does."""
        choice: bool | tuple[UploadKind, ...] = self.site.acknowledge
        if cn in ALARMS:
            return cn == ALARM_NOTICE or bool(choice)
        return choice if isinstance(choice, bool) else KIND_OF_CN.get(cn) in choice

    @property
    def form(self) -> Form:
        """How this link wants our frames."""
        return Form(self.site.crc, self.site.tail, self.site.part_order == "pno-pnum")

    @property
    def limits(self) -> Limits:
        """Where uploads are split."""
        return Limits(self.site.segment_limit, self.site.cp_limit)

    def frame(self, packet: Packet) -> bytes:
        """A packet that is no upload, as it goes to this platform; CannotEncode."""
        return wrap(self.edition.segment(packet), self.site.crc, self.site.tail)

    def shown(self) -> Mapping[str, str]:
        """Platform-set values without the password's text."""
        return {name: "***" if name == "password" else value for name, value in self.overrides.items()}
