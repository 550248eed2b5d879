import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from client_model.metrics.metric import Metric
from client_model.metrics.table import metric_table
from server_strategy.pooled_evaluation import PhoneCounts
from server_strategy.privacy.mechanisms.door import MECHANISMS
from simulation.commands import compare_mechanisms
from simulation.flags import parse_simulate
from simulation.plots import kind_styles
from simulation.studies import mechanism_comparison as comparison
from simulation.studies.mechanism_comparison import play, print_outcomes, write_outcomes
from simulation.studies.mechanism_verdicts import (
    Outcome,
    difference_of,
    how_differences_are_told,
    is_above,
    verdicts,
)
from tests.conftest import ROOT
from tests.forked_processes import forking
from tests.simulation.conftest import WEIGHTS_ONLY
from typefleet import studies
from typefleet.doors import Kind
from typefleet.errors import ConfigError

NOISE_IN_MODEL = {"gaussian": 0.9, "tree": 0.4, "banded": 0.2, "blt": 0.21, "none": None}


def outcome(mechanism, recall, epsilon=6.0, seed=0):
    private = mechanism != "none"
    return Outcome(
        mechanism=mechanism,
        epsilon=epsilon if private else None,
        spent_epsilon=epsilon if private else None,
        rho=1.0 if private else None,
        noise_multiplier=1.0 if private else None,
        noise_in_model=NOISE_IN_MODEL[mechanism],
        recall=recall,
        recall_by_seed={seed: recall},
        held_out={"perplexity": 300.0, "top3_recall": 2 * recall, "keystroke_savings": 0.3, "mine": 0.5},
        curve=[(1, recall / 2), (2, recall)],
        wall_seconds=60.0,
        seeds=(seed,),
    )


def in_order(*recalls):
    return [outcome(*pair) for pair in zip(("none", "gaussian", "tree", "banded", "blt"), recalls, strict=True)]


def test_the_expected_order_is_recognised_and_any_other_is_said():
    assert verdicts(in_order(0.09, 0.03, 0.05, 0.07, 0.0695)) == [
        "epsilon 6: gaussian < tree < blt ~ banded < none: as expected"
    ]
    (line,) = verdicts(in_order(0.09, 0.055, 0.03, 0.07, 0.06))
    assert line == "epsilon 6: tree < gaussian < blt < banded < none: NOT as expected: gaussian above tree"
    assert "banded above none" in verdicts(in_order(0.065, 0.03, 0.05, 0.07, 0.06))[0]
    assert verdicts(in_order(0.07, 0.05, 0.05, 0.07, 0.0705))[0].endswith("as expected")  # equal is no contradiction
    assert verdicts(in_order(0.09, 0.03, 0.05, 0.07, 0.06)[:4]) == []  # not all are there yet


def test_a_kind_is_drawn_as_it_says_and_any_other_in_a_colour_of_its_own():
    mine = [Kind(name, "", make=lambda settings, horizon: None) for name in ("mine", "yours")]
    styles = kind_styles([*map(MECHANISMS.kind, MECHANISMS.names), *mine])
    assert styles["banded"] == MECHANISMS.kind("banded").style
    assert len({style.colour for style in styles.values()}) == len(MECHANISMS.names) + 2


