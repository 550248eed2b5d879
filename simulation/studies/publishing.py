"""Copy out of a run's folder what its privacy guarantee covers, or what is public, and nothing else.

The folder that comes out can be used as a run's: its files can be verified, typed on and built into an app. What
evaluation says is left out of it unless it is asked for, since the people it was made on have no guarantee; a card in
a file for phones is then written anew, and the manifest with it.
"""

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TextIO

from client_model.public_start import PUBLIC_START, RANDOM_START
from client_model.tflite.export_folder import (
    MANIFEST,
    RELEASE_SIGNATURES,
    SIGNATURE,
    read_private_key,
    sign_folder,
    verify_folder,
)
from server_strategy.privacy.statement_noise import noise_source_of
from server_strategy.privacy.statement_together import EARLIER, together_json
from simulation.config import RunConfig
from simulation.files import read_json_object, write_text_atomically
from simulation.flags import read_config
from simulation.run.artefacts import ARTEFACTS, artefact_of
from simulation.run.files_statement import HEADING, WORDS, files_markdown, tellings
from simulation.run.forgotten import require_nothing_pending
from simulation.run.keys import MANIFEST as MANIFEST_KEYS
from simulation.run.keys import MANIFEST_ALONE, STATEMENT
from simulation.run.ledger_head import HEAD
from simulation.run.sources import EVALUATION, Guarantee
from simulation.studies.privacy_check import check_statement
from simulation.studies.privacy_heads import vouches_for_words
from simulation.studies.publishing_inside import GRAPH
from simulation.studies.publishing_lacks import Lack
from simulation.studies.publishing_model import copy_model, is_vouched_for
from simulation.subcommands import PROGRAM
from simulation.tables import console_for
from typefleet.errors import ConfigError, expected, unwritable
from typefleet.untrusted.limits import MODEL_BYTES
from typefleet.untrusted.opening import read_bytes
from typefleet.untrusted.own_json import require_object

_STATEMENT = "privacy.json"
_COMMAND = f"{PROGRAM} check RUN_DIR"  # for whoever has the run's folder, and with it the ledger
_WHAT = "the privacy statement of a run"


class Published(NamedTuple):
    """What was done."""

    files: tuple[str, ...]  # in the new folder
    left_out: tuple[tuple[str, str], ...]  # what, and why
    notes: tuple[str, ...]  # what whoever gets the folder should know


def publish(
    root: Path, target: Path, although: Sequence[Lack] = (), *, evaluation: bool = False, key: Path | None = None
) -> Published:
    """Write a new folder with what may be passed on of a finished run.

    Args:
        root: the run's folder; nothing in it is changed.
        target: the new folder; it appears whole or not at all, with the modes that the umask gives.
        although: what the files are known to lack.
        evaluation: leave in what was measured on people who never train, and the signature with it.
        key: an Ed25519 private key in PEM to sign the new manifest with.

    Raises:
        ConfigError: the folder is there already; the run has not ended, or its statement does not hold for the weights;
            the files lack something.
        VerificationError: a file is not as it was exported, or the key cannot be used.
    """
    _require_new(root, target)
    require_nothing_pending(root, "to publish")
    signer = None if key is None else read_private_key(key)
    privacy = read_json_object(root / _STATEMENT, _WHAT, ("epsilon_is_of", "weights_sha256", "spent", "facts"))
    require_object(privacy["spent"], f"{root / _STATEMENT}: spent", "what a run has spent")
    if not (root / "model" / "weights.npz").is_file():
        raise ConfigError(expected(root, "a finished run", "one without model/weights.npz"))
    words = _origin_of_words(root, privacy)
    lacks = dict(_lacks(privacy, words, read_config(root / "config.toml", begun=True)))
    _require_known(root, lacks, although)
    _require_files(root)
    _require_statement(root)
    draft = target.parent / f".{target.name}-{secrets.token_hex(4)}"
    above = [folder for folder in target.parents if not folder.exists()]  # which are made as well
    try:
        (draft / "model").mkdir(parents=True)
        copy_model(root / "model", draft / "model", privacy["weights_sha256"], evaluation)
        if signer is not None and (draft / "model" / MANIFEST).exists():
            sign_folder(draft / "model", signer)
        _write_statement(root, draft, privacy, words, evaluation)
        files = tuple(sorted(str(path.relative_to(draft)) for path in draft.rglob("*") if path.is_file()))
        _require_new(root, target)  # somebody may have made it since
        draft.rename(target)
    except OSError as error:
        raise ConfigError(unwritable(target, error)) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)  # it is there only if something failed
        for folder in above:
            with suppress(OSError):  # what was published lies in it
                folder.rmdir()
    return Published(files, tuple(_left_out(root, evaluation)), tuple(_notes(root, privacy, lacks, files)))


