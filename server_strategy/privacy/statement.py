"""The privacy statement of a run: privacy.json for programs, privacy.md for a reader who signs off.

What the files of the run do not have comes first: a guarantee of a modelled deployment is easily read as theirs.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

from server_strategy.privacy.accounting import default_delta
from server_strategy.privacy.distributed_noise.phone_noise import PhoneNoise
from server_strategy.privacy.ledger import PrivacySpent
from server_strategy.privacy.mechanisms.base import Mechanism
from server_strategy.privacy.mechanisms.record import is_found_everywhere
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.privacy.statement_account import other_runs_markdown
from server_strategy.privacy.statement_adjacency import adjacency_json, adjacency_markdown, adjacency_of
from server_strategy.privacy.statement_aggregation import aggregation_json, aggregation_markdown, trust_model
from server_strategy.privacy.statement_audit import ReleaseAudit, audit_json, audit_markdown
from server_strategy.privacy.statement_claim import NO_PRIVACY as NO_PRIVACY
from server_strategy.privacy.statement_claim import (
    headline,
    modelled_words,
    not_guaranteed,
    phones_in_words,
    plain_words,
    whose,
)
from server_strategy.privacy.statement_epsilon import delta_caveats, epsilon_json, epsilon_markdown
from server_strategy.privacy.statement_forgotten import PhonesForgotten, forgotten_json, forgotten_markdown
from server_strategy.privacy.statement_handling import Handling, handling_json, handling_markdown
from server_strategy.privacy.statement_noise import noise_caveats, noise_json
from server_strategy.privacy.statement_phones import phones_json, phones_markdown, phones_rows
from server_strategy.privacy.statement_signing import (
    cell,
    cell_of_bound,
    cell_of_parameter,
    separation_that_happened,
    signing_markdown,
    stddev_of_the_draws,
)
from server_strategy.privacy.statement_together import together_json, together_markdown
from server_strategy.privacy.statement_vocabulary import released, vocabulary_json, vocabulary_markdown

_UNIT = "one phone (its user), over the whole run"
_TRUST = (
    "central: nothing hides a phone's clipped update from whoever runs the server, who could look at it: the server is "
    "trusted not to, and to add the noise to each round's sum"
)
_AMPLIFICATION = "none claimed: availability decides who takes part, which is neither Poisson nor uniform sampling"
_OUTSIDE = (
    "evaluation on people who never train, exact wherever it stands, and the choice of settings by looking at it",
    "what the schedule itself shows: who took part, when, and what became of it",
    "exact values for the run's owner alone: loss, norms, tokens, clipped share, counting baselines, causes of failure",
)
_CAVEATS = (
    "Who reports first, and how stale its update is by then, depends on how much text a phone holds. The "
    "guarantee is for a fixed schedule.",
)


@dataclass(frozen=True)
class StatementFacts:
    """What the statement says of the run around the mechanism."""

    data_covered: str
    outside_the_budget: tuple[str, ...]  # of this run, before those of every run
    recompute: str  # the command
    weighting: str  # of the clipped updates, such as `uniform weights`
    weights_sha256: str  # of the weights that the statement is of
    date: str  # on which it was written, YYYY-MM-DD
    noise_secret_kept: bool = False  # after the run's end
    files: tuple[str, ...] = ()  # that the run leaves
    words: str = "counted"  # where the vocabulary comes from
    handling: Handling | None = None  # of consent and of what is kept; None: it was not told
    most_phones_of_a_person: int | None = None  # that hold their messages; None if it is not known
    other_runs: Mapping[str, Any] | None = None  # see `other_runs_json`; None: nobody looked
    aggregation: Mapping[str, Any] | None = None  # see `statement_aggregation`; None: the server is told of each phone
    forgotten: PhonesForgotten | None = None  # None: nobody was
    audit: ReleaseAudit | None = None  # that allowed the release; None: it was held to no rule


def privacy_json(plan: PrivacyPlan, spent: PrivacySpent, facts: StatementFacts) -> dict[str, Any]:
    """All facts of the statement; None where there is no privacy."""
    has_privacy = plan.mechanism is not None
    return {
        "mechanism": plan.mechanism_name,
        "mechanism_parameters": plan.parameters,
        **noise_json(plan, facts.noise_secret_kept),
        **phones_json(plan),
        "not_guaranteed": not_guaranteed(plan),
        "statement": headline(plan, spent),
        **together_json(facts.other_runs),
        "weights_sha256": facts.weights_sha256,
        "date": facts.date,
        "typefleet_version": _version("typefleet"),
        "assumed_population": plan.population,
        "population_rule": _population_rule(plan),
        "delta_rule": _delta_rule(plan),
        "epsilon_is_of": plan.epsilon_is_of,
        "unit": _UNIT,
        **adjacency_json(plan, spent, facts.most_phones_of_a_person),
        "trust_model": trust_model(facts.aggregation, _TRUST),
        **aggregation_json(facts.aggregation),
        **audit_json(facts.audit),
        **forgotten_json(plan, facts.forgotten),
        **vocabulary_json(plan),
        "data_covered": facts.data_covered,
        **handling_json(facts.handling),
        "planned": {**plan.to_json(), "zcdp_rho": plan.zcdp_rho, "epsilon": plan.epsilon},
        "spent": asdict(spent),
        "epsilon_exact_gaussian": _exact(plan, spent.zcdp_rho),
        "amplification_by_sampling": _AMPLIFICATION,
        **epsilon_json(plan, spent),
        "accountant": _accountant() if has_privacy else None,
        "other_runs": facts.other_runs,
        "outside_the_budget": [*facts.outside_the_budget, *_OUTSIDE],
        "caveats": list(_caveats(plan, facts)),
        "recompute": _recompute(plan, facts) if has_privacy else None,
    }


def privacy_markdown(plan: PrivacyPlan, spent: PrivacySpent, facts: StatementFacts) -> str:
    """The statement as a page: first what the run's files do not have, then what there is, in plain words."""
    lines = ["# Privacy statement", ""]
    if plan.mechanism is not None and (lacking := not_guaranteed(plan)) is not None:
        lines += ["## What the files of this run do not have", "", lacking, "", f"## What {whose(plan)} has", ""]
    lines += [*plain_words(spent), f"**{headline(plan, spent)}.**", ""]
    lines += together_markdown(facts.other_runs)
    signed = (_UNIT, facts.data_covered, _recompute(plan, facts))
    lines += signing_markdown(plan, spent, signed, not_guaranteed(plan), facts.other_runs)
    lines += [*modelled_words(plan, spent), *_stamp(plan, facts)]
    if plan.mechanism is not None:
        lines += [*_planned_and_happened(plan, spent), *_setting(plan, facts)]
        lines += adjacency_markdown(plan, spent, facts.most_phones_of_a_person)
        lines += _mechanism(plan, plan.mechanism, facts)
    lines += [
        *aggregation_markdown(facts.aggregation),
        *audit_markdown(facts.audit),
        *vocabulary_markdown(plan),
        *forgotten_markdown(plan, facts.forgotten),
        *other_runs_markdown(facts.other_runs),
    ]
    lines += handling_markdown(facts.handling)
    lines += ["## What the guarantee does not cover", ""]
    lines += [f"- {item}" for item in (*facts.outside_the_budget, *_OUTSIDE)]
    if plan.mechanism is not None:
        lines += ["", "## Caveats", "", *(f"- {item}" for item in _caveats(plan, facts))]
        lines += [
            "",
            "## Recompute",
            "",
            "By whoever has the run's folder (RUN_DIR), from the participants in the ledger alone:",
            "",
        ]
        lines += [f"    {_recompute(plan, facts)}"]
    return "\n".join(lines) + "\n"


