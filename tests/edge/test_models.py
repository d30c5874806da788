"""Each shipped model against a capture: the bytes it asks with, and the samples that come of the answers.

The captures in `tests/cases/models` go through site file, driver and marks; those in `tests/cases/faults` also through
the line in virtual time, with what goes wrong there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from config.load import load, problems
from config.sampler import SOURCES
from config.site import Instrument, Site
from config.states import mark_of
from drivers import models
from drivers.bus import Caller, LineBus
from drivers.capture import Capture, Frame
from drivers.driver import PointSpec, Request
from drivers.errors import BadAnswer, DriverError
from drivers.line import PollResult
from drivers.modbus_frame import crc16
from drivers.port import LineSettings
from drivers.registry import driver_class
from drivers.registry import names as driver_names
from drivers.simulated.slaves import of_model
from edge.acquire import Acquirer, instrument_spec
from edge.action_values import info_text

CASES = Path(__file__).parents[1] / "cases"
NOON = 1_790_049_600_000
CHAR_S = 10 / 9600
SITE = """
[site]
name = "x"
[outlets.o]
name = "x"
st = 32
statistics = "{statistics}"
[lines.l]
port = "/dev/null"
[instruments.i]
line = "l"
model = "{model}"
"""
METER = 'address = "000012345678"\n'


def point(factor: str, keys: str) -> str:
    return f'[[instruments.i.points]]\nfactor = "{factor}"\n{keys}\n'


def currents(*rows: tuple[str, str, str]) -> str:
    return "".join(point(factor, f'unit = "{unit}"\ncurrent = {span}') for factor, unit, span in rows)


CABINET = (("a01014", "%", "[0, 40]"), ("a34013", "mg/m³", "[0, 200]"), ("a01012", "°C", "[0, 300]"))
OF_THE_SITE = {
    "scs-900-plc": currents(*CABINET, ("a01013", "kPa", "[-5, 5]")),
    "sick-4017-box": currents(
        *CABINET, ("a01013", "kPa", "[-5, 5]"), ("a21026", "mg/m³", "[0, 200]"), ("a19001", "%", "[0, 25]"),
        ("a21002", "mg/m³", "[0, 200]"), ("a01011", "m/s", "[0, 40]"),
    ),
    "wl-1a1-old": point("w00000", f'unit = "m³/h"\nscale = {1800 / 65535}'),
    "zhonghe-flow": point("w00000", 'unit = "m³/h"'),
    "tuf-2000": point("w00000", 'kind = "total"\nunit = "m³"'),
    "adam-4017": "".join(
        point(factor, f"channel = {channel}\ncurrent = [0, 200]") for channel, factor in enumerate(("a01012", "a34013"))
    ),
    "adam-4017-modbus": point(
        "a01012", 'register = 0\ntype = "uint16"\nscale = 0.00024414435\noffset = 4.0\ncurrent = [0, 200]'
    ),
    "adam-4055-modbus": "".join(
        point(factor, f'function = 1\nregister = {bit}\ntype = "bool"') for bit, factor in enumerate(("SB1", "SB2"))
    ),
    "dlt645-2007": METER,
    "dlt645-1997": METER,
    "cjt188-2004": 'address = "00000805000001"\n'
    + point("w00000", 'kind = "total"\nmax_flow = 100.0')
    + '[outlets.o.water]\nflow_from = "totaliser"\n',
}  # fmt: skip
"""What a site has to say beside the model: units and ranges that no map knows, points of modules, meters' addresses."""

SPEAKER = point("w01018", 'code = "w01018"\nunit = "mg/L"')
OF_THE_WIRE = {"modbus-ascii": 'framing = "ascii"\n', "modbus-tcp": 'framing = "tcp"\n', "hj212": SPEAKER}
"""What a site has to say for the captures of faults whose names begin so."""


def capture(folder: str, name: str) -> Capture:
    return Capture.from_text((CASES / folder / f"{name}.capture").read_text(encoding="utf-8"))


def written(tmp_path: Path, model: str, of_the_site: str = "") -> Path:
    path = tmp_path / "site.toml"
    gas = model.startswith(("scs", "pl-", "fpi-cems", "sick", "adam"))
    path.write_text(SITE.format(statistics="gas" if gas else "water", model=model) + of_the_site, encoding="utf-8")
    return path


