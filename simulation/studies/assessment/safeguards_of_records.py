"""The safeguards of what a run leaves: how it is kept and deleted, who signed, what is on record."""

from collections.abc import Iterator

from simulation.studies.assessment.gathering import FORGOTTEN, SIGNATURES, TRAIL, Gathered
from simulation.studies.assessment.parts import Figure, Safeguard, state_of


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
        Figure(f"days that {name} are kept", days, "days", "the policy: keep_days")
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
    there = run.forgotten is not None
    return Safeguard(
        id="forgetting",
        name="Phones taken out again after they had trained",
        state=state_of(there),
        risk="cannot-delete",
        covers="later releases; what was released before cannot be called back, and its epsilon stays spent",
        figures=(Figure("entries on record", run.forgotten, "lines", FORGOTTEN),) if there else (),
        why=None if there else f"{FORGOTTEN} is not there: nobody asked, or nobody was taken out",
        shown_by=FORGOTTEN,
    )


def _signatures(run: Gathered) -> Safeguard:
    there = SIGNATURES in run.records
    return Safeguard(
        id="signatures",
        name="Signatures of those who answer for a release",
        state=state_of(there),
        risk="unseen-release",
        covers="that they signed; this assessment does not verify the signatures",
        figures=(Figure("signatures file", True, "", SIGNATURES),) if there else (),
        why=None if there else run.why_not(SIGNATURES),
        shown_by=f"{SIGNATURES}, scripts/verify_model.py",
    )


def _trail(run: Gathered) -> Safeguard:
    there = run.trail is not None
    return Safeguard(
        id="audit-trail",
        name="A record of every command on the run",
        state=state_of(there),
        risk="cannot-show",
        covers="what was done with the project's own commands; lines cut off its end are not seen by it alone",
        figures=(Figure("commands on record", run.trail, "lines", TRAIL),) if there else (),
        why=None if there else run.why_not(TRAIL),
        shown_by=TRAIL,
    )
