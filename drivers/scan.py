"""Looking for the instruments on a line whose speed, format, protocol and addresses nobody knows.

    Wish ─▶ plan: probes, the most likely first ─▶ scan: one probe after the other ─▶ Step, with what was found
      round 1   every speed, the usual addresses, meters by wildcard
      round 2   all other addresses, then Modbus ASCII and ADAM

All instruments of a line have one speed and format, so that behind the first find only its own are looked at further
(unless `everywhere`). Nothing is ever written: Modbus functions 1–4, reading of meters, names of modules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from typing import Literal, get_args

from drivers import cjt188, dlt645
from drivers.bus import Caller, LineBus
from drivers.driver import Bus, Request
from drivers.errors import BadAnswer, DeviceRefused, DeviceSilent, PortLost
from drivers.meter_frame import parsed
from drivers.modbus_frame import ascii_, rtu
from drivers.modbus_pdu import read_ask
from drivers.text_frame import Form, text_request

Protocol = Literal["modbus", "modbus-ascii", "dlt645-2007", "dlt645-1997", "cjt188", "adam"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
FIRST_ADDRESSES = (*range(1, 17), 30, 48)
"""Where instruments are as a rule; 30 and 48 are a flow meter's and an analyzer's factory settings."""
_LAST = {"modbus": 247, "modbus-ascii": 247, "adam": 255}
_METERS = ("dlt645-2007", "dlt645-1997", "cjt188")
_WAIT_S: dict[Protocol, float] = {
    "modbus": 0.25, "modbus-ascii": 0.4, "dlt645-2007": 0.8, "dlt645-1997": 0.8, "cjt188": 0.8, "adam": 0.15,
}  # fmt: skip
"""How long an answer is waited for, beside its time on the wire. Meters may take 500 ms (DL/T 645-2007 §7.2)."""
_LATE_FACTOR = 6.0
"""An instrument that answered too late is asked again with so much more time."""
_USUAL_BYTES = 16
_DUE = "drivers.late-answer-due"
_METER_WAITS = 4
"""A meter is asked twice by wildcard, and the second time waits until no late answer to the first can come."""
_NO_GATEWAY = (10, 11)
"""Exceptions of a gateway that has nobody at this address."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Speed and format of a line."""

    baud: int
    format: str


def _settings(text: str) -> tuple[Setting, ...]:
    return tuple(Setting(int(one.split("/")[0]), one.split("/")[1]) for one in text.split())


_SETTINGS: dict[Protocol, tuple[Setting, ...]] = {
    "modbus": _settings(
        "9600/8N1 9600/8E1 19200/8N1 4800/8N1 19200/8E1 38400/8N1 2400/8N1 115200/8N1 57600/8N1 9600/8O1 4800/8E1 "
        "2400/8E1 38400/8E1 1200/8N1"
    ),
    "modbus-ascii": _settings("9600/8N1 9600/7E1 19200/7E1 19200/8N1"),
    "dlt645-2007": _settings("2400/8E1 9600/8E1 4800/8E1 1200/8E1 9600/8N1 2400/8N1"),
    "dlt645-1997": _settings("1200/8E1 2400/8E1 9600/8E1"),
    "cjt188": _settings("2400/8E1 9600/8E1 9600/8N1 4800/8E1 1200/8E1"),
    "adam": _settings("9600/8N1 19200/8N1 38400/8N1"),
}  # fmt: skip
"""Where each protocol is looked for, the most likely first."""
_EVERY_PORT = Setting(9600, "8N1")
"""Every port has this."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What to look for; None: what is usual."""

    protocols: Sequence[Protocol] = PROTOCOLS
    bauds: Sequence[int] | None = None
    formats: Sequence[str] | None = None
    addresses: Sequence[int] | None = None
    read: tuple[int, int, int] = (3, 0, 1)
    """(function, register, count) by which a Modbus instrument is asked: some answer nothing but their own block."""
    timeout_s: float | None = None
    first: Setting | None = None
    """Tried before all others: what the line is said to have."""
    everywhere: bool = False
    """Go on with other speeds when something is found."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One question: is anybody there? `address` of a meter is its wildcard."""

    setting: Setting
    protocol: Protocol
    address: int | str
    wait_s: float

    @property
    def cost_s(self) -> float:
        """About how long it takes where nobody is there."""
        waits = _METER_WAITS if self.protocol in _METERS else 1
        return waits * self.wait_s + 2 * _USUAL_BYTES * 10 / self.setting.baud


