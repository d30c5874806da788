"""The verdict on a sequence as a pure function: what a hostile logger says makes findings, never an exception."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bench.edition import Edition, Edition2005
from edge.bench.sequence import Shape, concerns, expected, judge, missing_data, shape
from protocol.messages import execution_result, notice_answer, request_answer
from protocol.packet import Packet
from protocol.region import Region

REQUEST = Packet("20160801085857223", "32", "2051", "123456", "010000A8900016F000169DC0", 5)
TEXT = st.text("0123456789:-/;,w ", max_size=18)
NAMES = st.sampled_from(
    ["QN", "QnRtn", "ExeRtn", "DataTime", "SystemTime", "VaseNo", "CTime", "CstartTime", "Stime", "PolId", "BeginTime"]
)
REGIONS = st.lists(st.lists(st.tuples(NAMES, TEXT), min_size=1, max_size=3).map(tuple), max_size=4).map(tuple)
CODES = st.sampled_from(
    ["1000", "1011", "1061", "1063", "2011", "2012", "2031", "2051", "3015", "3017", "3018", "3019", "3020", "9011",
     "9012", "9013", "9014", "9999", ""]
)  # fmt: skip
NUMBERS = st.none() | st.integers(0, 300)
PACKETS = st.builds(
    Packet, st.none() | TEXT, TEXT, CODES, st.none() | TEXT, TEXT, NUMBERS, NUMBERS, NUMBERS, st.none(), REGIONS
)


@settings(max_examples=300, deadline=None)
@given(PACKETS, st.lists(PACKETS, max_size=6), st.booleans(), st.sampled_from([Edition(), Edition2005()]))
def test_whatever_a_logger_says_is_judged(
    request: Packet, heard: list[Packet], repeats: bool, edition: Edition
) -> None:
    findings = [*judge(request, heard, repeats, edition), *missing_data(request, heard, "1")]
    assert all(finding.code for finding in findings)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["1000", "1012", "1062", "1064", "1072", "2011", "2021", "3011", "3016", "3021"]), REGIONS)
def test_answers_of_the_standard_to_a_setting_never_deviate(cn: str, region: Region) -> None:
    request = replace(REQUEST, cn=cn, data=tuple(item for item in region if item[0][0] == "PolId"))
    heard = [request_answer(request, 1), execution_result(request, 1)]
    assert judge(request, heard, False, Edition()) == ()


def test_shape_follows_from_table_9_and_the_fields() -> None:
    past = ((("BeginTime", "20160801080000"),), (("EndTime", "20160801080000"),))
    shapes = {cn: shape(replace(REQUEST, cn=cn)) for cn in ("1000", "1061", "2011", "2012", "3015", "3020", "1999")}
    assert shapes == {
        "1000": Shape.SET, "1061": Shape.GET, "2011": Shape.SET, "2012": Shape.NOTICE, "3015": Shape.GET,
        "3020": Shape.GET, "1999": Shape.SET,
    }  # fmt: skip
    assert shape(replace(REQUEST, cn="3020", data=past)) is Shape.HISTORY
    assert expected("2051", Shape.HISTORY, Edition()) == ("9011", "2051", "9012")
    assert expected("2011", Shape.SET, Edition2005()) == ("9011",)


def test_number_of_thousands_of_digits_is_a_finding() -> None:
    request = replace(REQUEST, cn="3015", data=())
    reply = replace(request, data=((("DataTime", "20160801085857"),), (("VaseNo", "1" * 5000),)))
    codes = [finding.code for finding in judge(request, [request_answer(request, 1), reply], False, Edition())]
    assert codes == ["protocol.packet.value"]


def test_notice_is_answered_by_9013_alone() -> None:
    request = replace(REQUEST, cn="2012")
    assert judge(request, [notice_answer(request)], False, Edition()) == ()
    codes = [finding.code for finding in judge(request, [request_answer(request, 1)], False, Edition())]
    assert codes == ["bench.seq.unexpected"]


def test_answers_that_come_twice_to_a_request_that_was_resent_are_fine() -> None:
    request = replace(REQUEST, cn="1000")
    heard = [request_answer(request, 1), request_answer(request, 1), execution_result(request, 1)]
    assert judge(request, heard, True, Edition()) == ()
    assert [finding.code for finding in judge(request, heard, False, Edition())] == ["bench.seq.twice"]


def _item(*pairs: tuple[str, str]) -> Region:
    return tuple((pair,) for pair in pairs)


def _event(*pairs: tuple[str, str], qn: str = "20160801085857999") -> Packet:
    """A 3020 of the logger's own accord, which wants an answer."""
    return replace(REQUEST, cn="3020", qn=qn, flag=5, data=_item(("DataTime", "20160801085857"), *pairs))


