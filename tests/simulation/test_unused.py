"""Settings that would be ignored in silence are refused, wherever they are given."""

from dataclasses import replace

import pytest

from simulation.config import check
from simulation.flags import parse_simulate, to_toml
from simulation.unused import without_effect
from typefleet.errors import ConfigError

UNUSED = [
    ("data.on_bad_line", "skip", "with text from a file, or a file of messages as --model.init"),
    ("data.cache_dir", "cache", "with text from a file, or a file of messages as --model.init"),
    (
        "data.min_phones_a_word",
        "5",
        "with a vocabulary that is counted on messages (no --data.vocabulary-path, and no weights as --model.init), "
        "and on those of phones with --privacy.vocabulary-epsilon none or --privacy.modelled-cohort",
    ),
    (
        "privacy.vocabulary_epsilon",
        "2.0",
        "with words that are counted on phones (--model.init none, and no --data.vocabulary-path), and without "
        "--privacy.mechanism none",
    ),
    (
        "privacy.vocabulary_words_per_phone",
        "50",
        "with --privacy.vocabulary-epsilon, where words are counted on phones",
    ),
    ("model.init_epochs", "3", "with a file of messages as --model.init"),  # the default, but somebody wrote it
    ("model.init_learning_rate", "1.5", "with a file of messages as --model.init"),
    ("privacy.clip_learning_rate", "0.3", "with --privacy.clip-quantile"),
    ("privacy.clip_count_stddev", "2.0", "with --privacy.clip-quantile"),
    ("server_optimizer.final_learning_rate_share", "0.1", "with --server-optimizer.schedule linear or cosine"),
    ("fleet.long_session_median_h", "5.0", "with --fleet.long-session-share > 0"),
    ("fleet.reentry_gap_mean_h", "0.25", "with --fleet.reentry-share > 0"),
    ("fleet.train_s_per_token_log_std", "0.5", "with --fleet.speed-spread log-normal"),
]


_BESIDE = {  # what leaves it without effect
    **dict.fromkeys(("data.on_bad_line", "data.cache_dir"), ("format", "synthetic")),
    "server_optimizer.final_learning_rate_share": ("schedule", "constant"),
}


def flag_of(key):
    return f"--{key.replace('_', '-')}"


@pytest.mark.parametrize(("key", "value", "only"), UNUSED, ids=[key for key, *_ in UNUSED])
def test_on_the_command_line_they_are_refused_even_at_their_default(key, value, only):
    with pytest.raises(ConfigError) as error:
        beside, chosen = _BESIDE.get(key, ("", ""))
        parse_simulate([*([flag_of(f"{key.split('.')[0]}.{beside}"), chosen] if beside else []), flag_of(key), value])
    assert str(error.value) == f"{flag_of(key)}: expected only {only}, found it without"


@pytest.mark.parametrize(("key", "value", "only"), UNUSED, ids=[key for key, *_ in UNUSED])
def test_in_a_file_they_are_refused_unless_they_are_at_their_default(tmp_path, key, value, only):
    file = tmp_path / "run.toml"
    section, name = key.split(".")
    beside, chosen = _BESIDE.get(key, ("", ""))
    before = f"{beside} = {chosen!r}\n" if beside else ""
    file.write_text(f"[{section}]\n{before}{name} = {value if value[0].isdigit() else repr(value)}\n")
    if (key, value) == ("model.init_epochs", "3"):
        assert parse_simulate(["--config", str(file)]).run == parse_simulate([]).run
        return
    with pytest.raises(ConfigError) as error:
        parse_simulate(["--config", str(file)])
    assert str(error.value) == f"{file}: {key}: expected only {only}, found it without"


