"""The description of a sweep: what it may say, and how what it may not say is refused."""

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from client_model.metrics.door import METRICS
from client_model.metrics.metric import Metric
from server_strategy.optimizers.door import OPTIMIZERS
from server_strategy.optimizers.sgd import Sgd
from simulation.run.trackers.door import TRACKERS
from simulation.studies.sweeps.desk import Desk
from simulation.studies.sweeps.study_file import Choices, Range, read_study
from typefleet import doors
from typefleet.doors import Kind
from typefleet.errors import ConfigError

SEARCH = '[search]\n"privacy.mechanism" = ["gaussian", "tree"]\n'


def study(tmp_path, text, **changes):
    path = tmp_path / "study.toml"
    path.write_text(text)
    return read_study(path, **changes)


def test_names_may_be_flags_keys_or_tables(tmp_path):
    found = study(
        tmp_path,
        '[search]\n"--training.learning-rate" = [1.0]\n[search.privacy]\nmechanism = ["tree"]\n'
        "[search.cohort]\ngoal = { low = 2, high = 8, step = 3 }\n",
    )
    assert found.search == {
        "training.learning_rate": Choices((1.0,)),
        "privacy.mechanism": Choices(("tree",)),
        "cohort.goal": Range(2, 8, False, 3, True),
    }
    assert [s["cohort.goal"] for s in found.grid()] == [2, 5, 8]


def test_a_grid_is_every_combination_the_last_name_fastest(tmp_path):
    found = study(tmp_path, '[search]\n"rounds" = [1, 2]\n"cohort.goal" = [3, 4]\n')
    assert [tuple(setting.values()) for setting in found.grid()] == [(1, 3), (1, 4), (2, 3), (2, 4)]


@pytest.mark.parametrize(
    ("dimension", "steps"),
    [
        (Range(0.1, 0.3, False, 0.1, False), [0.1, 0.2, 0.3]),
        (Range(1, 4, False, None, True), [1, 2, 3, 4]),
        (Range(1, 10, False, 4, True), [1, 5, 9]),
        (Range(0.1, 1.0, True, None, False), None),
        (Range(1, 10**6, True, None, True), None),
    ],
)
def test_the_steps_of_a_range(dimension, steps):
    found = dimension.steps()
    assert found is None if steps is None else list(found) == pytest.approx(steps)


def test_nothing_is_chosen_on_people_held_out_unless_asked(tmp_path):
    base = tmp_path / "base.toml"
    found = study(tmp_path, SEARCH)
    found.write_settings(base)
    config = found.config_of({"privacy.mechanism": "tree"}, base, 5)
    assert (config.evaluation.people, config.engine.export, config.seed) == ("validation", False, 5)
    assert config.privacy.mechanism == "tree"
    assert found.config_of({}, base, 0, evaluation__people="held-out").evaluation.people == "held-out"
    asked = study(tmp_path, f'{SEARCH}[settings.evaluation]\npeople = "held-out"\n')
    asked.write_settings(base)
    assert asked.config_of({}, base, 0).evaluation.people == "held-out"


def test_settings_lie_over_a_config_file_and_flags_over_options(tmp_path):
    (tmp_path / "mine.toml").write_text("rounds = 7\n[cohort]\ngoal = 9\n")
    found = study(tmp_path, f'config = "mine.toml"\nseeds = 4\n[settings]\nrounds = 3\n{SEARCH}', seeds=2, trials=None)
    base = tmp_path / "base.toml"
    found.write_settings(base)
    config = found.config_of({}, base, 0)
    assert (config.rounds, config.cohort.goal, found.options.seeds, found.options.trials) == (3, 9, 2, 20)


