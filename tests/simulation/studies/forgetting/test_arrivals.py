"""Who came when, as the ledger of a run and the rounds of a dry run have it; and what bounds an attack on who stays."""

import io
import json
import shutil

import numpy as np
import pytest

from server_strategy.privacy.ledger_lines import decode_labels, read_ledger
from server_strategy.privacy.ledger_reading import plan_on_record, recompute
from simulation.flags import parse_simulate, read_config
from simulation.run.checkpoint import load_newest_checkpoint
from simulation.studies.audits.membership_scores import EpsilonDelta
from simulation.studies.forgetting.arrivals import Arrivals, arrivals_of_dry_run, arrivals_of_run
from simulation.studies.forgetting.cost_report import print_costs, print_remains
from simulation.studies.forgetting.remains import what_remains
from simulation.studies.phone_story.own_cost import own_cost
from tests.simulation.conftest import WEIGHTS_ONLY
from tests.simulation.engine_in_process import simulate
from typefleet.errors import ConfigError


@pytest.fixture(scope="module")
def run(made_once):
    """Six rounds of few phones, so that some come again; the claim is of the run itself."""

    def play(folder):
        settings = (*WEIGHTS_ONLY, "--rounds", 6, "--cohort.goal", 8, "--fleet.size", 80, "--evaluation.max-phones", 5)
        noise = (
            "--privacy.vocabulary-epsilon",
            "none",
            "--cohort.min-separation-rounds",
            2,
            "--cohort.max-participations",
            3,
        )
        simulate([*map(str, (*settings, *noise)), "--output-dir", str(folder / "run")])

    return made_once("forgetting", play) / "run"


def ledger(root):
    return [json.loads(line) for line in (root / "privacy_ledger.jsonl").read_text().splitlines()[1:]]


def test_a_run_is_read_from_its_ledger(run):
    arrivals = arrivals_of_run(run, read_config(run / "config.toml"))
    first = {}
    for line in ledger(run):
        for label in decode_labels(line["participants"]).tolist():
            first.setdefault(label, line["round"])
    assert arrivals.first.tolist() == sorted(first.values())
    stored, _ = load_newest_checkpoint(run / "checkpoints")
    assert len(first) == (stored.state["strategy"]["participation"]["counts"] > 0).sum()
    assert arrivals.released.tolist() == [line["round"] for line in ledger(run)]
    assert arrivals.rounds == stored.about["totals"]["server_round"]
    assert arrivals.written[-3:] == arrivals.on_disk  # 3 are kept


def test_a_dry_run_has_rounds_as_many_as_were_asked_for():
    flags = ("--data.format", "synthetic", "--fleet.size", "3000", "--cohort.goal", "20", "--rounds", "12")
    arrivals = arrivals_of_dry_run(parse_simulate(flags).run)
    assert len(arrivals.released) == 12 and arrivals.rounds == arrivals.released[-1]
    assert arrivals.first[0] == arrivals.released[0] and set(arrivals.first) <= set(arrivals.released)
    assert (arrivals.first == arrivals.first[0]).sum() >= 16  # a first round is of phones that are all new
    assert arrivals.on_disk is None


def test_a_fleet_that_fills_no_round_is_one_line_as_in_a_run():
    flags = ("--data.format", "synthetic", "--fleet.size", "60", "--cohort.goal", "50", "--rounds", "12")
    with pytest.raises(
        ConfigError, match=r"--cohort.goal: expected a fleet that reaches it, found 3 rounds abandoned in"
    ):
        arrivals_of_dry_run(parse_simulate([*flags, "--cohort.max-abandoned-in-a-row", "3"]).run)


def test_nobody_who_took_part_is_one_line(run, tmp_path):
    folder = shutil.copytree(run, tmp_path / "run")
    path = folder / "privacy_ledger.jsonl"
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    for ask in (lambda: what_remains(folder), lambda: arrivals_of_run(folder, read_config(folder / "config.toml"))):
        with pytest.raises(ConfigError, match="expected a run in which somebody took part, found none"):
            ask()


def test_all_phones_together_cost_what_the_run_claims(run):
    path = run / "privacy_ledger.jsonl"
    entries, _ = read_ledger(path)
    labels = np.unique(np.concatenate([decode_labels(line["participants"]) for line in ledger(run)]))
    spent = own_cost(entries, len(entries) - 1, plan_on_record(path, entries, None), labels)
    claimed = recompute(path, 6)
    assert (spent.epsilon, spent.max_participations) == (claimed["epsilon"], claimed["max_participations"])


def test_who_took_part_less_often_is_bounded_more(run):
    remains = what_remains(run)
    rows, claimed = remains.rows, recompute(run / "privacy_ledger.jsonl", 6)
    assert [one.participations for one in rows] == sorted({one.participations for one in rows}) and len(rows) > 1
    assert rows[0].epsilon < rows[-1].epsilon == claimed["epsilon"]
    assert sum(one.phones * one.participations for one in rows) == sum(line["reports"] for line in ledger(run))
    for one in rows:
        limit = EpsilonDelta(one.epsilon, remains.delta)
        assert (one.area, one.named) == (limit.area, limit.true_positives(0.01))


def test_the_tables_say_whose_guarantee_it_is_and_what_is_on_the_disk(run):
    out = io.StringIO()
    print_costs(out, arrivals_of_run(run, read_config(run / "config.toml")), forgets=True)
    print_remains(out, what_remains(run))
    text = " ".join(out.getvalue().split())
    assert "first of the on took part phones, % 1 2 5 spaced all disk" in text
    assert "in a modelled deployment with 500 reports per round" in text and "nothing is promised" in text
    assert "of a number of newest checkpoints the last one stays" in text


def test_a_script_takes_a_run_or_settings_and_neither_or_both_is_one_line(run, script_here, tmp_path):
    done = script_here("price_forgetting.py", run)
    assert done.returncode == 0 and "one at random" in done.stdout
    settings = tmp_path / "settings.toml"
    settings.write_text('rounds = 5\n[data]\nformat = "synthetic"\n[fleet]\nsize = 3000\n')
    done = script_here("price_forgetting.py", "--config", settings)
    assert done.returncode == 0 and "phones took part in" in done.stdout and "Without forgetting" not in done.stdout
    for arguments, found in (((), "neither"), ((run, "--config", settings), "both")):
        done = script_here("price_forgetting.py", *arguments)
        assert done.returncode == 2
        assert done.stderr == f"error: whose phones are forgotten: expected RUN_DIR or --config FILE, found {found}\n"


def test_a_run_without_noise_bounds_nothing():
    out = io.StringIO()
    print_costs(out, Arrivals(np.array([1, 2]), np.array([1, 2]), 2, 1), forgets=False)
    assert "the last one stays" not in out.getvalue()
