"""The part of the privacy statement that translates rho: epsilon over delta, Gaussian DP, what sampling would give."""

import math
from typing import Any

from server_strategy.privacy.amplification import Counterfactual, counterfactual
from server_strategy.privacy.ledger_lines import PrivacySpent
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.privacy.rounded_up import Bound, BoundOnMu
from server_strategy.privacy.statement_phones import conversion_of, headline_of
from server_strategy.privacy.vocabulary_cost import group_delta_beside

DELTAS = tuple(float(f"1e-{digits}") for digits in range(5, 13))
"""At which the statement shows epsilon."""

_CONVERSION = "Renyi orders of the zCDP bound (epsilon); exact for Gaussian noise (epsilon_exact_gaussian)"
_HEADLINE = (
    "the headline is epsilon by Renyi orders: it follows from rho alone, so it holds for every mechanism here, with "
    "continuous and with discrete Gaussian noise, rho adds up over runs, and published deployments state theirs from "
    "rho as well. The exact value is smaller and holds for continuous Gaussian noise: it is Gaussian DP with "
    "mu = sqrt(2 rho) (arXiv:1805.06530, Theorem 8), and what privacy loss distributions give too"
)


def epsilon_json(plan: PrivacyPlan, spent: PrivacySpent) -> dict[str, Any]:
    """Fields of the statement; None where there is no privacy, or nothing was asked for."""
    has_privacy, noise = plan.mechanism is not None, plan.phone_noise
    sampled = _counterfactual(plan, spent)
    return {
        "gdp_mu": None if spent.zcdp_rho is None or noise is not None else math.sqrt(2 * spent.zcdp_rho),
        "epsilon_over_delta": _curve(plan, spent),
        "conversion": None if not has_privacy else _CONVERSION if noise is None else conversion_of(noise),
        "headline": None if not has_privacy else _HEADLINE if noise is None else headline_of(noise),
        "counterfactual_poisson_epsilon": None if sampled is None else sampled.epsilon,
        "counterfactual_sampling": None if sampled is None else f"{_LABEL}: {_words(sampled)}",
    }


def epsilon_markdown(plan: PrivacyPlan, spent: PrivacySpent) -> list[str]:
    """Its lines of the page; nothing without privacy."""
    rows = _curve(plan, spent)
    if rows is None or spent.zcdp_rho is None:
        return []
    lines = []
    if (sampled := _counterfactual(plan, spent)) is not None:
        lines += [f"{_LABEL}: {_words(sampled)}. It did not happen.", ""]
    if plan.phone_noise is not None:
        return [
            *lines,
            "What happened, at other values of delta:",
            "",
            "| delta | epsilon, by Renyi orders |",
            "|---|---|",
            *(f"| {row['delta']:.0e} | {Bound(row['epsilon']):.4g} |" for row in rows),
            "",
            f"{headline_of(plan.phone_noise)[:1].upper()}{headline_of(plan.phone_noise)[1:]}.",
            "",
        ]
    return [
        *lines,
        f"Gaussian DP: mu {BoundOnMu(math.sqrt(2 * spent.zcdp_rho)):.4g}. What happened, at other values of delta:",
        "",
        "| delta | epsilon, by Renyi orders | exact for Gaussian noise |",
        "|---|---|---|",
        *(
            f"| {row['delta']:.0e} | {Bound(row['epsilon']):.4g} | {Bound(row['epsilon_exact_gaussian']):.4g} |"
            for row in rows
        ),
        "",
        f"Why there are two: {_HEADLINE}.",
        "",
    ]


def delta_caveats(plan: PrivacyPlan) -> tuple[str, ...]:
    """What has to be known of a delta that lets single phones go without protection; nothing of a smaller one."""
    if plan.delta is None or plan.delta * plan.population <= 1:
        return ()
    return (
        f"Delta, {Bound(plan.delta):.2g}, is more than one over the {plan.population:,} phones that are assumed: to "
        "publish all that one phone wrote, drawn among them, would keep such a delta. So epsilon says little here; the "
        "curve over delta and rho do.",
    )


_LABEL = "Counterfactual, not a claim"


def _words(sampled: Counterfactual) -> str:
    if sampled.epsilon is None:
        return f"none for {sampled.sampling} sampling, since {sampled.words}"
    return f"epsilon would be {sampled.epsilon:.4g} with {sampled.sampling} sampling, {sampled.words}"


def _curve(plan: PrivacyPlan, spent: PrivacySpent) -> list[dict[str, float | None]] | None:
    """Epsilon at each delta; below what the threshold of a vocabulary takes of it there is none."""
    rho = spent.zcdp_rho
    if rho is None:
        return None
    beside = {d: group_delta_beside(plan.vocabulary, d, 1) for d in DELTAS}
    return [
        {
            "delta": d,
            "epsilon": plan.epsilon_at(rho, left),
            "epsilon_exact_gaussian": plan.exact_gaussian_at(rho, left),
        }
        for d, left in beside.items()
        if left is not None
    ]


def _counterfactual(plan: PrivacyPlan, spent: PrivacySpent) -> Counterfactual | None:
    """Under a sampling that did not happen; only if it was asked for."""
    if not plan.poisson_counterfactual or not spent.releases:
        return None
    if plan.mechanism is None or plan.noise_multiplier is None or plan.delta is None:
        return None
    return counterfactual(
        plan.mechanism,
        plan.noise_multiplier,
        cohort=plan.modelled_cohort or plan.goal,
        population=plan.population,
        rounds=spent.releases,
        delta=plan.delta,
    )