def test_a_kind_that_is_tried_switches_off_what_only_another_has(tmp_path):
    found = study(
        tmp_path, '[settings.privacy]\nmechanism = "blt"\nbuffers = 3\n[search.privacy]\nmechanism = ["none"]'
    )
    base = tmp_path / "base.toml"
    found.write_settings(base)
    assert found.config_of({"privacy.mechanism": "none"}, base, 0).privacy.mechanism == "none"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            f"[settings]\nnote = 2020-01-01\n{SEARCH}",
            r"\[settings\] note: expected .*, found date",
        ),
        (f"[settings]\nseed = 3\n{SEARCH}", r"\[settings\] seed: expected none"),
        ("[search]\nrounds = { low = 1, high = 1" + "0" * 400 + " }\n", "expected finite numbers"),
        (f"seeds = 1{'0' * 5000}\n{SEARCH}", "study.toml:1: expected a line of at most 4,000 characters"),
        (f'metric = "recall_by_position"\n{SEARCH}', "metric: expected one whose value is a number"),
        ("[search]\ntraining = {}\n", r"\[search\]: expected a table"),
        (
            '[search]\n"training.max_sequences" = [1]\n"--training.max-sequences" = [2]\n',
            "each setting once, found it twice",
        ),
        ("[search]\nrounds = { low = 1, high = 9, step = 20 }\n", "expected a step that is taken once to 10,000 times"),
        (
            '[search]\n"training.learning_rate" = { low = 0.1, high = 1.0, step = 1e-11 }\n',
            "expected a step that is taken",
        ),
        (f'metric = "top1_recal"\n{SEARCH}', "metric: expected one of top1_recall, .*, found 'top1_recal'"),
        (f'metric = "epsilon"\n{SEARCH}', "direction: expected maximize or minimize"),
        (f'metric = "epsilon"\ndirection = "minimize"\npruner = "median"\n{SEARCH}', "pruner: expected none"),
        ("", r"\[search\]: expected a table of settings and what to try of each, found none"),
        ("[search]\n", r"\[search\]: expected a table"),
        ("search = 3\n", r"\[search\]: expected a table"),
        (f"methd = 1\n{SEARCH}", r"methd: expected one of config, method, .* found another key"),
        (f'method = "secret"\n{SEARCH}', "method"),
        (f"seeds = 0\n{SEARCH}", "--seeds: expected a number >= 1 and <= 10000, found 0"),
        (f"config = 3\n{SEARCH}", "config: expected the path of a TOML file, found int"),
        (f'config = "none.toml"\n{SEARCH}', "none.toml"),
        ("[search]\nrounds = []\n", "search: rounds: expected at least one value, each once, found 0"),
        ("[search]\nrounds = [1, 1]\n", "each once"),
        ("[search]\nrounds = [[1]]\n", "expected numbers, texts or true and false, found list"),
        ("[search]\nrounds = 3\n", "expected a list of values, or a table with low and high"),
        ("[search]\nrounds = { low = 1 }\n", "expected a list of values, or a table with low and high"),
        ("[search]\nrounds = { low = 3, high = 1 }\n", "expected low < high and step > 0, found 3 to 1"),
        ("[search]\nrounds = { low = 0, high = 1, log = true }\n", "expected 0 < low < high"),
        ("[search]\nrounds = { low = 1, high = inf }\n", "expected finite numbers"),
        ("[search]\nrounds = { low = 1, high = 9, log = true, step = 2 }\n", "log = true or a step, not both"),
        ("[search]\nseed = [1]\n", "seed, which is no choice"),
        ('[search]\n"engine.workers" = [1]\n', "engine, which is no choice"),
        ("a = [", "study.toml: expected TOML"),
        ("a = " + "[\n" * 9999, "study.toml: expected TOML"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(text, said, tmp_path):
    with pytest.raises(ConfigError, match=said) as caught:
        study(tmp_path, text)
    assert "study.toml" in str(caught.value) and "\n" not in str(caught.value).strip()


def test_a_range_without_steps_is_no_grid(tmp_path):
    with pytest.raises(ConfigError, match="expected values or a step, for a grid, found a range without"):
        study(tmp_path, '[search]\n"training.learning_rate" = { low = 0.1, high = 1.0 }\n')


@pytest.mark.parametrize(("metric", "maximize"), [("top1_recall", True), ("perplexity", False), ("oov_rate", False)])
def test_less_is_better_of_some(metric, maximize, tmp_path):
    assert study(tmp_path, f'metric = "{metric}"\n{SEARCH}').options.maximize is maximize


@pytest.mark.parametrize("method", ["grid", "random", "tpe"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[search]\ntraining.nothing = [1]\n", "training.nothing: expected a setting"),
        ("[settings]\nevaluation = 3\n[search]\nrounds = [1]\n", r"\[settings\] evaluation: expected a setting"),
        ("[settings]\nengine = 3\n[search]\nrounds = [1]\n", r"\[settings\] engine: expected a setting"),
    ],
)
def test_what_is_no_setting_is_said_of_the_studys_file_before_anything_runs(text, said, method, tmp_path):
    asked = study(tmp_path, f'method = "{method}"\n{text}')
    with pytest.raises(ConfigError, match=f"study.toml: .*{said}"):
        Desk(tmp_path / "sweep", asked)
    assert not (tmp_path / "sweep").exists()


OWN = Kind("own-steps", "somebody's", make=lambda settings: settings, settings=Sgd)
MINE = Metric("mine", "mine", {"tokens": lambda scored: len(scored.targets)}, lambda counts: int(counts["tokens"]))


def test_a_kind_that_the_processes_of_runs_do_not_know_is_refused_before_any_of_them_begins(tmp_path, monkeypatch):
    base, text = tmp_path / "base.toml", '[search]\n"server_optimizer.name" = ["sgd", "own-steps"]\n'
    message = (
        r"study\.toml: server_optimizer\.name: expected the name of a kind that every process finds, .*, found "
        r"'own-steps', registered in this process alone$"
    )
    with OPTIMIZERS.lend(OWN):
        found = study(tmp_path, text)
        found.write_settings(base)
        assert found.config_of({"server_optimizer.name": "sgd"}, base, 0)
        with pytest.raises(ConfigError, match=message):
            found.config_of({"server_optimizer.name": "own-steps"}, base, 0)
        point = EntryPoint("own-steps", f"{__name__}:OWN", OPTIMIZERS.group)
        monkeypatch.setattr(doors, "_all_entry_points", lambda: EntryPoints([point]))
        assert found.config_of({"server_optimizer.name": "own-steps"}, base, 0).server_optimizer.name == "own-steps"


@pytest.mark.parametrize(("door", "setting"), [(METRICS, "evaluation.metrics"), (TRACKERS, "tracking.trackers")])
def test_so_is_a_metric_or_a_tracker(door, setting, tmp_path):
    base, (section, name) = tmp_path / "base.toml", setting.split(".")
    with door.lend(Kind("mine", "somebody's", make=lambda settings: MINE)):
        found = study(tmp_path, f'{SEARCH}[settings.{section}]\n{name} = ["mine"]\n')
        found.write_settings(base)
        with pytest.raises(ConfigError, match=rf"{setting}: expected the name of a kind .*, found 'mine', registered"):
            found.config_of({}, base, 0)
