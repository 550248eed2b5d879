"""Export a run's weights for phones, checked on the run's held-out text."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from client_model.metrics.scored_tokens import spelled_lookup
from client_model.text.batches import phone_messages
from client_model.tflite.export_checks import CheckText, DisagreementError
from client_model.tflite.export_folder import FILES, read_private_key, sign_folder
from client_model.tflite.export_tflite import DEFAULT_KINDS, Export, export_model
from simulation.device.model_card import associated_files, model_card
from simulation.files import read_json_object
from simulation.flags import read_config
from simulation.run.directory import RunDirectory, read_weights
from simulation.run.kernel import for_reading
from simulation.run.ledger_head import IN_BRIEF, for_manifest, head_of
from simulation.run.preparation import Prepared, prepare
from simulation.subcommands import command
from typefleet.errors import ConfigError, expected

CHECKED_MESSAGES = 1200
_CHECKED_POSITIONS = 12_000  # about as many; long messages need not be as many as short ones


def held_out_text(prepared: Prepared, most: int = CHECKED_MESSAGES) -> CheckText:
    """The last messages of held-out phones, spread evenly over them as far as they go, each cut to one sequence."""
    spelled = spelled_lookup(prepared.vocabulary, prepared.population)
    per_phone = max(most // max(len(prepared.people_to_score), 1), 1)
    length = prepared.shape.sequence_length
    messages: list[tuple[Any, Any]] = []
    positions = 0
    for phone in prepared.people_to_score:
        last = phone_messages(prepared.population, spelled, int(phone))[-per_phone:]
        messages += [(inputs[:length], targets[:length]) for inputs, targets in last]
        positions += sum(min(len(inputs), length) for inputs, _ in last)
        if len(messages) >= most or positions >= _CHECKED_POSITIONS:
            break
    return CheckText(messages[:most], prepared.vocabulary, prepared.metrics)


def export_run(directory: RunDirectory, prepared: Prepared, kinds: Sequence[str] = DEFAULT_KINDS) -> Export:
    """Write the TFLite files of a run whose weights are on disk.

    Raises:
        ConfigError: the run has no weights yet.
        ExportError: a file failed its check; former files stay.
    """
    weights = read_weights(directory.model / "weights.npz", prepared.shape)
    privacy_path = directory.root / "privacy.json"
    summary = directory.read_summary()
    privacy = read_json_object(privacy_path, "the privacy statement of a run")
    head = head_of(directory.root) if directory.ledger.exists() else None
    if head is not None:
        privacy["ledger"] = {name: head[name] for name in IN_BRIEF}
    try:
        card = model_card(prepared.config, prepared.shape, summary, privacy, prepared.metrics)
    except KeyError as error:
        found = f"no {error.args[0]} in it"
        raise ConfigError(expected(privacy_path, "the privacy statement of a run", found)) from None
    return export_model(
        directory.model,
        prepared.shape,
        weights,
        held_out_text(prepared),
        kinds,
        max_gradient_norm=prepared.config.training.max_gradient_norm,
        inside=associated_files(card, prepared.vocabulary.to_text(), prepared.metrics),
        of_the_run={"weights.npz": {} if head is None else {"ledger": for_manifest(head)}, "vocab.txt": {}},
    )


def export_at_the_end(directory: RunDirectory, prepared: Prepared) -> Export:
    """The default files of a run that has just ended, or the float32 one alone and why, or none if not wanted.

    Where a model has hardly learned, the likeliest words are so nearly equal that 8 bits decide between them; such a
    run has ended well all the same, and its file in 8 bits is not one to ship.

    Raises:
        ExportError: a file failed another check; former files stay.
    """
    if not prepared.config.engine.export:
        return Export(
            [], not_written=f"files for phones: {command('scripts/export_model.py', directory.root)} writes them"
        )
    try:
        return export_run(directory, prepared)
    except DisagreementError as error:
        if error.kind != "int8":
            raise
        return replace(export_run(directory, prepared, ("float32",)), not_written=str(error))


def export_folder(root: Path, key_path: Path | None = None) -> Export:
    """All files, for scripts: everything is read from the run's folder.

    Args:
        root: a run's folder.
        key_path: an Ed25519 private key in PEM to sign the manifest with.

    Raises:
        ConfigError, ExportError: as `export_run`.
        VerificationError: the key cannot be used; nothing was exported.
    """
    key = None if key_path is None else read_private_key(key_path)
    # It trains nothing: a run may be of another machine.
    config = for_reading(read_config(root / "config.toml", begun=True))
    directory = RunDirectory(root)
    export = export_run(directory, prepare(config, of_run=root), tuple(FILES))
    if key is not None:
        sign_folder(directory.model, key)
    return export
