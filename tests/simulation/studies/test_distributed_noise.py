import io
import json

import pytest

from simulation.studies.distributed_noise import (
    CENTRAL,
    Experiment,
    central_mse,
    measure,
    print_measured,
    write_measured,
)
from simulation.tables import console_for
from typefleet.errors import ConfigError


def experiment(**changes):
    of_few = dict(phones=12, dimension=1000, delta=1e-5, deviations=4.0, threshold=12, survivors=12)
    return Experiment(**{**of_few, **changes})


@pytest.fixture(scope="module")
def rows():
    return measure(experiment(), (12, 18), (0.05, 2.0), (0, 1, 2))


def find(rows, kind, bits, epsilon):
    (row,) = (row for row in rows if (row.kind, row.bits, row.epsilon) == (kind, bits, epsilon))
    return row


@pytest.mark.parametrize("kind", ["discrete-gaussian", "skellam"])
def test_many_bits_are_as_good_as_central_noise_and_few_are_not_at_a_small_epsilon(rows, kind):
    for epsilon in (0.05, 2.0):
        assert find(rows, kind, 18, epsilon).times_central.mean == pytest.approx(1, abs=0.13)  # 5 standard errors
    assert find(rows, kind, 12, 2.0).times_central.mean == pytest.approx(1, abs=0.13)
    poor = find(rows, kind, 12, 0.05)
    assert poor.times_central is None or poor.times_central.mean > 1.5


def test_central_noise_is_what_the_others_are_measured_by(rows):
    row = find(rows, CENTRAL, None, 2.0)
    assert row.times_central.mean == pytest.approx(1, abs=0.13)
    assert central_mse(experiment(), 2.0) == pytest.approx((row.noise_multiplier / 12) ** 2, rel=1e-12)
    assert find(rows, "skellam", 18, 2.0).noise_multiplier == pytest.approx(row.noise_multiplier, rel=0.02)


def test_a_phone_sends_its_bits(rows):
    assert [find(rows, "skellam", bits, 2.0).upload_bytes for bits in (12, 18)] == [1024 * 12 // 8, 1024 * 18 // 8]


def test_what_is_made_up_for_drop_outs_is_there_when_nobody_drops_out():
    for survivors, variance in ((12, 2.0), (6, 1.0)):
        some = experiment(threshold=6, survivors=survivors)
        rows = measure(some, (20,), (2.0,), (0, 1, 2), kinds=("skellam",))
        assert find(rows, "skellam", 20, 2.0).times_central.mean == pytest.approx(variance, rel=0.13)


def test_the_same_seeds_give_the_same_figures_whatever_else_is_measured(rows):
    for again in measure(experiment(), (18,), (2.0,), (0, 1, 2), ("skellam",)):
        assert again == find(rows, again.kind, again.bits, 2.0)


def test_a_round_below_its_threshold_is_no_round():
    with pytest.raises(ConfigError, match="lost phones: expected at most 2, or the round is below its threshold"):
        measure(experiment(threshold=10, survivors=9), (16,), (1.0,), (0,))


def test_all_of_it_is_printed_and_written(rows, tmp_path):
    stream = io.StringIO()
    print_measured(console_for(stream), experiment(), rows)
    said = stream.getvalue()
    for part in (
        "discrete-gaussian",
        "skellam",
        "12 bits",
        "2.3 kB",
        "0.05",
        "95 % over 3 seeds",
        "12 phones' vectors",
    ):
        assert part in said
    figures, plot = write_measured(tmp_path / "new", experiment(), rows)
    content = json.loads(figures.read_text())
    assert content["experiment"]["phones"] == 12 and len(content["measured"]) == len(rows)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_more_noise_than_is_needed_is_said():
    some, stream = experiment(threshold=6), io.StringIO()
    print_measured(console_for(stream), some, measure(some, (20,), (2.0,), (0,), kinds=("skellam",)))
    assert "needs the noise of 6 survivors; 12 add 2.00 times its variance" in stream.getvalue()
    assert "Coordinates that wrapped around: none." in stream.getvalue()
