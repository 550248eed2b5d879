"""Everything that a run's folder can have in it: what it tells of the phones, and whether it is to be passed on.

The folder itself can be entered by its owner alone, and so can every folder in it that is private; private files are
readable by their owner alone. What is meant to be passed on is the model's folder and the privacy statement;
`simulation.studies.publishing` copies them out. No label of a phone is in them and no seed. What this table does not
name is private, and counts as not covered by the guarantee. `simulation.run.keys` has the keys of each file.
"""

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple, TypeAlias

from server_strategy.privacy.config import PHONES
from simulation.config import RunConfig
from simulation.run.keys import (
    ASSESSMENT,
    AUDIT,
    CARD,
    CENTRAL,
    CHECKPOINTS,
    CONFIG,
    CURVES,
    HEAD,
    HELD_OUT_PHONES,
    LEDGER,
    MANIFEST,
    PARTICIPATION,
    PERSONALISATION,
    RECEIVED,
    RECEIVED_NOISED,
    RECEIVED_SUMS,
    RELEASE_SIGNATURES,
    ROUNDS,
    STATEMENT,
    SUMMARY,
    TRAIL,
    VECTORS,
)
from simulation.run.sources import (
    CHECKED,
    COST,
    COUNTED,
    FILE_OF_TEXT,
    ONE_PHONE,
    RELEASES,
    SECRETS,
    SETTINGS,
    SMALL_GROUPS,
    TRAINED_TEXT,
    VOCABULARY,
    Keys,
)
from typefleet.errors import ConfigError, expected, said_by_system
from typefleet.private_files import close_to_others

By: TypeAlias = Literal[
    "run", "each", "sums", "noised", "export", "report", "central", "tracker", "store", "secret", "storage", "script"
]
"""Who writes it: every run, a run by its settings (`each`, `sums`, `noised`: by what the server is told), or a
script that is called later, if at all."""


class Artefact(NamedTuple):
    """A file, or a folder with all that is in it."""

    name: str  # in the run's folder; may have * in it, and a folder ends with /
    holds: str
    tells: Sequence[Keys]  # what of the phones, the worst first
    to_pass_on: bool = False
    by: By = "run"


_OUTCOME = tuple(row._replace(names=tuple(f"outcome[/.]{name}" for name in row.names)) for row in SUMMARY)
_CARD = tuple(row._replace(holds=f"in its card: {row.holds}") for row in CARD)