@dataclass(frozen=True, slots=True)
class Found:
    """Somebody is there."""

    setting: Setting
    protocol: Protocol
    address: int | str
    said: str
    """The name of a module; else empty."""
    answer: bytes = b""

    @property
    def family(self) -> str:
        """The protocol without its edition."""
        return self.protocol.partition("-")[0]


@dataclass(frozen=True, slots=True)
class Step:
    """After each probe: what it found, how far the scan is, seconds that are left at most."""

    probe: Probe
    found: tuple[Found, ...]
    done: int
    total: int
    left_s: float
    damaged: bool
    """Bytes came that are no answer: somebody speaks here, perhaps at another speed."""


def plan(wish: Wish) -> list[Probe]:
    """All probes, the most likely first, those of one setting together."""
    ranked: list[tuple[tuple[int, int, int], Probe]] = []
    for protocol in wish.protocols:
        wait_s = wish.timeout_s or _WAIT_S[protocol]
        for rank, setting in enumerate(_wanted(protocol, wish)):
            for address in _addresses(protocol, wish):
                is_first = address in FIRST_ADDRESSES or protocol in _METERS
                late = protocol in ("modbus-ascii", "adam") and not is_first
                order = (0 if is_first else 2 if late else 1, rank, PROTOCOLS.index(protocol))
                ranked.append((order, Probe(setting, protocol, address, wait_s)))
    return [probe for _, probe in sorted(ranked, key=lambda one: one[0])]


def _wanted(protocol: Protocol, wish: Wish) -> Sequence[Setting]:
    """A speed or format that is asked for goes with all formats or speeds that the protocol has."""
    usual = _SETTINGS[protocol]
    usual = usual if wish.first is None else tuple(dict.fromkeys((wish.first, *usual)))
    if wish.bauds is None and wish.formats is None:
        return usual
    bauds = wish.bauds or list(dict.fromkeys(one.baud for one in usual))
    formats = wish.formats or list(dict.fromkeys(one.format for one in usual))
    return [Setting(baud, form) for baud in bauds for form in formats]


def _addresses(protocol: Protocol, wish: Wish) -> Sequence[int | str]:
    if protocol in _METERS:
        return ["AA" * (7 if protocol == "cjt188" else 6)]
    if wish.addresses is not None:
        return [address for address in wish.addresses if address <= _LAST[protocol]]
    rest = [address for address in range(1, _LAST[protocol] + 1) if address not in FIRST_ADDRESSES]
    return [*FIRST_ADDRESSES, *rest]


At = Callable[[Setting], AbstractContextManager[LineBus]]
"""Opens the line with a setting."""


def scan(wish: Wish, at: At) -> Iterator[Step]:
    """Probe after probe; ends with the plan. Raises PortLost, LineStopped."""
    return _Scan(wish, at).run()


class _Scan:
    """A scan under way."""

    def __init__(self, wish: Wish, at: At) -> None:
        self._wish = wish
        self._at = at
        self._left = plan(wish)
        self._left_s = _cost_s(self._left)
        self._done = 0
        self._seen: set[tuple[Setting, str, int | str]] = set()
        self._asked: list[tuple[Probe, Caller]] = []
        """At the present setting."""

    def run(self) -> Iterator[Step]:
        with ExitStack() as port:
            setting: Setting | None = None
            bus: LineBus | None = None
            while self._left:
                if self._left[0].setting != setting:
                    port.close()
                    setting, bus = self._left[0].setting, self._opened(port, self._left[0].setting)
                    self._asked = []
                if bus is None:
                    self._leave_out(self._left[0].setting)
                    continue
                probe = self._left.pop(0)
                self._left_s -= probe.cost_s
                step = self._probe(bus, probe)
                self._done += 1
                self._follow(step)
                yield replace(step, done=self._done, total=self._done + len(self._left), left_s=self._left_s)

    def _opened(self, port: ExitStack, setting: Setting) -> LineBus | None:
        """The line at a setting; None where the port has no such one: many adapters know no 7 bits."""
        try:
            return port.enter_context(self._at(setting))
        except PortLost:
            with self._at(_EVERY_PORT):  # else it is missing: PortLost
                return None

    def _leave_out(self, setting: Setting) -> None:
        self._left = [one for one in self._left if one.setting != setting]
        self._left_s = _cost_s(self._left)

    def _probe(self, bus: LineBus, probe: Probe) -> Step:
        caller = Caller(f"{probe.protocol} {probe.address}", probe.wait_s)
        self._asked.append((probe, caller))
        asking = _Asking(bus, caller)
        found: list[Found] = []
        damaged = False
        try:
            found = ask(asking, probe, self._wish.read)
        except BadAnswer:
            damaged = True
        except DeviceSilent as error:
            damaged = error.code == "drivers.foreign"
        # a meter may answer the questions of both editions
        fresh = tuple(one for one in found if (one.setting, one.family, one.address) not in self._seen)
        self._seen.update((one.setting, one.family, one.address) for one in fresh)
        return Step(probe, fresh, 0, 0, 0.0, damaged)

    def _follow(self, step: Step) -> None:
        """What is looked at next: who answered too late, and the setting where somebody is."""
        if step.found and not self._wish.everywhere:
            self._left = [one for one in self._left if one.setting == step.probe.setting]
            self._left_s = _cost_s(self._left)
        for probe, caller in list(self._asked):
            if caller.counters.late:
                self._asked.remove((probe, caller))
                again = replace(probe, wait_s=probe.wait_s * _LATE_FACTOR)
                self._left.insert(0, again)
                self._left_s += again.cost_s


