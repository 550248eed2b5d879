"""The safeguards of what a run leaves: how it is kept and deleted, who signed, what is on record."""

from collections.abc import Iterator

from simulation.studies.assessment.gathering import FORGOTTEN, SIGNATURES, STATEMENT, TRAIL, Gathered
from simulation.studies.assessment.parts import Figure, Safeguard, state_of

_WORDS = {
    "caches": "tokenised text in the cache",
    "checkpoints": "checkpoints, and the secret of the noise",
    "people": "figures of single people and of small groups",
    "telemetry": "figures of each round, and curves",
    "reports": "reports and this assessment",
}


def safeguards_of_records(run: Gathered) -> Iterator[Safeguard]:
    """One after the other.

    Args:
        run: as it was found.
    """
    yield _encryption(run)
    yield _retention(run)
    yield _forgetting(run)
    yield _signatures(run)
    yield _trail(run)


def _encryption(run: Gathered) -> Safeguard:
    figures: tuple[Figure, ...] = ()
    is_on = run.needed is not None or run.shredded
    if run.needed is not None:
        figures = (Figure("fingerprint of the storage key", run.needed.fingerprint, "", "storage_key.json"),)
    elif run.shredded:
        figures = (Figure("the key", "erased: what was encrypted can be read by nobody", "", "deletions.jsonl"),)
    return Safeguard(
        id="encryption",
        name="Encryption at rest",
        state=state_of(is_on),
        risk="disk",
        covers="checkpoints, the noise's secret, counts of single phones, tokenised text; not what a report says, nor "
        "memory, nor the file of messages itself",
        figures=figures,
        why=None if is_on else "there is no key: checkpoints, counts of single phones and tokenised text are plain",
        shown_by="storage_key.json, scripts/shred.py",
    )


def _retention(run: Gathered) -> Safeguard:
    policy = run.policy
    figures = tuple(
        Figure(f"{_WORDS.get(name, name)}: kept for", days, "days", f"the policy: keep_days.{name}")
        for name, days in (policy or {}).items()
    )
    deleted = Figure("deletions on record", len(run.deletions), "lines", "deletions.jsonl")
    return Safeguard(
        id="retention",
        name="A policy of what is kept for how long",
        state=state_of(policy is not None),
        risk="kept-too-long",
        covers="the files of the run and of the cache; the model and what its privacy statement stands on always stay",
        figures=(*figures, deleted),
        why=None if policy is not None else "no policy was handed in (--policy)",
        shown_by="scripts/retain.py, deletions.jsonl",
    )


def _forgetting(run: Gathered) -> Safeguard:
    found = run.forgotten
    figures: tuple[Figure, ...] = ()
    why = f"{FORGOTTEN} is not there: nobody asked, or nobody was taken out"
    if found is not None:
        figures = (
            Figure("requests on record", found.times, "requests", FORGOTTEN),
            Figure("phones that they name", found.phones, "phones", FORGOTTEN),
            run.figure("phones that were taken out", "phones", STATEMENT, "forgotten.phones"),
            run.figure("models that were released before", "models", STATEMENT, "forgotten.earlier_releases"),
        )
    return Safeguard(
        id="forgetting",
        name="Phones taken out again after they had trained",
        state=state_of(found is not None and found.pending is None),
        risk="cannot-delete",
        covers="later releases; what was released before cannot be called back, and its epsilon stays spent",
        figures=figures,
        why=why if found is None else found.pending,
        shown_by="scripts/forget.py, privacy.md (Forgotten phones)",
    )


def _signatures(run: Gathered) -> Safeguard:
    found = run.signing
    figures: tuple[Figure, ...] = ()
    if found is not None:
        figures = (
            Figure("roles that signed", ", ".join(found.signed) or "none", "", SIGNATURES),
            Figure(
                "verified and of what is here: who, in which role", ", ".join(found.holders) or "none", "", SIGNATURES
            ),
        )
    return Safeguard(
        id="signatures",
        name="Signatures of those who answer for a release",
        state=state_of(found is not None and found.why is None),
        risk="unseen-release",
        covers="that they saw the statement and signed what is here; not what they made of it",
        figures=figures,
        why=run.why_not(SIGNATURES) if found is None else found.why,
        shown_by=f"{SIGNATURES}, scripts/sign_off.py, scripts/verify_model.py",
    )


def _trail(run: Gathered) -> Safeguard:
    found = run.trail
    figures: tuple[Figure, ...] = ()
    if found is not None:
        figures = (
            Figure("commands on record", found.commands, "commands", TRAIL),
            Figure("of them, without an end", found.without_end, "commands", TRAIL),
            Figure("notes that ask for a look", found.notes, "notes", TRAIL),
        )
    return Safeguard(
        id="audit-trail",
        name="A record of every command on the run",
        state=state_of(found is not None and found.wrong is None),
        risk="cannot-show",
        covers="what was done with the project's own commands; lines cut off its end are seen only by a head that was "
        "kept elsewhere",
        figures=figures,
        why=run.why_not(TRAIL) if found is None else found.wrong,
        shown_by="scripts/check_trail.py",
    )
