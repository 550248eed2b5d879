"""Who took part? Asked by somebody who has the released model and a person's text.

Phones train in rounds from the run's starting weights (`protected_training`), each planned in one round of forty; a
coin says whether it is in: one that is out sends zeros, as a canary does, and every sum is divided by twenty whatever
the coins say. Members and others are so the same kind of people, drawn by chance, and a claim about one participation
is exactly about the coin. The final model of each protection is asked for its loss on each person's text, which makes
three scores (`membership_shadows`). The attacker of the best of them trains models as the run does, and so knows
everybody's text, and who is planned in which round.

On a run its own released model is attacked as well (`membership_of_run`).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from client_model.keyed_random import generator
from client_model.quiet import import_tensorflow_quietly
from server_strategy.privacy.plan import PrivacyPlan
from simulation.studies.audits.attack import Attack, Subject
from simulation.studies.audits.membership_of_run import membership_of_run
from simulation.studies.audits.membership_scores import GaussianNoise
from simulation.studies.audits.membership_shadows import (
    COHORT,
    GOAL,
    SHADOWS,
    in_rounds,
    scores_of,
    trained_shadows,
)
from simulation.studies.audits.membership_told import Inferred, Told, figures_of, inferred, unmeasured
from simulation.studies.audits.protected_training import ProtectedTraining
from simulation.studies.audits.update_sums import DEPLOYMENT, SIMULATION, protections_of
from typefleet.steps import step

_FEWEST = 2 * COHORT  # phones


@dataclass(frozen=True)
class Effort:
    """How much is trained."""

    rounds: int  # at most
    shadows: int  # models, an even number: of two each person is in one

    @staticmethod
    def of(quick: bool) -> "Effort":
        """Of an audit that is quick, or not."""
        return Effort(6, 2) if quick else Effort(60, 8)


def membership(subject: Subject) -> Sequence[Attack]:
    """Ask models of each protection, and of a run its own, who took part; see the module.

    Args:
        subject: what is attacked.
    """
    phones = len(subject.prepared.training_phones)
    if phones < _FEWEST:
        return [unmeasured("membership", _TOLD, f"too few phones train: {phones}, and {_FEWEST} are needed")]
    import_tensorflow_quietly()
    training, effort = ProtectedTraining(subject, subject.prepared.population, "membership"), Effort.of(subject.quick)
    found = infer(training, effort)
    attacks = as_attacks(found, subject)
    if subject.run_dir is not None:
        own, told = membership_of_run(training, subject.run_dir, rounds=effort.rounds, shadows=effort.shadows)
        found, attacks = [*found, *own], [*attacks, *told]
    return [replace(attacks[0], details={"inferred": [asdict(one) for one in found]}), *attacks[1:]]


def infer(training: ProtectedTraining, effort: Effort) -> list[Inferred]:
    """The figures of every protection and score.

    Args:
        training: on people of whom eighty or more train.
        effort: how much is trained.
    """
    subject, prepared = training.subject, training.subject.prepared
    drawn = generator(subject.seed, "phones that may take part").permutation(prepared.training_phones)
    order = in_rounds(drawn, effort.rounds)
    phones = order.ravel()
    protections, found = protections_of(prepared.plan), []
    with step("looking for members", total=len(protections) + effort.shadows) as looking:
        start = training.losses(training.start, phones)
        shadows = trained_shadows(training, order, effort.shadows, looking.advance)
        is_in = generator(subject.seed, "coin of a member").random(len(phones)) < 0.5
        for protection in protections:
            flat = training.trained(order, protection, sends=is_in.reshape(order.shape), goal=GOAL)
            scores = scores_of(training.losses(flat, phones), start, shadows)
            limit, recall = limit_of(protection.name, prepared.plan), training.recall(flat)
            found += [
                inferred(protection.name, name, score, is_in, limit=limit, recall=recall)
                for name, score in scores.items()
            ]
            looking.advance()
    return found


def limit_of(protection: str, plan: PrivacyPlan) -> GaussianNoise | None:
    """What no attack on one participation does better than; None without noise that is meant for so few phones.

    Args:
        protection: its name.
        plan: of the run.
    """
    if protection != DEPLOYMENT or plan.noise_multiplier is None:
        return None
    return GaussianNoise(1 / plan.noise_multiplier)


_TOLD = Told(
    attacker="whoever has the model, and people's texts",
    sees="the final weights and the starting ones",
    assumes="members and others are people of the same kind",
    limit=None,
    limit_is="none: nothing was promised of a model without noise",
)


def as_attacks(found: Sequence[Inferred], subject: Subject) -> list[Attack]:
    """Four figures of the best-informed score under each protection.

    Args:
        found: all figures.
        subject: what was attacked.
    """
    return [
        attack
        for one in found
        if one.score == SHADOWS
        for attack in figures_of(f"membership: {one.model}", one, _told(one, found, subject))
    ]


def _told(one: Inferred, found: Sequence[Inferred], subject: Subject) -> Told:
    """What is said of one model, and what it is held to: one participation in one release, whatever the mechanism."""
    plan, told = subject.prepared.plan, _TOLD
    if one.model == SIMULATION:
        told = replace(told, limit_is=f"none: the noise is that of {plan.epsilon_is_of}")
    elif (limit := limit_of(one.model, plan)) is not None:
        told = replace(told, limit=limit, limit_is="what noise of this size allows of one participation")
    by_score = "; ".join(f"{each.score} {each.area.mean:.3f}" for each in found if each.model == one.model)
    recall = "-" if one.recall is None else f"{100 * one.recall:.1f} %"
    return replace(
        told,
        assumes=f"{one.members + one.others} people, {one.members} of whom took part once, by the toss of a coin",
        why=f"by {one.score}; AUC of each score: {by_score}; recall of the model {recall}",
    )
