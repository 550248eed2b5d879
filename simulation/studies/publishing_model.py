"""The files of a model as they are published: each checked before it is copied, or written anew."""

import hashlib
import json
import shutil
from pathlib import Path, PurePosixPath

from client_model.learning.language_model import model_shape
from client_model.metrics.table import metric_table
from client_model.tflite.export_folder import (
    FILES,
    MANIFEST,
    RELEASE_SIGNATURES,
    SIGNATURE,
    VerificationError,
    place_files,
)
from simulation.files import read_json_object, write_bytes_atomically, write_npz_atomically, write_text_atomically
from simulation.flags import read_config
from simulation.run.artefacts import is_to_pass_on
from simulation.run.directory import read_weights
from simulation.run.ledger_head import for_manifest
from simulation.run.release_signatures import read_signatures, write_signatures
from simulation.studies.publishing_inside import own_card, require_measured, require_own_vectors
from typefleet.errors import ConfigError, expected
from typefleet.untrusted.limits import MODEL_BYTES
from typefleet.untrusted.opening import read_bytes, read_text

_NOT_MEASURED = "Evaluation was left out when this file was published: people who never train have no guarantee."
_IN_ENTRIES = frozenset(
    ("bytes", "sha256", "weights_sha256", "same_first_word", "same_three_words", "contexts", "metrics", "ledger")
)


def is_vouched_for(path: Path) -> bool:
    """Whether head or manifest name a file of the model: without a manifest, files for phones could be anybody's."""
    return path.name in ("weights.npz", "vocab.txt") or path.with_name(MANIFEST).exists()


def copy_model(source: Path, target: Path, weights_sha256: str, evaluation: bool) -> None:
    """The model's files that are to be passed on.

    Args:
        source: folder of the model.
        target: folder for them, there already.
        weights_sha256: of the run's weights, which each file for phones has to be of.
        evaluation: leave in what was measured on people who never train.

    Raises:
        ConfigError, VerificationError: a file is damaged, of other weights, or not what its run writes.
    """
    named = {path.name: path for path in sorted(source.iterdir()) if is_to_pass_on(PurePosixPath("model", path.name))}
    named = {name: path for name, path in named.items() if is_vouched_for(path)}
    manifest = named.pop(MANIFEST, None)
    for of_the_manifest in (SIGNATURE, RELEASE_SIGNATURES):
        named.pop(of_the_manifest, None)
    for path in named.values():
        if path.suffix == ".npz":
            _write_arrays(path, target / path.name)
            continue
        content = read_bytes(path, "a file of the model", VerificationError, MODEL_BYTES)
        if path.name == "test_vectors.json":
            require_own_vectors(path)
        if path.suffix == ".tflite":
            content = _checked_file(path, content, weights_sha256, evaluation)
        write_bytes_atomically(target / path.name, content)
    if manifest is None:
        return
    if evaluation:
        _copy_manifest(manifest, target)
    else:
        facts = {name: {"weights_sha256": weights_sha256} for name in named if name.endswith(".tflite")}
        empty = target / ".nothing-new"
        empty.mkdir()
        place_files(empty, target, facts, tuple(named))
        empty.rmdir()


def _write_arrays(path: Path, target: Path) -> None:
    """The model's weights alone, float32 under their own names: what else a file may hold is nobody's statement.

    The digest is of float32 numbers in a row, so that neither longer ones, whose last bits it does not know, nor other
    names and shapes change it.
    """
    words = read_text(path.with_name("vocab.txt"), "a vocabulary", ConfigError, MODEL_BYTES)
    config = read_config(path.parents[1] / "config.toml", begun=True)
    shape = model_shape(config.model, words.rstrip("\n").count("\n") + 1)
    write_npz_atomically(target, dict(zip(shape.weight_shapes(), read_weights(path, shape), strict=True)))


def _copy_manifest(path: Path, target: Path) -> None:
    """The manifest with its signatures, if it can stay as it is.

    That of an earlier version has a digest of the settings, by which a small seed can be found; and weights that
    another version of NumPy wrote are the same numbers in other bytes.
    """
    entries = read_json_object(path, "a manifest of files")
    for name, entry in entries.items():
        if not _IN_ENTRIES.issuperset(entry):
            raise VerificationError(expected(path, "entries with what an export says of a file", "one with more"))
        if isinstance(entry.get("ledger"), dict):
            entry["ledger"] = for_manifest(entry["ledger"])
        content = read_bytes(target / name, "a file of the model", VerificationError, MODEL_BYTES)
        entry |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    if entries != read_json_object(path, "a manifest of files"):
        write_text_atomically(target / MANIFEST, json.dumps(entries, indent=2) + "\n")
        return
    for name in (MANIFEST, SIGNATURE):
        if path.with_name(name).exists():
            shutil.copyfile(path.with_name(name), target / name)
    if (signatures := path.with_name(RELEASE_SIGNATURES)).exists():  # nothing but signatures, and without their salt
        write_signatures(target / RELEASE_SIGNATURES, read_signatures(signatures), with_salt=False)


def _checked_file(path: Path, file: bytes, weights_sha256: str, evaluation: bool) -> bytes:
    """A file for phones of these weights, whose card is the run's own and says nothing that is to be left out."""
    from client_model.tflite.tflite_metadata import with_metadata, without_metadata
    from simulation.device.model_card import associated_files, read_inside, require_weights

    if path.name not in FILES.values():
        raise VerificationError(expected(path, "a file under a name that an export gives", "another name"))
    card, vocabulary = read_inside(path, file)
    require_weights(path, card, weights_sha256)
    if evaluation and any(name.startswith("baseline_") for name in card["metrics_on_held_out_phones"]):
        raise ConfigError(expected(path, "a card without what counting words reaches", "one of an earlier version"))
    own = own_card(path, card, vocabulary)
    if evaluation:
        require_measured(path, own, card)
        if with_metadata(without_metadata(file), *associated_files(own, vocabulary, metric_table())) != file:
            raise ConfigError(expected(path, "the vocabulary and the card of its run inside it", "something else"))
        return file
    own["metrics_on_held_out_phones"] = dict.fromkeys(own["metrics_on_held_out_phones"])
    own["metrics_are"] = _NOT_MEASURED
    return with_metadata(without_metadata(file), *associated_files(own, vocabulary, metric_table()))
