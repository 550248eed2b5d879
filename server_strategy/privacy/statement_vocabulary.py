"""What the privacy statement says is released, and of words that are counted on phones under the guarantee."""

from typing import Any

from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.privacy.rounded_up import Bound
from server_strategy.privacy.vocabulary_cost import DELTA_RULE


def vocabulary_json(plan: PrivacyPlan) -> dict[str, Any]:
    """The fields of the statement; no vocabulary (None) where the guarantee is about none."""
    cost = plan.vocabulary
    return {
        "released": released(plan),
        "vocabulary": None
        if cost is None
        else {
            "rule": _rule(plan),
            "epsilon_alone": cost.epsilon,
            "zcdp_rho": cost.rho,
            "delta_of_threshold": cost.delta,
            "noise_stddev_in_this_run": cost.noise_stddev * plan.share_of_the_noise,
            "threshold_in_this_run": cost.threshold * plan.share_of_the_noise,
        },
    }


def vocabulary_markdown(plan: PrivacyPlan) -> list[str]:
    """A section; nothing where the guarantee is about no vocabulary."""
    if (cost := plan.vocabulary) is None:
        return []
    rows = [
        ("epsilon of the vocabulary alone, at the run's delta", f"{Bound(cost.epsilon):.4g}"),
        ("zCDP rho, part of the run's", f"{Bound(cost.rho):.4g}"),
        (f"delta of the threshold, {DELTA_RULE}", f"{Bound(cost.delta):.2g}"),
        ("words of one phone, at most", f"{cost.words_per_phone:,}"),
        ("deviation of the noise on a word's weight", f"{cost.noise_stddev:.4g}"),
        ("threshold", f"{cost.threshold:.4g}"),
    ]
    if (share := plan.share_of_the_noise) != 1:
        in_this_run = f"{cost.noise_stddev * share:.4g}, {cost.threshold * share:.4g}"
        rows.append(("noise and threshold in this run", in_this_run))
    return [
        "## Vocabulary",
        "",
        f"Part of the guarantee, and of epsilon and delta above. {_rule(plan)}",
        "",
        "| parameter | value |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
    ]


def released(plan: PrivacyPlan) -> str:
    """What leaves the server under the guarantee."""
    weights = "the model after every completed round, and the clip norm if it adapts"
    words = "the words of the vocabulary, in the order of their noised weights"
    return weights if plan.vocabulary is None else f"{words}; {weights}"


def _rule(plan: PrivacyPlan) -> str:
    """How words are chosen, in plain words."""
    if (cost := plan.vocabulary) is None:
        return ""
    text = (
        f"Each phone gives the {cost.words_per_phone:,} words that it uses most, or fewer, each with a weight of one "
        "over the square root of their number. A word enters if the sum of its weights, with Gaussian noise, is above "
        f"the threshold: about {cost.phones_for_half:,} phones that give as many words have to give it."
    )
    if plan.share_of_the_noise != 1:
        text += (
            " This run adds the same share of noise and threshold as of the noise on its sums, and takes only words "
            "that several of its phones wrote."
        )
    text += " The noise is floating-point; what leaves is which words enter and in which order, and no number."
    return text
