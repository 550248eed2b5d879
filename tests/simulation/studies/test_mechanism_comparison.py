import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from client_model.metrics.metric import Metric
from client_model.metrics.table import metric_table
from server_strategy.privacy.mechanisms.door import MECHANISMS
from simulation.flags import parse_simulate
from simulation.studies import mechanism_comparison as comparison
from simulation.studies.mechanism_comparison import Outcome, play, print_outcomes, verdicts, write_outcomes
from simulation.studies.plots import kind_styles
from tests.simulation.conftest import TINY
from typefleet import studies
from typefleet.doors import Kind
from typefleet.errors import ConfigError

NOISE_IN_MODEL = {"gaussian": 0.9, "tree": 0.4, "banded": 0.2, "blt": 0.21, "none": None}


def outcome(mechanism, recall, epsilon=6.0):
    private = mechanism != "none"
    return Outcome(
        mechanism=mechanism,
        epsilon=epsilon if private else None,
        spent_epsilon=epsilon if private else None,
        rho=1.0 if private else None,
        noise_multiplier=1.0 if private else None,
        noise_in_model=NOISE_IN_MODEL[mechanism],
        recall=recall,
        recall_stddev=None,
        held_out={"perplexity": 300.0, "top3_recall": 2 * recall, "keystroke_savings": 0.3, "mine": 0.5},
        curve=[(1, recall / 2), (2, recall)],
        wall_seconds=60.0,
        seeds=(0,),
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
    assert written[0]["mine"] == 0.5 and written[0]["perplexity"] == 300.0 and "held_out" not in written[0]
    assert (tmp_path / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_runs_that_differ_in_their_seed_alone_are_averaged():
    first = [outcome("none", 0.20), outcome("gaussian", 0.10)]
    second = [
        replace(one, seeds=(1,), curve=one.curve[1:]) for one in (outcome("none", 0.22), outcome("gaussian", 0.16))
    ]
    missing = replace(second[0], held_out={**second[0].held_out, "perplexity": None}, seeds=(2,), recall=0.24)
    none, gaussian = comparison.over_seeds([*first, *second, missing])
    assert (none.mechanism, none.seeds, gaussian.seeds) == ("none", (0, 1, 2), (0, 1))
    assert none.recall == pytest.approx(0.22) and none.recall_stddev == pytest.approx(0.02)
    assert none.held_out["perplexity"] is None and none.held_out["top3_recall"] == pytest.approx(
        2 * (0.20 + 0.22 + 0.22) / 3
    )
    assert gaussian.curve == [(2, pytest.approx(0.13))] and none.wall_seconds == 180
    assert comparison.over_seeds(first) == first and first[0].recall_stddev is None


@pytest.mark.slow
def test_runs_are_made_once_and_kept(straight, tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "private_mechanisms", lambda: ("gaussian",))
    run = parse_simulate([str(flag) for flag in TINY]).run
    settings = replace(run, privacy=replace(run.privacy, noise_multiplier=None))
    shutil.copytree(straight[0], tmp_path / "c" / "gaussian-epsilon-4")  # a run with as many rounds, kept
    said = []
    *_, outcomes = play(tmp_path / "c", settings, (4.0,), said.append)
    assert [one.mechanism for one in outcomes] == ["none", "gaussian"] and said == ["run 1 of 2: none"]
    assert outcomes[0].rho is None and outcomes[0].recall > 0
    assert outcomes[1].rho > 0 and outcomes[1].noise_in_model == pytest.approx(np.sqrt((1 + 2 + 3) / 3) / 500)
    again = studies.compare_mechanisms(tmp_path / "c", settings, (4.0,), said.append)
    assert again == outcomes and len(said) == 1  # nothing ran a second time
    other = settings.seed + 1
    for name in ("none", "gaussian-epsilon-4"):  # whose summaries have rows and whatever else a run writes
        shutil.copytree(tmp_path / "c" / name, tmp_path / "c" / f"{name}-seed-{other}")
    *_, both = play(tmp_path / "c", settings, (4.0,), said.append, (settings.seed, other))
    assert [one.seeds for one in both] == [(settings.seed, other)] * 2 and len(said) == 1
    assert [one.recall for one in both] == pytest.approx([one.recall for one in outcomes])
    assert both[0].held_out["recall_by_position"] is None and both[0].held_out["top3_recall"] is not None
    with pytest.raises(ConfigError, match=r"found .* with others"):
        list(play(tmp_path / "c", replace(settings, seed=1), (4.0,), said.append))
