"""No setting is ignored in silence: each changes what a run, or a dry run, will do, or is refused.

A setting without a line in the table fails, and so does one that changes nothing.
"""

from pathlib import Path

import pytest

from simulation.commands.fleet_dry_run import parse
from simulation.config import RunConfig
from simulation.flags import settled
from simulation.settings import choose, leaves
from simulation.studies import dry_run as dry_run_module
from simulation.studies.dry_run import prepare_dry_run, run_days
from simulation.studies.dry_run_settings import ignores
from tests.simulation.every_setting import (
    SMALL,
    ReadIn,
    needs,
    sections,
    settled_part,
    table,
    with_settings,
    without_what_is_switched_off,
    write_files,
)
from typefleet.errors import ConfigError

LOOKED_AT = [".".join(path) for path in leaves(choose(RunConfig(), {})) if not ignores(path)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    write_files(folder)
    return folder


@pytest.fixture(autouse=True)
def few_phones_are_asked_for_their_tokens(monkeypatch):
    monkeypatch.setattr(dry_run_module, "_SAMPLE", 200)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def test_the_table_knows_every_setting_of_every_kind():
    assert {key for key, _, _ in sections()} == set(table(Path()))


@pytest.mark.parametrize(("key", "place", "kind"), sections(), ids=lambda part: part or "-")
def test_a_setting_changes_something_or_is_refused(key, place, kind, files):
    trial = table(files)[key]
    chosen = {place: kind} if place else {}
    before = with_settings(RunConfig(), {**SMALL, **chosen, **trial.beside, **needs(key, kind, files)})
    before = settled(without_what_is_switched_off(before))
    try:
        after = settled(with_settings(before, {key: trial.value}))
    except ConfigError as refused:
        assert "expected only with" in str(refused)
        return
    if isinstance(trial.seen_in, ReadIn):
        assert trial.seen_in(tuple(key.split(".")))
    elif trial.seen_in(before) == trial.seen_in(after):
        assert trial.or_later is not None and trial.or_later(tuple(key.split(".")))


@settled_part
def dry_run(config: RunConfig) -> str:
    """Tokens of the phones, and the rounds of some hours."""
    run, cohorts = prepare_dry_run(config)
    run_days(config, run, cohorts, 0.3)
    return repr([run.tokens.tolist(), run.rounds, run.fleet.origin])


@pytest.mark.parametrize("key", LOOKED_AT)
def test_a_setting_changes_something_in_a_dry_run_too(key, files):
    trial = table(files)[key]
    before = settled(without_what_is_switched_off(with_settings(RunConfig(), {**SMALL, **trial.beside})))
    after = settled(with_settings(before, {key: trial.value}))
    assert isinstance(trial.seen_in, ReadIn) or dry_run(before) != dry_run(after)


def test_a_dry_run_takes_the_flags_of_a_run_and_says_which_change_nothing(tmp_path, capsys):
    flags = [
        "--rounds",
        "3",
        "--fleet.size=70",
        "--privacy.mechanism",
        "tree",
        "--engine.no-export",
        "--model.init",
        "x",
    ]
    taken = parse([*flags, "--cohort.goal", "7"])
    assert (taken.run.rounds, taken.run.fleet.size, taken.run.cohort.goal) == (3, 70, 7)
    (line,) = capsys.readouterr().err.splitlines()
    start, _, told = line.partition(": without effect here, where nothing is trained: ")
    of_training = ["--rounds", "--privacy.mechanism", "--engine.no-export", "--model.init"]
    assert start == "note" and sorted(told.split(", ")) == sorted(of_training)
    file = tmp_path / "config.toml"
    file.write_text("rounds = 3\n[privacy]\nmechanism = 'tree'\n")  # a file is made for runs
    assert parse(["--config", str(file), "--days", "2"]).run.rounds == 3
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--config", "{}"], r"^--config: expected a TOML file, here .*config\.toml, found the folder of a run$"),
        (["{}"], r"^the command line: expected flags; --config RUN_DIR/config\.toml plays .*, found a word without"),
        (["--resume", "{}"], r"--config RUN_DIR/config\.toml plays a run's fleet, found --resume$"),
    ],
)
def test_a_dry_run_that_is_given_the_folder_of_a_run_says_what_to_give_instead(flags, told, tmp_path):
    (tmp_path / "config.toml").write_text("rounds = 3\n")
    with pytest.raises(ConfigError, match=told):
        parse([flag.format(tmp_path) for flag in flags])
