"""The part of the privacy statement that says what is compared with what: one phone, and owners of several."""

import math
from typing import Any

from server_strategy.privacy.adjacency import ADD_OR_REMOVE, COUNT_SENSITIVITY, ZERO_OUT
from server_strategy.privacy.ledger_lines import PrivacySpent
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.privacy.rounded_up import Bound
from server_strategy.privacy.vocabulary_cost import group_delta_beside

_MEANS: dict[str, str] = {
    ZERO_OUT: "zero-out: one phone's updates are replaced by zero; the schedule of participation is the same",
    ADD_OR_REMOVE: (
        "add-or-remove: one phone is there or not; all others take part in the same rounds, and sums are divided by "
        "the same number"
    ),
}
_REPLACED = "another text in the place of a phone's own (replace-one): two steps, which cost what a group of 2 does"
_NOT_COVERED: dict[str, tuple[str, ...]] = {
    ZERO_OUT: ("that a phone took part, and in which rounds: it is in the schedule of both data sets", _REPLACED),
    ADD_OR_REMOVE: (
        "who else takes part: a phone that is not there leaves its place in a round to another, which then sits out "
        "longer, so that the schedule of others changes in that round and in all after it. What is compared has one "
        "schedule of the others, in which the place stays empty",
        "whether and when a round closes: one that the phone would have filled waits for another, or is abandoned",
        "how many phones reported in a round, which the ledger and rounds.jsonl have",
        _REPLACED,
    ),
}
_GROUP_SIZES = (2, 3, 5)
_GROUP_RULE = "k phones move the releases at most k times as far as one: rho k^2, mu k"

_GROUP_RULE_OF_PHONES = "k phones move the releases at most k times as far as one: Renyi divergences and rho k^2"


def adjacency_of(plan: PrivacyPlan) -> str:
    """What neighbouring data sets differ in, in one line."""
    return _MEANS[plan.adjacency]


def adjacency_json(plan: PrivacyPlan, spent: PrivacySpent, most_phones_of_a_person: int | None) -> dict[str, Any]:
    """Fields of the statement; None where there is no privacy.

    Args:
        plan, spent: of the run.
        most_phones_of_a_person: how many phones of the run hold messages of one person; None if it is not known.
    """
    has_privacy, of_server = plan.mechanism is not None, plan.phone_noise is None
    return {
        "adjacency": adjacency_of(plan),
        "adjacency_kind": plan.adjacency,
        "adjacency_does_not_cover": list(_NOT_COVERED[plan.adjacency]) if has_privacy else None,
        "clip_count_sensitivity": None
        if not has_privacy or plan.adaptive is None
        else COUNT_SENSITIVITY[plan.adjacency],
        "charged_more_than_planned": plan.charged_more,
        "group_rule": None if not has_privacy else _GROUP_RULE if of_server else _GROUP_RULE_OF_PHONES,
        "group_privacy": _groups(plan, spent, most_phones_of_a_person),
        "most_phones_of_a_person": most_phones_of_a_person,
    }


def adjacency_markdown(plan: PrivacyPlan, spent: PrivacySpent, most_phones_of_a_person: int | None) -> list[str]:
    """Its sections of the page; nothing without privacy."""
    if plan.mechanism is None:
        return []
    lines = ["## What is compared", "", f"{adjacency_of(plan)[:1].upper()}{adjacency_of(plan)[1:]}."]
    if plan.adaptive is not None:
        by = f"{COUNT_SENSITIVITY[plan.adjacency]:g}"
        lines += [
            f"One phone changes the count of updates shorter than the clip norm by {by}, and is charged for that."
        ]
    if plan.charged_more is not None:
        lines += [f"More is charged than was planned: {plan.charged_more}."]
    lines += ["It does not cover:", "", *(f"- {item}" for item in _NOT_COVERED[plan.adjacency]), ""]
    return [*lines, *_groups_markdown(plan, spent, most_phones_of_a_person)]


def _groups(plan: PrivacyPlan, spent: PrivacySpent, most_phones_of_a_person: int | None) -> list[dict[str, Any]] | None:
    """What is spent for owners of several phones, and for the person whose messages most phones hold."""
    if spent.zcdp_rho is None or spent.delta is None:
        return None
    groups = [(size, f"an owner of {size} phones") for size in _GROUP_SIZES]
    if most_phones_of_a_person is not None and most_phones_of_a_person > 1:
        whose = f"the person whose messages most phones of this run hold, {most_phones_of_a_person:,}"
        groups.append((most_phones_of_a_person, whose))
    rows = []
    for size, who in groups:
        rho = spent.zcdp_rho * size**2
        left = group_delta_beside(plan.vocabulary, spent.delta, size)
        epsilons: tuple[float | None, float | None] = (None, None)
        if left is not None:
            epsilons = plan.epsilon_at(rho, left, size), plan.exact_gaussian_at(rho, left)
        mu = math.sqrt(2 * rho) if plan.phone_noise is None else None
        costs = {"zcdp_rho": rho, "gdp_mu": mu, "epsilon": epsilons[0]}
        rows.append({"phones": size, "who": who, **costs, "epsilon_exact_gaussian": epsilons[1], "delta": spent.delta})
    return rows


def _groups_markdown(plan: PrivacyPlan, spent: PrivacySpent, most_phones_of_a_person: int | None) -> list[str]:
    rows = _groups(plan, spent, most_phones_of_a_person)
    if rows is None:
        return []

    def exact(text: str) -> str:
        return text if plan.phone_noise is None else ""

    return [
        "## Several phones of one owner",
        "",
        f"The unit is one phone. For a group: {_GROUP_RULE if plan.phone_noise is None else _GROUP_RULE_OF_PHONES}.",
        "",
        f"| who | zCDP rho | epsilon, by Renyi orders |{exact(' exact for Gaussian noise |')} delta |",
        f"|---|---|---|{exact('---|')}---|",
        *(
            f"| {row['who']} | {Bound(row['zcdp_rho']):.4g} | {_shown(row['epsilon'])} |"
            f"{exact(' ' + _shown(row['epsilon_exact_gaussian']) + ' |')} {Bound(row['delta']):.4g} |"
            for row in rows
        ),
        "",
    ]


def _shown(epsilon: float | None) -> str:
    return (
        "none: words of these phones alone enter more often than delta" if epsilon is None else f"{Bound(epsilon):.4g}"
    )
