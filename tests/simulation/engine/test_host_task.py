import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from client_model.config import DataConfig, ModelConfig, TrainingConfig
from client_model.learning.cells.door import CELLS
from client_model.learning.cells.lstm import Lstm
from client_model.learning.language_model import ModelShape, model_shape
from client_model.learning.local_optimizers.momentum import Momentum
from client_model.learning.padded_batches import Group
from client_model.text.kept_text import Limits
from client_model.text.population import PeopleSplit, PopulationSpec
from simulation.engine.host_task import HostTask
from simulation.run.preparation import prepare
from tests.simulation.engine.test_client_app import WORDS
from typefleet.doors import Kind
from typefleet.errors import ConfigError


def test_a_task_travels_as_text_and_its_cell_by_name():
    task = HostTask(
        population=PopulationSpec(3, 40, "somewhere", 30, PeopleSplit(3, 0.1, True), Limits(4, days=2.5)),
        vocabulary=WORDS.to_text(),
        shape=model_shape(ModelConfig(cell="lstm", units=12), len(WORDS)),
        training=TrainingConfig(max_sequences=5, optimizer="momentum", optimizer_settings=Momentum(0.5)),
        evaluation_sequences=4,
        seed=7,
        text=DataConfig(path=Path("m.jsonl"), redact="mask", phone_regions=("FR", "SG"), purpose="spelling"),
        group=Group(3, 16, "gpu"),
    )
    text = task.to_json()
    again = HostTask.from_json(text)
    assert again.shape == task.shape and again.shape.weight_shapes() == task.shape.weight_shapes()
    assert (again.population, again.training, again.seed) == (task.population, task.training, 7)
    assert again.text == task.text and again.group == task.group and again.on_processor.group is None
    assert again.to_json() == text  # hosts are kept by it
    assert json.loads(text)["cell"] == "lstm" and json.loads(text)["handed_in"] == {}


def test_hosts_get_the_model_of_the_run():
    from simulation.flags import parse_simulate

    flags = ["--model.cell", "lstm", "--model.units", "12", "--fleet.size", "120", "--data.vocabulary-phones", "20"]
    prepared = prepare(parse_simulate(flags).run)
    again = HostTask.from_json(prepared.task.to_json())
    assert again.shape == prepared.shape and again.shape.units == 12
    assert again.shape.vocabulary_size == len(prepared.vocabulary)


@dataclass(frozen=True)
class Layered(Lstm):
    """A cell with settings of every type that can be sent."""

    name = "layered"
    widths: tuple[int, ...] = (8, 16)
    range: tuple[float, str] = (0.5, "to")
    table: Path | None = Path("table.npz")
    anything: Any = None


LAYERED = Kind("layered", "", make=lambda settings: settings, settings=Layered)


def task_with(settings):
    return HostTask(
        population=PopulationSpec(3, 40, "somewhere", 30, PeopleSplit(3, 0.1, True)),
        vocabulary=WORDS.to_text(),
        shape=ModelShape(settings, vocabulary_size=len(WORDS), embedding_size=8, units=12, sequence_length=20),
        training=TrainingConfig(),
        evaluation_sequences=4,
        seed=7,
        cell_settings=settings,
    )


def test_settings_of_a_cell_arrive_as_they_were():
    with CELLS.lend(LAYERED):
        for settings in (Layered(), Layered(widths=(), table=Path("other.npz")), Layered(table=None, anything="text")):
            again = HostTask.from_json(task_with(settings).to_json())
            assert again.cell_settings == again.shape.cell == settings
            assert type(again.cell_settings.widths) is tuple


@pytest.mark.parametrize("value", [{1, 2}, (1, 2), float("nan"), object()])
def test_a_setting_that_would_arrive_as_another_is_refused(value):
    message = f"settings of cell 'layered': expected .*, found anything of type {type(value).__name__}$"
    with pytest.raises(ConfigError, match=message):
        task_with(Layered(anything=value)).to_json()
