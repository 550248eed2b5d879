import re
import tomllib
from pathlib import Path

import pytest

from simulation.config import RunConfig, check
from simulation.flags import parse_simulate, read_config, result_settings, to_toml
from simulation.settings import choose, flag_name, leaves
from simulation.world.availability.recorded import TraceSettings
from simulation.world.policies.buffered import BufferSettings
from typefleet.errors import ConfigError

CONTRACT = """--config --print-config --output-dir --resume --rounds --seed --data.path --data.format
--model.preset --model.cell --cohort.goal --cohort.over-selection --cohort.deadline-s --privacy.mechanism
--privacy.clip-norm --privacy.noise-multiplier --privacy.target-epsilon --privacy.modelled-cohort --fleet.size
--engine.workers --engine.devices-per-message""".split()  # noqa: SIM905


def test_contracted_flags_exist():
    known = {flag_name(p) for p in leaves(choose(RunConfig(), {}))} | {"--config", "--print-config", "--resume"}
    assert set(CONTRACT) <= known


def test_default_then_file_then_flag(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("rounds = 7\n[cohort]\ngoal = 11\nover_selection = 2\n[privacy]\ntarget_epsilon = 3\n")
    run = parse_simulate(
        [
            "--config",
            str(file),
            "--cohort.goal",
            "12",
            "--fleet.utc-offsets-h",
            "0",
            "1",
            "2",
            "--fleet.utc-offset-weights",
            "1",
            "1",
            "2",
        ]
    ).run
    assert (run.rounds, run.cohort.goal, run.cohort.policy_settings.over_selection, run.seed) == (7, 12, 2.0, 0)
    assert run.privacy.target_epsilon == 3.0 and run.fleet.utc_offsets_h == (0.0, 1.0, 2.0)


def test_what_a_file_changes_holds_for_the_kind_that_a_flag_chooses(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("[cohort]\npolicy = 'synchronous'\ndeadline_s = 30\nover_selection = 2\n")
    run = parse_simulate(["--config", str(file), "--cohort.policy", "buffered"]).run
    assert run.cohort.policy_settings == BufferSettings(deadline_s=30.0)  # which has no over-selection


def test_a_trace_alone_selects_the_recorded_availability(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("[fleet]\ntrace = 't.csv'\nunobserved = 'exclude'\n")
    for argv in (["--fleet.trace", "t.csv", "--fleet.unobserved", "exclude"], ["--config", str(file)]):
        fleet = parse_simulate(argv).run.fleet
        assert fleet.availability == "recorded"
        assert fleet.availability_settings == TraceSettings(trace=Path("t.csv"), unobserved="exclude")
    # A run's own file names its kind; a flag's trace takes its place all the same, and a kind named is the one meant.
    file.write_text(to_toml(parse_simulate([]).run))
    assert parse_simulate(["--config", str(file), "--fleet.trace=t.csv"]).run.fleet.availability == "recorded"
    file.write_text("[fleet]\navailability = 'model'\ntrace = 't.csv'\n")
    with pytest.raises(ConfigError, match=r"fleet\.trace: expected only with --fleet\.availability recorded"):
        parse_simulate(["--config", str(file)])


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--fleet.unobserved", "tile"], "--fleet.unobserved: expected only with --fleet.availability recorded"),
        (
            ["--fleet.trace", "t.csv", "--fleet.night-day-ratio", "2"],
            "--fleet.night-day-ratio: expected only with --fleet.availability model, found it without",
        ),
        (
            ["--fleet.availability", "recorded"],
            "--fleet.trace: expected a file, as --fleet.availability recorded",
        ),
        (["--fleet.availability", "recroded"], "found 'recroded'; did you mean recorded?"),
        (["--fleet.trace", "t.csv", "--fleet.trace-idle", "locked"], "only with events of FLASH (.json)"),
        (
            ["--fleet.session-mean-h", "0.5"],
            "session-mean-h: expected a number >= --fleet.session-median-h = 1",
        ),
    ],
)
def test_what_another_availability_would_ignore_is_refused(argv, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        parse_simulate(argv)


def test_help_lists_the_policies(capsys):
    with pytest.raises(SystemExit):
        parse_simulate(["--help", "cohort"])
    assert "one of synchronous, deadline, buffered;" in " ".join(capsys.readouterr().out.split())


def test_print_config_round_trip(tmp_path):
    run = parse_simulate(["--cohort.goal", "9", "--privacy.target-epsilon", "2.5", "--data.path", "some.jsonl"]).run
    file = tmp_path / "again.toml"
    file.write_text(to_toml(run))
    again = parse_simulate(["--config", str(file)]).run
    assert result_settings(again) == result_settings(run)
    assert to_toml(again) == to_toml(run)
    assert "output_dir" not in tomllib.loads(to_toml(run))


@pytest.mark.parametrize(("in_file", "flags"), [("true", []), ("false", ["--engine.profile"])])
def test_switches_in_files_and_on_the_command_line(tmp_path, in_file, flags):
    file = tmp_path / "run.toml"
    file.write_text(f"[engine]\nprofile = {in_file}\n")
    assert parse_simulate(["--config", str(file), *flags]).run.engine.profile
    assert not parse_simulate(["--config", str(file), *flags, "--engine.no-profile"]).run.engine.profile


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--privacy.noise-multiplier", "-1"], "--privacy.noise-multiplier: expected a number > 0, found -1.0"),
        (["--privacy.noise-multiplier", "nan"], "--privacy.noise-multiplier: expected a finite number, found nan"),
        (["--cohort.goal", "0"], "--cohort.goal: expected a number >= 1, found 0"),
        (["--cohort.over-selection", "0.5"], "--cohort.over-selection: expected a number >= 1, found 0.5"),
        (["--cohort.concurrency", "9"], "--cohort.concurrency: expected only with --cohort.policy buffered"),
        (["--cohort.policy", "buffered", "--cohort.pause-s", "9"], "with --cohort.policy synchronous or deadline"),
        (["--cohort.policy", "sync"], "--cohort.policy: expected one of synchronous, deadline, buffered, found 'sync'"),
        (["--data.held-out-share", "1"], "--data.held-out-share: expected a number > 0 and < 1, found 1.0"),
        (["--privacy.bands", "3"], "--privacy.bands: expected only with --privacy.mechanism banded"),
        (["--privacy.tree-restart-rounds", "3"], "only with --privacy.mechanism tree"),
        (
            ["--privacy.workload", "momentum"],
            "--privacy.workload: expected only with --privacy.mechanism banded or blt",
        ),
        (["--privacy.mechanism", "banded", "--privacy.bands", "21"], "--privacy.bands: expected a number <= 20"),
        (["--privacy.clip-count-stddev", "3"], "only with --privacy.clip-quantile"),
        (["--privacy.clip-learning-rate", "0.2"], "only with --privacy.clip-quantile"),
        (["--privacy.mechanism", "blt", "--privacy.poisson-counterfactual"], "only with --privacy.mechanism gaussian"),
        (["--privacy.mechanism", "btl"], "blt"),
        (
            ["--privacy.mechanism", "blt", "--privacy.workload", "momentum"],
            "--privacy.workload: expected momentum only with a server that has linear momentum",
        ),
        (
            ["--cohort.goal", "50", "--fleet.size", "40"],
            "--cohort.goal: expected a number <= --fleet.size = 40, found 50",
        ),
        (["--privacy.modelled-cohort", "3"], "--privacy.modelled-cohort: expected a number >= --cohort.goal"),
        (
            ["--cohort.gaol", "3"],
            "--cohort.gaol: expected a flag that --help lists, found none of that name; did you mean",
        ),
        (["--no-engine.export"], "found none of that name; did you mean --engine.no-export?"),
        (["--goal", "3"], "found none of that name; did you mean --cohort.goal?"),
        (
            ["--roundz=3"],
            "--roundz: expected a flag that --help lists, found none of that name; did you mean --rounds?",
        ),
        (["--cohort.goa", "3"], "--cohort.goa: expected a flag that --help lists"),  # no abbreviations
        (["--rounds", "many"], "--rounds: expected a whole number, found 'many'"),
        (["--rounds=1.5"], "--rounds: expected a whole number, found '1.5'"),
        (["--rounds"], "--rounds: expected a value, found none"),
        (
            ["--model.cell", "transformer", "--model.sequence-length", "10"],
            "--model.window: expected a number <= --model.sequence-length = 10, found 20",
        ),
        (["--model.cell", "rnn"], "--model.cell: expected one of cifg, gru, lstm, stacked, transformer, found 'rnn'"),
        (["stray"], "the command line: expected flags that --help lists and their values, found 'stray'"),
        (["--fleet.utc-offset-weights", "1", "2"], "one a time zone"),
        (
            ["--privacy.mechanism", "none", "--privacy.target-epsilon", "2"],
            "--privacy.target-epsilon: expected only without --privacy.mechanism none, found it with",
        ),
        (["--fleet.start-date", "yesterday"], "--fleet.start-date"),
        *(
            (
                ["--fleet.start-date", day],
                "--fleet.start-date: expected YYYY-MM-DD, from 1970-01-01 to 2999-12-31, found",
            )
            for day in (
                "2026-01-05T00:00:00+05:00",
                "20260105",
                "2026-1-5",
                "9999-12-30",
                "0001-01-01",
                "2026-W01-1",
                "",
            )
        ),
        (["--cohort.deadline-s", "1e300"], "--cohort.deadline-s: expected a number > 0 and <= 1e+09, found 1e+300"),
        (["--cohort.pause-s", "1e300"], "--cohort.pause-s: expected a number >= 0 and <= 1e+09, found 1e+300"),
        (["--cohort.policy", "buffered", "--cohort.deadline-s", "1e300"], "expected a number > 0 and <= 1e+09"),
        (["--fleet.size", "1" + "0" * 23], "--fleet.size: expected a number >= 2 and <= 100000000, found 1000"),
        (
            ["--fleet.utc-offsets-h", "--fleet.utc-offset-weights"],
            "--fleet.utc-offsets-h: expected at least one number, found none",
        ),
        *(
            (
                ["--fleet.utc-offsets-h", hours, *"00000"],
                "--fleet.utc-offsets-h: expected a number >= -12 and <= 14, found",
            )
            for hours in ("100", "500", "-12.5")
        ),
        (["--fleet.utc-offset-weights", *["1e308"] * 6], "expected a number >= 0 and <= 1e+15, found 1e+308"),
        (["--fleet.utc-offset-weights", *"000000"], "numbers >= 0 that are not all 0"),
        (["--config", ""], "--config: expected a path, found an empty one"),
        (["--config="], "--config: expected a path, found an empty one"),
        (["--resume", ""], "--resume: expected a path, found an empty one"),
        (["--fleet.utc-offsets-h", *["nan"] * 6], "--fleet.utc-offsets-h: expected finite numbers, found nan nan nan"),
        (["--fleet.utc-offsets-h", "a", "1"], "--fleet.utc-offsets-h: expected numbers, found 'a' '1'"),
        (["--fleet.size", "9" * 200 + "x"], f"--fleet.size: expected a whole number, found '{'9' * 200}x'"),
    ],
)
def test_bad_flags_are_one_clear_line(argv, message):
    with pytest.raises(ConfigError) as error:
        parse_simulate(argv)
    assert message in str(error.value)
    assert "\n" not in str(error.value) and "│" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[cohort]\ngaol = 3\n", "cohort.gaol: expected a setting, found none of that name; did you mean cohort.goal?"),
        ("[cohrt]\ngoal = 3\n", "cohrt.goal: expected a setting, found none of that name; did you mean cohort.goal?"),
        ("rounds = 'many'\n", "rounds: expected a whole number, found 'many'"),
        ("rounds = true\n", "rounds: expected a whole number, found True"),
        ("[engine]\nprofile = 1\n", "engine.profile: expected True or False, found 1"),
        ("rounds = -3\n", "rounds: expected a number >= 1, found -3"),
        ("rounds = ['5', '--seed', '9']", "rounds: expected a whole number, found a value of type list"),
        ("[fleet]\nutc_offsets_h = ['5', '--seed']", "fleet.utc_offsets_h: expected a number, found '5'"),
        ("[fleet]\nutc_offsets_h = [nan]", "fleet.utc_offsets_h: expected finite numbers, found nan"),
        ("cohort = 3\n", "cohort: expected a setting, found none of that name"),
        ("[[cohort]]\ngoal = 3\n", "cohort"),
    ],
)
def test_bad_files_name_file_and_key(tmp_path, content, message):
    file = tmp_path / "run.toml"
    file.write_text(content)
    with pytest.raises(ConfigError) as error:
        read_config(file)
    assert str(error.value).startswith(f"{file}: ") and message in str(error.value)


