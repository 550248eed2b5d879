"""The canary audit: what the releases of one run tell of phones whose updates are known to be in them, or not.

The run's fleet, cohorts, separation, clipping, mechanism and server step are played again; every phone that takes part
is a canary (`canary_phones`), and nothing is trained. Five figures come of it (`canary_figures`), each an epsilon at
the claim's delta:

* all releases: estimated from the filter's scores (`canary_scores`, `gaussian_estimate`);
* the last model alone, estimated as well;
* at least, against (epsilon, delta), and against the Gaussian trade-off: bounds that hold whatever the scores
  (`one_run`);
* a lone canary against everybody (`lone_canary`), of one participation.

The epsilon of a modelled deployment is claimed of that deployment, so its noise is what is attacked; of the run itself,
which has a small part of that noise, one figure more says what it tells. Where phones add the noise, the phones of the
audit do, each its share by the run's own code.
"""

from dataclasses import dataclass, replace

from server_strategy.config import CohortConfig
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.privacy.planning import make_privacy_plan
from simulation.run.directory import RunDirectory
from simulation.studies.audits.attack import BY_ITSELF, Attack, Subject
from simulation.studies.audits.canary_figures import Claim as Claim
from simulation.studies.audits.canary_figures import alone as alone
from simulation.studies.audits.canary_figures import figures as figures
from simulation.studies.audits.canary_figures import nothing_alone, without_a_claim
from simulation.studies.audits.canary_phones import Canaries
from simulation.studies.audits.canary_play import Observed, as_deployed, play
from simulation.studies.audits.canary_scores import ROWS_A_RELEASE
from simulation.studies.audits.lone_canary import play_alone
from simulation.world.aggregation_settings import assumptions_of, phones_add
from typefleet.errors import ConfigError, InputError, expected


@dataclass(frozen=True)
class Effort:
    """How much is played.

    Attributes:
        canaries: at most.
        dimension: weights of an update, at least.
        lone_rounds: rounds with one canary.
    """

    canaries: int
    dimension: int
    lone_rounds: int

    @staticmethod
    def of(quick: bool) -> "Effort":
        """Of an audit that is quick, or not."""
        return Effort(1000, 8192, 256) if quick else Effort(3000, 16_384, 512)


def attack(subject: Subject) -> list[Attack]:
    """Carry out the audit.

    Args:
        subject: a run, or settings.

    Raises:
        InputError: settings or files that cannot be used, or no release.
    """
    plan, config = subject.prepared.plan, subject.prepared.config
    if plan.mechanism is None or plan.delta is None:
        return [without_a_claim()]
    effort = Effort.of(subject.quick)
    if plan.phone_noise is not None:
        return _with_phones_noise(subject, effort)
    deployed, cohort = as_deployed(plan, config.cohort)
    observed = _play(subject, deployed, cohort, effort)
    claim = claim_of(subject, plan, observed)
    found = list(figures(observed, claim))
    found.append(_alone(subject, claim.delta, effort))
    if plan.modelled_cohort is not None:
        found.append(of_the_run_itself(_play(subject, plan, config.cohort, effort), plan))
    return found


def _with_phones_noise(subject: Subject, effort: Effort) -> list[Attack]:
    """The figures of a run whose phones add the noise: all that are played add their share, as the run's do.

    A deployment has too many phones to draw noise for, and the claim depends on the dimension, by rounding. So what is
    played is a deployment of the run's own size and the audit's dimension, with noise of the same multiplier; it has
    a claim of its own, by the same accounting, and is held to that.
    """
    prepared, config = subject.prepared, subject.prepared.config
    run = prepared.plan
    own = replace(
        config.privacy,
        noise_multiplier=run.noise_multiplier,
        target_epsilon=None,
        modelled_cohort=None,
        delta=run.delta,
    )
    dimension = _dimension(run, effort)
    try:
        plan = make_privacy_plan(
            config.cohort,
            own,
            rounds=run.rounds,
            num_phones=prepared.fleet.num_phones,
            counts_words=False,
            phones_add=phones_add(own, config.aggregation, config.cohort, dimension),
        )
    except InputError as error:
        return [not_played(str(error))]
    observed = _play(subject, plan, config.cohort, effort)
    if observed.spent.epsilon is None or observed.spent.delta is None:
        raise ConfigError(expected("the audit of canaries", "a claim of epsilon", "none"))
    whose = f"claimed of {plan.phone_noise.phones:,} phones a round" if plan.phone_noise is not None else ""
    claim = Claim(
        epsilon=observed.spent.epsilon,
        delta=observed.spent.delta,
        is_of=f"{whose} in {dimension:,} dimensions, with noise of the run's multiplier, by the accounting of the "
        "rounds that were played",
    )
    why = "a phone that is not there adds no noise either: nothing is claimed of that, and nobody is told whether it is"
    found = [*figures(observed, claim), replace(nothing_alone(claim.delta), why=why)]
    if run.modelled_cohort is not None:
        itself = replace(
            found[0], name=f"canaries: {BY_ITSELF}", value=None, low=None, high=None, bound=None, details={}
        )
        is_of = f"none: what is claimed is of {run.epsilon_is_of}, and not of the run"
        found.append(replace(itself, bound_is=is_of, why="what phones add in the run itself was not played"))
    return found