def _require_new(root: Path, target: Path) -> None:
    if target.exists() or target.is_symlink():
        raise ConfigError(expected(target, "a folder that is not there yet", "it there"))
    if Path(os.path.realpath(target)).is_relative_to(os.path.realpath(root)):  # Path.resolve knows no loops of links
        raise ConfigError(expected(target, f"a folder outside of {root}, which is private", "one in it"))


def _origin_of_words(root: Path, privacy: Mapping[str, Any]) -> str:
    words = privacy.get("vocabulary_from")
    if not isinstance(words, str) or words not in WORDS:
        found = "one of an earlier version, or a damaged one"
        raise ConfigError(expected(root / _STATEMENT, "a statement that says what each file tells", found))
    return words


def _lacks(privacy: Mapping[str, Any], words: str, config: RunConfig) -> Iterator[tuple[Lack, str]]:
    """What the files lack, each with the words for it."""
    if privacy["epsilon_is_of"] == "no privacy":
        yield "no-privacy", "no privacy mechanism"
    else:
        if privacy.get("not_guaranteed") is not None:
            yield "modelled-deployment", f"the guarantee of {privacy['epsilon_is_of']}, which these files do not have"
        if noise_source_of(privacy) == "seeded":
            yield "seeded-noise", "noise that whoever finds the seed can take away"
    if WORDS[words].guarantee is Guarantee.NOT_COVERED:
        yield "vocabulary", f"a vocabulary from {WORDS[words].words}"
    if config.model.init not in (None, PUBLIC_START, RANDOM_START) and not _cost_of_start_is_stated(privacy, config):
        yield "start", _start(privacy, config)


def _cost_of_start_is_stated(privacy: Mapping[str, Any], config: RunConfig) -> bool:
    """Whether what the earlier runs cost is known, and is in the total that stands beneath the headline."""
    others = privacy.get("other_runs")
    if config.model.init_is_public or not isinstance(others, dict):
        return False
    earlier, total = others.get("earlier_runs"), others.get("with_earlier_runs")
    is_known = isinstance(earlier, list) and all(
        isinstance(one, dict) and one.get("known_by") in ("its ledger", "its statement") for one in earlier
    )
    return bool(earlier) and is_known and isinstance(total, dict) and total.get("epsilon") is not None


def _start(privacy: Mapping[str, Any], config: RunConfig) -> str:
    """What is to be known of a start that does not ship with us."""
    others = privacy.get("other_runs")
    if config.model.init_is_public:
        return "a start from weights that are declared to be public, which nobody has checked"
    if not isinstance(others, dict) or not others.get("earlier_runs"):
        return "a start from text that is taken to be public"
    with_it = together_json(others)[EARLIER] or ""
    return (
        f"a start from an earlier run, whose cost is not in that of this run alone ({with_it[:1].lower()}{with_it[1:]})"
    )


def _require_known(root: Path, lacks: Mapping[Lack, str], although: Sequence[Lack]) -> None:
    """Refuse what is lacking without a word said of it.

    Raises:
        ConfigError: something is.
    """
    missing = [one for one in lacks if one not in although]
    if missing:
        found = "; ".join(lacks[one] for one in missing)
        all_the_same = f"--although {' '.join(one for one in lacks)} publishes it all the same"
        raise ConfigError(f"{expected(root, 'a run whose guarantee covers its files', found)}; {all_the_same}")


def _require_statement(root: Path) -> None:
    """Refuse a run whose statement does not hold.

    Raises:
        ConfigError: it does not, or cannot be checked.
    """
    found = StringIO()
    if not check_statement(root, StringIO(), found):
        why = found.getvalue().strip().splitlines()[-1]
        raise ConfigError(expected(root, "a privacy statement that holds for the weights", why))


