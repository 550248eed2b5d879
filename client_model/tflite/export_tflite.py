"""The files a phone runs, and the proof that they do what the trained weights do.

| file | content |
|---|---|
| keyboard.tflite | weights in 8 bits, rounded so that errors cancel; products in float; the tied table stored once |
| keyboard_fp16.tflite | weights in 16 bits |
| keyboard_fp32.tflite | as trained |
| keyboard_train.tflite | as trained, and able to learn on the phone |

`keyboard_modules` describes their signatures. Every file is run in the ai-edge-litert interpreter on
held-out text before it replaces anything: an export that disagrees with the trained weights, learns
otherwise than a simulated phone, needs an operator that phones lack, or takes too long for a key press,
fails. The same weights give the same bytes.
"""

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow.lite.python.convert_phase import ConverterError  # has no public name
from threadpoolctl import threadpool_limits

from client_model.learning.cells.base import Cell
from client_model.learning.language_model import ModelShape, Weights, flatten, initial_weights, weights_sha256
from client_model.metrics.keyboard_metrics import TOP1_RECALL, TOP3_RECALL
from client_model.metrics.keystrokes import SUGGESTIONS
from client_model.metrics.table import MetricTable, metric_table
from client_model.text.vocabulary import FIRST_WORD
from client_model.tflite.compensated_rounding import with_compensated_rounding
from client_model.tflite.export_checks import (
    Agreement,
    CheckText,
    DeviceCost,
    DisagreementError,
    ExportError,
    Suggested,
    agreement,
    check_training,
    file_suggestions,
    measure_cost,
    reference_suggestions,
)
from client_model.tflite.export_folder import FILES, place_files
from client_model.tflite.flatbuffer_model import custom_operators
from client_model.tflite.float_products import with_float_products
from client_model.tflite.keyboard_modules import KeyboardModule, LearningKeyboardModule
from client_model.tflite.reference_vectors import reference_vectors
from client_model.tflite.tflite_metadata import AssociatedFile, ModelFacts, with_metadata
from client_model.tflite.tied_table import tie_table
from typefleet.errors import ConfigError, expected
from typefleet.steps import each

DEFAULT_KINDS = ("float32", "int8")
VECTORS = "test_vectors.json"
KEY_PRESS_BUDGET_MS = 20.0
_LOST_POSITIONS = 3  # that a file may lose on a short text, where they are more than the share


class Target(NamedTuple):
    """Least agreement with the trained weights."""

    first: float
    three: float
    lost_recall: float = 1.0  # share of all positions that it may lose to the trained weights, of one word or of three


TARGETS = {
    "float32": Target(0.999, 0.999, 0.0005),
    "float16": Target(0.99, 0.99, 0.001),
    "int8": Target(0.97, 0.95, 0.002),
    "training": Target(0.999, 0.999, 0.0005),
}


@dataclass(frozen=True)
class ExportedFile:
    """One exported file and how it did on the held-out text."""

    kind: str
    path: Path
    size_bytes: int
    agreement: Agreement
    values: dict[str, Any]
    """Metrics by name."""
    cost: DeviceCost


@dataclass(frozen=True)
class Export:
    """What an export wrote."""

    files: list[ExportedFile]
    trained: dict[str, Any] | None = None
    """Metrics of the trained weights themselves on the same text; None without files."""
    metrics: MetricTable = field(default_factory=metric_table)
    """That the values are of."""
    not_written: str | None = None
    """Why a file that one might expect is missing."""
    messages: int = 0
    """Of held-out text that the files were checked on, and the values are of."""


def convert(
    shape: ModelShape, weights: Weights, kinds: Sequence[str] = DEFAULT_KINDS, max_gradient_norm: float = 0.0
) -> dict[str, bytes]:
    """TFLite files by kind.

    Args:
        shape, weights: of the trained model.
        kinds: keys of FILES.
        max_gradient_norm: bound on a gradient of the file that learns, as in training; 0 for none.

    Raises:
        ExportError: a file needs an operator outside the builtin set.
    """
    files: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        if set(kinds) - {"training"}:
            module = KeyboardModule(shape, weights)
            tf.saved_model.save(module, f"{folder}/constant", signatures=module.signatures)
        for kind in each("converting the model", kinds, len(kinds)):
            if kind == "training":
                learning = LearningKeyboardModule(shape, weights, max_gradient_norm)
                tf.saved_model.save(learning, f"{folder}/learning", signatures=learning.signatures)
                files[kind] = _convert(f"{folder}/learning", list(learning.signatures), kind)
            else:
                files[kind] = _convert(f"{folder}/constant", list(module.signatures), kind)
    if "int8" in files:
        rounded = with_compensated_rounding(tie_table(files["int8"]), shape, weights)
        files["int8"] = with_float_products(rounded)
    return files


def _convert(folder: str, signatures: list[str], kind: str) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=signatures)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if kind in ("int8", "float16"):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind == "training":
        converter.experimental_enable_resource_variables = True
    try:
        file: bytes = converter.convert()
    except ConverterError as error:
        missing = sorted(set(re.findall(r"'tf\.(\w+)' op is neither a custom op nor a flex op", str(error))))
        found = ", ".join(missing) or str(error).partition("\n")[0]
        raise ExportError(f"{kind}: expected builtin operators only, found {found}") from error
    _require_builtin_operators(file, kind)
    return file


