"""What is published, looked into as a stranger would."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from client_model.metrics.table import metric_table
from client_model.text.population import phone_labels
from client_model.tflite.export_folder import VerificationError, verify_folder
from simulation.device.model_card import associated_files, read_inside
from simulation.files import read_json_object
from simulation.run.checkpoint import load_newest_checkpoint
from simulation.studies.publishing import publish
from tests.simulation.planted_secrets import SECRETS, leaks
from tests.simulation.studies.forged_runs import relist
from typefleet.errors import ConfigError, InputError

pytestmark = pytest.mark.slow  # of runs that other tests need as well
KNOWN = ("modelled-deployment", "seeded-noise", "vocabulary")


def contents(folder):
    """Of every file, and of the files inside files."""
    from tests.simulation.planted_secrets import _contents

    return {path: list(_contents(path)) for path in folder.rglob("*") if path.is_file()}


def data_digest_of(root):
    """The digest of the text, as an account would have it."""
    from simulation.flags import read_config
    from simulation.run.preparation import prepare

    folder = prepare(read_config(root / "config.toml")).task.population.cache_folder
    return Path(folder).name[:32]


@pytest.fixture
def run(planted, tmp_path):
    """A copy, to be changed."""
    shutil.copytree(planted / "run", tmp_path / "run")
    return tmp_path / "run"


def test_a_loop_of_links_is_no_run(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputError, match=r"loop.privacy.json: expected .*, found too many levels of symbolic links"):
        publish(tmp_path / "loop", tmp_path / "out")


def test_nothing_of_single_phones_is_in_what_is_published(planted, tmp_path):
    root, target = planted / "run", tmp_path / "published"
    done = publish(root, target, KNOWN)
    assert leaks(planted / "cache") and not leaks(target) and SECRETS
    stored = load_newest_checkpoint(root / "checkpoints")[0]
    salt = stored.about["salt"]
    from simulation.flags import read_config
    from simulation.run.preparation import prepare

    prepared = prepare(read_config(root / "config.toml"))
    labels = phone_labels(salt, prepared.digests)
    summary = json.loads((root / "summary.json").read_text())
    counted = [repr(summary[key]) for key in summary if key.startswith("baseline_") and isinstance(summary[key], float)]
    loss = [repr(json.loads(line)["loss"]) for line in (root / "rounds.jsonl").read_text().splitlines()]
    secret = (root / "noise_secret").read_bytes()
    assert labels and counted and loss and secret
    assert not any(secret[:32] in part for parts in contents(target).values() for part in parts)
    digest = data_digest_of(root)
    planted_words = [
        salt,
        digest,
        "918273645",
        *labels,
        *(f"user{n}" for n in range(100)),
        *counted,
        *loss,
        str(planted),
    ]
    for path, parts in contents(target).items():
        for word in planted_words:
            assert not any(word.encode() in part for part in parts), (path.name, word)
    assert set(done.files) == {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    named = {name for name, _ in done.left_out}
    left = {
        "summary.json",
        "rounds.jsonl",
        "checkpoints/",
        "config.toml",
        "report.html",
        "central.json",
        "tensorboard/",
    }
    assert left <= named


def test_no_evaluation_is_in_it_unless_asked_for(planted, tmp_path):
    publish(planted / "run", tmp_path / "without", KNOWN)
    publish(planted / "run", tmp_path / "with", KNOWN, evaluation=True)
    for name in ("without", "with"):
        entries = verify_folder(tmp_path / name / "model", None)
        files = [path for path in entries if path.endswith(".tflite")]
        assert files
        for one in files:
            file = tmp_path / name / "model" / one
            card, vocabulary = read_inside(file, file.read_bytes())
            measured = card["metrics_on_held_out_phones"]
            assert vocabulary == (tmp_path / name / "model" / "vocab.txt").read_text()
            assert any(value is not None for value in measured.values()) == (name == "with")
            assert ("metrics" in entries[one]) == (name == "with")
            before = planted / "run" / "model" / one
            assert (before.read_bytes() == file.read_bytes()) == (name == "with")
        told = read_json_object(tmp_path / name / "privacy.json", "a statement")["files"]
        assert any("people who never train, exactly" in one["computed_from"] for one in told) == (name == "with")


def test_a_file_whose_card_was_written_anew_suggests_the_same(planted, tmp_path):
    from client_model.tflite.interpreter import FileSteps, open_interpreter

    publish(planted / "run", tmp_path / "out", KNOWN)
    for path in (tmp_path / "out" / "model").glob("*.tflite"):
        files = (path.read_bytes(), (planted / "run" / "model" / path.name).read_bytes())
        first, second = (FileSteps(open_interpreter(file)).read(np.array([1, 4, 5], np.int32)) for file in files)
        assert all((a == b).all() for a, b in zip(first, second, strict=True))


def test_it_is_refused_without_a_word_of_what_it_lacks(straight, planted, tmp_path):
    with pytest.raises(ConfigError, match=r"modelled deployment with 500 .* --although modelled-deployment"):
        publish(straight[0], tmp_path / "out", ())
    with pytest.raises(ConfigError, match="a vocabulary from words") as refused:
        publish(straight[0], tmp_path / "out", ("modelled-deployment",))
    assert "modelled deployment with" not in str(refused.value)  # which was said
    assert not (tmp_path / "out").exists() and not list(tmp_path.iterdir())
    assert publish(planted / "run", tmp_path / "out").notes == ()  # words, noise and guarantee are its own


def test_a_statement_that_does_not_hold_is_published_by_no_word(run, tmp_path):
    privacy = json.loads((run / "privacy.json").read_text())
    privacy["spent"]["epsilon"] /= 2
    (run / "privacy.json").write_text(json.dumps(privacy))
    with pytest.raises(ConfigError, match=r"a privacy statement that holds for the weights, found .*epsilon"):
        publish(run, tmp_path / "out", KNOWN)


@pytest.mark.parametrize(
    ("damage", "said_of_it"),
    [
        *(({"vocabulary_from": words}, "that says what each file tells") for words in (["public"], {"public": 1}, 3)),
        *(({"spent": spent}, r"privacy\.json: spent: expected what a run has spent") for spent in ("much", [1], None)),
    ],
)
def test_a_statement_of_odd_values_is_refused_without_them(damage, said_of_it, tmp_path):
    root = tmp_path / "run"
    (root / "model").mkdir(parents=True)
    (root / "model" / "weights.npz").touch()
    said = {"epsilon_is_of": "this run", "weights_sha256": "", "spent": {}, "facts": {}, **damage}
    (root / "privacy.json").write_text(json.dumps(said))
    with pytest.raises(ConfigError, match=said_of_it) as refused:
        publish(root, tmp_path / "out")
    assert "much" not in str(refused.value)


def test_a_run_that_has_not_ended_is_not_published(run, tmp_path):
    (run / "model" / "weights.npz").unlink()
    with pytest.raises(ConfigError, match=r"a finished run, found one without model/weights\.npz"):
        publish(run, tmp_path / "out", KNOWN)


def test_a_file_that_was_changed_or_is_not_ours_is_not_published(run, tmp_path):
    (run / "notes.txt").write_text("user3 wrote this")
    done = publish(run, tmp_path / "out", KNOWN)
    assert ("notes.txt", "nobody knows what") in done.left_out and not (tmp_path / "out" / "notes.txt").exists()
    (run / "model" / "notes.txt").write_text("user3 wrote this")
    with pytest.raises(VerificationError, match="found one more"):
        publish(run, tmp_path / "again", KNOWN)
    (run / "model" / "notes.txt").unlink()
    with (run / "model" / "vocab.txt").open("a") as file:
        file.write("user3\n")
    with pytest.raises(VerificationError, match=r"expected .* bytes with sha256"):
        publish(run, tmp_path / "again", KNOWN)
    assert not (tmp_path / "again").exists()


def test_it_appears_whole_with_the_modes_of_the_umask_and_never_over_anything(planted, tmp_path):
    before = os.umask(0o027)
    try:
        publish(planted / "run", tmp_path / "out", KNOWN)
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "out").rglob("*") if path.is_file()}
    folders = {path.stat().st_mode & 0o777 for path in (tmp_path / "out", tmp_path / "out" / "model")}
    assert (modes, folders) == ({0o640}, {0o750})
    with pytest.raises(ConfigError, match="not there yet"):
        publish(planted / "run", tmp_path / "out", KNOWN)
    with pytest.raises(ConfigError, match="outside of"):
        publish(planted / "run", planted / "run" / "published", KNOWN)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_the_statement_says_of_the_run_is_not_changed(planted, tmp_path):
    publish(planted / "run", tmp_path / "out", KNOWN)
    before, after = (read_json_object(at / "privacy.json", "a statement") for at in (planted / "run", tmp_path / "out"))
    differ = {name for name in before if before[name] != after[name]}
    assert differ == {"files"} and before.keys() == after.keys()
    assert "## What each published file tells" in (tmp_path / "out" / "privacy.md").read_text()
    assert "rounds.jsonl" not in json.dumps(after["files"]) and after["files"]


def test_without_a_manifest_only_what_the_head_names_is_published(run, tmp_path):
    (run / "model" / "manifest.json").unlink()
    done = publish(run, tmp_path / "out", KNOWN)
    assert {name for name in done.files if name.startswith("model/")} == {"model/weights.npz", "model/vocab.txt"}
    assert {"model/keyboard.tflite", "model/test_vectors.json"} <= {name for name, _ in done.left_out}
    head = json.loads((run / "privacy_head.json").read_text())
    vocabulary = head.pop("vocabulary_sha256")
    (run / "privacy_head.json").write_text(json.dumps(head))
    with pytest.raises(ConfigError, match=r"vocab\.txt: expected manifest\.json, or the vocabulary's digest"):
        publish(run, tmp_path / "again", KNOWN)
    (run / "privacy_head.json").write_text(json.dumps({**head, "vocabulary_sha256": vocabulary}))
    with (run / "model" / "vocab.txt").open("a") as file:
        file.write("user3\n")
    with pytest.raises(ConfigError, match="another vocabulary_sha256"):
        publish(run, tmp_path / "again", KNOWN)


def test_of_weights_the_numbers_alone_are_published(run, tmp_path):
    (run / "model" / "manifest.json").unlink()
    path = run / "model" / "weights.npz"
    before = path.read_bytes()
    with zipfile.ZipFile(path, "a") as file:
        file.comment = b"user3 wrote this"
    publish(run, tmp_path / "out", KNOWN)
    assert (tmp_path / "out" / "model" / "weights.npz").read_bytes() == before


def named_otherwise(arrays):
    return {"user3" if name == "embedding" else name: array for name, array in arrays.items()}


def with_bits_below(arrays):
    arrays["embedding"] = arrays["embedding"].astype(np.float64)
    arrays["embedding"].view(np.uint64)[...] |= 0x33  # which float32 does not have, nor the digest
    return arrays


def in_another_shape(arrays):
    return {**arrays, "embedding": arrays["embedding"].reshape(-1)}


@pytest.mark.parametrize("change", [named_otherwise, with_bits_below, in_another_shape])
def test_weights_have_the_names_shapes_and_bits_of_the_model_alone(change, run, tmp_path):
    path = run / "model" / "weights.npz"
    with np.load(path) as stored:
        np.savez(path, **change({name: stored[name] for name in stored.files}))
    relist(run)
    if change is with_bits_below:
        publish(run, tmp_path / "out", KNOWN)
        with np.load(tmp_path / "out" / "model" / "weights.npz") as stored:
            assert {stored[name].dtype for name in stored.files} == {np.dtype(np.float32)}
        return
    with pytest.raises(ConfigError, match=r"weights\.npz: expected \S+ of shape"):
        publish(run, tmp_path / "out", KNOWN)


@pytest.mark.parametrize("evaluation", [False, True])
def test_a_file_for_phones_under_a_name_of_somebodys_own_is_not_published(evaluation, run, tmp_path):
    shutil.copyfile(run / "model" / "keyboard.tflite", run / "model" / "keyboard_user3.tflite")
    path = run / "model" / "manifest.json"
    entries = json.loads(path.read_text())
    path.write_text(json.dumps({**entries, "keyboard_user3.tflite": entries["keyboard.tflite"]}))
    with pytest.raises(VerificationError, match=r"expected a file under a name that an export gives, found another"):
        publish(run, tmp_path / "out", KNOWN, evaluation=evaluation)


def test_what_a_file_says_of_itself_is_of_its_run_with_evaluation_too(run, tmp_path):
    path, said = run / "model" / "keyboard.tflite", b"Suggests the next word"
    content = path.read_bytes()
    assert said in content
    path.write_bytes(content.replace(said, b"user3 wrote this".ljust(len(said)), 1))
    relist(run)
    with pytest.raises(ConfigError, match=r"keyboard\.tflite: expected the vocabulary and the card of its run inside"):
        publish(run, tmp_path / "out", KNOWN, evaluation=True)
    publish(run, tmp_path / "out", KNOWN)  # which writes it anew
    assert b"user3" not in (tmp_path / "out" / "model" / "keyboard.tflite").read_bytes()


def test_no_manifest_that_is_published_has_a_digest_of_the_settings(run, tmp_path):
    path = run / "model" / "manifest.json"
    before = json.loads(path.read_text())
    publish(run, tmp_path / "out", KNOWN, evaluation=True)
    assert (tmp_path / "out" / "model" / "manifest.json").read_bytes() == path.read_bytes()
    assert "config_sha256" not in path.read_text()
    head = json.loads((run / "privacy_head.json").read_text())
    with_digest = {**before["weights.npz"]["ledger"], "config_sha256": head["config_sha256"]}  # as runs of before
    path.write_text(json.dumps({**before, "weights.npz": {**before["weights.npz"], "ledger": with_digest}}))
    publish(run, tmp_path / "again", KNOWN, evaluation=True)
    assert json.loads((tmp_path / "again" / "model" / "manifest.json").read_text()) == before


def with_card(run, change, words=None):
    """Other words inside the files for phones, and a manifest that fits."""
    from client_model.tflite.tflite_metadata import with_metadata, without_metadata

    for path in (run / "model").glob("*.tflite"):
        card, vocabulary = read_inside(path, path.read_bytes())
        change(card)
        inside = associated_files(card, vocabulary if words is None else words(vocabulary), metric_table())
        path.write_bytes(with_metadata(without_metadata(path.read_bytes()), *inside))
    relist(run)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda card: card["privacy"].update(statement="(0.01, 1e-12)-differential privacy"), "privacy.statement"),
        (lambda card: card["privacy"].update(not_guaranteed="nothing"), "privacy.not_guaranteed"),
        (lambda card: card["privacy"]["spent"].update(epsilon=0.01), "privacy.spent.epsilon"),
        (lambda card: card["privacy"].update(caveats=[]), "privacy.caveats"),
        (lambda card: card.update(note="user3 wrote this"), "a key more"),
        (lambda card: card["model"].update(note="user3 wrote this"), "model.a key more"),
        (lambda card: card["trained_on"].update(text="user3 wrote this"), "trained_on.text"),
    ],
)
def test_a_card_that_is_not_the_runs_is_not_published(change, place, run, tmp_path):
    with_card(run, change)
    with pytest.raises(
        ConfigError, match=rf"model_card\.json: {place}: expected what settings, summary and"
    ) as refused:
        publish(run, tmp_path / "out", KNOWN)
    assert "user3" not in str(refused.value) and not (tmp_path / "out").exists()


def test_metrics_that_were_not_measured_are_neither_published_nor_their_names(run, tmp_path):
    with_card(run, lambda card: card["metrics_on_held_out_phones"].update(user3=1.0, top3_recall=1.0))
    with pytest.raises(ConfigError, match="metrics_on_held_out_phones: expected what summary"):
        publish(run, tmp_path / "out", KNOWN, evaluation=True)
    publish(run, tmp_path / "out", KNOWN)
    assert not any(b"user3" in part for parts in contents(tmp_path / "out").values() for part in parts)


def test_words_and_vectors_that_are_not_the_runs_are_not_published(run, tmp_path):
    vectors = run / "model" / "test_vectors.json"
    before = vectors.read_text()
    for key, value in (("leak", "user3 wrote this"), ("about", "user3 wrote this")):
        vectors.write_text(json.dumps({**json.loads(before), key: value}))
        relist(run)
        with pytest.raises(ConfigError, match=r"test_vectors\.json: expected sentences of ours"):
            publish(run, tmp_path / "new" / "out", KNOWN)
        assert not (tmp_path / "new").exists()
    vectors.write_text(before.replace('"words": ["', '"words": ["user3', 1))
    relist(run)
    with pytest.raises(ConfigError, match=r"test_vectors\.json: expected sentences of ours"):
        publish(run, tmp_path / "out", KNOWN)
    vectors.write_text(before)
    with_card(run, lambda card: None, lambda words: words.replace("the\n", "user3\n", 1))
    with pytest.raises(ConfigError, match=r"the words of vocab\.txt inside it"):
        publish(run, tmp_path / "out", KNOWN)


def test_a_manifest_with_more_in_it_is_not_published_and_the_page_says_what_binds_the_graph(run, tmp_path):
    publish(run, tmp_path / "out", KNOWN)
    assert "unless the manifest is signed" in (tmp_path / "out" / "privacy.md").read_text()
    path = run / "model" / "manifest.json"
    entries = json.loads(path.read_text())
    entries["vocab.txt"]["note"] = "user3 wrote this"
    path.write_text(json.dumps(entries))
    with pytest.raises(VerificationError, match="entries with what an export says"):
        publish(run, tmp_path / "again", KNOWN, evaluation=True)