def site(tmp_path: Path, model: str) -> Site:
    return load(written(tmp_path, model, OF_THE_SITE.get(model, "")))


class Replay:
    """A bus that answers as the capture did, each answer whole."""

    def __init__(self, capture: Capture) -> None:
        self.exchanges = capture.exchanges()

    def ask(self, request: Request) -> bytes:
        asked, frames = self.exchanges.pop(0)
        assert request.data == asked
        came = b"".join(frame.data for frame in frames)
        if not request.anywhere:
            assert request.length(came) == (len(came) if request.idle_s is None else None)
        else:
            came = next(came[at:] for at in range(len(came)) if request.length(came[at:]) == len(came) - at)
        request.check(came)
        return came


def samples(site: Site, read: Callable[[Instrument], PollResult]) -> list[tuple[str, float | None, str]]:
    return [(s.factor, s.value, s.mark) for s in Acquirer(site).accept(read(site.instruments["i"]))]


def expected(capture: Capture) -> list[tuple[str, object, str]]:
    return [
        (one.point, None if one.value is None else pytest.approx(one.value, rel=1e-5, abs=1e-5), one.mark)
        for one in capture.expected
    ]


def test_every_model_has_a_capture_and_every_capture_a_model() -> None:
    assert {path.stem for path in (CASES / "models").glob("*.capture")} == set(models.names())


@pytest.mark.parametrize("model", models.names())
def test_model_asks_with_the_bytes_of_its_capture_and_reads_its_values(tmp_path: Path, model: str) -> None:
    taken = capture("models", model)
    assert taken.header["model"] == model

    def read(instrument: Instrument) -> PollResult:
        replay = Replay(taken)
        driver = driver_class(instrument.driver)(instrument_spec("i", instrument))
        readings = driver.read(replay)
        beside.extend(told(instrument, driver, replay) if not instrument.points else ())
        assert replay.exchanges == []
        return PollResult("i", NOON, tuple(readings), None, 0.0)

    beside: list[tuple[str, float | None, str]] = []
    assert sorted(samples(site(tmp_path, model), read) + beside) == sorted(expected(taken))


FAMILY_B = {0: "N", 1: "N", 2: "C", 8: "C", 9: "C", 10: "M", **dict.fromkeys(range(12, 19), "M"), 23: "D"}
FLAGS = {0x4E: "N", 0x54: "T", 0x4C: "T", 0x44: "D", 0x4D: "M", 0x637A: "C", 0x6373: "C", 0x3F: "D"}
FAMILY_A = {1: "D", 2: "N", 3: "N", 4: "M", 5: "M", 6: "D", 7: "C", 8: "C", 10: "C", 11: "C"}
STATES: dict[str, list[tuple[dict[int, int], str]]] = {
    "scs-900uv": [
        ({10: 0x0001, 11: 0}, "N"), ({10: 0x0101, 11: 0}, "D"), ({10: 0x0002, 11: 0}, "C"), ({10: 0x0001, 11: 1}, "M"),
        ({10: 0x0102, 11: 1}, "D"), ({10: 0x0002, 11: 1}, "C"),
    ],
    "scs-900cpm": [
        ({14: word}, mark)
        for word, mark in {
            0x01: "N", 0x81: "D", 0x41: "M", 0x21: "C", 0x11: "M", 0xF1: "D", 0x71: "M", 0x31: "C", 0x20: "C",
            0x00: "D",
        }.items()
    ],
    "scs-900-plc": [
        ({3996: word}, mark)
        for word, mark in {0: "N", 0x0200: "D", 0x0800: "M", 0x4000: "M", 0x4A00: "D", 0x0002: "N"}.items()
    ],
    "pl-pmm180": [
        ({12: code}, mark) for code, mark in {1: "N", 2: "C", 3: "C", 4: "M", 5: "D", 0: "D", 6: "D"}.items()
    ],
    "tianze-codcr-1001": [({9: code}, mark) for code, mark in {0: "N", 6: "N", 9: "N", 13: "D", 14: "M"}.items()],
    "fpi-nh3n-hebei": [({0x2000: code}, mark) for code, mark in FAMILY_A.items()],
    **{f"xinruipeng-{what}": [({0x1008: word}, mark) for word, mark in FLAGS.items()] for what in ("cod", "nh3n")},
    **{
        model: [({0x1083: code}, mark) for code, mark in FAMILY_B.items()]
        for model in ("yuxing-hebei-cod", "yuxing-hebei-nh3n", "phototek-6000-cod", "gj-surface-water-cod")
    },
}  # fmt: skip
"""By model: what its status registers hold, and the mark that the notes of its drivers give. Of several states
SCS-900UV takes fault, calibration, maintenance; SCS-900CPM fault, maintenance, calibration, back-flush."""


