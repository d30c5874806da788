"""Commands that only HJ/T 212-2005 has, or has otherwise: 1000, 1001, 1021 to 1042, 2071, 3014 (its Annex C).

Limits, the time before an alarm (`edge.uplink.alarms2005`), the address of alarms and the time of the daily report are
kept for the platform that sets them. 3014 is a list of hours: an instrument knows a cycle, so the hours must make one.
"""

from __future__ import annotations

from edge.remote.context import NO_DATA, Context, Outcome
from edge.remote.control import act
from edge.uplink.alarms2005 import AlarmRecords, limits, setting_of
from edge.uplink.terms import WARN_TIME
from protocol import edition2005
from protocol.edition2005 import Threshold
from protocol.packet import Packet
from protocol.parameters import read_period, wrong
from protocol.region import fields

MOST_LIMITS = 200
"""Factors with limits, at most: more than a site has, fewer than would fill the store."""
_TARGET, _REPORT_TIME = "alarm_target", "report_time"


async def set_timeout(context: Context, packet: Packet) -> Outcome:
    """1000: as in 2017, but no resend at all is fine."""
    asked = edition2005.read_timeouts(packet)
    await context.put({"timeout": str(asked.timeout_s * 1000), "retries": str(asked.retries)}, "1000")
    return Outcome()


async def set_warn_time(context: Context, packet: Packet) -> Outcome:
    """1001: seconds that a limit is passed before it is an alarm."""
    await context.put({WARN_TIME: str(edition2005.read_warn_time(packet))}, "1001")
    return Outcome()


async def get_limits(context: Context, packet: Packet) -> Outcome:
    """1021: those of the factors asked for that have some; ExeRtn 100 where none has."""
    asked = edition2005.read_threshold_request(packet)
    known = limits(context.terms.overrides)
    found = tuple(Threshold(factor, *known[factor]) for factor in asked if factor in known)
    return Outcome(region=edition2005.thresholds(found)) if found else Outcome(NO_DATA)


async def set_limits(context: Context, packet: Packet) -> Outcome:
    """1022; more factors than MOST_LIMITS are refused."""
    asked = {each.factor: (each.low, each.high) for each in edition2005.read_thresholds(packet)}
    count = len(limits(context.terms.overrides) | asked)
    if count > MOST_LIMITS:
        raise wrong("xxx-UpValue", f"<= {MOST_LIMITS}", count)
    await context.put(dict(setting_of(factor, *pair) for factor, pair in asked.items()), "1022")
    return Outcome()


async def get_alarm_target(context: Context, packet: Packet) -> Outcome:
    """1031: ExeRtn 100 before one was set."""
    return _kept(context, _TARGET, "AlarmTarget")


async def set_alarm_target(context: Context, packet: Packet) -> Outcome:
    """1032: kept for the platform; alarms go to the platform itself."""
    await context.put({_TARGET: edition2005.read_alarm_target(packet)}, "1032")
    return Outcome()


async def get_report_time(context: Context, packet: Packet) -> Outcome:
    """1041: ExeRtn 100 before one was set."""
    return _kept(context, _REPORT_TIME, "ReportTime")


async def set_report_time(context: Context, packet: Packet) -> Outcome:
    """1042: kept for the platform; day data go when the day has ended."""
    await context.put({_REPORT_TIME: edition2005.read_report_time(packet)}, "1042")
    return Outcome()


def _kept(context: Context, name: str, field: str) -> Outcome:
    value = context.terms.overrides.get(name)
    return Outcome(NO_DATA) if value is None else Outcome(region=fields((field, value)))


async def get_alarms(context: Context, packet: Packet) -> Outcome:
    """2071: the moments in a period at which limits were passed, both ends included."""
    period = read_period(packet)
    return Outcome(await context.history("2071", AlarmRecords(context.terms, period.begin_ms, period.end_ms)))


async def set_sampling_hours(context: Context, packet: Packet) -> Outcome:
    """3014: hours of the day that make no even cycle cannot be had."""
    pol_id, hours = edition2005.read_sampling_hours(packet)
    cycle = edition2005.even_cycle(hours)
    if cycle is None:
        raise wrong("CTime", "evenly spaced hours", " ".join(map(str, hours)))
    return Outcome((await act(context, packet, pol_id, "set-cycle", cstart=cycle.start, ctime=cycle.hours)).exe_rtn)
