"""The exchange machine: answers, time-outs, resends, the window (HJ 212-2017 §6.1, §6.2; C.1, C.11, C.50)."""

from protocol.exchange import Exchange, GaveUp, Resend
from protocol.packet import Packet

MN = "010000A8900016F000169DC0"


def answer(qn: str | None, cn: str = "9014", st: str = "91", flag: int = 4, **data: str) -> Packet:
    return Packet(qn, st, cn, "123456", MN, flag, data=tuple((field,) for field in data.items()))


def test_answer_with_the_same_qn_closes_the_packet() -> None:
    exchange = Exchange(10.0, 3)
    exchange.send("1", b"one", 0.0)
    assert exchange.room() == 0
    assert exchange.answer(answer("2"), 1.0) is None
    assert exchange.answer(answer("1"), 1.0) == "1"
    assert exchange.answer(answer("1"), 1.0) is None
    assert exchange.open() == ()
    assert exchange.last_answer == 1.0


def test_sloppy_answers_count_and_other_commands_do_not() -> None:
    exchange = Exchange(10.0, 3)
    exchange.send("1", b"one", 0.0)
    assert exchange.answer(answer("1", cn="9011"), 0.0) is None
    assert exchange.answer(answer("1", st="32", flag=5, QnRtn="1"), 0.0) == "1"


def test_answer_of_2005_is_found_by_the_qn_in_its_region() -> None:
    exchange = Exchange(10.0, 3)
    exchange.send("20040516010101001", b"one", 0.0)
    assert exchange.answer(answer(None, QN="20040516010101001", CN="2051"), 0.0) == "20040516010101001"


def test_unanswered_packet_is_resent_byte_for_byte_and_then_given_up() -> None:
    exchange = Exchange(10.0, 2)
    exchange.send("1", b"one", 0.0)
    assert exchange.deadline() == 10.0
    assert exchange.poll(9.9) == []
    assert exchange.poll(10.0) == [Resend("1", b"one", 2)]
    assert exchange.poll(10.0) == []
    assert exchange.poll(20.0) == [Resend("1", b"one", 3)]
    assert exchange.poll(30.0) == [GaveUp("1")]
    assert exchange.deadline() is None
    assert exchange.answer(answer("1"), 31.0) is None


def test_window_grows_with_answers_and_falls_to_one_after_a_time_out() -> None:
    exchange = Exchange(10.0, 1, window=3)
    assert exchange.room() == 1
    for number in range(5):
        exchange.send(str(number), b"", 0.0)
        exchange.answer(answer(str(number)), 0.0)
    assert exchange.room() == 3
    exchange.send("a", b"a", 0.0)
    exchange.send("b", b"b", 1.0)
    assert exchange.room() == 1
    assert exchange.poll(10.0) == [Resend("a", b"a", 2)]
    assert exchange.room() == 0
    exchange.answer(answer("a"), 11.0)
    assert exchange.room() == 1


def test_command_of_a_platform_waits_for_9011_and_then_for_9012() -> None:
    exchange = Exchange(10.0, 3)
    exchange.send("1", b"get", 0.0, expect=frozenset({"9011", "9013"}))
    assert exchange.answer(answer("1", cn="9012"), 0.5) is None
    assert exchange.answer(answer("1", cn="9011", QnRtn="1"), 1.0) == "1"
    exchange.send("1", b"", 1.0, retries=0, expect=frozenset({"9012"}))
    assert exchange.answer(answer("1", cn="9012", ExeRtn="1"), 2.0) == "1"


def test_missing_result_gives_up_without_a_resend() -> None:
    exchange = Exchange(10.0, 3)
    exchange.send("1", b"", 0.0, retries=0, expect=frozenset({"9012"}))
    assert exchange.poll(10.0) == [GaveUp("1")]


def test_link_down_forgets_everything() -> None:
    exchange = Exchange(10.0, 3, window=4)
    exchange.send("1", b"one", 0.0)
    exchange.answer(answer("1"), 0.0)
    exchange.send("2", b"two", 0.0)
    exchange.clear()
    assert (exchange.open(), exchange.poll(99.0), exchange.room()) == ((), [], 1)