def _dimension(plan: PrivacyPlan, effort: Effort) -> int:
    """Weights of an update that is played, at least."""
    return max(effort.dimension, ROWS_A_RELEASE * plan.rounds)


def _play(subject: Subject, plan: PrivacyPlan, cohort: CohortConfig, effort: Effort) -> Observed:
    prepared = subject.prepared
    return play_on_fleet(subject, plan, cohort, effort, releases_made(subject, prepared.plan))


def play_on_fleet(
    subject: Subject, plan: PrivacyPlan, cohort: CohortConfig, effort: Effort, most_releases: int
) -> Observed:
    """Play rounds with canaries on the subject's fleet.

    Args:
        subject: whose fleet, round policy and server optimizer.
        plan, cohort: what is played.
        effort: how much.
        most_releases: stop after so many.

    Raises:
        ConfigError: nothing was released.
    """
    prepared = subject.prepared
    layers = len(prepared.shape.weight_shapes()) if plan.clip_scope == "layer" else 1
    sizes = [-(-_dimension(plan, effort) // layers)] * layers
    if plan.phone_noise is not None:  # which is for so many weights, and no more
        sizes = [plan.phone_noise.dimension // layers] * layers
    return play(
        plan,
        cohort,
        prepared.open_world(),
        Canaries(sizes, effort.canaries, subject.seed),
        num_phones=prepared.fleet.num_phones,
        optimizer=prepared.config.server_optimizer,
        assumptions=assumptions_of(prepared.config.aggregation, cohort),
        most_releases=most_releases,
    )


def releases_made(subject: Subject, plan: PrivacyPlan) -> int:
    """Of the run, which may have ended early."""
    if subject.run_dir is None:
        return plan.rounds
    made = RunDirectory(subject.run_dir).read_summary().rounds_completed
    if made < 1:
        raise ConfigError(expected(subject.run_dir, "a run with a completed round", "none"))
    return made


def claim_of(subject: Subject, plan: PrivacyPlan, observed: Observed) -> Claim:
    """The run's own claim; of settings alone, what their accounting says of the rounds that were played."""
    epsilon, delta = observed.spent.epsilon, observed.spent.delta
    whose = f"claimed of {plan.epsilon_is_of}, by the accounting of the rounds that were played"
    if subject.run_dir is not None:
        summary = RunDirectory(subject.run_dir).read_summary()
        epsilon, whose = summary.epsilon, f"claimed by the run, of {plan.epsilon_is_of}"
    if epsilon is None or delta is None:
        raise ConfigError(expected("the audit of canaries", "a claim of epsilon", "none"))
    return Claim(epsilon=epsilon, delta=delta, is_of=whose)


def _alone(subject: Subject, delta: float, effort: Effort) -> Attack:
    privacy, prepared = subject.prepared.config.privacy, subject.prepared
    layers = len(prepared.shape.weight_shapes()) if prepared.plan.clip_scope == "layer" else 1
    try:
        return alone(play_alone(privacy, delta, effort.lone_rounds, layers, subject.seed), delta)
    except InputError as error:  # a mechanism whose settings are for other rounds than these
        return replace(nothing_alone(delta), why=str(error))


def of_the_run_itself(observed: Observed, plan: PrivacyPlan) -> Attack:
    """The same as of the deployment that is modelled, with the noise that the run itself has."""
    claim = Claim(epsilon=0.0, delta=plan.delta or 0.0, is_of="")
    (found, *_) = figures(observed, claim)
    return replace(
        found,
        name=f"canaries: {BY_ITSELF}",
        bound=None,
        bound_is=f"none: what is claimed is of {plan.epsilon_is_of}, and not of the run",
    )


def not_played(why: str) -> Attack:
    """The figure of canaries under a plan that they cannot be played under, and why."""
    return replace(
        without_a_claim(),
        bound_is="none: these rounds could not be played",
        why=why,
    )
