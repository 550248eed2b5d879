"""The recipes of CONTRIBUTING.md work: each is taken from the page and executed as it stands there."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from client_model.learning.cells.check import check_cell
from client_model.learning.cells.door import CELLS
from client_model.learning.language_model import flatten, initial_weights, unflatten
from client_model.learning.local_optimizers.check import check_local_optimizer
from client_model.learning.local_optimizers.door import LOCAL_OPTIMIZERS
from client_model.learning.local_training import LocalTrainer
from client_model.metrics.door import METRICS
from client_model.metrics.keystrokes import keystroke_table
from client_model.metrics.scored_tokens import scored_message
from client_model.metrics.table import sum_counts
from client_model.text.formats.door import FORMATS
from client_model.text.vocabulary import EOS, FIRST_WORD, PUNCTUATION, SPECIAL_TOKENS
from server_strategy.optimizers.door import OPTIMIZERS
from server_strategy.policies import POLICIES
from server_strategy.privacy.accounting import gaussian_rho
from server_strategy.privacy.mechanisms.door import MECHANISMS
from simulation.run.trackers.base import Outcome, TrackedRun
from simulation.run.trackers.door import TRACKERS
from simulation.world.availability.door import AVAILABILITY
from tests.client_model.learning.test_local_training import make_phone, small_shape
from tests.conftest import ROOT
from tests.waiting import PATIENCE_S
from typefleet.doors import Door

PACKAGES = ("typefleet", "client_model", "server_strategy", "simulation")
DOORS: dict[str, Door[Any]] = {
    "A server optimizer": OPTIMIZERS,
    "A noise mechanism": MECHANISMS,
    "A cell": CELLS,
    "A local optimizer": LOCAL_OPTIMIZERS,
    "A round policy": POLICIES,
    "A source of availability": AVAILABILITY,
    "A message format": FORMATS,
    "A metric": METRICS,
    "A tracker": TRACKERS,
}


@dataclass(frozen=True)
class Recipe:
    """What a section of CONTRIBUTING.md says."""

    module: str  # Python: the kind
    use: str  # Python: by name and as an object
    entry_points: dict[str, dict[str, str]]  # group -> name -> place
    command: str  # with the kind's name and a setting of its own

    @property
    def group(self) -> str:
        (group,) = self.entry_points
        return group

    @property
    def name(self) -> str:
        (name,) = self.entry_points[self.group]
        return name

    @property
    def place(self) -> str:
        """The module that the entry point names."""
        return self.entry_points[self.group][self.name].split(":")[0]

    @property
    def arguments(self) -> list[str]:
        return self.command.split()[2:]


def recipes() -> dict[str, Recipe]:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    page = page[page.index("## A kind of your own") :]
    found = {}
    for title, text in re.findall(r"^### (.+?)$(.*?)(?=^### |\Z)", page, re.MULTILINE | re.DOTALL):
        blocks = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        assert [language for language, _ in blocks] == ["python", "python", "toml", "sh"], title
        module, use, toml, command = (content for _, content in blocks)
        points = tomllib.loads(toml)["project"]["entry-points"]
        found[title] = Recipe(module, use, points, command)
    return found


RECIPES = recipes()


def groups_of_all_doors() -> set[str]:
    """The entry-point groups of every `Door(...)` in the packages."""
    found = set()
    for path in (p for package in PACKAGES for p in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "Door":
                found |= {str(a.value) for a in node.args[1:2] if isinstance(a, ast.Constant)}
    return found


def test_every_door_has_a_recipe():
    groups = groups_of_all_doors()
    assert OPTIMIZERS.group in groups
    assert {recipe.group for recipe in RECIPES.values()} == groups
    assert {title: door.group for title, door in DOORS.items()} == {t: r.group for t, r in RECIPES.items()}


@pytest.fixture
def run_recipe(monkeypatch):
    """run_recipe(title): what its two blocks define, by name; the door is as before when the test ends."""

    def run(title: str) -> dict[str, Any]:
        recipe, door = RECIPES[title], DOORS[title]
        monkeypatch.setattr(door, "_kinds", dict(door._kinds))
        module = ModuleType(recipe.place)  # dataclasses and pickles look their classes up by module
        monkeypatch.setitem(sys.modules, recipe.place, module)
        for part, code in (("module", recipe.module), ("use", recipe.use)):
            exec(compile(code, f"CONTRIBUTING.md, {title}, {part}", "exec"), vars(module))
        assert door.kind(recipe.name) is module.KIND
        return vars(module)

    return run


def weights(arrays: Any) -> np.ndarray:
    return np.concatenate([array.numpy().ravel() for array in arrays.values()])


def test_a_server_optimizer(run_recipe):
    found = run_recipe("A server optimizer")
    np.testing.assert_array_equal(weights(found["by_name"]), weights(found["as_object"]))
    steps = weights(found["by_name"]) / 0.5  # three of them, each -1, 0 or 1
    np.testing.assert_array_equal(steps, np.round(steps))
    assert 0 < np.abs(steps).max() <= 3


def test_a_local_optimizer(run_recipe):
    found = run_recipe("A local optimizer")
    assert found["by_name"] == found["as_object"]
    check_local_optimizer(found["as_object"])
    shape = small_shape("cifg")
    trainer, (packed, _) = LocalTrainer(shape, optimizer=found["as_object"]), make_phone([7, 3, 5, 2], 4, seed=1)
    moved = unflatten(trainer.train(trainer.load(initial_weights(shape, 0)), packed, 0.1).update, shape)
    assert [np.linalg.norm(one) for one in moved] == pytest.approx([0.1] * len(moved), rel=1e-3)  # one batch


def test_a_cell(run_recipe):
    found = run_recipe("A cell")
    assert found["by_name"] == found["as_object"]
    shape = replace(found["by_name"], vocabulary_size=60, embedding_size=6, units=11, sequence_length=7)
    check_cell(shape.cell, shape.cell_sizes)
    weights = initial_weights(shape, 0)
    assert (weights[2] == [2.0] * 11 + [0.0] * 11).all()
    trainer, (packed, _) = LocalTrainer(shape), make_phone([7, 3, 5, 2], 4, seed=1)
    losses = []
    for _ in range(30):
        result = trainer.train(trainer.load(weights), packed, 1.0)
        weights = unflatten(flatten(weights) + result.update, shape)
        losses.append(result.loss_sum)
    assert losses[-1] < 0.7 * losses[0]


def test_a_round_policy(run_recipe):
    found = run_recipe("A round policy")
    np.testing.assert_array_equal(found["by_name"].reporters, found["as_object"].reporters)
    assert len(found["by_name"].reporters) > 20 and found["by_name"].funnel == found["as_object"].funnel


def test_a_source_of_availability(run_recipe):
    found = run_recipe("A source of availability")
    np.testing.assert_array_equal(found["by_name"].phone, found["as_object"].phone)
    np.testing.assert_array_equal(found["by_name"].until_s, found["as_object"].until_s)
    assert 20 < len(found["by_name"].phone) <= 26  # a quarter of a hundred, less those without memory


def test_a_message_format(run_recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = run_recipe("A message format")
    for population in (found["by_name"], found["as_object"]):
        assert population.num_phones == 2 and sorted(population.lexicon) == ["bye", "hello", "see", "there", "you"]


def test_a_metric(run_recipe):
    found = run_recipe("A metric")
    rng = np.random.default_rng(0)
    targets = np.array([FIRST_WORD, FIRST_WORD + 1, EOS], np.int32)
    logits = rng.normal(size=(3, FIRST_WORD + 9)).astype(np.float32)
    table = keystroke_table([*SPECIAL_TOKENS, *PUNCTUATION, *"abcdefghi"])
    scored = scored_message(table, logits, targets)
    ranks = [1 + np.sum(logits[i, FIRST_WORD:] > logits[i, targets[i]]) for i in (0, 1)]  # the end is no word
    for metrics in (found["by_name"], found["as_object"]):
        counts = sum_counts([metrics.count(scored)] * 3)
        assert metrics.values(counts)["mean_reciprocal_rank"] == pytest.approx(np.mean(1 / np.array(ranks)))


def test_a_tracker(run_recipe, tmp_path):
    tracker = run_recipe("A tracker")["by_name"]
    told = {0: {"held_out/top1_recall": 0.1}, 1: {"training/loss_nats_per_token": 2.5}}
    tracker.begin(TrackedRun(tmp_path, "ab", {"seed": 0}, told, 2))
    for number, loss in ((2, 2.25), (3, 2.0)):
        tracker.round(number, {"training/loss_nats_per_token": loss})
    tracker.end(Outcome(3, {"epsilon": 1.5, "epsilon_is_of": "this run"}, {}, ()))
    tracker.close()
    found = json.loads((tmp_path / "curves.json").read_text())
    assert list(found) == ["0", "1", "2", "3", "outcome"] and found["outcome"] == {"epsilon": 1.5}


def test_a_noise_mechanism(run_recipe):
    found = run_recipe("A noise mechanism")
    np.testing.assert_array_equal(weights(found["by_name"]), weights(found["as_object"]))
    # Its cost is that of the dense matrix, whose rows are an update and a share of the one before.
    spent, rounds = found["strategy"].last_round.spent, 3
    matrix = np.eye(rounds) + 0.3 * np.eye(rounds, k=-1)
    taken = np.arange(0, rounds, spent.min_separation_rounds or rounds)[: spent.max_participations]
    assert spent.zcdp_rho == pytest.approx(gaussian_rho(1.0, (matrix[:, taken].sum(1) ** 2).sum()))
    # Its noise is the matrix's inverse of the draws, and piles up in the sums of the releases as it says.
    stream, draws = found["Echo"](0.3).stream(), iter(np.eye(rounds))
    noise = np.array([stream.next(lambda _: next(draws)) for _ in range(rounds)])
    np.testing.assert_allclose(matrix @ noise, np.eye(rounds), atol=1e-12)
    np.testing.assert_allclose((noise.cumsum(0) ** 2).sum(1), found["Echo"](0.3).sum_errors(rounds))


def test_the_entry_points_make_the_names_work_on_the_command_line(tmp_path):
    """An installed package, as far as Python can tell: a module for each recipe, and the metadata beside them."""
    lines = []
    for recipe in RECIPES.values():
        file = tmp_path.joinpath(*recipe.place.split(".")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        (file.parent / "__init__.py").touch()
        file.write_text(recipe.module, encoding="utf-8")
        lines += [f"[{recipe.group}]", f"{recipe.name} = {recipe.entry_points[recipe.group][recipe.name]}"]
    metadata = tmp_path / "my_package-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    arguments = [argument for recipe in RECIPES.values() for argument in recipe.arguments]
    path = os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(ROOT / "scripts" / "simulate.py"), "--print-config", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, env=os.environ | {"PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr
    said = tomllib.loads(done.stdout)
    for flag, value in pairwise(arguments):
        if flag.startswith("--"):
            section, _, key = flag.removeprefix("--").replace("-", "_").rpartition(".")
            found = said[section][key] if section else said[key]
            (found,) = found if isinstance(found, list) else [found]
            assert str(found) in (value, str(Path(value).absolute())), flag  # paths are written whole


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_is_short(title):
    recipe = RECIPES[title]
    code = [line for line in (recipe.module + recipe.use).splitlines() if line.strip()]
    assert len(code) <= 40 and recipe.command.startswith("python scripts/simulate.py --")
    assert Path(ROOT / "scripts" / "simulate.py").exists()
