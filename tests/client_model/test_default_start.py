import hashlib
import json

import pytest

from client_model.config import PUBLIC_SHAPES, DataConfig, ModelConfig, default_start, public_shape
from client_model.learning.cells.cifg import Cifg
from client_model.learning.cells.stacked import Stacked
from client_model.learning.language_model import model_shape
from client_model.public_start import FOLDER, PUBLIC_START, RANDOM_START, path_setting, starting_file
from simulation.studies.public_start import model_of


@pytest.mark.parametrize("model", [ModelConfig(), ModelConfig(cell_settings=Cifg()), ModelConfig(sequence_length=9)])
@pytest.mark.parametrize("name", ["auto", "chitchat"])
def test_people_who_are_there_without_a_file_start_from_public_weights(name, model):
    assert default_start(DataConfig(format=name), model) == PUBLIC_START


@pytest.mark.parametrize(
    ("data", "model"),
    [
        (DataConfig(path=FOLDER / "messages.jsonl"), ModelConfig()),
        (DataConfig(format="synthetic"), ModelConfig()),
        (DataConfig(vocabulary_path=FOLDER / "vocab.txt"), ModelConfig()),
        (DataConfig(), ModelConfig(preset="gboard")),
        (DataConfig(), ModelConfig(cell="lstm")),
        (DataConfig(), ModelConfig(cell="stacked", cell_settings=Stacked(layers=3))),
        (DataConfig(), ModelConfig(cell="stacked", cell_settings=Stacked(), preset="gboard")),
        (DataConfig(), ModelConfig(vocabulary_size=400)),
        (DataConfig(), ModelConfig(units=100)),
        (DataConfig(), ModelConfig(embedding_size=32)),
    ],
)
def test_everything_else_starts_at_random(data, model):
    assert default_start(data, model) == RANDOM_START


@pytest.mark.parametrize("name", PUBLIC_SHAPES)
def test_each_shape_with_public_weights_is_the_one_that_they_have(name):
    about, model = json.loads((FOLDER / f"{name}.json").read_text())["shape"], model_of(name)
    shape = model_shape(model)
    assert about == {"cell": shape.cell.name, **vars(shape.cell), **shape.sizes}
    assert public_shape(model) == name and default_start(DataConfig(), model) == PUBLIC_START


def test_the_default_model_is_the_small_shape():
    assert public_shape(ModelConfig()) == "small" and model_shape(ModelConfig()) == model_shape(model_of("small"))


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (ModelConfig(units=256, embedding_size=64), "small"),
        (ModelConfig(embedding_size=96, units=512), "large"),
        (ModelConfig(preset="large", embedding_size=64, units=256), "small"),
    ],
)
def test_a_shape_is_known_however_it_is_asked_for(model, name):
    assert public_shape(model) == name


def test_each_says_which_vocabulary_its_ids_are_of():
    digest = hashlib.sha256((FOLDER / "vocab.txt").read_bytes()).hexdigest()
    assert {json.loads((FOLDER / f"{name}.json").read_text())["vocabulary_sha256"] for name in PUBLIC_SHAPES} == {
        digest
    }


def test_names_stay_names_and_files_become_whole_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [path_setting(name) for name in (PUBLIC_START, RANDOM_START)] == ["public", "none"]
    assert path_setting(FOLDER.parent.relative_to(FOLDER.parent) / "w.npz") == str(tmp_path / "w.npz")
    assert starting_file(PUBLIC_START, lambda: "deep") == FOLDER / "deep.npz"
    assert (
        starting_file(PUBLIC_START, lambda: None) == FOLDER / "small.npz"
    )  # which does not fit, as the reader will say
    assert starting_file(RANDOM_START, pytest.fail) is None and starting_file(None, pytest.fail) is None