def _require_files(root: Path) -> None:
    """Refuse a model whose files are not those that manifest or head name.

    Raises:
        ConfigError, VerificationError: they are not, or nothing names the vocabulary.
    """
    if (root / "model" / MANIFEST).exists():
        verify_folder(root / "model", None)
    elif (root / "model" / "vocab.txt").exists() and not vouches_for_words(root):
        what = f"{MANIFEST}, or the vocabulary's digest in {HEAD}, to tell whether it is the run's"
        raise ConfigError(expected(root / "model" / "vocab.txt", what, "neither"))


def _write_statement(root: Path, draft: Path, privacy: dict[str, Any], words: str, evaluation: bool) -> None:
    """The statement of the run, with what the published files tell in the place of what all files tell."""
    here = [one for one in ARTEFACTS if one.tells is STATEMENT or any(draft.glob(one.name))]
    here = [one._replace(by="run") for one in here]
    if not evaluation:  # whose manifest is a new one
        here = [one._replace(tells=MANIFEST_ALONE) if one.tells is MANIFEST_KEYS else one for one in here]
    told = [one for one in tellings(here, privacy, words) if evaluation or one.source != EVALUATION]
    content = {**privacy, "files": [one.as_json() for one in told]}
    page = read_bytes(root / "privacy.md", _WHAT, ConfigError, MODEL_BYTES).decode("utf-8").partition(f"\n{HEADING}")[0]
    command = privacy.get("recompute")
    if isinstance(command, str) and command.startswith(PROGRAM) and command != _COMMAND:  # it names a place
        page = page.replace(command, _COMMAND)
        content["recompute"] = _COMMAND
    section = files_markdown(told, is_own=privacy.get("not_guaranteed") is None).replace(
        HEADING, "## What each published file tells"
    )
    write_text_atomically(draft / _STATEMENT, json.dumps(content, indent=2) + "\n")
    graph = f"\n{GRAPH}\n" if any(draft.glob("model/*.tflite")) else ""
    write_text_atomically(draft / "privacy.md", page + section + graph)


def _left_out(root: Path, evaluation: bool) -> Iterator[tuple[str, str]]:
    """What of the run's folder was not copied, and why."""
    for one in ARTEFACTS:
        if not one.to_pass_on and any(root.glob(one.name.rstrip("/"))):
            outside = dict.fromkeys(p.source.name for p in one.tells if p.source.guarantee is Guarantee.NOT_COVERED)
            yield one.name, ", ".join(outside) or "of no use elsewhere"
    for name in ("privacy_head.json", "privacy_head.sig"):
        if (root / name).exists():
            yield name, "secrets, by a digest of the settings; it is of the run's own statement"
    for path in sorted((*root.glob("*"), *root.glob("model/*"))):
        place = PurePosixPath(path.relative_to(root).as_posix())
        if str(place) != "model" and artefact_of(place) is None:
            yield str(place), "nobody knows what"
        elif place.parts[0] == "model" and len(place.parts) == 2 and not is_vouched_for(path):
            yield str(place), f"without {MANIFEST} nothing says that it is the run's"
    if not evaluation:
        yield "metrics in cards, manifest", "evaluation; --evaluation leaves it in"


def _notes(root: Path, privacy: Mapping[str, Any], lacks: Mapping[Lack, str], files: Sequence[str]) -> Iterator[str]:
    if privacy.get("not_guaranteed") is not None:
        yield str(privacy["not_guaranteed"])
    yield from (f"Published although it has {said}." for name, said in lacks.items() if name != "modelled-deployment")
    others = privacy.get("other_runs")
    if "start" not in lacks and (with_it := together_json(others if isinstance(others, dict) else None)[EARLIER]):
        yield f"{with_it}."
    for name in (SIGNATURE, RELEASE_SIGNATURES):
        if (root / "model" / name).exists() and f"model/{name}" not in files:
            cure = (
                "--sign KEY signs those" if name == SIGNATURE else "--evaluation leaves the files as they were signed"
            )
            yield f"model/{name} is of other files than the published ones; {cure}."


def print_published(stream: TextIO, done: Published, target: Path) -> None:
    """Print what was published, what was left out and why, and what to know of it."""
    console = console_for(stream)
    for note in done.notes:
        console.print(note)
    console.print("Left out, with what each tells that the guarantee does not cover (privacy.md says it in full):")
    for name, why in done.left_out:
        console.print(f"  {name}: {why}")
    console.print(f"{len(done.files)} files in {target}:")
    for name in done.files:
        console.print(f"  {name}")
    if any(name.endswith(".tflite") for name in done.files) and f"model/{SIGNATURE}" not in done.files:
        console.print(GRAPH)
