"""What a privacy statement claims: its headline, the same in plain words, and what the files of the run do not have."""

import math

from server_strategy.privacy.ledger_lines import PrivacySpent
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.privacy.rounded_up import Bound
from server_strategy.privacy.statement_noise import repeatable_note

NO_PRIVACY = "No privacy mechanism was used: nothing bounds what the model reveals about a phone."

_LARGEST_SAID = 14  # epsilon whose factor is a number that people read; above a million it is none


def not_guaranteed(plan: PrivacyPlan) -> str | None:
    """What the model files of a run do not have, in plain words; None where the guarantee is their own."""
    if plan.mechanism is None:
        return NO_PRIVACY
    if plan.modelled_cohort is None or plan.modelled_cohort <= plan.goal:
        return None
    return (
        f"The guarantee stated for these model files is that of {whose(plan)}; the {phones_in_words(plan.goal)} per "
        "round of this simulation do not have it. The noise that was added is "
        f"1/{plan.modelled_cohort / plan.goal:,.4g} of what they would need: do not share these files as if they were "
        "private."
    )


def whose(plan: PrivacyPlan) -> str:
    """Whose guarantee it is, where it is not that of the run's own files."""
    return f"a modelled deployment of {plan.modelled_cohort or plan.goal:,} phones per round"


def phones_in_words(number: int) -> str:
    """So many phones, of which there may be one."""
    return "1 phone" if number == 1 else f"{number:,} phones"


def headline(plan: PrivacyPlan, spent: PrivacySpent) -> str:
    """The guarantee in a sentence, without its full stop."""
    if spent.epsilon is None or spent.zcdp_rho is None or spent.delta is None:
        return NO_PRIVACY.rstrip(".")
    return (
        f"({Bound(spent.epsilon):.3g}, {Bound(spent.delta):.2g})-differential privacy for each phone "
        f"({Bound(spent.zcdp_rho):.4g}-zCDP), of {plan.epsilon_is_of}{repeatable_note(plan.noise_source)}"
    )


def plain_words(spent: PrivacySpent) -> list[str]:
    """Lines of the page that say what epsilon and delta are to somebody who has not met them."""
    if spent.epsilon is None or spent.delta is None:
        return ["Models from this run must not be shared as if they were private.", ""]
    epsilon, delta = Bound(spent.epsilon), Bound(spent.delta)
    times = f" ({Bound(math.exp(spent.epsilon)):,.3g} times)" if spent.epsilon < _LARGEST_SAID else ""
    return [
        "In plain words: whatever anybody computes from the released models, replacing everything one phone sent",
        f"by nothing changes the probability of any outcome by at most a factor of e^{epsilon:.3g}{times},",
        f"and an additional {delta:.2g}. This counts every time the phone took part, not one message or one",
        "round.",
        "",
    ]


def modelled_words(plan: PrivacyPlan, spent: PrivacySpent) -> list[str]:
    """Lines of what a guarantee supposes that is of a modelled deployment; nothing of one that is the run's own."""
    if spent.epsilon is None or plan.modelled_cohort is None:
        return []
    return [
        f"This holds for a deployment in which {plan.modelled_cohort:,} phones report per round and no phone takes",
        f"part more often, or sooner again, than in this run. The run itself had a goal of {plan.goal} and added",
        "proportionally less noise, to show what accuracy such a deployment would reach.",
        "",
    ]
