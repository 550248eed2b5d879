"""The canary audit with real training: canaries among phones that train, in as many dimensions as the model has.

The play is that of `canaries`, and so are the figures; but most phones are no canaries, and send the updates that their
own training makes of the weights that the round began with. So canaries are looked for in sums of real updates, which
have directions in common, clipping and the server's optimizer see what a run's see, and the last model is one that has
learned. It is played with the noise of the claim, and of a modelled deployment once more with what the run itself has.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from client_model.quiet import import_tensorflow_quietly
from server_strategy.config import CohortConfig
from server_strategy.privacy.plan import PrivacyPlan
from simulation.studies.audits.attack import Attack, Subject
from simulation.studies.audits.canaries import claim_of, figures, not_played, of_the_run_itself, releases_made
from simulation.studies.audits.canary_figures import without_a_claim
from simulation.studies.audits.canary_phones import Canaries
from simulation.studies.audits.canary_play import Observed, as_deployed, play
from simulation.studies.audits.protected_training import ProtectedTraining

_CANARIES, _SHARE = 300, 0.3  # at most; of phones that may become one


def attack(subject: Subject) -> list[Attack]:
    """Carry out the audit.

    Args:
        subject: a run, or settings.

    Raises:
        InputError: settings or files that cannot be used, or no release.
    """
    plan, config = subject.prepared.plan, subject.prepared.config
    if plan.mechanism is None or plan.delta is None:
        return [_named(without_a_claim())]
    if plan.phone_noise is not None:
        return [_named(not_played("the phones add the noise of this run, and those that train here add none"))]
    import_tensorflow_quietly()
    training = ProtectedTraining(subject, subject.prepared.population, "canaries")
    observed = play_among(training, *as_deployed(plan, config.cohort))
    found = list(figures(observed, claim_of(subject, plan, observed)))
    recalls = [_recall(training, observed.last_model)] * len(found)
    if plan.modelled_cohort is not None:
        own = play_among(training, plan, config.cohort)
        found.append(of_the_run_itself(own, plan))
        recalls.append(_recall(training, own.last_model))
    return [_named(one, recall) for one, recall in zip(found, recalls, strict=True)]


def play_among(training: ProtectedTraining, plan: PrivacyPlan, cohort: CohortConfig) -> Observed:
    """Play rounds of the subject's fleet in which some phones are canaries and all others train.

    Args:
        training: by which they do.
        plan, cohort: what is played.

    Raises:
        ConfigError: nothing was released.
    """
    subject, prepared = training.subject, training.prepared
    layers = [int(np.prod(dims)) for dims in training.shape.weight_shapes().values()]
    sizes = layers if plan.clip_scope == "layer" else [sum(layers)]
    return play(
        plan,
        cohort,
        prepared.open_world(),
        Canaries(sizes, _CANARIES, subject.seed, share=_SHARE),
        num_phones=prepared.fleet.num_phones,
        optimizer=prepared.config.server_optimizer,
        most_releases=releases_made(subject, prepared.plan),
        training=training,
    )


def _recall(training: ProtectedTraining, moved: NDArray[np.float32]) -> str:
    recall = training.recall(training.start + moved)
    return "-" if recall is None else f"{100 * recall:.1f} %"


def _named(one: Attack, recall: str | None = None) -> Attack:
    name = one.name.replace("canaries:", "canaries-trained:", 1)
    if recall is None:
        return replace(one, name=name)
    said = f"other phones train; recall of the last model {recall}"
    return replace(one, name=name, why=f"{one.why}; {said}" if one.why else said)
