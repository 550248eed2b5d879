"""A node that does not see the driver's disk reads its own copy of the text: the same phones, or a refusal."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from client_model.config import DataConfig
from client_model.learning.cells.lstm import Lstm
from client_model.text.formats.leaf import KIND as LEAF
from client_model.text.formats.leaf import LeafSettings
from client_model.text.population import open_population, prepare_population
from simulation.config import RunConfig
from simulation.engine.host_task import HostTask
from simulation.engine.node_text import NOTHING_TOLD, NodeTextError, OwnText, population_here
from simulation.parts import Parts
from simulation.run.model import text_elsewhere
from tests.simulation.engine.test_host_task import task_with
from typefleet.errors import ConfigError
from typefleet.sealed import envelope
from typefleet.sealed.envelope import data_key_of, is_encrypted, shred

LINES = "".join(f'{{"user_id": "{user}", "text": "see you at {user}"}}\n' for user in ("ann", "bob", "eve") * 2)


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """(the task as it arrives from another machine, the file that the run was prepared from)."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "node-cache"))
    file = tmp_path / "driver" / "messages.jsonl"
    file.parent.mkdir()
    file.write_text(LINES)
    data = DataConfig(path=file, cache_dir=tmp_path / "driver-cache")
    task = replace(task_with(Lstm()), population=prepare_population(data, 0, None), text=data)
    return HostTask.from_json(task.to_json()), file


@pytest.fixture
def elsewhere(driver, tmp_path):
    """The same, on a machine that has neither the driver's file nor its cache."""
    task, file = driver
    (tmp_path / "driver-cache").rename(tmp_path / "gone")
    copy = tmp_path / "copies" / "any-name.jsonl"
    copy.parent.mkdir()
    file.rename(copy)
    return task, copy


@pytest.fixture
def encrypted(tmp_path, monkeypatch):
    """(the task of a run that keeps its text encrypted, its file of messages, the folder for a node's own copy)."""
    (tmp_path / "m.jsonl").write_text('{"user_id": "a", "text": "walnut"}\n{"user_id": "b", "text": "tundra"}\n')
    monkeypatch.setattr(envelope, "_OPENED", {})
    monkeypatch.setenv("STORAGE_KEY", "ab" * 32)
    monkeypatch.setenv("NODE_KEY", "cd" * 32)
    data = DataConfig(path=tmp_path / "m.jsonl", cache_dir=tmp_path / "here")
    spec = prepare_population(data, 0, None, storage_key="env:STORAGE_KEY")
    return replace(task_with(Lstm()), population=spec, text=data), str(tmp_path / "m.jsonl"), tmp_path / "there"


def words(path):
    return [word for word in (b"walnut", b"tundra") for one in path.rglob("*.txt") if word in one.read_bytes()]


def test_a_node_encrypts_its_own_copy_with_its_own_key(encrypted, monkeypatch):
    task, file, there = encrypted
    own = OwnText.told({"text": file, "cache-dir": str(there), "storage-key": "env:NODE_KEY"})
    monkeypatch.delenv("STORAGE_KEY")  # which no node has
    for _ in ("made", "found again"):
        here = population_here(task, own, bytes(32))
        (entry,) = there.iterdir()
        assert Path(here.spec.cache_folder) == entry and is_encrypted(entry) and here.key == data_key_of(entry)
        assert open_population(*here).lexicon == ["walnut", "tundra"] and not words(there)
        with pytest.raises(ConfigError):
            open_population(here.spec, bytes(32))  # the key of the run's copy is of that alone
    shred(entry)
    envelope._OPENED.clear()
    assert open_population(*population_here(task, own)).lexicon == ["walnut", "tundra"]  # made anew


def test_a_node_may_encrypt_its_copy_of_a_run_that_does_not(elsewhere, tmp_path, monkeypatch):
    task, copy = elsewhere
    monkeypatch.setenv("NODE_KEY", "cd" * 32)
    here = population_here(task, OwnText(str(copy), str(tmp_path / "there"), "env:NODE_KEY"))
    assert is_encrypted(Path(here.spec.cache_folder)) and open_population(*here).num_phones == 3


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("", r"expected --node-config 'storage-key=\"PLACE\"', since the run keeps its text encrypted"),
        ("env:NO_SUCH_VARIABLE", "the name of a variable that is set"),
        ("no/such/file", "a file of 64 hexadecimal digits, found none"),
    ],
)
def test_a_node_without_a_key_refuses_a_run_that_is_encrypted_and_writes_nothing(encrypted, place, said):
    task, file, there = encrypted
    with pytest.raises(NodeTextError, match=f"^a node's text: .*{said}"):
        population_here(task, OwnText(file, str(there), place), bytes(32))
    assert not there.exists() or not any(there.iterdir())


def test_another_key_than_that_of_the_copy_is_refused(encrypted, monkeypatch):
    task, file, there = encrypted
    own = OwnText(file, str(there), "env:NODE_KEY")
    population_here(task, own)
    monkeypatch.setenv("NODE_KEY", "ef" * 32)
    with pytest.raises(NodeTextError, match=r"^a node's text: .*expected the storage key of fingerprint"):
        population_here(task, own)


