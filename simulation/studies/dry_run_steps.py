"""What the steps of secure aggregation did to the rounds of a dry run."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from server_strategy.aggregation.departures import WHY_FAILED
from simulation.world.aggregation_steps import SteppedFunnel

LEFT = ("left_advertise", "left_share", "left_mask")
"""Fields of a funnel: phones of a group that are not in the sum."""
_LATER = ("left_confirm", "left_unmask")


def steps_summary(rounds: Sequence[SteppedFunnel]) -> dict[str, Any]:
    """Figures of the steps, over the rounds that took them.

    Args:
        rounds: their funnels; at least one.
    """
    failed = Counter(one.aggregation_failed for one in rounds if one.aggregation_failed is not None)
    group = sum(one.group for one in rounds)
    out = [one.bucket_left_out for one in rounds if one.bucket_left_out is not None]
    of_buckets = {"bucket_left_out_share": sum(out) / group} if out else {}
    return {
        "rounds": len(rounds),
        "with_a_sum_share": 1 - sum(failed.values()) / len(rounds),
        "failed": dict(failed.most_common()),
        "left_share": {name: sum(getattr(one, name) for one in rounds) / group for name in (*LEFT, *_LATER)},
        "steps_s": {f"p{q}": float(np.percentile([one.aggregation_s for one in rounds], q)) for q in (5, 50, 95)},
        "phone_up_mb": float(np.median([one.phone_up_bytes for one in rounds])) / 1e6,
        "phone_down_mb": float(np.median([one.phone_down_bytes for one in rounds])) / 1e6,
        **of_buckets,
    }


def steps_words(found: dict[str, Any]) -> str:
    """The same in a line.

    Args:
        found: by `steps_summary`.
    """
    seconds = found["steps_s"]
    words = [
        f"{found['with_a_sum_share']:.1%} of {found['rounds']:,} groups came to a sum",
        f"steps take {seconds['p50']:,.0f} s (5 to 95 %: {seconds['p5']:,.0f} to {seconds['p95']:,.0f} s)",
        f"a phone sends {found['phone_up_mb']:,.2f} MB and hears {found['phone_down_mb']:,.2f} MB in them",
    ]
    if "bucket_left_out_share" in found:
        words.append(f"{found['bucket_left_out_share']:.1%} of phones stayed in a bucket without a sum")
    words += [f"{number:,} failed: {WHY_FAILED[cause]}" for cause, number in found["failed"].items()]
    return "; ".join(words)
