"""Who took part in a run? Asked of the model that it released, and of the file that phones run.

Members are phones of which the run counted a participation, others the people that it held out. Both were drawn by
chance from the same people, but members are whom the fleet's habits brought, and the vocabulary is made of people like
them: what the starting weights, which know nobody, tell of the same question says how far the two differ in more than
membership. Shadow models are trained on both together, once each; a run's members took part several times.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import generator
from client_model.learning.language_model import flatten
from server_strategy.state import StateError, branch, leaf
from simulation.run.checkpoint import CheckpointError, load_newest_checkpoint
from simulation.run.directory import RunDirectory, read_weights
from simulation.studies.audits.attack import Attack, Subject
from simulation.studies.audits.membership_scores import EpsilonDelta
from simulation.studies.audits.membership_shadows import (
    COHORT,
    LOSS,
    SHADOWS,
    in_rounds,
    scores_of,
    trained_shadows,
)
from simulation.studies.audits.membership_told import Inferred, Told, figures_of, inferred, unmeasured
from simulation.studies.audits.protected_training import ProtectedTraining
from typefleet.errors import expected
from typefleet.steps import step

RUN, FILE, START = "the run's model", "the run's file in 8 bits", "the starting weights"
_FEWEST = 20  # members, and others
_TOLD = Told(
    attacker="whoever has the model that the run released, and people's texts",
    sees="the final weights and the starting ones",
    assumes="people whom the run held out differ from its members in nothing but that",
    limit=None,
    limit_is="none: nothing was measured",
)


def membership_of_run(
    training: ProtectedTraining, run_dir: Path, *, rounds: int, shadows: int
) -> tuple[list[Inferred], list[Attack]]:
    """(all figures, and those of the best-informed score as attacks).

    Args:
        training: on the run's people.
        run_dir: its folder.
        rounds: of a shadow model, at most.
        shadows: number of such models.
    """
    subject = training.subject
    try:
        members = members_of(subject, run_dir)
    except CheckpointError as error:
        return [], [unmeasured(f"membership: {RUN}", _TOLD, str(error))]
    others = subject.prepared.held_out_phones
    few = min(len(members), len(others), len(members) + len(others) - COHORT)
    if few < _FEWEST:
        why = (
            f"{len(members)} members and {len(others)} others, too few of {_FEWEST} each, and {COHORT + _FEWEST} in all"
        )
        return [], [unmeasured(f"membership: {RUN}", _TOLD, why)]
    rng = generator(subject.seed, "members of a run and others")
    others = rng.permutation(others)[: rounds * COHORT // 2]
    people = np.concatenate([others, rng.permutation(members)[: rounds * COHORT - len(others)]])
    order = in_rounds(rng.permutation(people), rounds)
    is_member = np.isin(order.ravel(), members)
    found = list(_inferred(training, run_dir, order, is_member, shadows))
    told = _told(subject, run_dir, found)
    attacks = [
        attack for one in found if one.score == SHADOWS for attack in figures_of(f"membership: {one.model}", one, told)
    ]
    return found, attacks


def members_of(subject: Subject, run_dir: Path) -> NDArray[np.int64]:
    """Phones that took part in a release of a run, as its checkpoint counts them: int64 ids.

    Args:
        subject: the run.
        run_dir: its folder.

    Raises:
        CheckpointError: the run kept no checkpoint that can be used.
    """
    stored, _ = load_newest_checkpoint(RunDirectory(run_dir).checkpoints)
    phones = len(subject.prepared.digests)
    try:
        counts = leaf(branch(branch(stored.state, "strategy"), "participation"), "counts")
    except StateError as error:
        raise CheckpointError(expected(stored.path, "how often each phone took part", "nothing of it")) from error
    if counts.shape != (phones,):
        raise CheckpointError(expected(stored.path, f"participations of {phones} phones", f"of {counts.size}"))
    return np.flatnonzero(counts > 0)


def _inferred(
    training: ProtectedTraining, run_dir: Path, order: NDArray[np.int64], is_member: NDArray[np.bool_], shadows: int
) -> Iterator[Inferred]:
    """Figures of the starting weights, of the final ones and, unless in haste, of the file."""
    people = order.ravel()
    weights = read_weights(RunDirectory(run_dir).model / "weights.npz", training.shape)
    with step("looking for members of the run", total=shadows + 1) as looking:
        others = trained_shadows(training, order, shadows, looking.advance)
        start = training.losses(training.start, people)
        yield inferred(START, LOSS, -start, is_member)
        recall, limit = training.recall(flatten(weights)), _limit_of(training.subject, run_dir)
        by_model = {RUN: training.losses(flatten(weights), people)}
        if not training.subject.quick:
            by_model[FILE] = training.losses_of_file(weights, people)
        for model, losses in by_model.items():
            for name, score in scores_of(losses, start, others).items():
                yield inferred(model, name, score, is_member, limit=limit, recall=recall)
        looking.advance()


def _limit_of(subject: Subject, run_dir: Path) -> EpsilonDelta | None:
    summary = RunDirectory(run_dir).read_summary()
    if subject.prepared.plan.modelled_cohort is not None or summary.epsilon is None or summary.delta is None:
        return None
    return EpsilonDelta(summary.epsilon, summary.delta)


def _told(subject: Subject, run_dir: Path, found: Sequence[Inferred]) -> Told:
    plan, summary = subject.prepared.plan, RunDirectory(run_dir).read_summary()
    limit = _limit_of(subject, run_dir)
    limit_is = f"none: what is claimed is of {plan.epsilon_is_of}, and not of the run"
    if limit is not None:
        limit_is = "what the epsilon and delta that the run claims allow"
    elif summary.epsilon is None:
        limit_is = "none: the run claims no epsilon"
    apart = next(one.area.mean for one in found if one.model == START)
    by_score = "; ".join(f"{one.score} {one.area.mean:.3f}" for one in found if one.model == RUN)
    why = f"by {SHADOWS}; AUC of each score: {by_score}; of the starting weights, which know nobody: {apart:.3f}"
    return replace(_TOLD, limit=limit, limit_is=limit_is, why=why)
