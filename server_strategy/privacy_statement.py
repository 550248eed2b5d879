"""The privacy statement of a run: privacy.json for programs, privacy.md for a reader who signs off."""

from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from server_strategy.accounting import epsilon_of_gaussian
from server_strategy.privacy_ledger import PrivacySpent
from server_strategy.privacy_plan import PrivacyPlan

NO_PRIVACY = "No privacy mechanism was used: nothing bounds what the model reveals about a phone."


def privacy_json(plan: PrivacyPlan, spent: PrivacySpent) -> dict[str, Any]:
    """All facts of the statement."""
    has_privacy = plan.mechanism != "none"
    return {
        "mechanism": plan.mechanism,
        "statement": _headline(plan, spent),
        "epsilon_is_of": plan.epsilon_is_of,
        "unit": "one phone (its user), over the whole run",
        "adjacency": "zero-out: one phone's updates are replaced by zero; the schedule of participation is the same",
        "trust_model": "central: the server adds the noise and is trusted to",
        "released": "the model after each completed round",
        "planned": {**asdict(plan), "zcdp_rho": plan.zcdp_rho, "epsilon": plan.epsilon},
        "spent": asdict(spent),
        "epsilon_exact_gaussian": _exact(spent.zcdp_rho, spent.delta),
        "amplification_by_sampling": "none claimed",
        "conversion": "Renyi orders of the zCDP curve; epsilon_exact_gaussian is the exact value for Gaussian noise"
        if has_privacy
        else None,
        "accountant": f"dp-accounting {version('dp-accounting')}" if has_privacy else None,
        "outside_the_budget": _OUTSIDE,
        "caveats": _CAVEATS if has_privacy else [],
    }


def _exact(rho: float | None, delta: float | None) -> float | None:
    return None if rho is None or delta is None else epsilon_of_gaussian(rho, delta)


_OUTSIDE = [
    "the vocabulary, which is counted on training phones without noise (use --data.vocabulary-path "
    "with a public list to avoid it)",
    "evaluation on held-out phones, and the choice of settings by looking at it",
    "what the schedule itself shows: who took part, when, and how many tokens it trained on",
    "loss, update norms and counts in rounds.jsonl and participation.json, exact values of the simulation",
]
_CAVEATS = [
    "The noise is floating-point and comes from a seeded generator, so that a run can be repeated. The "
    "statement is about the mechanism that is modelled; whoever knows the seed can subtract the noise.",
    "Who reports first, and how stale its update is by then, depends on how much text a phone holds. The "
    "guarantee is for a fixed schedule.",
]


def _headline(plan: PrivacyPlan, spent: PrivacySpent) -> str:
    if spent.epsilon is None or spent.zcdp_rho is None or spent.delta is None:
        return NO_PRIVACY
    return (
        f"({spent.epsilon:.3g}, {spent.delta:.2g})-differential privacy for each phone "
        f"({spent.zcdp_rho:.4g}-zCDP), of {plan.epsilon_is_of}"
    )


def privacy_markdown(plan: PrivacyPlan, spent: PrivacySpent, recompute: str) -> str:
    """The statement as a page; `recompute` is the command that recomputes it."""
    lines = ["# Privacy statement", "", f"**{_headline(plan, spent)}.**", ""]
    if spent.epsilon is None or spent.delta is None or plan.noise_multiplier is None:
        lines += ["Models from this run must not be shared as if they were private.", ""]
    else:
        lines += [
            "In plain words: whatever anybody computes from the released models, replacing everything one phone sent",
            f"by nothing changes the odds of any outcome by at most a factor of e^{spent.epsilon:.3g}, except with",
            f"probability {spent.delta:.2g}.",
            "",
        ]
        if plan.modelled_cohort is not None:
            lines += [
                f"This holds for a deployment in which {plan.modelled_cohort:,} phones report each round and no phone",
                "takes part more often, or sooner again, than in this run. The run",
                f"itself had a goal of {plan.goal} and added proportionally less noise, to show what accuracy such a",
                "deployment would reach. **The models of this run do not have this guarantee themselves.**",
                "",
            ]
        lines += _table(plan, spent)
    lines += ["## What the guarantee does not cover", ""]
    lines += [f"- {item}" for item in _OUTSIDE]
    if spent.epsilon is not None:
        lines += ["", "## Caveats", "", *(f"- {item}" for item in _CAVEATS)]
        lines += ["", "Recompute from the ledger with:", "", f"    {recompute}"]
    return "\n".join(lines) + "\n"


def _weights(plan: PrivacyPlan) -> str:
    """How updates count; in no case more than the clip norm, which is what the noise is made for."""
    if plan.policy != "buffered":
        return "uniform weights"
    return "then weighted by at most 1 for their staleness (so the sensitivity stays the clip norm)"


def _table(plan: PrivacyPlan, spent: PrivacySpent) -> list[str]:
    def show(value: Any) -> str:
        return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else f"{value:,}"

    rows = [
        ("releases", plan.rounds, spent.releases),
        ("participations of the busiest phone", plan.max_participations, spent.max_participations),
        ("smallest separation, rounds", plan.min_separation_rounds, spent.min_separation_rounds),
        ("zCDP rho", plan.zcdp_rho, spent.zcdp_rho),
        ("epsilon", plan.epsilon, spent.epsilon),
        (
            "epsilon, exact for Gaussian noise",
            _exact(plan.zcdp_rho, plan.delta),
            _exact(spent.zcdp_rho, spent.delta),
        ),
        ("delta", plan.delta, spent.delta),
    ]
    return [
        "| | planned bound | happened |",
        "|---|---|---|",
        *(f"| {name} | {show(a)} | {show(b)} |" for name, a, b in rows),
        "",
        "- Unit: one phone, over the whole run. Adjacency: zero-out, the schedule of participation being fixed.",
        "- Trust: the server sees each sum and adds the noise. Released: the model after each completed round.",
        f"- Mechanism: Gaussian (DP-FedAvg), noise multiplier {show(plan.noise_multiplier)}, updates clipped to an",
        f"  L2 norm of {show(plan.clip_norm)}, {_weights(plan)}, sum divided by the fixed goal {plan.goal}.",
        "- No amplification by sampling is claimed: availability decides who takes part, not a uniform draw.",
        "- Separation and participations are enforced: a phone outside them is not invited.",
        f"- Accountant: dp-accounting {version('dp-accounting')}, Renyi orders.",
        "",
    ]