def test_a_run_s_own_settings_are_readable_and_name_no_other_machine_s_cores(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(to_toml(parse_simulate([]).run))
    assert "workers" not in file.read_text()
    assert parse_simulate(["--config", str(file), "--engine.address", "auto"]).run.engine.address == "auto"


def test_a_flag_that_switches_off_what_a_file_sets_takes_its_place(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(
        "[privacy]\nclip_quantile = 0.5\nclip_learning_rate = 0.3\ntarget_epsilon = 4\n[engine]\nworkers = 2\n"
    )
    assert parse_simulate(["--config", str(file)]).run.privacy.clip_learning_rate == 0.3
    run = parse_simulate(["--config", str(file), "--privacy.mechanism", "none", "--engine.address", "auto"]).run
    assert run.privacy.target_epsilon is None and run.engine.workers is None
    assert run.privacy.clip_learning_rate == 0.3  # which still has an effect
    (tmp_path / "again.toml").write_text(to_toml(run))
    assert parse_simulate(["--config", str(tmp_path / "again.toml")]).run == run


def test_a_file_may_leave_to_the_command_line_what_its_settings_go_with(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("[data]\non_bad_line = 'skip'\n[server_optimizer]\nmomentum = 0.5\n")
    flags = ["--config", str(file), "--data.path", "messages.jsonl", "--server-optimizer.name", "momentum"]
    run = parse_simulate(flags).run
    assert run.data.on_bad_line == "skip" and run.server_optimizer.settings.momentum == 0.5


def test_a_configuration_from_python_is_held_to_the_same_rules():

    config = parse_simulate([]).run
    check(config)
    with pytest.raises(ConfigError, match=r"--model\.init-epochs: expected only with a file of messages"):
        check(replace(config, model=replace(config.model, init_epochs=5)))
    with pytest.raises(ConfigError, match=r"--engine\.workers: expected only without --engine\.address, found it with"):
        check(replace(config, engine=replace(config.engine, address="auto", workers=2)))


def test_a_public_corpus_uses_the_settings_of_files_and_weights_do_not(tmp_path):
    (tmp_path / "public.jsonl").touch()
    used = ["--data.on-bad-line", "skip", "--model.init-epochs", "2", "--model.vocabulary-size", "99"]
    run = parse_simulate(["--model.init", str(tmp_path / "public.jsonl"), *used]).run
    assert not {("data", "on_bad_line"), ("model", "init_epochs")} & {path for path, _ in without_effect(run)}
    for init in (tmp_path, tmp_path / "weights.npz"):
        with pytest.raises(ConfigError, match=r"--model\.init-epochs: expected only with a file of messages"):
            parse_simulate(["--model.init", str(init), "--model.init-epochs", "2"])
        with pytest.raises(ConfigError, match=r"--model\.vocabulary-size: expected only without .* found it with$"):
            parse_simulate(["--model.init", str(init), "--model.vocabulary-size", "99"])


def test_a_preset_whose_sizes_are_all_given_is_refused():
    sizes = ["--model.vocabulary-size", "99", "--model.embedding-size", "8", "--model.units", "9"]
    with pytest.raises(ConfigError, match=r"--model\.preset: expected only with sizes of the model left open"):
        parse_simulate(["--model.preset", "gboard", *sizes])
    assert parse_simulate(["--model.preset", "gboard", *sizes[:4]]).run.model.preset == "gboard"


def test_a_resumed_run_stays_in_its_folder(tmp_path):
    (tmp_path / "config.toml").write_text(to_toml(parse_simulate([]).run))
    assert parse_simulate(["--resume", str(tmp_path)]).run.output_dir == tmp_path
    with pytest.raises(ConfigError, match=r"--output-dir: expected only without --resume, found it with"):
        parse_simulate(["--resume", str(tmp_path), "--output-dir", str(tmp_path / "other")])


def test_what_a_trace_leaves_no_room_for_is_refused(tmp_path):
    (tmp_path / "t.csv").touch()
    trace = ["--fleet.trace", str(tmp_path / "t.csv")]
    weights = ["--fleet.utc-offset-weights", "1", "1", "1", "1", "1", "2"]
    only = r"expected only with --fleet\.trace-times local or --fleet\.trace-devices, found it without"
    with pytest.raises(ConfigError, match=rf"--fleet\.utc-offset-weights: {only}"):
        parse_simulate([*trace, *weights])
    assert parse_simulate([*trace, *weights, "--fleet.trace-times", "local"]).run.fleet.utc_offset_weights[-1] == 2
    with pytest.raises(ConfigError, match=r"--fleet\.trace-idle: expected only with events of FLASH"):
        parse_simulate([*trace, "--fleet.trace-idle", "locked"])