class Registers:
    """A bus on which every register can be read: those not named hold 4010, a float of 2.25, 11.9 mA of a PLC."""

    def __init__(self, words: dict[int, int]) -> None:
        self.words = words

    def ask(self, request: Request) -> bytes:
        first, count = int.from_bytes(request.data[2:4], "big"), int.from_bytes(request.data[4:6], "big")
        words = [self.words.get(at, 0x4010) for at in range(first, first + count)]
        body = bytes((*request.data[:2], 2 * count)) + b"".join(word.to_bytes(2, "big") for word in words)
        answer = body + crc16(body).to_bytes(2, "little")
        request.check(answer)
        return answer


@pytest.mark.parametrize("model", STATES)
def test_states_of_a_model_give_the_marks_that_its_drivers_note(tmp_path: Path, model: str) -> None:
    whole = site(tmp_path, model)
    driver = driver_class("modbus")(instrument_spec("i", whole.instruments["i"]))
    for words, mark in STATES[model]:
        readings = tuple(driver.read(Registers(words)))
        found = Acquirer(whole).accept(PollResult("i", NOON, readings, None, 0.0))
        assert {sample.mark for sample in found} == {mark}, words


ANSWERS = {
    "shimadzu-4100": "###001R1 0206 1530 000 {:>8} mg/L OK***",
    "wtw-trescon": "T1RCONZ\r\nTresCon> NH4-N  mg/l : {}\r\nOK\r\n",
    "jiubo-ultrasonic": "Q =  {} m3/h  M = {} m3    OK  20260206 0930 ok ok\r\n",
}
"""The answers of the captures, with a place for the number."""


@pytest.mark.parametrize("model", ANSWERS)
@pytest.mark.parametrize("number", ["3.56E+1", "3.56e1", "35,62", "-35.6", "----", "35.6.2", ""])
def test_number_written_otherwise_than_noted_is_not_read_up_to_where_it_is_strange(
    tmp_path: Path, model: str, number: str
) -> None:
    answer = ANSWERS[model].format(number, number).encode("ascii")

    class Text:
        def ask(self, request: Request) -> bytes:
            request.check(answer)
            return answer

    driver = driver_class("text")(instrument_spec("i", site(tmp_path, model).instruments["i"]))
    with pytest.raises(BadAnswer):
        driver.read(Text())


@pytest.mark.parametrize("model", STATES)
def test_simulated_instrument_of_a_model_is_normal_by_itself(tmp_path: Path, model: str) -> None:
    whole = site(tmp_path, model)
    slave = of_model(model, 1, {})

    class Simulated:
        def ask(self, request: Request) -> bytes:
            answer = slave.answer(request.data, NOON)
            request.check(answer)
            return answer

    readings = tuple(driver_class("modbus")(instrument_spec("i", whole.instruments["i"])).read(Simulated()))
    codes = {one.point: one.value for one in readings}
    states = enumerate(whole.instruments["i"].states)
    assert {mark_of(state, codes[f"state/{at}"], None) for at, state in states} <= {"N", None}


def test_every_model_with_states_has_its_marks_checked() -> None:
    assert {name for name in models.names() if models.model(name).get("states")} == set(STATES)


