"""Settings: flags, files of settings, and files that describe a sweep."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from simulation.commands.dispatch import dispatch
from simulation.config import settled
from simulation.flags import parse_simulate, read_config
from simulation.studies.sweeps.study_file import read_study
from simulation.subcommands import SUBCOMMANDS
from tests.fuzz.cases import LONGER, MARKER, Case, Parser
from tests.fuzz.mutations import MUTATIONS

NOT_OF_ARGUMENTS = frozenset(mutation.name for mutation in MUTATIONS if mutation.refused)

# Valid ones ----------------------------------------------------------------------------------------

ARGUMENTS = [
    *("--rounds", "20", "--seed=7", "--data.path", f"{MARKER}.jsonl", "--data.on-bad-line", "skip"),
    *("--fleet.utc-offsets-h", "-5", "0", "1", "--fleet.utc-offset-weights", "1", "2", "0.5", "--engine.no-export"),
    *("--privacy.mechanism", "blt", "--privacy.target-epsilon", "4", "--cohort.policy=buffered"),
]
SETTINGS = f"""# {MARKER}
rounds = 20
seed = 7
[data]
path = "{MARKER}.jsonl"
on_bad_line = "skip"
[fleet]
utc_offsets_h = [-5, 0.0, 1]
utc_offset_weights = [1, 2, 0.5]
[privacy]
mechanism = "blt"
target_epsilon = 4
[engine]
export = false
"""
STUDY = f"""# {MARKER}
method = "grid"
seeds = 2
metric = "top1_recall"
[settings]
rounds = 5
[settings.data]
format = "synthetic"
[search]
"training.learning_rate" = [0.3, 1.0]
"privacy.mechanism" = ["gaussian", "blt"]
"server_optimizer.learning_rate" = {{ low = 0.1, high = 0.5, step = 0.2 }}
"""


def arguments(folder: Path) -> list[str]:
    return (folder / "argv").read_bytes().decode("utf-8", "surrogateescape").split("\n")


def parse_settings(folder: Path) -> Any:
    """As `--config` reads them."""
    path = folder / "run.toml"
    by_file = settled(read_config(path))
    assert parse_simulate(["--config", str(path)]).run == by_file
    return by_file


def parse_study(folder: Path) -> Any:
    """A study, and the settings of its first runs."""
    study = read_study(folder / "study.toml")
    base = folder / "settings.toml"
    study.write_settings(base)
    return study, [study.config_of(setting, base, 1) for setting in study.grid()[:2]]


def written(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


FLAGS = Parser(
    "flags",
    written("argv", "\n".join(ARGUMENTS)),
    "argv",
    lambda folder: parse_simulate(arguments(folder)).run,
    without=NOT_OF_ARGUMENTS,
    may_quote=True,
)
COMMANDS = Parser(
    "commands",
    written("argv", "check\nnone"),
    "argv",
    lambda folder: dispatch(arguments(folder)),
    without=frozenset(mutation.name for mutation in MUTATIONS),
    may_quote=True,
)
TOML = Parser(
    "settings",
    written("run.toml", SETTINGS),
    "run.toml",
    parse_settings,
    may_quote=True,
    without=frozenset({"empty", "blanks"}),  # all as it is by default
)
STUDIES = Parser("study", written("study.toml", STUDY), "study.toml", parse_study, may_quote=True)

PARSERS = (FLAGS, COMMANDS, TOML, STUDIES)

# Further ones ----------------------------------------------------------------------------------------


def said(name: str, *argv: str, refused: str | None = "", parser: Parser = FLAGS) -> Case:
    def make(folder: Path) -> None:
        (folder / parser.file).write_bytes("\n".join(argv).encode("utf-8", "surrogateescape"))

    return Case(parser, name, make, refused=refused)


ODD_NUMBERS = (
    *("nan", "inf", "-inf", "1e999", "-1e300", "1e17", "", " "),
    *("0x10", "1_0", "\u0665", "None", "true", "9" * 5000),
)
NUMBERS = (
    *("--rounds", "--seed", "--fleet.size", "--cohort.goal", "--training.learning-rate", "--training.epochs"),
    *("--privacy.noise-multiplier", "--privacy.clip-norm", "--fleet.night-day-ratio", "--cohort.deadline-s"),
    *("--fleet.utc-offsets-h", "--fleet.utc-offset-weights", "--model.units", "--engine.workers"),
)


def odd_numbers() -> list[Case]:
    """Odd numbers for every flag, all of them if there is time: none becomes a setting that is no number."""
    found = []
    for place, flag in enumerate(NUMBERS):
        for number in ODD_NUMBERS if LONGER else ODD_NUMBERS[place % 4 :: 4]:
            make = said("", flag, number).make
            found.append(Case(FLAGS, f"{flag} {number[:9]}", make, either=True))
    return found


FLAG_CASES = (
    said("as it was", *ARGUMENTS, refused=None),
    *odd_numbers(),
    said("half a letter", "--tracking.experiment", "\udcff", refused="expected a text in UTF-8, found other bytes"),
    said("half a letter in a flag", "--tracking.experiment=\udcff", refused="--tracking.experiment: expected a text"),
    said("half a letter as a flag", "--\udcff", refused="expected a text in UTF-8"),
    said("half a letter as a path", "--data.path", "\udced\udca0\udcbd", refused="expected a text in UTF-8"),
    said("half a letter as a file", "--config", "\udcff", refused="expected a text in UTF-8"),
    said("NUL", "--data.path", "a\0b", refused="NUL"),
    said("NUL in a file's name", "--config", "a\0b", refused="NUL"),
    said("NUL in a run's name", "--resume", "a\0b", refused="NUL"),
    said("a long text", "--tracking.experiment", "a" * 5000, refused="4,096 characters"),
    said("a long path", "--data.path", "a/" * 4000, refused="4,096 characters"),
    said("a long flag", "--" + "a" * 3000, refused="a flag that --help lists"),
    said("a long word", "a" * 3000, refused="the command line"),
    said("control characters", "--\x1b[31mred", refused="a flag that --help lists"),
    said("a control character as a value", "--data.format", "\x1b[31mred", refused="--data.format"),
    said("a value with a flag in it", "--rounds=5 --seed 9", refused="--rounds: expected a whole number"),
    said("a file that is a folder", "--config", "/", refused="found a folder"),
    said("a file that is a device", "--config", "/dev/zero", refused="found a device"),
    said("a run that is a device", "--resume", "/dev/zero"),
    said("500 hours", "--fleet.utc-offsets-h", "500", "--fleet.utc-offset-weights", "1", refused=">= -12 and <= 14"),
    said("many values", "--fleet.utc-offsets-h", *["0"] * 2000, refused="at most 1,000 values"),
    said("the same flag 3,000 times", *["--rounds", "5"] * 3000, refused=None),
    said("a flag without a value", "--rounds", refused="--rounds: expected a value"),
    said("a choice that is none", "--data.on-bad-line", "stop", refused="one of error, skip"),
    said("another kind", "--privacy.mechanism", MARKER, refused="--privacy.mechanism"),
    said("of another kind", "--privacy.buffers", "3", refused="only with --privacy.mechanism"),
    *(
        said(f"{name}: {what}", name, argument, refused=refused, parser=COMMANDS)
        for name in SUBCOMMANDS
        for what, argument, refused in (
            ("NUL", "a\0b", "NUL"),
            ("half a letter", "\udcff", "other bytes"),
            ("a long text", "a" * 5000, "4,096"),
            ("a flag that is none", "--no-such-flag", ""),
        )
    ),
    said("a subcommand that is none", MARKER, refused="a subcommand that", parser=COMMANDS),
    said("a subcommand of bytes", "\udcff", refused="a subcommand that", parser=COMMANDS),
)


def toml(name: str, text: str | bytes, refused: str | None = "", parser: Parser = TOML, **more: Any) -> Case:
    data = text.encode() if isinstance(text, str) else text
    return Case(parser, name, lambda folder: (folder / parser.file).write_bytes(data), refused=refused, **more)


def big(lines: int) -> str:
    return "".join(f"key{n} = {n}\n" for n in range(lines))


TOML_CASES = (
    toml("as it was", SETTINGS, None, accepted=lambda run: run.fleet.utc_offsets_h == (-5.0, 0.0, 1.0)),
    toml("a list with flags in it", 'rounds = ["5", "--seed", "9"]', "rounds: expected a whole number"),
    toml("numbers with flags among them", '[fleet]\nutc_offsets_h = [0, "--seed", 9]', "expected a number"),
    toml("a text with a flag in it", 'seed = "1 --rounds 5"', "seed: expected a whole number"),
    toml("a path like a flag", '[data]\npath = "--seed=9"', None, accepted=lambda run: run.seed == 0),
    toml(
        "a text like a flag",
        '[tracking]\ntrackers = ["mlflow"]\nexperiment = "--seed=9"',
        None,
        accepted=lambda run: (run.seed, run.tracking.experiment) == (0, "--seed=9"),
    ),
    toml("a number as a text", 'rounds = "5"', "rounds: expected a whole number, found '5'"),
    toml("a fraction", "rounds = 5.5", "rounds: expected a whole number, found 5.5"),
    toml("true", "rounds = true", "rounds: expected a whole number"),
    toml("no number", "[privacy]\nclip_norm = nan", "privacy.clip_norm: expected a finite number"),
    toml("endless", "[fleet]\nutc_offsets_h = [inf]\nutc_offset_weights = [1]", "expected finite numbers"),
    toml("500 hours", "[fleet]\nutc_offsets_h = [500]\nutc_offset_weights = [1]", ">= -12 and <= 14"),
    toml("a number of many digits", f"rounds = {'9' * 3900}", "rounds: expected a whole number"),
    toml("more digits than Python reads", f"rounds = [\n{'9' * 3900}\n]\nseed = 0x{'f' * 3900}", "found"),
    toml("a number beyond all", f"rounds = 0x{'f' * 3900}", "rounds: expected a whole number"),
    toml("a large number", "rounds = 18446744073709551616", "rounds: expected a whole number"),
    toml("a large seed", "seed = 9223372036854775807", None),
    toml("a date", "rounds = 2020-01-01", "rounds: expected a whole number, found a value of type date"),
    toml("a date that is none", "rounds = 2020-13-41", "TOML"),
    toml("NUL", '[data]\npath = "a\\u0000b"', "data.path: expected a text in UTF-8, found one with NUL"),
    toml("half a letter", '[data]\npath = "\\ud800"', "TOML"),
    toml("bytes that are not UTF-8", b'[data]\npath = "\xff"', "not utf-8"),
    toml("a long text", f'[data]\npath = "{"a/" * 1990}b"', None),
    toml("a long line", f'[data]\npath = "{"a/" * 2990}b"', r"run\.toml:2: expected a line"),
    toml("a long text in many lines", '[data]\npath = """' + ("a" * 3000 + "\n") * 3 + '"""', "4,096 characters"),
    toml("many values", f"[fleet]\nutc_offsets_h = [{'0,' * 1500}]", "at most 1,000 values"),
    toml("10 MB", big(700_000), "at most 256 KiB"),
    toml("10,000 unknown keys", big(10_000), "key0: expected a setting"),
    toml("deep lists", "rounds = " + "[" * 1500 + "]" * 1500, "nested too deeply|16 levels"),
    toml("deep lists in lines", "rounds = " + "[\n" * 60_000 + "]\n" * 60_000, "nested too deeply"),
    toml("deep tables", "[" + ".".join("a" * 1000) + "]\nb = 1", "16 levels"),
    toml("deep tables in lines", "rounds = " + "{a=" * 1000 + "1" + "}" * 1000, ""),
    toml("dotted keys all over", (".".join("a" * 1900) + "=1\n") * 60, ""),
    toml("a key twice", "rounds = 5\nrounds = 6", "TOML"),
    toml("a key twice, once in quotes", '"cohort.goal" = 5\n[cohort]\ngoal = 6', "each setting once"),
    toml("a table twice", "[cohort]\n[cohort]\n", "TOML"),
    toml("a table as a value", "rounds = {a = 1}", "rounds.a: expected a setting"),
    toml("a value as a table", "cohort = 3", "cohort: expected a setting"),
    toml("tables as a value", "[[cohort]]\ngoal = 3", "cohort: expected a setting"),
    toml("a long key", "a" * 3000 + " = 1", r"aaa\.\.\.: expected a setting"),
    toml("a key of control characters", '"\\u001b[31m" = 1', "expected a setting"),
    toml("an empty key", '"" = 1', "expected a setting"),
    toml("another kind", f'[privacy]\nmechanism = "{MARKER}"', "privacy.mechanism"),
    toml("a kind that is a number", "[privacy]\nmechanism = 3", "privacy.mechanism: expected a text"),
    toml("a kind that is a list", '[privacy]\nmechanism = ["blt"]', "privacy.mechanism: expected a text"),
    toml("of another kind", "[privacy]\nbuffers = 3", "only with --privacy.mechanism"),
    toml("messages", f'{{"user_id": "u", "text": "{MARKER}"}}\n' * 9, r"run\.toml:1: expected TOML"),
    toml("an odd character", "rounds = 5 \x01", "TOML"),
    toml("a text without end", f'a = "{MARKER}', "TOML"),
)


def study(name: str, text: str, refused: str | None = "") -> Case:
    return toml(name, text, refused, parser=STUDIES)


def searching(name: str, search: str, refused: str | None = "", before: str = "") -> Case:
    return study(name, f'{before}\n[settings]\nrounds = 5\ndata.format = "synthetic"\n[search]\n{search}\n', refused)


def many_choices(names: Sequence[str], each: int) -> str:
    values = ", ".join(str(n + 1) for n in range(each))
    return "\n".join(f'"{name}" = [{values}]' for name in names)


WHOLE = ("training.epochs", "training.batch_size", "training.max_sequences", "cohort.max_participations", "rounds")
STUDY_CASES = (
    study("as it was", STUDY, None),
    searching("flags in a list", '"training.epochs" = ["5", "--seed", "9"]', "training.epochs"),
    searching("a flag in a text", '"training.epochs" = ["5 --seed 9"]', "training.epochs: expected a whole number"),
    searching("a text as a number", '"training.epochs" = ["5"]', "training.epochs: expected a whole number"),
    searching("no number", '"training.learning_rate" = [nan]', "finite number"),
    searching("endless", '"training.learning_rate" = [inf, 1.0]', "finite number"),
    searching("an endless range", '"training.learning_rate" = {low = 0.1, high = inf, step = 1.0}', "finite numbers"),
    searching(
        "a range of many steps", '"training.learning_rate" = {low = 0.1, high = 9.0, step = 1e-9}', "10,000 times"
    ),
    searching("a range without steps", '"training.learning_rate" = {low = 0.1, high = 9.0}', "for a grid"),
    searching("billions of settings", many_choices(WHOLE, 200), "10,000 settings"),
    searching("many of each", many_choices(WHOLE[:1], 600), None),
    searching("billions of trials", '"training.epochs" = [1]', "trials", before="trials = 1000000000000"),
    searching("billions of seeds", '"training.epochs" = [1]', "seeds", before="seeds = 1000000000000"),
    searching("a date", '"training.epochs" = [2020-01-01]', "search: training.epochs"),
    searching("a list of lists", '"training.epochs" = [[1]]', "search: training.epochs"),
    searching("a setting that is none", f'"{MARKER}" = [1]', "expected a setting"),
    searching("a setting twice", '"training.epochs" = [1]\ntraining.epochs = [2]', "each setting once"),
    searching("the folder", '"output_dir" = ["a"]', "output_dir"),
    searching("the seed", "seed = [1, 2]", "seed"),
    searching("NUL in a path", '"data.path" = ["a\\u0000b"]', "NUL"),
    searching("NUL in the name of a file", '"training.epochs" = [1]', "", before='config = "a\\u0000b"'),
    searching("a file that is a folder", '"training.epochs" = [1]', "found a folder", before='config = "."'),
    searching("a file that is a device", '"training.epochs" = [1]', "found a device", before='config = "/dev/zero"'),
    searching("its own settings", '"training.epochs" = [1]', "study.toml", before='config = "study.toml"'),
    searching("nothing", "", "search"),
    searching("a metric that is none", '"training.epochs" = [1]', "metric", before=f'metric = "{MARKER}"'),
    searching("a metric that is a list", '"training.epochs" = [1]', "metric", before="metric = [1]"),
    searching("a method that is a number", '"training.epochs" = [1]', "method", before="method = 3"),
    searching("another key", '"training.epochs" = [1]', "one of config", before=f'"{MARKER}" = 1'),
    searching("a key of control characters", '"\\u001b[31m" = [1]', ""),
    searching("a long key", f'"{"a" * 3000}" = [1]', ""),
    study("settings that are a list", "settings = [1]\n[search]\nrounds = [1]", "search"),
    study("settings that are a date", "[settings]\nrounds = 2020-01-01\n[search]\ntraining.epochs = [1]", "date"),
    study("deep settings", "[settings." + ".".join("a" * 900) + "]\nb = 1\n[search]\nrounds = [1]", "16 levels"),
    study("10 MB", big(700_000), "256 KiB"),
    study("a search that is a list", "search = [1]", "search"),
)

CASES = (*FLAG_CASES, *TOML_CASES, *STUDY_CASES)