def test_a_node_that_was_told_that_its_copy_may_be_plain_makes_it_so(encrypted):
    task, file, there = encrypted
    here = population_here(task, OwnText(file, str(there), "none"), bytes(32))
    assert Path(here.spec.cache_folder).parent == there and "encrypted" not in here.spec.cache_folder
    assert here.key == b"" and open_population(*here).lexicon == ["walnut", "tundra"] and words(there)


def test_a_host_that_sees_the_drivers_folder_uses_it(driver):
    task, _ = driver
    assert population_here(task, NOTHING_TOLD, b"key") == (task.population, b"key")


def test_a_node_that_was_told_of_its_own_copy_uses_that(driver, tmp_path):
    task, file = driver
    here = population_here(task, OwnText(str(file))).spec
    assert Path(here.cache_folder).parent == tmp_path / "node-cache" / "typefleet"
    assert Path(here.cache_folder).name == Path(task.population.cache_folder).name


def test_a_copy_elsewhere_has_the_same_phones(elsewhere, tmp_path):
    task, copy = elsewhere
    here = population_here(task, OwnText(str(copy))).spec
    assert Path(here.cache_folder).parent == tmp_path / "node-cache" / "typefleet"
    there = open_population(replace(task.population, cache_folder=str(next((tmp_path / "gone").iterdir()))))
    own = open_population(here)
    assert own.lexicon == there.lexicon and own.num_phones == there.num_phones == 3
    np.testing.assert_array_equal(own.digests(), there.digests())
    for phone in range(3):
        np.testing.assert_array_equal(own.types(phone)[0], there.types(phone)[0])


def test_a_folder_that_was_made_once_needs_no_file_again(elsewhere):
    task, copy = elsewhere
    first = population_here(task, OwnText(str(copy)))
    copy.unlink()
    assert population_here(task, NOTHING_TOLD) == first


def test_the_node_may_say_where_its_folders_are(elsewhere, tmp_path):
    task, copy = elsewhere
    told = OwnText.told({"text": str(copy), "cache-dir": str(tmp_path / "mine")})
    assert Path(population_here(task, told).spec.cache_folder).parent == tmp_path / "mine"


def test_another_text_is_refused_without_a_word_of_it(elsewhere):
    task, copy = elsewhere
    copy.write_text(LINES.replace("see you", "a secret"))
    with pytest.raises(
        NodeTextError, match=r"^a node's text: expected a file whose text is .*-jsonl-.*, found .*"
    ) as found:
        population_here(task, OwnText(str(copy)))
    assert "secret" not in str(found.value)


def test_a_text_that_is_not_there_is_asked_for(elsewhere, tmp_path):
    task, _ = elsewhere
    with pytest.raises(
        NodeTextError,
        match=r"-jsonl-.* to be a folder here, or --node-config 'text=\"FILE\"' to name a copy of messages\.jsonl",
    ):
        population_here(task, NOTHING_TOLD)
    with pytest.raises(NodeTextError, match=r"^a node's text: .*none\.jsonl: expected .*no such file"):
        population_here(task, OwnText(str(tmp_path / "none.jsonl")))


def test_a_run_whose_format_other_machines_do_not_have_says_so(elsewhere):
    task, copy = elsewhere
    with pytest.raises(NodeTextError, match="found no folder of that name, and a format that other machines"):
        population_here(replace(task, text=None), OwnText(str(copy)))


@pytest.mark.parametrize("name", ["..", ".hidden", "a b"])
def test_a_message_names_no_other_folder_than_one_of_texts(elsewhere, name):
    task, copy = elsewhere
    spec = replace(task.population, cache_folder=f"/no/such/place/{name}")
    with pytest.raises(NodeTextError, match="expected the name of a folder in the run's message"):
        population_here(replace(task, population=spec), OwnText(str(copy)))


def test_only_what_is_read_from_a_file_needs_a_copy():
    config, parts = RunConfig(), Parts()
    assert text_elsewhere(config, parts).path is None  # the bundled text: every machine has it
    assert text_elsewhere(replace(config, data=DataConfig(format="synthetic")), parts) is None
    assert text_elsewhere(config, Parts(message_format=LEAF.make(LeafSettings()))) is None


def test_columns_and_settings_of_the_format_travel_and_no_path():
    settings = LeafSettings(sample_index=4)
    data = DataConfig(path=Path("/elsewhere/table.json"), format="leaf", format_settings=settings, on_bad_line="skip")
    again = HostTask.from_json(text := replace(task_with(Lstm()), text=data).to_json())
    assert again.text == replace(data, path=Path("table.json")) and "/elsewhere" not in text
    data = DataConfig(path=Path("table.csv"), user_column="who", text_column="what", time_column="when")
    assert HostTask.from_json(replace(task_with(Lstm()), text=data).to_json()).text == data
