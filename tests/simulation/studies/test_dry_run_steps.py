"""What secure aggregation does to the rounds of a dry run is told in figures and in words."""

import json
from dataclasses import replace

import pytest

from client_model.learning.language_model import model_shape
from server_strategy.aggregation.config import AggregationConfig
from server_strategy.privacy.distributed_noise.hadamard import padded_size
from simulation.commands.fleet_dry_run import parse
from simulation.config import RunConfig
from simulation.settings import choose
from simulation.studies.dry_run import prepare_dry_run, run_days
from simulation.studies.dry_run_report import dry_run_summary
from simulation.studies.dry_run_steps import steps_words
from typefleet.errors import ConfigError


def played(aggregation, noise_place="server"):
    config = choose(RunConfig(aggregation=aggregation), {})
    config = replace(config, privacy=replace(config.privacy, noise_place=noise_place))
    config = replace(
        config,
        cohort=replace(config.cohort, goal=15, min_separation_rounds=2),
        fleet=replace(config.fleet, size=600),
        data=replace(config.data, format="synthetic"),
    )
    run, cohorts = prepare_dry_run(config)
    run_days(config, run, cohorts, days=0.3)
    return run, dry_run_summary(run, config.cohort)


def test_the_summary_says_what_the_steps_cost_and_adds_up():
    run, summary = played(AggregationConfig("arithmetic", step_latency_s=60.0))
    found = summary["aggregation"]
    assert found["steps_s"]["p50"] >= 5 * 60 and found["phone_up_mb"] > 1 > found["phone_down_mb"] > 0
    assert 0 <= found["with_a_sum_share"] <= 1 and sum(found["failed"].values()) <= found["rounds"]
    lines = [record.as_line() for record in run.rounds if "group" in record.as_line()]
    assert len(lines) == found["rounds"]
    shares = summary["outcome_share"]
    assert sum(shares.values()) <= 1 + 1e-9 and {"left_advertise", "left_share", "left_mask"} <= set(shares)
    assert f"{found['rounds']:,} groups came to a sum" in steps_words(found)
    assert json.loads(json.dumps(summary)) == summary


def test_phones_that_add_the_noise_send_the_bits_that_they_are_given():
    flags = ("--privacy.noise-place", "phones", "--aggregation.protocol", "arithmetic", "--aggregation.bits", "12")
    asked = parse([*flags, "--aggregation.step-latency-s", "60"]).run
    _, summary = played(asked.aggregation, asked.privacy.noise_place)
    vector = padded_size(model_shape(RunConfig().model).num_weights) * 12 / 8 / 1e6
    assert vector < summary["aggregation"]["phone_up_mb"] < vector + 0.1


def test_without_a_protocol_nothing_is_said():
    _, summary = played(AggregationConfig())
    assert "aggregation" not in summary and "left_mask" not in summary["outcome_share"]


def test_steps_without_time_are_refused_where_nothing_else_is_looked_at():
    with pytest.raises(ConfigError, match=r"--aggregation.protocol: expected only with --aggregation.step-latency-s"):
        played(AggregationConfig("secagg"))