def told(instrument: Instrument, driver: Any, bus: Replay) -> Iterator[tuple[str, float | None, str]]:
    """What is not polled: the infos and a sampler's sources, and of what says nothing of itself its actions."""
    for info in instrument.infos:
        reading = driver.reader(PointSpec("x", info.options))(bus)
        yield info.info, float(info_text(info, reading)), "N"
    sources = [(name, getattr(instrument.sampler, name)) for name in SOURCES if instrument.sampler]
    for name, source in sources:
        if source is not None:
            yield name, driver.reader(PointSpec("x", source.options))(bus).value, "N"
    if not instrument.infos and all(source is None for _, source in sources):
        for action in instrument.actions.values():
            for write in (*action.write, *action.after):
                driver.writer(write.options, [write.value], write.repeat)(bus)


@pytest.mark.parametrize("model", models.names())
def test_model_is_only_refused_for_what_the_site_has_to_say(tmp_path: Path, model: str) -> None:
    """A unit that converts to nothing keeps a current or a share from being taken for a value."""
    errors = {problem.code for problem in problems(written(tmp_path, model)) if not problem.warning}
    assert errors <= {"config.unit", "drivers.dlt645.address", "drivers.cjt188.address", "config.no-flow"}
    assert bool(errors) == (model in OF_THE_SITE and not model.startswith("adam"))


class VirtualLine:
    """A line in virtual time on which the capture's answers come when they came."""

    def __init__(self, capture: Capture) -> None:
        self.now = 100.0
        self.coming: list[tuple[float, int]] = []
        self.exchanges = capture.exchanges()
        self.starts = [frame.at_s for frame in capture.frames if frame.to_instrument]
        if not self.exchanges[0][0]:  # it speaks by itself
            self._come(self.exchanges.pop(0)[1], self.now)

    def write(self, data: bytes) -> None:
        asked, frames = self.exchanges.pop(0)
        assert data == asked
        began = self.starts.pop(0)
        self._come(frames, self.now + len(data) * CHAR_S - began)

    def _come(self, frames: tuple[Frame, ...], zero: float) -> None:
        for frame in frames:
            self.coming += [(zero + frame.at_s + index * CHAR_S, byte) for index, byte in enumerate(frame.data)]
        self.coming.sort()

    def read(self) -> bytes:
        come = bytes(byte for at, byte in self.coming if at <= self.now)
        self.coming = [(at, byte) for at, byte in self.coming if at > self.now]
        return come

    def wait(self, seconds: float) -> bool:
        until = self.now + max(0.0, seconds)
        comes = [at for at, _ in self.coming if at <= until]
        self.now = max(self.now, min(comes)) if comes else until
        return bool(comes)

    def pause(self, seconds: float) -> None:
        self.now += max(0.0, seconds)

    def close(self) -> None: ...


@pytest.mark.parametrize("name", sorted(path.stem for path in (CASES / "faults").glob("*.capture")))
def test_fault_on_the_line_gives_no_wrong_value(tmp_path: Path, name: str) -> None:
    taken = capture("faults", name)

    def read(instrument: Instrument) -> PollResult:
        line = VirtualLine(taken)
        bus, caller = LineBus(line, LineSettings("virtual"), lambda: line.now), Caller("i")

        class One:
            def ask(self, request: Request) -> bytes:
                return bus.ask(caller, request, 3)

        driver = driver_class(instrument.driver)(instrument_spec("i", instrument))
        readings, error = [], None
        try:
            readings = driver.read(One())
        except DriverError as caught:
            error = caught
        assert line.exchanges == []
        return PollResult("i", NOON, tuple(readings), error, 0.0)

    assert sorted(samples(faulty_site(tmp_path, name, taken.header["model"]), read)) == sorted(expected(taken))


def faulty_site(tmp_path: Path, name: str, model: str) -> Site:
    """The site of a capture of faults; without a model it names its driver."""
    beside = next((keys for begin, keys in OF_THE_WIRE.items() if name.startswith(begin)), "")
    path = written(tmp_path, model, beside or OF_THE_SITE.get(model, ""))
    path.write_text(path.read_text(encoding="utf-8").replace('model = "-"', 'driver = "hj212"\noutlet = "o"'))
    return load(path)


def test_every_driver_and_framing_has_a_capture_of_faults() -> None:
    names = [path.stem for path in (CASES / "faults").glob("*.capture")]
    lacking = [one for one in (*driver_names(), *OF_THE_WIRE) if not any(name.startswith(one) for name in names)]
    assert lacking == []
