"""Whole runs under a robust rule over buckets: the same weights however they are summed, and statements that say so."""

import json
import shutil

import pytest
from scipy.stats import hypergeom

from server_strategy.robust.statements import DEFENCES, defence_of
from server_strategy.secagg_rounds import SecAgg
from simulation.flags import parse_simulate, result_settings
from simulation.report.page import write_report
from simulation.run.aggregation_told import aggregation_facts
from simulation.studies.privacy_check import checked
from tests.simulation.test_sums_alone import Files, play
from typefleet.errors import ConfigError

TINY = (
    *("--rounds", 2, "--fleet.size", 900, "--seed", 2, "--data.format", "synthetic", "--data.vocabulary-phones", 60),
    *("--model.vocabulary-size", 300, "--model.embedding-size", 8, "--model.units", 8, "--model.sequence-length", 10),
    *("--evaluation.max-phones", 4, "--training.learning-rate", 4, "--training.max-sequences", 1),
    *("--server-optimizer.schedule", "constant", "--engine.checkpoint-every-rounds", 1, "--tracking.trackers"),
    *("--engine.no-export", "--engine.no-report", "--privacy.mechanism", "none", "--cohort.min-separation-rounds", 3),
)
ROBUST = (*("--aggregation.robust", "median"), *("--aggregation.robust-share", 0.03))
LEAVING = ("--cohort.goal", 20, "--aggregation.bucket-phones", 5, "--cohort.minimum-report-share", 0.6)
LEAVING = (*LEAVING, *ROBUST, "--aggregation.step-latency-s", 250)


class Run(Files):
    def __init__(self, folder, *flags):
        self.folder = folder
        self.heard, self.printed = play(*TINY, *flags, "--output-dir", folder)


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    return Run(tmp_path_factory.mktemp("masked") / "run", *LEAVING, "--aggregation.protocol", "secagg")


def test_a_bucket_that_phones_leave_is_left_out_and_counted(masked):
    released = [line for line in masked.lines() if line["abandoned"] is None]
    (line,) = (one for one in released if one["bucket_left_out"])
    buckets = line["aggregation"]["buckets"]
    assert (buckets["rule"], buckets["formed"], buckets["in_rule"], buckets["fewest_phones"]) == ("median", 4, 3, 5)
    assert sum(buckets["left_out"].values()) == 1
    assert line["reports"] + line["bucket_left_out"] == line["aggregation"]["took"]["mask"]
    told = masked.read("summary.json")["aggregation"]
    assert (told["buckets"]["formed"], told["buckets"]["in_the_rule"]) == (8, 7)
    assert told["phones_in_sums"] == sum(one["reports"] for one in released)
    assert told["buckets"]["left_out"] == buckets["left_out"]
    page = write_report(shutil.copytree(masked.folder, masked.folder.parent / "copy")).read_text()
    assert "The server learned the sum of each bucket" in page and "buckets that the rule was given" in page


def test_the_same_bits_and_records_without_masks(masked, tmp_path):
    as_if = Run(tmp_path / "run", *LEAVING, "--aggregation.protocol", "arithmetic")
    for one, other in zip(masked.lines(), as_if.lines(), strict=True):
        for name in ("weights_sha256", "reports", "tokens", "loss", "clipped_share", "bucket_left_out", "abandoned"):
            assert one.get(name) == other.get(name), name
        if "aggregation" in one:
            assert {**one["aggregation"], "protocol": ""} == {**other["aggregation"], "protocol": ""}
    assert as_if.read("summary.json")["weights_sha256"] == masked.read("summary.json")["weights_sha256"]


def test_the_statement_says_what_a_phone_is_hidden_in_and_is_recomputed(masked):
    said, page = masked.read("privacy.json"), (masked.folder / "privacy.md").read_text()
    robust, defence = said["facts"]["aggregation"]["robust"], DEFENCES["median"]
    assert (robust["buckets"], robust["bucket_phones"], robust["fewest_vectors"]) == (4, 5, 4)
    assert (robust["what_it_does_to_a_claim"], robust["denominator"]) == (defence.privacy, defence.denominator)
    assert "the sum over each bucket of phones, 4 of them or more" in said["trust_model"]
    assert "no noise is added" in said["trust_model"] and "round's sum of clipped" not in page
    for text in (*said["aggregation"]["who_sees_what"].values(), *said["aggregation"]["assumed"]):
        assert text in page
    assert any("hidden in a sum of 3 phones at least" in one for one in said["aggregation"]["assumed"])
    assert robust["more_corrupted_probability"] == 0 and defence.denominator in page  # one of 20, in a bucket or not
    assert not checked(masked.folder)[1].wrongs
    forged = shutil.copytree(masked.folder, masked.folder.parent / "forged")
    (forged / "privacy.json").write_text(
        (forged / "privacy.json").read_text().replace('"bucket_phones": 5', '"bucket_phones": 16')
    )
    assert checked(forged)[1].wrongs
    assert "sums over buckets of 5 phones or more alone" in masked.printed
    assert "robust      median of 4 buckets, each of 5 phones or more; attackers in at most 1" in masked.printed


@pytest.mark.parametrize(
    "changed",
    [
        ("--aggregation.robust", "trimmed-mean"),
        ("--aggregation.robust", "cosine-screening"),
        ("--aggregation.bucket-phones", 4),
        ("--aggregation.robust-share", 0.02),
    ],
)
def test_a_run_goes_on_under_its_own_rule_and_buckets_alone(changed, masked):
    flag, value = changed
    with pytest.raises(ConfigError, match=rf"^{flag}: expected .* as in .*config\.toml, found {value}; only --engine"):
        parse_simulate(["--resume", str(masked.folder), flag, str(value)])


