"""The files a phone runs, and the proof that they do what the trained weights do.

| file | content |
|---|---|
| keyboard.tflite | int8 dynamic range (weights in 8 bits, activations in float), the tied table stored once |
| keyboard_fp16.tflite | weights in 16 bits |
| keyboard_fp32.tflite | as trained |
| keyboard_train.tflite | as trained, and able to learn on the phone |

`keyboard_modules` describes their signatures. Every file is run in the ai-edge-litert interpreter on
held-out text before it replaces anything: an export that disagrees with the trained weights, learns
otherwise than a simulated phone, or needs an operator that phones lack, fails. The same weights give the
same bytes.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from client_model.export_checks import ExportError, check_training, top1_agreement
from client_model.keyboard_modules import KeyboardModule, LearningKeyboardModule
from client_model.language_model import ModelShape, Weights
from client_model.tflite_metadata import AssociatedFile, ModelFacts, with_metadata
from client_model.tied_table import tie_table

FILES = {
    "int8": "keyboard.tflite",
    "float16": "keyboard_fp16.tflite",
    "float32": "keyboard_fp32.tflite",
    "training": "keyboard_train.tflite",
}
DEFAULT_KINDS = ("float32", "int8")
MINIMUM_AGREEMENT = {"float32": 0.999, "float16": 0.99, "int8": 0.95, "training": 0.999}


@dataclass(frozen=True)
class ExportedFile:
    """One exported file and how it did."""

    kind: str
    path: Path
    size_bytes: int
    top1_agreement: float
    positions: int
    sha256: str


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
        for kind in kinds:
            if kind == "training":
                learning = LearningKeyboardModule(shape, weights, max_gradient_norm)
                tf.saved_model.save(learning, f"{folder}/learning", signatures=learning.signatures)
                files[kind] = _convert(f"{folder}/learning", list(learning.signatures), kind)
            else:
                files[kind] = _convert(f"{folder}/constant", list(module.signatures), kind)
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
    file = converter.convert()
    _require_builtin_operators(file, kind)
    return tie_table(file) if kind == "int8" else file


def _require_builtin_operators(file: bytes, kind: str) -> None:
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(file, 0))
    custom = [code.customCode.decode() for code in model.operatorCodes if code.customCode]
    if custom:
        raise ExportError(f"{kind}: expected builtin operators only, found {', '.join(custom)}")


def export_model(
    folder: Path,
    shape: ModelShape,
    weights: Weights,
    sentences: list[NDArray[Any]],
    kinds: Sequence[str] = DEFAULT_KINDS,
    max_gradient_norm: float = 0.0,
    inside: tuple[ModelFacts, list[AssociatedFile]] | None = None,
) -> list[ExportedFile]:
    """Write the files into `folder` once all have passed, and manifest.json with their digests.

    Args:
        folder: for the files.
        shape, weights: of the trained model.
        sentences: held-out text to check the files on, int32 [length] each.
        kinds: keys of FILES.
        max_gradient_norm: bound on a gradient of the file that learns, as in training; 0 for none.
        inside: metadata and files to put into each file.

    Raises:
        ExportError: a file fails its check; files already in the folder stay as they are.
    """
    if not sentences:
        raise ExportError("expected held-out text to check the files on, found none")
    exported: list[ExportedFile] = []
    files = convert(shape, weights, kinds, max_gradient_norm)
    if inside is not None:
        files = {kind: with_metadata(file, *inside) for kind, file in files.items()}
    for kind, file in files.items():
        agreement, positions = top1_agreement(file, shape, weights, sentences)
        if agreement < MINIMUM_AGREEMENT[kind]:
            raise ExportError(
                f"{kind}: expected top-1 agreement >= {MINIMUM_AGREEMENT[kind]:.1%} with the trained weights "
                f"on {positions} positions, found {agreement:.2%}"
            )
        if kind == "training":
            check_training(file, shape, weights, sentences, max_gradient_norm)
        digest = hashlib.sha256(file).hexdigest()
        exported.append(ExportedFile(kind, folder / FILES[kind], len(file), agreement, positions, digest))
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as draft:
        for item in exported:
            (Path(draft) / item.path.name).write_bytes(files[item.kind])
        for item in exported:
            shutil.move(Path(draft) / item.path.name, item.path)
        _write_manifest(folder, Path(draft), exported)
    return exported


def _write_manifest(folder: Path, draft: Path, exported: list[ExportedFile]) -> None:
    """What is in the folder now; files of an earlier export stay listed if they are still those."""
    path = folder / "manifest.json"
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        entries = {}
    for item in exported:
        entries[item.path.name] = {
            "sha256": item.sha256,
            "bytes": item.size_bytes,
            "top1_agreement": item.top1_agreement,
            "positions": item.positions,
        }
    kept = {name: entry for name, entry in sorted(entries.items()) if _digest(folder / name) == entry["sha256"]}
    (draft / path.name).write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    shutil.move(draft / path.name, path)


def _digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None
