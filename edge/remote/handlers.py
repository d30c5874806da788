"""Which handler carries out which command code (HJ 212-2017 Table 9)."""

from __future__ import annotations

from collections.abc import Mapping

from edge.remote import clock, control, history, info, settings
from edge.remote.context import Handler
from edge.remote.streams import switch
from protocol.packet import Packet

REQUESTS: Mapping[str, Handler] = {
    "1000": settings.set_timeout,
    "1011": clock.get_time,
    "1012": clock.set_time,
    "1061": settings.get_realtime_interval,
    "1062": settings.set_realtime_interval,
    "1063": settings.get_minute_interval,
    "1064": settings.set_minute_interval,
    "1072": settings.set_password,
    "2011": switch("realtime_on", "1"),
    "2021": switch("state_on", "1"),
    "2031": history.get_records,
    "2041": history.get_records,
    "2051": history.get_records,
    "2061": history.get_records,
    "3011": control.order("zero-span"),
    "3012": control.order("sample-now"),
    "3013": control.order("clean"),
    "3014": control.order("compare"),
    "3015": control.keep_sample,
    "3016": control.set_cycle,
    "3017": control.inquiry("get-cycle"),
    "3018": control.inquiry("time-to-result"),
    "3019": control.serial_number,
    "3020": info.get_info,
    "3021": info.set_info,
}
"""Answered by 9011, data where they were asked for, and 9012."""
NOTICES: Mapping[str, Handler] = {
    "2012": switch("realtime_on", "0"),
    "2022": switch("state_on", "0"),
}
"""Answered by 9013."""
READS = frozenset(
    {"1011", "1061", "1063", "2031", "2041", "2051", "2061", "3017", "3018", "3019", "3020", "2011", "2012"}
)
"""What `allow = "read"` lets through: what changes nothing but the platform's own realtime stream."""


def takes_time(packet: Packet) -> bool:
    """Whether an instrument or other data must be waited for, so that later commands go on meanwhile."""
    cn = packet.cn or ""
    return cn.startswith("3") or cn in ("2031", "2041", "2051", "2061") or packet.get("PolId") is not None
