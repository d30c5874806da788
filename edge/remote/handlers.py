"""Which handler carries out which command code: HJ 212-2017 Table 9, and HJ/T 212-2005."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge.remote import clock, control, edition2005, history, info, settings
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


_AS_IN_2017 = (
    "1011", "1012", "1061", "1062", "1072", "2011", "2021", "2031", "2041", "2051", "2061", "3011", "3012", "3013",
)  # fmt: skip
REQUESTS_2005: Mapping[str, Handler] = {
    **{cn: REQUESTS[cn] for cn in _AS_IN_2017},
    "1000": edition2005.set_timeout,
    "1001": edition2005.set_warn_time,
    "1021": edition2005.get_limits,
    "1022": edition2005.set_limits,
    "1031": edition2005.get_alarm_target,
    "1032": edition2005.set_alarm_target,
    "1041": edition2005.get_report_time,
    "1042": edition2005.set_report_time,
    "2071": edition2005.get_alarms,
    "3014": edition2005.set_sampling_hours,
}
"""Commands of 2005; its 3013, to operate equipment, cleans."""
READS_2005 = frozenset({"1021", "1031", "1041", "2071", *READS & REQUESTS_2005.keys(), *READS & NOTICES.keys()})


@dataclass(frozen=True, slots=True)
class Table:
    """The commands of an edition."""

    requests: Mapping[str, Handler]
    notices: Mapping[str, Handler]
    reads: frozenset[str]
    no_result: frozenset[str] = frozenset()
    """Requests that a 9011 answers when they are carried out, without a 9012 behind it."""
    announced: frozenset[str] = frozenset()
    """Requests for data whose 9011 says with Flag bit A that the data will want answers."""


TABLES = {
    "2017": Table(REQUESTS, NOTICES, READS),
    "2005": Table(
        REQUESTS_2005,
        NOTICES,
        READS_2005,
        no_result=frozenset({"2011", "2021"}),
        announced=frozenset({"2031", "2041", "2051", "2061", "2071"}),
    ),
}


def takes_time(packet: Packet) -> bool:
    """Whether an instrument or other data must be waited for, so that later commands go on meanwhile."""
    cn = packet.cn or ""
    return cn.startswith("3") or cn in ("2031", "2041", "2051", "2061", "2071") or packet.get("PolId") is not None
