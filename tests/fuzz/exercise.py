"""All of `protocol` on one input, with what must hold for any bytes; used by the tests and by long atheris runs."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from protocol import controls, edition2005, messages, parameters
from protocol.edition import Edition
from protocol.edition2005 import EDITION_2005
from protocol.errors import ProtocolError
from protocol.exchange import Exchange
from protocol.frame import Frame, FrameDecoder, wrap
from protocol.lenient import checked
from protocol.packet import Packet, examine
from protocol.split import Reassembler

READERS: tuple[Callable[[Packet], Any], ...] = (
    parameters.read_timeouts,
    parameters.read_system_time,
    parameters.read_pol_id,
    parameters.read_pol_id_of_action,
    parameters.read_realtime_interval,
    parameters.read_minute_interval,
    parameters.read_new_password,
    parameters.read_period,
    parameters.read_cycle,
    controls.read_kept_sample,
    controls.read_sampling_cycle,
    controls.read_result_time,
    controls.read_identity,
    controls.read_info_request,
    controls.read_information,
    controls.read_parameter_setting,
    edition2005.read_thresholds,
    edition2005.read_threshold_request,
    edition2005.read_warn_time,
    edition2005.read_sampling_hours,
)
_DATA = Path(__file__).parent.parent / "protocol"


def exercise(data: bytes) -> None:
    """Run everything that bytes from a peer reach; any error but ProtocolError is a finding."""
    decoder = FrameDecoder(cap=9999)
    half = len(data) // 2
    found = decoder.feed(data[:half], 0.0) + decoder.feed(data[half:], 1.0) + decoder.flush()
    kept = b"".join(each.raw if isinstance(each, Frame) else each.data for each in found)
    assert kept.translate(None, b"\r\n") == data.translate(None, b"\r\n"), "every byte is a frame's or is reported"
    for each in found:
        _segment(each.segment if isinstance(each, Frame) else each.data)


def explain(data: bytes) -> None:
    """What the tools do with a broken packet."""
    examined = examine(data, framed=bool(len(data) % 2))
    assert examined.ok == (not examined.errors)
    for each in (*examined.errors, *examined.notes):
        assert each.code.startswith("protocol.")


def _segment(segment: bytes) -> None:
    packet = quiet(Packet.from_segment, segment)
    if packet is None:
        return
    written = quiet(Packet.to_segment, packet)
    if written is not None:
        assert Packet.from_segment(written) == packet, "what is written reads back"
    for reader in READERS:
        value = quiet(reader, packet)
        if hasattr(value, "region"):
            value.region()
    Reassembler().add(packet, 0.0) if (packet.pnum or 0) <= 64 else None
    Exchange(1.0, 1).answer(packet, 0.0)
    messages.refusal(packet)
    for answer in (messages.data_answer, messages.notice_answer, edition2005.data_answer):
        quiet(Packet.to_segment, answer(packet))
    _edition(EDITION_2005, segment)


def _edition(edition: Edition, segment: bytes) -> None:
    packet = quiet(edition.read, segment)
    if packet is not None:
        quiet(edition.segment, packet)
        quiet(checked, "".join(name + "=" + value for item in packet.data for name, value in item))


def quiet(work: Callable[..., Any], *args: object) -> Any:
    """The result, or None where `protocol` refuses."""
    try:
        return work(*args)
    except ProtocolError:
        return None


def corpus() -> list[bytes]:
    """Frames of Annex C of both editions."""
    lines = (_DATA / "annex_c.tsv").read_text(encoding="utf-8").splitlines()
    frames = [line.split("\t")[0].encode() + b"\r\n" for line in lines if line.startswith("##")]
    lines = (_DATA / "examples_2005.tsv").read_text(encoding="utf-8").splitlines()
    return frames + [wrap(line.split("\t")[1].encode()) for line in lines if not line.startswith("#")]


_EXTREMES = (
    b"", b"0", b"-1", b"00", b"1e999", b"-0.0", b"1.", b".5", b"99999999999999999999", b"1" * 400, b"20160230000000",
    b"20161231235960", b"00000000000000", b"\xd9\xa3", "清".encode(), b"\xc7\xe5", b"//", b"////", b"//a;b=c//", b"&",
    b"#", b"##0101", b"=", b";", b",", b" ", b"\x00", b"\x7f", b"\xff\xfe", b"\xed\xa0\x80", b"&&", b"NaN", b"i11001",
    b"w01018",
)  # fmt: skip
_PLAUSIBLE = (
    b"1", b"3", b"5", b"10", b"24", b"25", b"30", b"99", b"100", b"120", b"121", b"3600", b"3601", b"000000", b"083015",
    b"20160801085857", b"20160801090000", b"w01018", b"i13004", b"i11001", b"010000A8900016F000169DC1", b"654321", b"N",
    b"0.001", b"9.9", b"101", b"020",
)  # fmt: skip
_COMMANDS = (
    (b"OverTime", b"ReCount"), (b"PolId", b"SystemTime"), (b"BeginTime", b"EndTime"), (b"DataTime", b"VaseNo"),
    (b"PolId", b"CstartTime", b"CTime"), (b"PolId", b"Stime"), (b"PolId", b"w01018-SN"), (b"NewPW",), (b"RtdInterval",),
    (b"PolId", b"InfoId", b"i13004-Info"), (b"InfoId", b"BeginTime", b"EndTime"), (b"DataTime", b"i11001-Info"),
    (b"020-LowValue", b"020-UpValue"), (b"PolID", b"CTime", b"CTime"), (b"MinInterval",), (b"WarnTime",),
)  # fmt: skip
_FIELDS = (
    b"OverTime", b"ReCount", b"RtdInterval", b"MinInterval", b"NewPW", b"PolId", b"SystemTime", b"BeginTime",
    b"EndTime", b"CstartTime", b"CTime", b"Stime", b"VaseNo", b"InfoId", b"i11001-Info", b"w01018-SN", b"DataTime",
    b"w01018-Rtd", b"w01018-Flag", b"QnRtn", b"ExeRtn", b"101-LowValue", b"101-UpValue", b"WarnTime", b"PolID", b"PW",
    b"QN", b"020-Avg", b"w20111-SN", b"i13004-Info",
)  # fmt: skip


def case(chance: random.Random, frames: list[bytes]) -> bytes:
    """One input: random bytes, a mutated packet, or a sound frame with values out of their bounds."""
    kind = chance.random()
    if kind < 0.15:
        return chance.randbytes(chance.randrange(200))
    frame = chance.choice(frames)
    if kind < 0.55:
        return _mutated(frame, chance)
    if kind < 0.7:
        return wrap(_mutated(frame[6:-6], chance)[:9999])
    values = _PLAUSIBLE if kind < 0.9 else _EXTREMES
    fields = [chance.choice(_FIELDS) + b"=" + chance.choice(values) for _ in range(chance.randrange(1, 8))]
    if kind < 0.8:  # a command with its own fields, values out of their bounds or not
        names = chance.choice(_COMMANDS)
        fields = [name + b"=" + chance.choice(_PLAUSIBLE) for name in names]
    head, _, _ = frame[6:-6].partition(b"CP=&&")
    if chance.random() < 0.2:
        name, value = chance.choice((b"QN", b"ST", b"CN", b"MN", b"Flag", b"PNUM", b"PNO")), chance.choice(_EXTREMES)
        head += name + b"=" + value + b";"
    return wrap(head + b"CP=&&" + chance.choice((b";", b",")).join(fields) + b"&&")


def _mutated(data: bytes, chance: random.Random) -> bytes:
    mutated = bytearray(data)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(mutated) + 1)
        what = chance.randrange(4)
        if what == 0:
            mutated[at:at] = chance.choice(_EXTREMES)
        elif what == 1:
            del mutated[at : at + chance.randrange(1, 20)]
        elif what == 2:
            mutated[at : at + 1] = chance.randbytes(1)
        else:
            mutated[at:at] = mutated[chance.randrange(len(mutated) + 1) :][:40]
    return bytes(mutated)
