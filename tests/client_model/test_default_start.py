import json

import pytest

from client_model.config import DataConfig, ModelConfig, default_start
from client_model.learning.cells.cifg import Cifg
from client_model.learning.language_model import model_shape
from client_model.public_start import FOLDER, PUBLIC_START, RANDOM_START, path_setting, starting_file


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
        (DataConfig(), ModelConfig(vocabulary_size=400)),
        (DataConfig(), ModelConfig(units=100)),
        (DataConfig(), ModelConfig(embedding_size=32)),
    ],
)
def test_everything_else_starts_at_random(data, model):
    assert default_start(data, model) == RANDOM_START


def test_the_default_shape_is_that_of_the_public_weights():
    about = json.loads((FOLDER / "about.json").read_text())
    shape = model_shape(ModelConfig())
    assert shape.sizes == about["shape"] and shape.cell == Cifg()


def test_names_stay_names_and_files_become_whole_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [path_setting(name) for name in (PUBLIC_START, RANDOM_START)] == ["public", "none"]
    assert path_setting(FOLDER.parent.relative_to(FOLDER.parent) / "w.npz") == str(tmp_path / "w.npz")
    assert starting_file(PUBLIC_START) == FOLDER / "weights.npz"
    assert starting_file(RANDOM_START) is None and starting_file(None) is None
