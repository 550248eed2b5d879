"""Where a run's folder has the head of its ledger, who signed it, and what that vouches for besides the statement.

The head holds the vocabulary as well, and the manifest every file for phones; what neither of them names, or what lies
in the folder of a finished run and should be gone, is said.
"""

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from client_model.tflite.export_folder import MANIFEST, RELEASE_SIGNATURES, SIGNATURE, VerificationError, verify_folder
from simulation.files import read_json_object
from simulation.run.artefacts import artefact_of
from simulation.run.ledger_head import (
    HEAD,
    HEAD_SIGNATURE,
    SETTINGS_DIGEST,
    TRAIL_DIGEST,
    VOCABULARY_DIGEST,
    WITH_EARLIER,
    head_of,
)
from simulation.run.noise_secret import NAME as NOISE_SECRET
from simulation.run.release_document import NOTHING, ends_of_trail
from simulation.run.statement_pages import FACTS
from simulation.studies.privacy_evidence import Evidence
from simulation.studies.privacy_findings import Findings
from typefleet.errors import ConfigError, InputError, expected, unreadable
from typefleet.untrusted.limits import KEY_BYTES, RECORD_BYTES
from typefleet.untrusted.opening import read_bytes

_NOT_THERE = "it is not there"
_IN_THE_HEAD = ("weights.npz", "vocab.txt")  # of the model's files
# Those of earlier versions, or by design.
_MAY_LACK = {
    HEAD: (VOCABULARY_DIGEST, WITH_EARLIER),
    MANIFEST: (VOCABULARY_DIGEST, SETTINGS_DIGEST, WITH_EARLIER),
}


def check_head(found: Evidence, findings: Findings, key: Ed25519PublicKey | None) -> Sequence[str]:
    """The head in its own file and in the manifest, and the signature of either if there is a key.

    Returns:
        The files that the key has signed.
    """
    try:
        head = head_of(found.folder)
    except InputError as error:
        findings.not_checkable(HEAD, f"the run has no head ({type(error).__name__})")
        return []
    places = ((HEAD, HEAD_SIGNATURE, _without_trail), (MANIFEST, SIGNATURE, _head_in_manifest))
    signed = [place[0] for place in places if _check_one_head(found, findings, head, key, place)]
    if signed:
        settings = " and settings" if HEAD in signed else ""
        findings.signed(f"the head of the ledger, with the digest of statement{settings}")
    elif key is not None:
        findings.wrong(HEAD_SIGNATURE, "nothing here is signed by this key")
    return signed


def _without_trail(head: dict[str, Any]) -> dict[str, Any]:
    """What it says of the ledger: of the trail, which has gone on since, it has a line that is held to the trail."""
    return {name: value for name, value in head.items() if name != TRAIL_DIGEST}


def _head_in_manifest(manifest: dict[str, Any]) -> Any:
    entry = manifest.get("weights.npz")
    return entry.get("ledger") if isinstance(entry, dict) else None


def _check_one_head(
    found: Evidence,
    findings: Findings,
    head: dict[str, Any],
    key: Ed25519PublicKey | None,
    place: tuple[str, str, Callable[[dict[str, Any]], Any]],
) -> bool:
    """One file that has the head; whether it is signed by the key."""
    name, signature, part = place
    folder = found.folder / "model" if name == MANIFEST else found.folder
    if not (folder / name).exists():
        findings.not_checkable(name, _NOT_THERE)
        return False
    said = part(read_json_object(folder / name, "the head of a ledger"))
    if said is None and name == MANIFEST:
        findings.not_checkable(name, "it says nothing of the ledger, as those of earlier versions")
        return False
    others = _differing(name, said if isinstance(said, dict) else {}, head)
    if not findings.agree(name, not others, "the head of the ledger", f"another {' and '.join(others)}"):
        return False
    if not (folder / signature).exists():
        return False
    if key is None:
        findings.not_checkable(signature, "give --public-key")
        return False
    try:
        key.verify(
            read_bytes(folder / signature, "a signature", ConfigError, KEY_BYTES),
            read_bytes(folder / name, "what is signed", ConfigError, RECORD_BYTES),
        )
    except InvalidSignature:
        findings.wrong(signature, "no signature by this key")
        return False
    return True


