import json

from client_model.config import ModelConfig, TrainingConfig
from client_model.learning.language_model import model_shape
from client_model.text.population import PopulationSpec
from simulation.engine.host_task import HostTask
from simulation.run.preparation import prepare
from tests.simulation.engine.test_client_app import WORDS


def test_a_task_travels_as_text_and_its_cell_by_name():
    task = HostTask(
        population=PopulationSpec(3, 40, "somewhere"),
        vocabulary=WORDS.to_text(),
        shape=model_shape(ModelConfig(cell="lstm", units=12), len(WORDS)),
        training=TrainingConfig(max_sequences=5),
        evaluation_sequences=4,
        seed=7,
    )
    text = task.to_json()
    again = HostTask.from_json(text)
    assert again.shape == task.shape and again.shape.weight_shapes() == task.shape.weight_shapes()
    assert (again.population, again.training, again.seed) == (task.population, task.training, 7)
    assert again.to_json() == text  # hosts are kept by it
    assert json.loads(text)["cell"] == "lstm" and json.loads(text)["handed_in"] == {}


def test_hosts_get_the_model_of_the_run():
    from simulation.flags import parse_simulate

    flags = ["--model.cell", "lstm", "--model.units", "12", "--fleet.size", "120", "--data.vocabulary-phones", "20"]
    prepared = prepare(parse_simulate(flags).run)
    again = HostTask.from_json(prepared.task.to_json())
    assert again.shape == prepared.shape and again.shape.units == 12
    assert again.shape.vocabulary_size == len(prepared.vocabulary)
