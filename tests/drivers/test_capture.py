"""The text of a capture: what it says, and what it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.capture import FIELDS, Capture, Expected, Frame
from drivers.errors import BadOption

TEXT = """\
instrument: COD analyzer, outlet 1
model: hach-cod
firmware: 1.2: build 3
source: seen
date: 2026-02-06
line: 9600 8N1
# the display showed 35.6

0.000 > 01 03 00 00 00 02 C4 0B
0.015 < 01 03 04 66
0.020 < 6642 0eb5c0
1.000 > 11
= w01018 35.6 N
= w21003 - B
"""


def test_capture_is_read() -> None:
    capture = Capture.from_text(TEXT)
    assert capture.header["firmware"] == "1.2: build 3"
    assert capture.exchanges() == [
        (
            bytes.fromhex("01 03 00 00 00 02 C4 0B"),
            (Frame(0.015, False, bytes.fromhex("01030466")), Frame(0.02, False, bytes.fromhex("66420EB5C0"))),
        ),
        (b"\x11", ()),
    ]
    assert capture.expected == (Expected("w01018", 35.6, "N"), Expected("w21003", None, "B"))


def test_what_comes_without_a_question_is_an_exchange_of_its_own() -> None:
    assert Capture.from_text("source: made\n0.5 < 23 23\n").exchanges() == [(b"", (Frame(0.5, False, b"##"),))]


SECONDS = st.integers(0, 9_999).map(lambda ms: ms / 1000)
VALUES = st.none() | st.floats(-1e6, 1e6)


@given(
    st.lists(st.builds(Frame, SECONDS, st.booleans(), st.binary(min_size=1))),
    st.lists(st.builds(Expected, st.sampled_from(["w01018", "a19001"]), VALUES, st.just("N"))),
)
def test_what_is_written_reads_back(frames: list[Frame], expected: list[Expected]) -> None:
    header = dict.fromkeys(FIELDS, "-") | {"source": "made"}
    capture = Capture(header, tuple(frames), tuple(expected))
    assert Capture.from_text(capture.to_text()) == capture


@pytest.mark.parametrize("line", ["0.1 > 0", "0.1 = 00", "x", "= w01018 five N", "= w01018", "0.1 >"])
def test_line_that_cannot_be_read_is_told_with_its_number(line: str) -> None:
    with pytest.raises(BadOption) as caught:
        Capture.from_text(f"source: made\n\n{line}\n")
    assert (caught.value.code, caught.value.params["line"]) == ("drivers.capture-line", 3)


@pytest.mark.parametrize("source", ["", "source: real"])
def test_capture_without_a_known_source_is_refused(source: str) -> None:
    """What was made is never taken for what was seen."""
    with pytest.raises(BadOption):
        Capture.from_text(source)