def _differing(name: str, said: dict[str, Any], head: dict[str, Any]) -> list[str]:
    """What a file says otherwise than the head is."""
    others = [one for one in head if said.get(one) != head[one] and (one in said or one not in _MAY_LACK[name])]
    return others + (["key more"] if said.keys() - head.keys() else [])


def require_head(root: Path) -> None:
    """Refuse a run whose privacy_head.json is not the head of its ledger; without one nothing is claimed.

    Args:
        root: of a run that has ended.

    Raises:
        ConfigError, LedgerError: something is missing, or is not what such a run has.
        VerificationError: it is another one.
    """
    if not (root / HEAD).exists():
        return
    said = read_json_object(root / HEAD, "the head of a ledger")
    others = _differing(HEAD, _without_trail(said), head_of(root))
    if said.get(TRAIL_DIGEST, NOTHING) not in ends_of_trail(root):
        others.append(TRAIL_DIGEST)
    if others:
        raise VerificationError(expected(root / HEAD, "the head of the ledger", f"another {' and '.join(others)}"))


def vouches_for_words(folder: Path) -> bool:
    """Whether the head in a run's folder says which vocabulary is its own."""
    return (folder / HEAD).exists() and VOCABULARY_DIGEST in read_json_object(folder / HEAD, "the head of a ledger")


def check_model_files(found: Evidence, findings: Findings, signed: Sequence[str]) -> None:
    """Every file of the model is the one that head or manifest name.

    Args:
        found, findings: of the run.
        signed: what of the two is signed by the key that is asked for.
    """
    model = found.folder / "model"
    listed: dict[str, dict[str, Any]] = {}
    if (model / MANIFEST).exists():
        try:
            listed = verify_folder(model, None)
            claimed = found.statement.get("weights_sha256")
            same = claimed is None or all(one.get("weights_sha256", claimed) == claimed for one in listed.values())
            by = "sizes and digests of all files, and of which weights they are said to be"
            findings.agree(f"model/{MANIFEST}", same, by, "a file that is said to be of other weights")
        except VerificationError as error:
            place, _, why = str(error).removeprefix(f"{found.folder}/").partition(": ")
            findings.wrong(place, why)
            return
    in_the_head = _IN_THE_HEAD if vouches_for_words(found.folder) else _IN_THE_HEAD[:1]
    for path in sorted(model.glob("*")):
        if path.name in (MANIFEST, SIGNATURE, RELEASE_SIGNATURES, *in_the_head) or MANIFEST in signed:
            continue
        why = "nothing says which one is the run's"
        if path.name in listed:
            why = "it is the one of the manifest, and whose that is only a signature says"
        findings.not_checkable(f"model/{path.name}", why)


def require_readable(folder: Path) -> None:
    """Refuse a link in a run's folder that leads nowhere, in the place of a file that a run writes.

    It would be taken for a file that is not there, and what it should hold for not checkable.

    Raises:
        ConfigError: there is one; it names the place.
    """
    for path in sorted((*folder.glob("*"), *folder.glob("model/*"))):
        place = PurePosixPath(path.relative_to(folder).as_posix())
        if not path.is_symlink() or (str(place) != "model" and artefact_of(place) is None):
            continue
        try:
            path.stat()
        except OSError as error:  # a loop, or nothing at its end
            raise ConfigError(unreadable(path, error)) from error


def check_others(found: Evidence, findings: Findings) -> None:
    """What else is in the folder is not ours to say, but that the key of the noise is gone."""
    places = (PurePosixPath(path.relative_to(found.folder).as_posix()) for path in sorted(found.folder.glob("*")))
    facts = found.statement.get(FACTS)
    kept = isinstance(facts, dict) and facts.get("noise_secret_kept") is True
    for place in places:
        is_draft = place.name.startswith(f".{NOISE_SECRET}")  # of its file, which a crash leaves
        if found.ended and (is_draft or (str(place) == NOISE_SECRET and not kept)):
            why = (
                "a run that has ended leaves none without --privacy.keep-noise-secret: noise can be taken away with it"
            )
            findings.wrong(place.name if is_draft else NOISE_SECRET, why)
        elif str(place) != "model" and artefact_of(place) is None and not place.name.startswith("."):
            findings.not_checkable(place.name, "no run writes it, and no statement tells of it")
