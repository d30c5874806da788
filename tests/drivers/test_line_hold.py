"""A line left to a technician's tool, and taken back."""

from __future__ import annotations

from concurrent.futures import Future

import pytest
from test_line_jobs import Site

from drivers.errors import PortLost


def test_held_line_closes_its_port_answers_polls_and_jobs_with_that_and_asks_nothing() -> None:
    site = Site(2)
    site.run(6.0)
    site.poller.hold(True)
    assert not site.poller.state().held  # not before a step has closed the port
    waiting: Future[None] = site.write()
    results = site.run(12.0)
    state = site.poller.state()
    assert (state.held, state.open, site.ports[0].closed, len(site.ports)) == (True, False, True, 1)
    assert {type(one.error) for one in results} == {PortLost}
    assert {one.error.code for one in results if one.error} == {"drivers.line-held"}
    assert len(results) >= 4
    with pytest.raises(PortLost, match="line-held"):
        waiting.result(0)


def test_returned_line_is_quiet_for_late_answers_to_the_tool_and_then_polls_in_its_slots() -> None:
    site = Site(2)
    site.run(6.0)
    site.poller.hold(True)
    site.run(10.0)
    site.poller.hold(False)
    returned = site.time.now
    results = site.run(10.0)
    (_, again) = site.ports
    assert again.written[0][0] >= returned + 3.0
    assert not site.poller.state().held
    assert [one.error for one in results[-2:]] == [None, None]
    assert all(one.slot_ms % 5_000 == 0 for one in results)


def test_hold_of_a_line_whose_port_is_missing_and_one_that_ends_at_once() -> None:
    site = Site(1)
    site.port_missing = True
    site.run(3.0)
    site.poller.hold(True)
    site.run(1.0)
    assert site.poller.state().held
    site.poller.hold(False)
    site.port_missing = False
    site.run(6.0)
    assert site.poller.state().open
    site.poller.hold(True)
    site.poller.hold(False)
    site.run(1.0)
    assert (len(site.ports), site.poller.state().open) == (1, True)
