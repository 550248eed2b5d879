"""What is printed of a sweep says what its intervals are worth."""

import io
from dataclasses import replace

import pytest

from client_model.metrics.intervals import over_seeds
from client_model.metrics.keyboard_metrics import TOP1_RECALL
from simulation.studies.sweeps.cost import TuningCost
from simulation.studies.sweeps.display import print_result
from simulation.studies.sweeps.results import Confirmation, SweepResult, TrialResult

NO_COST = TuningCost(
    runs=0,
    without_privacy=0,
    rho=None,
    epsilon=None,
    delta=None,
    epsilon_of_chosen=None,
    epsilon_is_of=None,
    why_not="it is not looked at",
)


def trial(number, values, best=None):
    return TrialResult(
        number=number,
        state="finished",
        setting={"training.epochs": number},
        values=dict(enumerate(values)),
        reached=over_seeds(values),
        behind_best=None if best is None else over_seeds([b - v for b, v in zip(best, values, strict=True)]),
        epsilon=None,
        wall_seconds=1.0,
    )


def printed(trials, confirmation=None):
    stream = io.StringIO()
    result = SweepResult(TOP1_RECALL, ["training.epochs"], trials, 0, NO_COST, confirmation)
    print_result(stream, result, [])
    return stream.getvalue()


@pytest.mark.parametrize("seeds", [2, 3])
def test_an_interval_over_two_seeds_is_shown_and_said_to_be_that_wide_because_of_them(seeds):
    best, other = [0.20, 0.22, 0.21][:seeds], [0.19, 0.20, 0.20][:seeds]
    text = printed([trial(0, best), trial(1, other, best)])
    half = 100 * over_seeds(best).half_width
    assert f"21.00 ± {half:.2f} %" in text and f"95 % interval over {seeds} seeds" in text
    assert ("that wide because of two seeds: 12.7 standard errors" in text) == (seeds == 2)


def test_seeds_that_agree_are_not_shown_as_certainty():
    best = [0.20, 0.20]
    text = printed([trial(0, best), trial(1, [0.19, 0.19], best), trial(2, [0.1999, 0.19990001], best)])
    assert "20.00 %" in text and "± 0.00" not in text and "19.99 ± < 0.01 %" in text
    assert "without ±: 2 seeds that gave the same value" in text
    assert "1.00 (none shown)" in text and "better than every other" not in text


@pytest.mark.parametrize(
    ("epsilons", "said"),
    [((4.0, 4.0001), None), ((4.004, 4.006), None), ((3.5, 4.003), "3.50 to 4.01"), ((None, 4.0), "4.00 to none")],
)
def test_epsilons_that_differ_in_the_digits_shown_are_said(epsilons, said):
    text = printed([replace(trial(number, [0.2, 0.3]), epsilon=one) for number, one in enumerate(epsilons)])
    assert ("NOT at equal privacy" in text) == (said is not None) and (said or "") in text


def confirmed(chosen, unchanged):
    gain = over_seeds([own - other for own, other in zip(chosen, unchanged, strict=True)])
    return Confirmation(over_seeds(chosen), over_seeds(unchanged), gain)


@pytest.mark.parametrize(
    ("best", "other", "sure", "said"),
    [
        ([0.2000, 0.2002], [0.1900, 0.1902], None, False),
        ([0.20004, 0.20024], [0.18996, 0.19016], None, True),  # 20.01 %, 19.01 %, and 1.01 points between them
        ([0.2000, 0.2002], [0.1900, 0.1902], confirmed([0.20004, 0.20024], [0.18996, 0.19016]), True),
        ([0.2000, 0.2002], [0.1900, 0.1902], confirmed([0.2, 0.2002], [0.19, 0.1902]), False),
    ],
)
def test_a_difference_that_does_not_match_the_figures_beside_it_is_explained(best, other, sure, said):
    text = printed([trial(0, best), trial(1, other, best)], sure)
    assert ("differences are taken before rounding" in text) == said
    if said:
        assert "20.01" in text and "19.01" in text and "1.01" in text
