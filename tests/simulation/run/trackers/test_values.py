import math

from client_model.metrics.table import metric_table
from simulation.config import RunConfig, settled
from simulation.flags import result_settings
from simulation.run.records import RoundRecord
from simulation.run.trackers.values import held_out_values, round_values, setting_values, summary_values
from simulation.world.policies.buffered import BufferedFunnel
from tests.server_strategy.test_funnel import COUNTS
from tests.simulation.run.test_records import BUFFER, PROFILE, SUMMARY, record

METRICS = metric_table()


def values_of(**changed):
    return round_values(record(**changed).as_line(), METRICS)


def test_what_a_round_has_is_there_under_its_group_and_what_it_lacks_is_not():
    values = values_of(loss=2.5, held_out={"top1_recall": 0.25, "perplexity": None, "recall_by_position": [{}]})
    assert values["held_out/top1_recall"] == 0.25 and values["training/loss_nats_per_token"] == 2.5
    assert values["round/checked_in"] == COUNTS["checked_in"] and values["round/left_out_for_errors"] == 2
    assert values["round/open_s"] == COUNTS["closed_s"] - COUNTS["opened_s"]
    assert values["speed/train_s"] == 0.1
    assert not values.keys() & {"held_out/perplexity", "held_out/recall_by_position", "privacy/epsilon"}
    assert {tag.split("/")[0] for tag in values} == {"held_out", "training", "round", "speed"}
    assert all(type(value) in (int, float) for value in values.values())


def test_epsilon_says_whose_it_is():
    assert values_of(epsilon=1.0)["privacy/epsilon"] == 1.0
    modelled = values_of(epsilon=2.0, epsilon_is_of="a modelled deployment")
    assert modelled["privacy/epsilon_of_modelled_deployment"] == 2.0 and "privacy/epsilon" not in modelled


def test_a_round_without_phones_a_policy_of_its_own_and_a_profile():
    alone = values_of(funnel=None, abandoned="why", loss=None, rejected=[], failed={})
    assert "round/open_s" not in alone and alone["round/left_out_for_errors"] == 0
    buffered = values_of(funnel=BufferedFunnel(**COUNTS, **BUFFER, mean_staleness=0.5))
    assert buffered["round/mean_staleness"] == 0.5 and buffered["round/in_flight"] == BUFFER["in_flight"]
    assert values_of(profile=PROFILE)["speed/profile.driver_s.plan"] == 0.1
    assert not any(math.isnan(value) for value in values_of(loss=math.nan).values())


def test_a_round_read_from_its_line_gives_the_same_values():
    one = record(funnel=BufferedFunnel(**COUNTS, **BUFFER, mean_staleness=0.5), held_out={"top1_recall": 0.25})
    read = RoundRecord.from_line(one.as_line())
    assert round_values(read.as_line(), METRICS) == round_values(one.as_line(), METRICS)
    assert held_out_values({"top1_recall": 0.5}, METRICS) == {"held_out/top1_recall": 0.5}


def test_the_summary_and_the_settings_are_flat_and_plain():
    summary = summary_values(SUMMARY)
    assert summary["participation.phones"] == 40 and summary["baseline_bigram_top3"] == 0.4
    assert "participation.gini" not in summary and "recall_by_position" not in summary
    config = settled(RunConfig())
    values = setting_values(config)
    assert values.keys() == {name for name, value in result_settings(config).items() if value is not None}
    assert values["fleet.utc_offsets_h"] == " ".join(map(str, config.fleet.utc_offsets_h))
    assert all(type(value) in (bool, int, float, str) for value in values.values())
    assert not any(name.startswith(("engine.", "tracking.")) for name in values)