def _cost_s(probes: Sequence[Probe]) -> float:
    return sum(probe.cost_s for probe in probes)


@dataclass(frozen=True, slots=True)
class _Asking:
    """The bus for one probe: each question once."""

    bus: LineBus
    caller: Caller

    def ask(self, request: Request) -> bytes:
        try:
            return self.bus.ask(self.caller, request, 1)
        except DeviceSilent as error:
            if error.code != _DUE:
                raise
            self.bus.port.pause(error.params["wait_s"])  # who answers late must not be taken for another
            return self.bus.ask(self.caller, request, 1)


def ask(bus: Bus, probe: Probe, read: tuple[int, int, int] = (3, 0, 1)) -> list[Found]:
    """Who answers a probe. Raises DeviceSilent, BadAnswer, PortLost."""
    address = probe.address
    if isinstance(address, int):
        return _module(bus, probe, address) if probe.protocol == "adam" else _modbus(bus, probe, address, read)
    if probe.protocol == "cjt188":
        return _water_meters(bus, probe, address)
    edition: dlt645.Edition = "2007" if probe.protocol == "dlt645-2007" else "1997"
    meters = dlt645.search(bus, edition) or (dlt645.own_address(bus) if edition == "2007" else [])
    return [Found(probe.setting, probe.protocol, one, "") for one in meters]


def _modbus(bus: Bus, probe: Probe, address: int, read: tuple[int, int, int]) -> list[Found]:
    asked = read_ask(address, *read)
    request = rtu(asked) if probe.protocol == "modbus" else ascii_(asked)
    try:
        answer = bus.ask(request)
    except DeviceRefused as error:
        if error.params["exception"] in _NO_GATEWAY:
            return []
        answer = b""
    return [Found(probe.setting, probe.protocol, address, "", answer)]


def _module(bus: Bus, probe: Probe, address: int) -> list[Found]:
    """An ADAM module by its name."""
    setup = bus.ask(_ask_module(address, b"2"))
    try:
        said = bus.ask(_ask_module(address, b"M"))[3:-1].decode("ascii", "replace")
    except (DeviceSilent, BadAnswer):
        said = ""
    return [Found(probe.setting, probe.protocol, address, said, setup)]


def _ask_module(address: int, command: bytes) -> Request:
    """`$AA2` set-up, `$AAM` name; the answer names the address, so that it need not wait for other answers."""
    name = b"%02X" % address
    request = text_request(b"$" + name + command + b"\r", Form(b"!" + name), lambda _: None)
    return replace(request, confusable=("adam", command, address))


def _water_meters(bus: Bus, probe: Probe, wildcard: str) -> list[Found]:
    last: DeviceSilent | BadAnswer | None = None
    for order in cjt188.DIS:
        try:
            answer = bus.ask(cjt188.read_request(wildcard, 0x10, order))
        except DeviceRefused as error:
            return [Found(probe.setting, probe.protocol, str(error.params["address"]), "")]
        except (DeviceSilent, BadAnswer) as error:
            last = error
        else:
            address = parsed(cjt188.FRAME, answer).address[::-1].hex()
            return [Found(probe.setting, probe.protocol, address, order.hex().upper(), answer)]
    raise last or DeviceSilent("drivers.silent", instrument=probe.protocol, timeout_s=probe.wait_s)
