"""A message format in one file: by object, by name, by ending and by entry point, up to rounds of a real run."""

from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import numpy as np
import pytest

from client_model.config import DataConfig
from client_model.text.formats.base import DataError, message_of
from client_model.text.formats.door import FORMATS
from client_model.text.population import open_population, prepare_population
from simulation.flags import parse_simulate, to_toml
from simulation.parts import Parts
from simulation.run.preparation import prepare
from simulation.run.same_beginning import fingerprint
from simulation.studies.dry_run import prepare_dry_run, run_days
from typefleet import doors
from typefleet.doors import Kind, KindSettings
from typefleet.errors import ConfigError, expected

# The format ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TabSettings(KindSettings):
    """Settings of tab-separated values."""

    text_first: bool = False
    """A line is a text and a user, instead of a user and a text."""


class TabSeparated:
    """A user and a text a line."""

    endings = (".tsv", ".tab")

    def __init__(self, settings):
        self.settings = settings

    def read(self, path):
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                columns, where = line.rstrip("\n").split("\t"), f"{path}:{number}"
                if len(columns) != 2:
                    yield DataError(expected(where, "two columns", len(columns)))
                    continue
                user, text = reversed(columns) if self.settings.text_first else columns
                yield message_of({"user_id": user, "text": text}, where)


KIND = Kind("tsv", "tab-separated values", make=TabSeparated, settings=TabSettings)

# Ways in ---------------------------------------------------------------------------------------


@pytest.fixture
def registered(monkeypatch):
    """The format is known by its name while the test runs."""
    monkeypatch.setattr(FORMATS, "_kinds", dict(FORMATS._kinds))
    FORMATS.register(KIND)


def write(path, users=40, swapped=False):
    words = ["the", "of", "and", "to", "in", "is", "you", "that", "it", "was", "for", "on", "are", "as", "with"]
    rng = np.random.default_rng(0)
    rows = [(f"u{user}", " ".join(rng.choice(words, 6))) for user in range(users) for _ in range(8)]
    path.write_text("".join("\t".join(reversed(row) if swapped else row) + "\n" for row in rows))
    return path


def flags(path, cache):
    return [
        *(
            "--data.path",
            str(path),
            "--data.cache-dir",
            str(cache),
            "--cohort.goal",
            "5",
            "--privacy.mechanism",
            "none",
        ),
        *("--data.vocabulary-phones", "20", "--cohort.min-separation-rounds", "1"),
    ]


def lexicon_of(spec):
    return sorted(open_population(spec).lexicon)


def test_its_ending_counts_where_no_format_is_named_up_to_rounds_of_a_real_run(registered, tmp_path):
    prepared = prepare(parse_simulate(flags(write(tmp_path / "m.tsv"), tmp_path)).run)
    assert len(prepared.digests) == 40 and "the" in prepared.vocabulary.tokens
    cohorts = prepared.open_world()
    plans = [cohorts.plan_round(r, np.ones(40, bool)) for r in range(1, 20)]
    assert any(len(plan.reporters) and plan.tokens.min() > 40 for plan in plans)


def test_by_object_it_reads_whatever_the_file_is_called(tmp_path):
    path, message_format = write(tmp_path / "messages.of.mine"), TabSeparated(TabSettings())
    config = parse_simulate(flags(path, tmp_path)).run
    prepared = prepare(config, parts=Parts(message_format=message_format))
    assert len(prepared.digests) == 40
    assert fingerprint(prepared)["parts"] == {"message_format": f"{__name__}.TabSeparated"}
    run, cohorts = prepare_dry_run(config, Parts(message_format=message_format))
    run_days(config, run, cohorts, 0.1)
    assert run.rounds and run.fleet.num_phones == 40
    with pytest.raises(DataError, match=r"--data\.path: expected a file for the format that is handed in, found none"):
        prepare_population(DataConfig(), 0, None, message_format)


def test_it_is_read_anew_every_time_since_its_code_may_change(registered, tmp_path):
    path = write(tmp_path / "m.tsv", swapped=True)
    straight = DataConfig(path=path, format="tsv", cache_dir=tmp_path / "cache")
    swapped = DataConfig(
        path=path, format="tsv", format_settings=TabSettings(text_first=True), cache_dir=tmp_path / "cache"
    )
    first, second, again = (prepare_population(config, 0, None) for config in (straight, swapped, straight))
    assert first == again and first.cache_folder != second.cache_folder
    assert "u0" in lexicon_of(first) and "u0" not in lexicon_of(second)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_its_bad_lines_are_refused_with_their_place_or_skipped(registered, tmp_path):
    path = tmp_path / "m.tsv"
    path.write_text("ann\thello\nonly a text\n\tnobody\nbob\thi\n")
    with pytest.raises(DataError, match=r"m\.tsv:2: expected two columns, found 1"):
        prepare_population(DataConfig(path=path, cache_dir=tmp_path), 0, None)
    spec = prepare_population(DataConfig(path=path, cache_dir=tmp_path, on_bad_line="skip"), 0, None)
    assert open_population(spec).skipped_lines == 2
    with pytest.raises(DataError, match=r"n\.tsv: expected a file of messages, found no such file"):
        prepare_population(DataConfig(path=tmp_path / "n.tsv", cache_dir=tmp_path), 0, None)


def test_an_ending_that_nobody_claims_is_refused_with_those_that_somebody_does(registered, tmp_path):
    path = write(tmp_path / "m.txt")
    with pytest.raises(DataError) as error:
        prepare_population(DataConfig(path=path, cache_dir=tmp_path), 0, None)
    assert str(error.value) == (
        f"{path}: expected an ending of .jsonl, .ndjson, .csv, .parquet, .sqlite, .h5, .hdf5, .tsv, .tab, "
        "found .txt; name the format with --data.format"
    )


def test_its_settings_are_flags_and_keys_with_it_alone(registered, tmp_path):
    config = parse_simulate(["--data.path", "m.tsv", "--data.format", "tsv", "--data.text-first"]).run
    assert config.data.format_settings == TabSettings(text_first=True)
    (tmp_path / "run.toml").write_text(to_toml(config))
    again = parse_simulate(["--config", str(tmp_path / "run.toml")]).run
    assert again.data.format_settings == config.data.format_settings
    with pytest.raises(ConfigError, match=r"--data\.text-first: expected only with --data\.format tsv"):
        parse_simulate(["--data.path", "m.tsv", "--data.text-first"])
    with pytest.raises(ConfigError, match=r"--data\.format: expected one of .*, found 'tvs'; did you mean tsv\?"):
        parse_simulate(["--data.path", "m.tsv", "--data.format", "tvs"])


def test_by_entry_point(monkeypatch, capsys, tmp_path):
    points = EntryPoints([EntryPoint("tsv", f"{__name__}:KIND", FORMATS.group)])
    monkeypatch.setattr(doors, "_all_entry_points", lambda: points)
    monkeypatch.setattr(FORMATS, "_kinds", dict(FORMATS._kinds))
    assert FORMATS.kind("tsv") is KIND
    spec = prepare_population(DataConfig(path=write(tmp_path / "m.TSV"), cache_dir=tmp_path), 0, None)
    assert spec.num_phones == 40 and Path(spec.cache_folder).parent == tmp_path
    with pytest.raises(SystemExit):
        parse_simulate(["--data.format", "tsv", "--help-all"])
    assert "--data.text-first" in capsys.readouterr().out