@pytest.mark.parametrize(
    ("written", "flag", "value", "before"),
    [
        ('robust = "median"', "--aggregation.robust", "krum", "median"),
        ('robust = "median"', "--aggregation.bucket-phones", "3", "4"),
        ('robust = "norm-screening"\nscreening_norm = 3.0', "--aggregation.screening-norm", "2.5", "3.0"),
        ('robust = "cosine-screening"', "--aggregation.screening-cosine", "0.5", "0.0"),
        ("", "--aggregation.robust", "krum", "none"),
    ],
)
def test_so_does_a_run_whose_server_is_told_of_each_phone(written, flag, value, before, tmp_path):
    (tmp_path / "config.toml").write_text(f'[privacy]\nmechanism = "none"\n[aggregation]\n{written}\n')
    with pytest.raises(ConfigError, match=rf"^{flag}: expected {before} as in .*, found {value}; only --engine"):
        parse_simulate(["--resume", str(tmp_path), flag, value])


def test_settings_of_a_screening_that_there_is_not_are_no_part_of_a_run():
    """So that a run which began before there was any goes on."""
    names = {"aggregation.screening_norm", "aggregation.screening_cosine"}
    assert not names & set(result_settings(parse_simulate(["--aggregation.protocol", "secagg"]).run))
    plain = result_settings(parse_simulate([]).run)
    assert not any(name.startswith("aggregation.") for name in plain)


def test_screening_by_norm_counts_longer_phones_as_zeros_and_says_how_many(tmp_path):
    flags = ("--cohort.goal", 8, "--aggregation.robust", "norm-screening", "--aggregation.screening-norm")
    tight = Run(tmp_path / "tight", *flags, 1e-9)
    wide = Run(tmp_path / "wide", *flags, 1000, "--rounds", 1)
    for line in tight.lines():
        assert line["aggregation"].pop("mean_update_norm") > 0
        assert line["aggregation"] == {"protocol": "none", "rule": "norm-screening", "phones_screened_out": 8}
        assert line["reports"] == 8
    assert len({line["weights_sha256"] for line in tight.lines()}) == 1  # nothing is ever added
    assert all(line["aggregation"]["phones_screened_out"] == 0 for line in wide.lines())
    assert wide.read("summary.json")["weights_sha256"] != tight.read("summary.json")["weights_sha256"]
    assert "counts as zeros" in (tight.folder / "privacy.md").read_text()
    assert not checked(tight.folder)[1].wrongs


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--privacy.noise-place", "phones", "--aggregation.protocol", "secagg", *ROBUST), "noise is made for a sum"),
        (("--privacy.mechanism", "tree", *ROBUST), "only with --privacy.mechanism none"),
        (("--privacy.mechanism", "none", *ROBUST, "--cohort.policy", "buffered"), "a buffer mixes updates"),
        (
            (
                "--privacy.mechanism",
                "none",
                *ROBUST,
                "--aggregation.protocol",
                "secagg",
                "--aggregation.bucket-phones",
                2,
            ),
            "of a bucket's sum of two, each phone's other is known to it",
        ),
        (
            ("--privacy.mechanism", "none", "--aggregation.robust", "norm-screening", "--aggregation.bucket-phones", 3),
            "expected only with --aggregation.robust, but for norm-screening of single updates, found it without",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(flags, said):
    with pytest.raises(ConfigError, match=said) as refused:
        parse_simulate([str(one) for one in flags])
    assert "\n" not in str(refused.value)


def test_the_draw_puts_more_corrupted_phones_together_as_counted():
    """Of 20 in 200, more than one among nine others of 199: by the terms of the hypergeometric distribution."""
    flags = ("--privacy.mechanism", "none", "--cohort.goal", 200, "--fleet.size", 900, "--aggregation.robust", "median")
    flags = (*flags, "--aggregation.protocol", "secagg", "--aggregation.bucket-phones", 10)
    flags = (*flags, "--aggregation.corrupted-share", 0.1, "--aggregation.robust-share", 0.01)
    robust = aggregation_facts(parse_simulate([str(one) for one in flags]).run)["robust"]
    assert robust["corrupted_of_a_round"] == 20
    assert robust["more_corrupted_probability"] == pytest.approx(1 - hypergeom.cdf(1, 199, 20, 9))
    assert defence_of("norm-screening", of_buckets=True) is not defence_of("norm-screening", of_buckets=False)


class PulledPlugError(Exception):
    """The run is gone."""


def test_a_run_that_is_gone_before_any_bucket_is_unmasked_goes_on_to_the_same_bits(masked, tmp_path, monkeypatch):
    """The vectors of the second round are there; its phones have other keys when it is played again."""
    unmask, rounds = SecAgg._unmask, []

    def or_gone(aggregator, may_learn):
        rounds.append(aggregator._last_round)
        if aggregator._last_round == 2:
            raise PulledPlugError
        return unmask(aggregator, may_learn)

    with monkeypatch.context() as patch:
        patch.setattr(SecAgg, "_unmask", or_gone)
        with pytest.raises(PulledPlugError):
            Run(tmp_path / "run", *LEAVING, "--aggregation.protocol", "secagg")
    assert rounds == [1, 2]
    play("--resume", tmp_path / "run")
    summary, whole = json.loads((tmp_path / "run" / "summary.json").read_text()), masked.read("summary.json")
    for name in ("weights_sha256", "devices_trained", "tokens_trained", "aggregation"):
        assert summary[name] == whole[name], name
    assert not checked(tmp_path / "run")[1].wrongs
