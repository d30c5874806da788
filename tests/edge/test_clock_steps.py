"""Steps of the wall clock are told from its running."""

from __future__ import annotations

from edge.clock import Steps


def test_a_clock_that_runs_or_is_slewed_has_no_steps() -> None:
    steps = Steps()
    # 500 ppm off, as NTP slews at most, looked at every 0.2 s for a minute
    assert [steps.since(1_790_049_600_000 + round(n * 200.1), n * 0.2) for n in range(300)] == [None] * 300


def test_a_step_says_what_the_clock_showed_and_what_it_shows() -> None:
    steps = Steps()
    steps.since(1_000_000, 10.0)
    assert steps.since(1_000_200, 10.2) is None
    assert steps.since(4_600_400, 10.4) == (1_000_400, 4_600_400)  # an hour forward
    assert steps.since(4_600_600, 10.6) is None
    assert steps.since(4_500_800, 10.8) == (4_600_800, 4_500_800)  # 100 s back