@pytest.mark.parametrize("count", [1, 3, 5])
def test_outcomes_are_printed_and_plotted_as_they_come(count, tmp_path, capsys):
    outcomes = in_order(0.09, 0.03, 0.05, 0.07, 0.06)[:count]
    write_outcomes(tmp_path, outcomes)
    mine = Metric("mine", "mine", {}, lambda counts: None, unit="number")
    print_outcomes(Console(width=150), outcomes, metric_table(handed_in=[mine]))
    printed = capsys.readouterr().out
    assert "9.00 %" in printed and "18.00 %" in printed and "mine" in printed and "0.50" in printed
    written = json.loads((tmp_path / "comparison.json").read_text())["outcomes"]
    assert written[0]["recall_low"] is None and "phones" not in written[0]
    assert written[0]["mine"] == 0.5 and written[0]["perplexity"] == 300.0 and "held_out" not in written[0]
    assert (tmp_path / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_runs_that_differ_in_their_seed_alone_are_averaged():
    first = [outcome("none", 0.20), outcome("gaussian", 0.10)]
    second = [
        replace(one, curve=one.curve[1:]) for one in (outcome("none", 0.22, seed=1), outcome("gaussian", 0.16, seed=1))
    ]
    missing = replace(outcome("none", 0.24, seed=2), held_out={**second[0].held_out, "perplexity": None})
    none, gaussian = comparison.over_seeds([*first, *second, missing])
    assert (none.mechanism, none.seeds, gaussian.seeds) == ("none", (0, 1, 2), (0, 1))
    assert none.recall == pytest.approx(0.22) and none.recall_by_seed == {0: 0.20, 1: 0.22, 2: 0.24}
    assert none.interval.half_width == pytest.approx(4.302653 * 0.02 / 3**0.5)  # Student's t of two degrees of freedom
    assert none.held_out["perplexity"] is None and none.held_out["top3_recall"] == pytest.approx(
        2 * (0.20 + 0.22 + 0.22) / 3
    )
    assert gaussian.curve == [(2, pytest.approx(0.13))] and none.wall_seconds == 180
    assert comparison.over_seeds(first) == first and first[0].interval is None


def over_three_seeds(**recalls):
    """Outcomes by mechanism, each of three seeds."""
    return comparison.over_seeds(
        [outcome(name, recall, seed=seed) for name, values in recalls.items() for seed, recall in enumerate(values)]
    )


def test_with_seeds_a_difference_is_one_only_if_the_paired_interval_leaves_out_0():
    shifts = np.array([0.0, 0.02, -0.015])  # of a seed, far larger than any difference below; the same for all
    steady = 0.0001 * np.array([1, -1, 0])
    outcomes = over_three_seeds(
        none=0.10 + shifts,
        gaussian=0.098 + shifts + 50 * steady,  # 0.2 points below on average, but not on every seed
        tree=0.0979 + shifts + steady,
        banded=0.099 + shifts - steady,
        blt=0.099 + shifts + 60 * steady,
    )
    (line,) = verdicts(outcomes)
    assert line == "epsilon 6: tree ~ gaussian ~ blt ~ banded < none, but tree < banded: as expected"
    by_name = {one.mechanism: one for one in outcomes}
    shown = {(a, b) for a in by_name for b in by_name if is_above(by_name[a], by_name[b])}
    assert shown == {("none", "tree"), ("none", "banded"), ("banded", "tree")}
    for a, b in shown:
        between = difference_of(by_name[a], by_name[b])
        assert between.low > 0 and not is_above(by_name[b], by_name[a])
    said = "\n".join(how_differences_are_told(outcomes))
    assert "over the seeds" in said and "seed by seed" in said and "points" not in said and "two seeds" not in said
    two = comparison.over_seeds([outcome("none", recall, seed=seed) for seed, recall in enumerate((0.2, 0.3))])
    assert "that wide because of two seeds" in "\n".join(how_differences_are_told(two))


def test_an_average_above_is_no_contradiction_unless_it_is_shown():
    noisy = np.array([0.01, -0.008, 0.004])
    contradicting = over_three_seeds(
        none=[0.1] * 3, gaussian=0.11 + noisy, tree=[0.09] * 3, banded=[0.1] * 3, blt=[0.1] * 3
    )
    (line,) = verdicts(contradicting)
    assert "gaussian above" not in line and line.endswith("as expected")
    shown = over_three_seeds(
        none=[0.1] * 3, gaussian=[0.11, 0.112, 0.111], tree=[0.09] * 3, banded=[0.1] * 3, blt=[0.1] * 3
    )
    assert "NOT as expected" in verdicts(shown)[0] and "gaussian above none" in verdicts(shown)[0]


def with_phones(one, hits, people=60):
    """With counts of held-out people, of whom each has 100 words, all known."""
    counts = {
        "word-positions": np.full(people, 100),
        "out-of-vocabulary": np.zeros(people, np.int64),
        "top1-hits": np.asarray(hits),
    }
    return replace(one, phones=PhoneCounts(np.arange(people), counts))


def test_with_one_seed_it_is_told_over_the_people_held_out():
    rng = np.random.default_rng(3)
    base = rng.integers(0, 40, 60)
    better = with_phones(outcome("blt", 0.21), base + 1)  # on every phone, however unlike phones are
    same = with_phones(outcome("banded", 0.23), base + rng.permutation([-2, 2] * 30))  # 2 points above, as it says
    reference = with_phones(outcome("none", 0.2), base)
    assert is_above(better, reference) and not is_above(same, reference) and not is_above(reference, same)
    assert difference_of(better, reference).mean == pytest.approx(0.01)
    assert "over the people that both held out" in how_differences_are_told([better, reference])[1]
    others = replace(reference, phones=PhoneCounts(reference.phones.phones + 1, reference.phones.counts))
    assert difference_of(better, others) is None and is_above(better, others)  # 1 point: more than the threshold
    assert "differ by more than 0.2 points" in how_differences_are_told([better, others])[1]
    assert better.interval.over == "people" and outcome("none", 0.2).interval is None


@pytest.mark.slow
def test_runs_are_made_once_and_kept(straight, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(comparison, "private_mechanisms", lambda: ("gaussian",))
    monkeypatch.setattr(comparison, "_MODULE", "tests.simulation.engine_in_process")
    monkeypatch.setattr(comparison, "subprocess", forking())
    monkeypatch.chdir(ROOT)
    run = parse_simulate([str(flag) for flag in WEIGHTS_ONLY]).run
    settings = replace(run, privacy=replace(run.privacy, noise_multiplier=None))
    shutil.copytree(straight[0], tmp_path / "c" / "gaussian-epsilon-4")  # a run with as many rounds, kept
    said = []
    *_, outcomes = play(tmp_path / "c", settings, (4.0,), said.append)
    assert [one.mechanism for one in outcomes] == ["none", "gaussian"] and said == ["run 1 of 2: none"]
    assert outcomes[0].rho is None and outcomes[0].recall > 0
    assert outcomes[1].rho > 0 and outcomes[1].noise_in_model == pytest.approx(np.sqrt((1 + 2 + 3) / 3) / 500)
    again = studies.compare_mechanisms(tmp_path / "c", settings, (4.0,), said.append)
    assert again == outcomes and len(said) == 1  # nothing ran a second time
    monkeypatch.setattr(comparison, "QUICK", settings)
    monkeypatch.setattr(comparison, "QUICK_SEEDS", (settings.seed,))
    compare_mechanisms.main(["--quick", "--epsilons", "4", "--output-dir", str(tmp_path / "c")])
    printed = capsys.readouterr().out
    assert "gaussian" in printed and str(tmp_path / "c" / "comparison.png") in printed and "run 1" not in printed
    assert (tmp_path / "c" / "comparison.png").stat().st_size
    other = settings.seed + 1
    for name in ("none", "gaussian-epsilon-4"):  # whose summaries have rows and whatever else a run writes
        shutil.copytree(tmp_path / "c" / name, tmp_path / "c" / f"{name}-seed-{other}")
    *_, both = play(tmp_path / "c", settings, (4.0,), said.append, (settings.seed, other))
    assert [one.seeds for one in both] == [(settings.seed, other)] * 2 and len(said) == 1
    assert [one.recall for one in both] == pytest.approx([one.recall for one in outcomes])
    assert both[0].held_out["recall_by_position"] is None and both[0].held_out["top3_recall"] is not None
    with pytest.raises(ConfigError, match=r"found .* with others"):
        list(play(tmp_path / "c", replace(settings, seed=1), (4.0,), said.append))
