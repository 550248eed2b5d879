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


def test_a_dry_run_refuses_flags_of_what_only_training_needs(tmp_path):
    for flags in (["--rounds", "3"], ["--privacy.mechanism", "tree"], ["--engine.no-export"], ["--model.init", "x"]):
        with pytest.raises(ConfigError, match=rf"^{flags[0].replace('no-', '')}: expected only for a run that trains"):
            parse(flags)
    file = tmp_path / "run.toml"
    file.write_text("rounds = 3\n[privacy]\nmechanism = 'tree'\n")  # a file is made for runs
    assert parse(["--config", str(file), "--days", "2"]).run.rounds == 3