def _population_rule(plan: PrivacyPlan) -> str:
    """How many phones the guarantee supposes, and why so many."""
    if plan.modelled_cohort is None:
        return "the phones of this run, held-out ones included"
    own = round(plan.population * plan.goal / plan.modelled_cohort)
    times = f"{plan.modelled_cohort:,} / {plan.goal:,}"
    return f"the {own:,} phones of this run, held-out ones included, scaled as its cohort is: times {times}"


def _delta_rule(plan: PrivacyPlan) -> str | None:
    """How delta was chosen; None without privacy."""
    if plan.delta is None:
        return None
    by_default = math.isclose(plan.delta, default_delta(plan.population), rel_tol=1e-9)
    return "population^-1.1, at most 1e-6" if by_default else "as set by --privacy.delta"


def _stamp(plan: PrivacyPlan, facts: StatementFacts) -> list[str]:
    """Which weights the statement is of, when it was written and by what, and what it supposes."""
    rows = [
        ("weights, sha256 of the numbers", facts.weights_sha256),
        ("date", facts.date),
        ("written by", f"Typefleet {_version('typefleet')}"),
    ]
    if plan.mechanism is not None:
        rows.append(("assumed population", f"{phones_in_words(plan.population)}: {_population_rule(plan)}"))
        rows.append(("rule for delta", f"{_delta_rule(plan)}: {cell_of_bound(plan.delta)}"))
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows), ""]


def _caveats(plan: PrivacyPlan, facts: StatementFacts) -> tuple[str, ...]:
    caveats = (*noise_caveats(plan, facts.noise_secret_kept), *delta_caveats(plan), *_CAVEATS)
    if plan.mechanism is None or is_found_everywhere(plan.mechanism):
        return () if plan.mechanism is None else caveats
    only_here = (
        f"The mechanism {plan.mechanism_name!r} is registered where not every process finds it. The cost is what its "
        "code says, and can be recomputed only where that code is at hand."
    )
    return (*caveats, only_here)