ARTEFACTS = (
    Artefact("model/weights.npz", "the trained weights", (Keys((), "the weights", RELEASES),), to_pass_on=True),
    Artefact("model/vocab.txt", "the vocabulary", (Keys((), "the vocabulary", VOCABULARY),), to_pass_on=True),
    Artefact(
        "model/keyboard*.tflite",
        "files for phones, with vocabulary and model card inside",
        (
            Keys((), "the vocabulary", VOCABULARY),
            Keys((), "that it was written", CHECKED),
            *_CARD,
            Keys((), "the weights", RELEASES),
        ),
        to_pass_on=True,
        by="export",
    ),
    Artefact(
        "model/manifest.json",
        "sizes and digests of the model's files, and how they do",
        MANIFEST,
        to_pass_on=True,
        by="export",
    ),
    Artefact(
        "model/manifest.sig",
        "the signature of the manifest",
        (Keys((), "a signature of digests", RELEASES),),
        to_pass_on=True,
        by="script",
    ),
    Artefact(
        "model/release_signatures.json",
        "signatures of the release, by role",
        RELEASE_SIGNATURES,
        to_pass_on=True,
        by="script",
    ),
    Artefact(
        "model/test_vectors.json",
        "what the files suggest after sentences of ours",
        VECTORS,
        to_pass_on=True,
        by="export",
    ),
    Artefact("privacy.md", "the privacy statement for people", STATEMENT, to_pass_on=True),
    Artefact("privacy.json", "the privacy statement for programs", STATEMENT, to_pass_on=True),
    Artefact("privacy_head.json", "the head of the ledger, which a signature is of", HEAD, to_pass_on=True),
    Artefact(
        "privacy_head.sig",
        "the signature of the head",
        (Keys((), "a signature of digests", COST),),
        to_pass_on=True,
        by="script",
    ),
    Artefact(
        "release_signatures.json",
        "signatures of the run by role, with the salt of the digests of private files",
        RELEASE_SIGNATURES,
        by="script",
    ),
    Artefact("summary.json", "the outcome in numbers, what counting words reaches among them", SUMMARY),
    Artefact("config.toml", "the settings, and among them the seed, with which seeded noise can be taken away", CONFIG),
    Artefact(
        "rounds.jsonl", "exact sums of each round, and labels of phones whose work failed or was rejected", ROUNDS
    ),
    Artefact("rounds.parquet", "the same as a table", ROUNDS),
    Artefact(
        "report.html",
        "all that the run came to, as one page, with groups of phones of which some may be small",
        (
            Keys((), "curves of loss and tokens", TRAINED_TEXT),
            Keys((), "the metrics, of groups and with intervals", SMALL_GROUPS),
            Keys((), "what counting words reaches", COUNTED),
        ),
        by="report",
    ),
    Artefact("privacy_ledger.jsonl", "labels of the phones that took part in each release", LEDGER),
    Artefact("audit_trail.jsonl", "every command on the run, when and by whom", TRAIL),
    Artefact(
        "storage_key.json",
        "the key of what the run keeps encrypted, wrapped by the storage key; only with --storage.key",
        (Keys((), "the wrapped key, which needs the storage key", SECRETS),),
        by="storage",
    ),
    Artefact(
        "noise_secret",
        "the key of the noise, which can be taken away with it; erased when the run ends",
        (Keys((), "the key of all noise: with it each release is an exact sum", SECRETS),),
        by="secret",
    ),
    Artefact(
        "checkpoints/", "the state of the noise, the salt of the labels, how often each phone took part", CHECKPOINTS
    ),
    Artefact("held_out.parquet", "what was counted on each held-out phone", HELD_OUT_PHONES),
    Artefact("participation.json", "who took part, in groups of which some may be small", PARTICIPATION),
    Artefact("central.json", "what the same model reaches without privacy", CENTRAL, by="central"),
    Artefact("audit.json", "what attacks on the run came to", AUDIT, by="script"),
    Artefact(
        "audit.html",
        "the same as a page, for a reader who signs",
        (
            Keys((), "what attacks come to, of phones that trained among them", TRAINED_TEXT),
            Keys((), "for which groups of people the keyboard is worse", SMALL_GROUPS),
        ),
        by="script",
    ),
    Artefact(
        "assessment.json",
        "the data protection impact assessment, in figures",
        ASSESSMENT,
        by="script",
    ),
    *(
        Artefact(
            name, f"the same {form}", (Keys((), "figures of who trained, and of groups", SMALL_GROUPS),), by="script"
        )
        for name, form in (("assessment.html", "as a page"), ("assessment.md", "as Markdown"))
    ),
    Artefact(
        "words_told.png",
        "what updates tell of words",
        (Keys((), "shares of words, recovered from phones that trained", TRAINED_TEXT),),
        by="script",
    ),
    Artefact(
        "memorisation.png",
        "what the exported file remembers of secrets",
        (Keys((), "exposure of sentences, in models of phones that trained", TRAINED_TEXT),),
        by="script",
    ),
    Artefact(
        "memorisation_groups.png",
        "whose secrets a model remembers",
        (Keys((), "exposure of sentences by group, in models of phones that trained", TRAINED_TEXT),),
        by="script",
    ),
    Artefact(
        "membership.png",
        "how well models tell who took part",
        (Keys((), "rates over people, in models of phones that trained", TRAINED_TEXT),),
        by="script",
    ),
    Artefact(
        "poison.png",
        "what phones of an attacker reach, under each defence",
        (Keys((), "ranks and recall, in models of phones that trained", TRAINED_TEXT),),
        by="script",
    ),
    Artefact(
        "personalisation.json",
        "what held-out phones gain, in groups of which some may be small",
        PERSONALISATION,
        by="script",
    ),
    Artefact(
        "personalisation.png",
        "a dot for each held-out phone",
        (Keys((), "the gain of each phone", ONE_PHONE),),
        by="script",
    ),
    Artefact("tensorboard/", "curves of the exact sums, and the settings", CURVES, by="tracker"),
    Artefact("mlflow/", "the same for MLflow, with the outcome in numbers", (*CURVES, *_OUTCOME), by="tracker"),
    Artefact(
        "wandb/", "the same for Weights & Biases, with the outcome in numbers", (*CURVES, *_OUTCOME), by="tracker"
    ),
    Artefact(
        "deletions.jsonl",
        "what of the run was deleted, when and why",
        (Keys((), "names of files and dates", SETTINGS),),
        by="script",
    ),
    Artefact(
        "forgotten.jsonl",
        "which phones are never let in again, by labels of their own",
        (Keys((), "digests of user ids, and the salt that they are made with", ONE_PHONE),),
        by="script",
    ),
    Artefact(".lock", "the process at work on the run", (Keys((), "the number of a process", SETTINGS),)),
)
# What depends on phones and lies elsewhere, or nowhere but in memory.
BESIDE = (
    Artefact("the server's memory", "what hosts answer in each round", RECEIVED, by="each"),
    Artefact(
        "the server's memory with --aggregation.protocol",
        "what hosts answer in each round: sums over phones alone",
        RECEIVED_SUMS,
        by="sums",
    ),
    Artefact(
        "the server's memory with --privacy.noise-place phones",
        "what hosts answer in each round: sums over phones alone, with the phones' noise in those of updates",
        RECEIVED_NOISED,
        by="noised",
    ),
    Artefact(
        "what the run prints",
        "loss, tokens and metrics of each round",
        (Keys((), "loss and tokens", TRAINED_TEXT), Keys((), "the metrics, and what counting reaches", COUNTED)),
    ),
    Artefact(
        "the cache of files of messages",
        "the text itself, by numbers of words, for later runs; on machines of a cluster until the rounds have ended; "
        "show_cache.py empties it",
        (Keys((), "all text of the file, and digests of user ids", FILE_OF_TEXT),),
    ),
    Artefact("a store of MLflow elsewhere", "curves, settings and outcome", (*CURVES, *_OUTCOME), by="store"),
    Artefact(
        "Ray's folder in /tmp",
        "messages between server and hosts, until the run ends",
        (Keys((), "sums of updates before the noise", ONE_PHONE),),
    ),
)


