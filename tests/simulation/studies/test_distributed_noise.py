import io
import json

import pytest

from simulation.studies.distributed_noise import (
    CENTRAL,
    Experiment,
    central_mse,
    expect,
    measure,
)
from simulation.studies.distributed_noise_report import print_measured, write_measured
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


@pytest.mark.parametrize(("epsilon", "kind"), [(0.3, "skellam"), (2.0, "discrete-gaussian")])
def test_what_is_measured_is_what_was_expected(epsilon, kind):
    some = experiment(threshold=9, block=128)
    measured = find(measure(some, (12,), (epsilon,), (0, 1, 2), (kind,)), kind, 12, epsilon)
    (central, computed) = expect(some, (12,), (epsilon,), (kind,))
    assert measured.times_central.mean == pytest.approx(computed.times_central.mean, rel=0.13)  # 5 standard errors
    assert computed.times_central.mean > 12 / 9 and computed.times_central.half_width is None
    assert computed.upload_bytes == measured.upload_bytes == 1024 * 12 // 8
    assert central.times_central.mean == 1


def test_a_million_weights_are_no_trouble_where_nothing_is_drawn():
    stream, some = io.StringIO(), experiment(dimension=1_422_250, phones=100, threshold=100, survivors=100)
    rows = expect(some, (14, 18), (0.5,), ("skellam",))
    print_measured(console_for(stream), some, rows)
    assert find(rows, "skellam", 14, 0.5).times_central is None
    assert 1 < find(rows, "skellam", 18, 0.5).times_central.mean < 1.1
    assert "Expected, not drawn" in stream.getvalue() and "±" not in stream.getvalue()
    assert "unreachable" in stream.getvalue()


def test_a_block_that_is_none_is_refused_and_not_called_unreachable():
    with pytest.raises(ConfigError, match="block: expected a power of 2, at most 1024, found 48"):
        expect(experiment(block=48), (16,), (1.0,))


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
