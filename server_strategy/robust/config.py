"""What a robust rule needs of the settings of a run, and what goes with none."""

import math
from typing import TYPE_CHECKING

from server_strategy.config import CohortConfig
from typefleet.errors import ConfigError, expected

if TYPE_CHECKING:
    from server_strategy.aggregation.config import AggregationConfig

MOST_BUCKETS = 64  # whose sums a server keeps at once
NORM_SCREENING, COSINE_SCREENING = "norm-screening", "cosine-screening"
_FLAG = "--aggregation.robust"
_WHY_NOT_BUFFERED = (
    "a buffer mixes updates to the weights of several rounds, which honest phones make unlike each other, and a rule "
    "takes what is unlike the others for an attack"
)


def least_buckets(name: str, spoiled: int) -> int:
    """Buckets that a rule needs to withstand that so many are spoiled.

    Args:
        name: of the rule.
        spoiled: buckets with an attacker in them.
    """
    if name == NORM_SCREENING:  # it looks at each by itself
        return spoiled + 1
    return 2 * spoiled + (3 if "krum" in name else 1)


def spoiled_at_most(attackers_share: float, phones: int, buckets: int) -> int:
    """Buckets that attackers can be in at most, each of them alone in one.

    Args:
        attackers_share: of the phones, from 0 to 1.
        phones: of a round.
        buckets: of the round.
    """
    return min(math.ceil(round(attackers_share * phones, 9)), buckets)


def check_robust(aggregation: "AggregationConfig", cohort: CohortConfig, is_private: bool) -> None:
    """Refuse a rule where it breaks a claim, or cannot do what it is for.

    Args:
        aggregation, cohort: settings, each within its bounds.
        is_private: a mechanism adds noise, and epsilon is claimed.

    Raises:
        ConfigError: names the flag.
    """
    rule = aggregation.robust
    if rule == "none":
        return
    flag = f"{_FLAG} {rule}"
    if is_private:
        raise ConfigError(expected(flag, f"only with --privacy.mechanism none ({_why_not_private(rule)})", "noise"))
    if aggregation.screens_each:  # by itself, so there is nothing to compare
        return
    if cohort.policy == "buffered":
        raise ConfigError(expected(flag, f"only with rounds that follow one another ({_WHY_NOT_BUFFERED})", "buffered"))
    if rule == NORM_SCREENING and aggregation.screening_norm >= 1:
        what = "a number < 1 with --aggregation.protocol (no bucket's mean of clipped updates is longer than 1)"
        raise ConfigError(expected("--aggregation.screening-norm", what, aggregation.screening_norm))
    buckets = cohort.goal // aggregation.bucket_phones
    spoiled = spoiled_at_most(aggregation.robust_share, cohort.goal, buckets)
    least = max(3, least_buckets(rule, spoiled))
    if not least <= buckets <= MOST_BUCKETS:
        few = f"{spoiled} of them may have an attacker" if spoiled else "fewer have no majority"
        what = f"a number that makes {least} to {MOST_BUCKETS} buckets of {cohort.goal} phones ({few})"
        raise ConfigError(expected("--aggregation.bucket-phones", what, f"{buckets} buckets"))


def _why_not_private(rule: str) -> str:
    if rule == NORM_SCREENING:
        return "the privacy statement of a run with noise does not cover what is left out"
    return "one phone moves it further than a sum, and noise is made for a sum"