def artefacts_of(config: RunConfig, root: Path) -> list[Artefact]:
    """What a run with these settings leaves when it has ended, in its folder and beside it.

    Args:
        config: of the run.
        root: its folder, for the secret of the noise, which is erased at the end unless it is to be kept.
    """
    by = {"run", *(("export",) if config.engine.export else ()), *(("report",) if config.engine.report else ())}
    by |= {"central"} if config.evaluation.central else set()
    by |= {"secret"} if any((root / one.name).exists() for one in ARTEFACTS if one.by == "secret") else set()
    is_noised = config.privacy.noise_place == PHONES
    by |= {"noised" if is_noised else "sums" if config.aggregation.is_summed else "each"}
    by |= {"storage"} if config.storage.key is not None else set()
    by |= {"store"} if config.tracking.mlflow_store is not None else set()
    trackers = {f"{name}/" for name in config.tracking.trackers}
    return [one for one in (*ARTEFACTS, *BESIDE) if one.by in by or one.name in trackers]


def artefact_of(path: PurePosixPath) -> Artefact | None:
    """The row of a path, relative to the run's folder; None if there is none, and it is private."""
    return next((one for one in ARTEFACTS if _is_named(path, one.name)), None)


def _is_named(path: PurePosixPath, name: str) -> bool:
    if name.endswith("/"):
        return path.parts[:1] == (name[:-1],)
    return fnmatchcase(str(path), name) and len(path.parts) == name.count("/") + 1


def is_to_pass_on(path: PurePosixPath) -> bool:
    """Whether a path, relative to the run's folder, is meant for others; a draft never is."""
    if str(path) == "model":
        return True
    found = artefact_of(path)
    return found is not None and found.to_pass_on and not path.name.startswith(".")


def keep_private(root: Path) -> None:
    """Close a run's folder to others, and what is private in it, whoever wrote it with what umask.

    Raises:
        ConfigError: something is open to others, and is not ours to close.
    """
    try:
        close_to_others(root)
        for path in _all_in(root):
            if not is_to_pass_on(PurePosixPath(path.relative_to(root).as_posix())):
                close_to_others(path)
    except OSError as error:
        what = "files that can be kept from others"
        raise ConfigError(expected(root, what, said_by_system(error))) from error


def _all_in(folder: Path) -> Iterator[Path]:
    """Files and folders; links are left alone, and what they lead to."""
    for place, folders, files in os.walk(folder):
        found = (Path(place) / name for name in (*folders, *files))
        yield from (path for path in found if not path.is_symlink())
