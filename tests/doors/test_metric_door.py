"""A metric in one file: by object, by name and by entry point, from a host's count to every table and file."""

import io
import json
from dataclasses import fields, replace

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from client_model.config import TrainingConfig
from client_model.learning.language_model import initial_weights
from client_model.metrics.door import ALWAYS_MEASURED, METRICS
from client_model.metrics.metric import Metric
from client_model.metrics.table import metric_table
from client_model.text.population import PopulationSpec
from client_model.tflite.export_tflite import Export
from client_model.tflite.tflite_metadata import read_associated_files
from server_strategy.pooled_evaluation import PhoneCounts, counts_of_phones
from simulation.device.model_card import card_markdown, model_card
from simulation.engine import client_app
from simulation.engine.host_task import HostTask
from simulation.flags import parse_simulate, read_config, to_toml
from simulation.parts import Parts
from simulation.run.preparation import prepare
from simulation.run.records import Summary
from simulation.run.report import print_closing_table
from simulation.run.trackers.values import round_values
from simulation.studies.mechanism_comparison import shown_metrics
from simulation.world.participation import Grouping, recall_by_group
from tests.conftest import ROOT
from tests.simulation.conftest import TINY
from tests.simulation.device.test_model_card import PRIVACY
from tests.simulation.device.test_model_card import SHAPE as CARD_SHAPE
from tests.simulation.engine.test_client_app import SHAPE, WORDS
from tests.simulation.run.test_records import SUMMARY, record
from typefleet.doors import Kind
from typefleet.errors import ConfigError

# The metric --------------------------------------------------------------------------------------


def reciprocal_ranks(tokens):
    return float((1 / (1 + tokens.scores.rank[tokens.is_word])).sum())


def ranked_words(tokens):
    return int(tokens.is_word.sum())


def mean_rank(counts):
    words = int(counts["ranked-words"])
    return float(counts["reciprocal-ranks"]) / words if words else None


MRR = Metric(
    name="mean_reciprocal_rank",
    label="mean reciprocal rank",
    counts={"reciprocal-ranks": reciprocal_ranks, "ranked-words": ranked_words},
    value=mean_rank,
    unit="number",
    digits=4,
)
KIND = Kind(MRR.name, "mean of 1 / place of the word that came next", make=lambda settings: MRR)
NAMED = ("--evaluation.metrics", MRR.name)


@pytest.fixture
def registered():
    with METRICS.lend(KIND):
        yield


def fail(tokens):
    return {}["what somebody wrote"]


# By object -----------------------------------------------------------------------------------------


def evaluated(task, monkeypatch):
    """What a host counts on six phones, as the server sees it."""
    monkeypatch.setattr(client_app, "_open_hosts", [True])  # TensorFlow is at work in this process already
    arrays = ArrayRecord({n: Array(w) for n, w in zip(SHAPE.weight_shapes(), initial_weights(SHAPE, 0), strict=True)})
    config = {"host-task": task.to_json(), "phone-ids": list(range(6)), "unit-sizes": [4, 2]}
    content = RecordDict({"arrays": arrays, "config": ConfigRecord(config)})
    message = Message(content, dst_node_id=1, message_type="evaluate")
    message.metadata.__dict__["_message_id"] = "m"  # Flower does this when a message is sent
    reply = client_app.evaluate(message, Context(0, 0, {}, RecordDict(), {}))
    return counts_of_phones([reply], np.arange(40))


def host_task(**handed_in):
    return HostTask(
        population=PopulationSpec(0, 40),
        vocabulary=WORDS.to_text(),
        shape=SHAPE,
        training=TrainingConfig(max_sequences=5),
        evaluation_sequences=4,
        seed=0,
        handed_in=handed_in,
    )


def test_a_metric_that_fails_on_a_host_is_named_without_the_text(monkeypatch):
    failing = replace(MRR, counts={**MRR.counts, "failing": fail})
    message = r"^metric mean_reciprocal_rank: expected the count failing, found KeyError at test_metric_door\.py:\d+$"
    with pytest.raises(ConfigError, match=message):
        evaluated(host_task(metrics=(failing,)), monkeypatch)


def test_a_host_counts_an_object_that_travelled_to_it_and_the_server_adds_it_up(monkeypatch):
    plain = evaluated(host_task(), monkeypatch)
    with_mine = evaluated(host_task(metrics=(MRR,)), monkeypatch)
    assert set(with_mine.counts) - set(plain.counts) == set(MRR.counts)
    for name, values in plain.counts.items():  # measuring more changes nothing
        np.testing.assert_array_equal(with_mine.counts[name], values)
    metrics = metric_table(handed_in=[MRR])
    values = metrics.values(with_mine.sums())
    assert values["top1_recall"] <= values[MRR.name] <= 1 and values[MRR.name] > 0
    assert {name: values[name] for name in ALWAYS_MEASURED} == metric_table().values(plain.sums())


