"""Counts per held-out phone: what is written is read, and another file is refused."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from server_strategy.pooled_evaluation import PhoneCounts
from simulation.run.held_out_phones import read_phone_counts, write_phone_counts
from typefleet.errors import ConfigError

COUNTED = PhoneCounts(
    np.array([3, 7, 90]),
    {"tokens": np.array([5, 0, 9]), "loss-sum": np.array([1.5, 0.0, 2.25]), "by-position": np.arange(6).reshape(3, 2)},
)


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "held_out.parquet"
    write_phone_counts(path, COUNTED)
    found = read_phone_counts(path)
    assert found.phones.tolist() == COUNTED.phones.tolist() and found.counts.keys() == COUNTED.counts.keys()
    for name, values in COUNTED.counts.items():
        assert np.array_equal(found.counts[name], values) and found.counts[name].dtype == values.dtype
    assert pq.read_table(path).to_pylist()[2] == {"phone": 90, "tokens": 9, "loss-sum": 2.25, "by-position": [4, 5]}
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_of_nobody_there_is_no_table_and_no_older_one(tmp_path):
    path = tmp_path / "held_out.parquet"
    write_phone_counts(path, COUNTED)
    for _ in range(2):
        write_phone_counts(path, COUNTED.of(np.zeros(3, bool)))
        assert not path.exists()


@pytest.mark.parametrize(
    "table",
    [
        {"tokens": [1, 2]},
        {"phone": [2, 1], "tokens": [1, 2]},
        {"phone": [1, 1], "tokens": [1, 2]},
        {"phone": [1.5, 2.5], "tokens": [1, 2]},
        {"phone": [1, 2], "tokens": [1, None]},
        {"phone": [1, 2], "tokens": ["secret", "b"]},
        {"phone": [1, 2], "tokens": [[1], [1, 2]]},
    ],
)
def test_another_table_is_refused(table, tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table(table), path)
    with pytest.raises(ConfigError, match=r"t\.parquet: expected the counts of a run's held-out phones") as caught:
        read_phone_counts(path)
    assert "secret" not in str(caught.value)


def test_a_damaged_or_missing_file_is_refused(tmp_path):
    path = tmp_path / "t.parquet"
    with pytest.raises(ConfigError, match="no such file"):
        read_phone_counts(path)
    write_phone_counts(path, COUNTED)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ConfigError, match="a damaged file, or another one"):
        read_phone_counts(path)