def test_a_setting_that_may_be_absent_is_absent_by_default():
    # TOML has no null: a run's config.toml could not tell "none" from "the default" otherwise.
    from dataclasses import MISSING, fields, is_dataclass
    from typing import get_args, get_type_hints

    def optional_fields(config):
        for f in fields(config):
            value = getattr(config, f.name)
            if is_dataclass(value):
                yield from optional_fields(value)
            elif type(None) in get_args(get_type_hints(type(config))[f.name]):
                yield f

    optional = list(optional_fields(RunConfig()))
    assert len(optional) > 5
    assert all(f.default is None for f in optional if f.default is not MISSING)


def test_a_file_that_is_no_toml_is_named_with_its_line(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("seed = 1\nrounds = \n")
    with pytest.raises(ConfigError, match=r"run\.toml:2: expected TOML, found a fault: Invalid value"):
        read_config(file)
    file.write_bytes(b"seed = 1 # \xff")
    with pytest.raises(
        ConfigError, match=r"run\.toml: expected a file that can be read, found bytes that are not utf-8"
    ):
        read_config(file)


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: expected a file that can be read, found no such file"):
        parse_simulate(["--config", str(tmp_path / "none.toml")])


def test_values_from_a_file_are_checked_too(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("[privacy]\nclip_norm = -2\n")
    said = r"run.toml: privacy\.clip_norm: expected a number >= 1e-06 and <= 100000, found -2"
    with pytest.raises(ConfigError, match=said):
        parse_simulate(["--config", str(file)])


def test_defaults_are_valid():
    check(RunConfig())


def test_engine_and_folders_are_not_part_of_the_result():
    names = set(result_settings(RunConfig()))
    assert not any(n.startswith("engine.") for n in names) and "output_dir" not in names
    assert {"seed", "rounds", "fleet.size", "privacy.clip_norm"} <= names


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], (2.0, None, 20_000)),
        (["--privacy.modelled-cohort", "900"], (2.0, None, 900)),
        (["--privacy.mechanism", "blt"], (None, 6.4, 20_000)),
        (["--privacy.mechanism", "tree", "--privacy.noise-multiplier", "3"], (3.0, None, None)),
        (["--privacy.noise-multiplier", "3"], (3.0, None, None)),
        (["--privacy.target-epsilon", "3"], (None, 3.0, None)),
        (["--privacy.mechanism", "none"], (None, None, None)),
    ],
)
def test_default_noise_models_a_deployment_and_a_chosen_one_does_not(argv, expected):
    privacy = parse_simulate(argv).run.privacy
    assert (privacy.noise_multiplier, privacy.target_epsilon, privacy.modelled_cohort) == expected


def test_a_file_with_noise_can_be_run_without_privacy(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(to_toml(parse_simulate([]).run))
    privacy = parse_simulate(["--config", str(file), "--privacy.mechanism", "none"]).run.privacy
    assert privacy.noise_multiplier is None and privacy.modelled_cohort is None


def test_a_file_that_leaves_settings_to_their_defaults_is_the_same_run(tmp_path):
    """A run's own config.toml has every setting; one that was written by hand need not."""
    (tmp_path / "config.toml").write_text("rounds = 3\n")
    run = parse_simulate(["--resume", str(tmp_path)]).run
    assert (run.rounds, run.privacy.noise_multiplier, run.output_dir) == (3, 2.0, tmp_path)
    with pytest.raises(ConfigError, match=r"--fleet\.size: expected none as in .*config\.toml, found 900; only"):
        parse_simulate(["--resume", str(tmp_path), "--fleet.size", "900"])