def test_what_a_logger_sends_unasked_is_no_part_of_an_exchange_even_under_the_same_qn() -> None:
    """A QN is a time: a command and an upload of the same millisecond have the same."""
    same = REQUEST.qn or ""
    log, live = _event(("i21001-Info", "//x//"), qn=same), replace(REQUEST, cn="2011")
    for request in (replace(REQUEST, cn="2021"), replace(REQUEST, cn="2012"), replace(REQUEST, cn="1061")):
        assert [concerns(request, each) for each in (log, live)] == [False, False]
        assert concerns(request, request_answer(request, 1))
    state = replace(REQUEST, cn="3020", data=_item(("PolId", "w01018"), ("InfoId", "i12001")))
    assert not concerns(state, log)
    assert concerns(state, replace(log, flag=4))  # a reply that says something else is a deviation
    assert concerns(replace(REQUEST, cn="1061"), replace(REQUEST, cn="1063"))


def test_a_history_of_logs_is_of_what_was_asked_for() -> None:
    past = ("BeginTime", "20160801080000"), ("EndTime", "20160801090000")
    of_instrument = replace(REQUEST, cn="3020", data=_item(("PolId", "w01018"), ("InfoId", "i11001"), *past))
    of_logger = replace(REQUEST, cn="3020", data=_item(("InfoId", "i21001"), *past))
    mine = _event(("PolId", "w01018"), ("i11001-Info", "//x//"))
    others = _event(("PolId", "w01001"), ("i11001-Info", "//x//")), _event(("i21001-Info", "//x//")), _event()
    assert [concerns(of_instrument, each) for each in (mine, *others)] == [True, False, False, False]
    assert [concerns(of_logger, each) for each in (mine, *others)] == [False, False, True, False]


def test_own_logs_among_those_of_a_history_disturb_neither_its_order_nor_its_end() -> None:
    past = ("BeginTime", "20160801080000"), ("EndTime", "20160801090000")
    request = replace(REQUEST, cn="3020", data=_item(("InfoId", "i21001"), *past))
    qns = "20160801085858500", "20160801085858100", "20160801085858501"
    logs = [_event(("i21001-Info", "//x//"), qn=qn) for qn in qns]
    heard = [request_answer(request, 1), *logs, execution_result(request, 1)]
    assert (*judge(request, heard, False, Edition()), *missing_data(request, heard, "100")) == ()


def test_a_record_that_comes_live_amid_its_history_is_no_disorder() -> None:
    request = replace(REQUEST, data=_item(("BeginTime", "20160801080000"), ("EndTime", "20160801082000")))

    def record(qn: int, minute: int) -> Packet:
        label = _item(("DataTime", f"2016080108{minute:02}00"))
        return replace(REQUEST, qn=f"20160801085858{qn:03}", data=(*label, (("w01018-Avg", "1.0"),)))

    history = [record(101, 0), record(102, 10), record(103, 20)]
    ends = request_answer(request, 1), execution_result(request, 1)
    live = [ends[0], history[0], record(99, 20), *history[1:], ends[1]]
    assert judge(request, live, False, Edition()) == ()
    turned = [ends[0], *reversed(history), ends[1]]
    assert {"bench.seq.history_order", "bench.seq.history_qn_order"} == {
        finding.code for finding in judge(request, turned, False, Edition())
    }