def _require_builtin_operators(file: bytes, kind: str) -> None:
    if custom := custom_operators(file):
        raise ExportError(f"{kind}: expected builtin operators only, found {', '.join(custom)}")


def check_exportable(cell: Cell) -> None:
    """Convert the smallest model with a cell, before a large one is trained.

    Raises:
        ConfigError: the cell's `step` has an operator that phones lack.
    """
    shape = ModelShape(cell, vocabulary_size=FIRST_WORD + SUGGESTIONS, embedding_size=4, units=4, sequence_length=2)
    try:
        convert(shape, initial_weights(shape, 0), ("float32",))
    except ExportError as error:
        raise ConfigError(f"cell {cell.name!r}: {error}; --engine.no-export trains it all the same") from error


def export_model(
    folder: Path,
    shape: ModelShape,
    weights: Weights,
    text: CheckText,
    kinds: Sequence[str] = DEFAULT_KINDS,
    max_gradient_norm: float = 0.0,
    inside: tuple[ModelFacts, list[AssociatedFile]] | None = None,
    of_the_run: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> Export:
    """Write the files into `folder` once all have passed, and manifest.json with their digests.

    Args:
        folder: for the files.
        shape, weights: of the trained model.
        text: held-out text to check the files on.
        kinds: keys of FILES.
        max_gradient_norm: bound on a gradient of the file that learns, as in training; 0 for none.
        inside: metadata and files to put into each file.
        of_the_run: files in the folder that this was made from, by name: what the manifest shall say of each.

    Raises:
        DisagreementError: a file suggests other words than the weights; files already in the folder stay.
        ExportError: a file fails another check; files already in the folder stay as they are.
    """
    if not text.messages:
        raise ExportError(expected("held-out text", "messages to check the files on", "none"))
    with threadpool_limits(1, user_api="blas"):  # products of one row, for which a second thread is only waited for
        files = convert(shape, weights, kinds, max_gradient_norm)
        reference = reference_suggestions(shape, weights, text)
    if inside is not None:
        files = {kind: with_metadata(file, *inside) for kind, file in files.items()}
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as draft:
        exported = []
        for kind, file in each("checking the files for phones", files.items(), len(files)):
            if kind == "training":
                check_training(file, shape, weights, text.inputs, max_gradient_norm)
            drafted = Path(draft) / FILES[kind]
            drafted.write_bytes(file)
            exported.append(
                _checked(kind, drafted, folder, file_suggestions(file, shape, text), trained=reference, text=text)
            )
        named = {FILES[kind]: file for kind, file in files.items()}
        (Path(draft) / VECTORS).write_text(reference_vectors(named, text.vocabulary), encoding="utf-8")
        digest = weights_sha256(flatten(weights))
        facts = {one.path.name: {"weights_sha256": digest, **manifest_facts(one)} for one in exported}
        place_files(Path(draft), folder, {**facts, **of_the_run}, tuple(of_the_run))
    return Export(exported, reference.values, text.metrics, messages=len(text.messages))


def _checked(
    kind: str, drafted: Path, folder: Path, found: Suggested, *, trained: Suggested, text: CheckText
) -> ExportedFile:
    same, cost, target = agreement(found, trained, text), measure_cost(drafted), TARGETS[kind]
    for share, least, what in ((same.first, target.first, "first word"), (same.three, target.three, "three words")):
        if share < least:
            raise DisagreementError(
                kind,
                f"same {what} as the trained weights: expected {least:.1%} of {same.contexts:,} contexts or more, "
                f"found {share:.2%}",
            )
    lost = max(target.lost_recall, _LOST_POSITIONS / len(found.shown))
    for metric in (TOP1_RECALL, TOP3_RECALL):
        reached, wanted = found.values.get(metric.name), trained.values.get(metric.name)
        if reached is not None and wanted is not None and reached < wanted - lost:
            enough = f"{metric.label} of {metric.text(wanted - lost)} or more"
            raise DisagreementError(kind, f"{expected('held-out text', enough, metric.text(reached))}")
    if cost.p95_ms > KEY_PRESS_BUDGET_MS:
        raise ExportError(
            f"{kind}: expected a key press to take {KEY_PRESS_BUDGET_MS:g} ms or less (95th percentile, one thread), "
            f"found {cost.p95_ms:.1f} ms"
        )
    return ExportedFile(
        kind=kind,
        path=folder / FILES[kind],
        size_bytes=drafted.stat().st_size,
        agreement=same,
        values=found.values,
        cost=cost,
    )


def manifest_facts(file: ExportedFile) -> dict[str, Any]:
    """What manifest.json says of a file besides its size and digest; nothing that differs from export to export."""
    return {
        "same_first_word": file.agreement.first,
        "same_three_words": file.agreement.three,
        "contexts": file.agreement.contexts,
        "metrics": file.values,
    }
