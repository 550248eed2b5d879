"""What is refused of the benchmark's flags, in one line, before anything is measured."""

from pathlib import Path

import pytest

from benchmarks.flags import BenchmarkFlags, check_flags
from typefleet.errors import ConfigError

OLD = Path("old.json")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (BenchmarkFlags(measured=OLD, quick=True), "--measured: expected at most --compare"),
        (BenchmarkFlags(measured=OLD, smoke=True), "--measured: expected at most --compare"),
        (BenchmarkFlags(measured=OLD, output=Path("zz.json")), "--measured: expected at most --compare"),
        (BenchmarkFlags(measured=OLD, output=Path("benchmark.json")), "--measured: expected at most --compare"),
        (BenchmarkFlags(quick=True, smoke=True), "--smoke: expected no --quick"),
        (BenchmarkFlags(compare=Path("benchmark.json")), "--output: expected another file than that of --compare"),
        (BenchmarkFlags(compare=Path("none/../benchmark.json")), "--output: expected another file"),
        (BenchmarkFlags(output=Path("none/b.json")), "--output: none/b.json: expected a place that can be written"),
        (BenchmarkFlags(output=Path("folder")), "--output: folder: expected a place that can be written"),
    ],
)
def test_what_has_no_effect_or_loses_something_is_refused(tmp_path, monkeypatch, flags, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError) as error:
        check_flags(flags)
    assert str(error.value).startswith(said) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "flags",
    [
        BenchmarkFlags(),
        BenchmarkFlags(quick=True, compare=OLD),
        BenchmarkFlags(smoke=True, output=Path("b.json")),
        BenchmarkFlags(measured=Path("benchmark.json"), compare=Path("benchmark.json")),  # nothing is written
    ],
)
def test_what_can_be_done_is_accepted_and_leaves_nothing_behind(tmp_path, monkeypatch, flags):
    monkeypatch.chdir(tmp_path)
    check_flags(flags)
    assert not list(tmp_path.iterdir())
