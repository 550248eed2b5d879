"""rounds.parquet has what rounds.jsonl has, in columns whose types do not depend on the run."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from client_model.metrics.table import metric_table
from simulation.run.directory import RunDirectory
from simulation.run.rounds_table import rounds_table, write_rounds_table
from simulation.world.policies.buffered import BufferedFunnel
from tests.server_strategy.test_funnel import COUNTS
from tests.simulation.run.test_records import BUFFER, PROFILE, record

METRICS = metric_table()
ROWS = [{"tokens_before": "0", "positions": 9, "top1_recall": 0.1}]
RECORDS = [
    record(round=1, held_out={"top1_recall": 0.25, "perplexity": None, "recall_by_position": ROWS}, profile=PROFILE),
    record(round=2, funnel=None, abandoned="why", loss=None, rejected=[], failed={}),
    record(round=3, funnel=BufferedFunnel(**COUNTS, **BUFFER, mean_staleness=0.5)),
]


@pytest.fixture
def directory(tmp_path):
    directory = RunDirectory(tmp_path)
    for one in RECORDS:
        directory.append_round(one)
    return directory


def test_every_value_of_every_line_is_in_the_table(directory):
    write_rounds_table(directory, METRICS)
    rows = pq.read_table(directory.rounds_table).to_pylist()
    lines = directory.read_rounds()
    assert len(rows) == len(lines) == 3
    for row, line in zip(rows, lines, strict=True):
        for name, value in line.items():
            if name == "profile":
                assert row["profile.driver_s.plan"] == value["driver_s"]["plan"]
                assert row["profile.worker_peak_rss_bytes"] is None
            elif name in ("failed", "recall_by_position") and value is not None:
                assert json.loads(row[name]) == value
            else:
                assert row[name] == value, name
        assert all(row[name] is None for name in row if name not in line and not name.startswith("profile."))


def test_runs_have_the_same_types_whatever_happened_in_them():
    lines = [one.as_line() for one in RECORDS]
    whole, one_round = rounds_table(lines, METRICS).schema, rounds_table(lines[1:2], METRICS).schema
    assert one_round.names == rounds_table([], METRICS).schema.names == whole.names[: len(one_round.names)]
    assert all(whole.field(name) == one_round.field(name) for name in one_round.names)
    kinds = {"round": pa.int64(), "invited": pa.int64(), "loss": pa.float64(), "epsilon": pa.float64()}
    kinds |= {"abandoned": pa.string(), "rejected": pa.list_(pa.string()), "failed": pa.string()}
    kinds |= {"top1_recall": pa.float64(), "recall_by_position": pa.string(), "mean_staleness": pa.float64()}
    assert {name: whole.field(name).type for name in kinds} == kinds


def test_what_only_some_runs_have_is_typed_by_its_values():
    lines = [record(round=1).as_line() | {"a": 1, "b": True, "c": "x", "d": [1], "e": None}, record(round=2).as_line()]
    schema = rounds_table(lines, METRICS).schema
    assert [schema.field(name).type for name in "abcde"] == [
        *(pa.float64(), pa.bool_(), pa.string(), pa.string(), pa.float64())
    ]


def test_the_same_lines_give_the_same_bytes_and_a_resume_takes_the_table_away(directory):
    write_rounds_table(directory, METRICS)
    before = directory.rounds_table.read_bytes()
    write_rounds_table(directory, METRICS)
    assert directory.rounds_table.read_bytes() == before
    directory.cut_rounds_after(2)
    assert not directory.rounds_table.exists()
    write_rounds_table(directory, METRICS)
    assert pq.read_table(directory.rounds_table)["round"].to_pylist() == [1, 2]