def test_it_is_part_of_what_a_resume_compares_without_its_place_in_memory():
    said = Parts(metrics=(MRR,)).described()
    assert said == {"metrics": "Metric('mean_reciprocal_rank', counts=['reciprocal-ranks', 'ranked-words'])"}
    assert "metrics" not in Parts().described()


def test_every_report_has_a_place_for_it():
    """None of these modules knows the metric."""
    metrics = metric_table(handed_in=[MRR])
    measured = {**metrics.nothing(), MRR.name: 0.25}
    summary = Summary(**{**{f.name: getattr(SUMMARY, f.name) for f in fields(Summary)}, "held_out": measured})
    assert summary.as_json()[MRR.name] == 0.25 == record(held_out=measured).as_line()[MRR.name]
    card = model_card(parse_simulate([]).run, CARD_SHAPE, summary, PRIVACY, metrics)
    assert "| mean reciprocal rank | 0.2500 |" in card_markdown(card, metrics)
    assert round_values(record(held_out=measured).as_line(), metrics)["held_out/mean_reciprocal_rank"] == 0.25
    assert MRR in shown_metrics(metrics)
    counts = {name: np.ones(2, np.int64) for name in metrics.counters if not name.endswith("by-position")}
    evaluation = PhoneCounts(np.array([0, 1]), {**counts, "word-positions": np.full(2, 3)})
    (row,) = recall_by_group([Grouping("all", ("everybody",), np.zeros(2, np.int64))], evaluation, metrics)
    assert row[MRR.name] == 1.0 and row["top1_recall"] == 0.5


def test_the_closing_table_has_a_row_for_it():
    metrics, config = metric_table(handed_in=[MRR]), parse_simulate([*map(str, TINY), "--output-dir", "unused"]).run
    prepared = prepare(config, resume=True, parts=Parts(metrics=(MRR,)))
    shown = io.StringIO()
    values = {f.name: getattr(SUMMARY, f.name) for f in fields(Summary)}
    summary = Summary(**{**values, "held_out": {MRR.name: 0.25}})
    print_closing_table(
        shown,
        summary,
        plan=prepared.plan,
        metrics=metrics,
        export=Export([]),
        central=None,
        folder=ROOT / "runs" / "none",
        page=["none"],
    )
    (row,) = [line for line in shown.getvalue().splitlines() if "mean reciprocal rank" in line]
    assert row.split()[-1] == "0.2500"
    assert MRR in prepared.metrics.metrics and MRR.name in [m.name for m in prepared.task.metrics.metrics]


# By name -------------------------------------------------------------------------------------------


def test_a_registered_name_is_measured_and_travels_as_an_object(registered):
    config = parse_simulate([*map(str, TINY), *NAMED]).run
    task = HostTask.from_json(prepare(config).task.to_json())
    assert not task.metric_names  # other processes would not find the name
    assert [metric.name for metric in task.metrics.metrics] == [*ALWAYS_MEASURED, MRR.name]


def test_the_name_is_part_of_a_configuration_file(registered, tmp_path):
    (tmp_path / "config.toml").write_text(to_toml(parse_simulate([*NAMED]).run))
    assert read_config(tmp_path / "config.toml").evaluation.metrics == (MRR.name,)


def test_a_name_that_nobody_has_is_one_line():
    with pytest.raises(ConfigError, match=r"^--evaluation.metrics: expected one of .*, found 'mean_reciprocal_rank'"):
        prepare(parse_simulate([*map(str, TINY), *NAMED]).run)


@pytest.mark.slow
def test_an_entry_point_is_measured_by_the_workers_and_stands_in_every_file(installed_run):
    folder = installed_run.folder
    assert "mean reciprocal rank" in installed_run.printed
    summary = json.loads((folder / "summary.json").read_text())
    lines = [json.loads(line) for line in (folder / "rounds.jsonl").read_text().splitlines()]
    assert 0 < summary["top1_recall"] <= summary[MRR.name] == lines[-1][MRR.name] <= 1
    tags = EventAccumulator(str(folder / "tensorboard")).Reload().Tags()["tensors"]
    assert "held_out/mean_reciprocal_rank" in tags
    inside = read_associated_files((folder / "model" / "keyboard_fp32.tflite").read_bytes())
    assert "| mean reciprocal rank | " in inside["model_card.md"]
    groups = json.loads((folder / "participation.json").read_text())["recall_by_group"]
    assert all(MRR.name in row for row in groups)