def _recompute(plan: PrivacyPlan, facts: StatementFacts) -> str:
    """The command; for a mechanism that other processes do not find, the call."""
    if plan.mechanism is None or is_found_everywhere(plan.mechanism):
        return facts.recompute
    return "server_strategy.privacy.ledger.recompute(ledger, releases, mechanism)"


def _exact(plan: PrivacyPlan, rho: float | None) -> float | None:
    return None if rho is None or plan.delta_left is None else plan.exact_gaussian_at(rho, plan.delta_left)


@cache
def _version(package: str) -> str:
    """Looked up once: a statement is written after each round, and all folders of packages are read for it."""
    return version(package)


def _accountant() -> str:
    return f"dp-accounting {_version('dp-accounting')}"


def _planned_and_happened(plan: PrivacyPlan, spent: PrivacySpent) -> list[str]:
    exact = [("epsilon, exact for Gaussian noise", _exact(plan, plan.zcdp_rho), _exact(plan, spent.zcdp_rho))]
    rows = [
        ("releases", plan.rounds, spent.releases),
        *([("releases beside those of these weights", 0, spent.repeated_releases)] if spent.repeated_releases else []),
        *([("sums learnt and not released", 0, spent.unreleased_sums)] if spent.unreleased_sums else []),
        ("participations of the busiest phone", plan.max_participations, spent.max_participations),
        ("smallest separation, rounds", plan.min_separation_rounds, separation_that_happened(spent)),
        ("zCDP rho", plan.zcdp_rho, spent.zcdp_rho),
        ("epsilon, by Renyi orders", plan.epsilon, spent.epsilon),
        *(exact if plan.phone_noise is None else []),
        ("delta", plan.delta, spent.delta),
    ]
    if plan.epsilon_budget is not None:
        rows.append(("epsilon budget", plan.epsilon_budget, None))
    lines = ["| | planned bound | happened |", "|---|---|---|"]
    lines += [f"| {name} | {cell_of_bound(planned)} | {cell_of_bound(happened)} |" for name, planned, happened in rows]
    return [*lines, "", *epsilon_markdown(plan, spent)]


def _setting(plan: PrivacyPlan, facts: StatementFacts) -> list[str]:
    budget = []
    if plan.epsilon_budget is not None:
        budget = [f"- Budget: no release is made that would take epsilon above {cell(plan.epsilon_budget)}."]
    return [
        "## Setting",
        "",
        f"- Unit: {_UNIT}.",
        f"- Adjacency: {adjacency_of(plan)}.",
        f"- Trust: {trust_model(facts.aggregation, _TRUST)}.",
        f"- Released: {released(plan)}.",
        f"- Data covered: {facts.data_covered}.",
        f"- Amplification by sampling: {_AMPLIFICATION}.",
        "- Separation and participations are enforced: a phone outside them is not invited. What happened is counted",
        f"  from the ledger, which has every {_on_record(plan)}.",
        *budget,
        "",
    ]


def _on_record(plan: PrivacyPlan) -> str:
    if plan.phone_noise is None:
        return "release on record before it is made"
    return "sum on record before the server can know it, released or not"


def _mechanism(plan: PrivacyPlan, mechanism: Mechanism, facts: StatementFacts) -> list[str]:
    clipped = "as a whole" if plan.clip_scope == "update" else "layer by layer, to equal shares of the square"
    rows = [
        ("noise multiplier (draws over clip norm)", plan.noise_multiplier),
        ("deviation of the draws on the sum, in this run", stddev_of_the_draws(plan)),
        ("clip norm (L2 of one phone's update)", plan.clip_norm),
        ("denominator of the sum, fixed", plan.goal),
    ]
    if plan.adaptive is not None:
        rows += [
            ("clip norm adapts to the quantile", plan.adaptive.quantile),
            ("noise multiplier on the updates alone", plan.adaptive.update_noise_multiplier),
            ("deviation on the count of shorter updates", plan.adaptive.count_stddev),
        ]
    rows += phones_rows(plan)
    rows += [(f"mechanism: {name.replace('_', ' ')}", value) for name, value in (plan.parameters or {}).items()]
    return [
        "## Mechanism",
        "",
        f"{_described(plan, mechanism)}. Updates are clipped {clipped}; {facts.weighting}.",
        "",
        *phones_markdown(plan),
        "| parameter | value |",
        "|---|---|",
        *(f"| {name} | {cell_of_parameter(value)} |" for name, value in rows),
        "",
        f"Accountant: {_accountant()} for the conversion by Renyi orders; the sensitivity is what",
        f"`{type(mechanism).__module__ if plan.phone_noise is None else PhoneNoise.__module__}` computes.",
        "",
    ]


def _described(plan: PrivacyPlan, mechanism: Mechanism) -> str:
    if plan.phone_noise is not None:
        return "Noise that phones add, drawn anew in each round"
    return f"{mechanism.description[:1].upper()}{mechanism.description[1:]}"
