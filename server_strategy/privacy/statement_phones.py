"""The part of the privacy statement that says what phones add, where they add the noise."""

from typing import Any

from server_strategy.privacy.distributed_noise.phone_noise import PhoneNoise
from server_strategy.privacy.distributed_noise.share import DISCRETE_GAUSSIAN
from server_strategy.privacy.plan import PrivacyPlan

_KINDS = {
    DISCRETE_GAUSSIAN: (
        "discrete Gaussian shares (arXiv:2102.06387): their sum is not quite discrete Gaussian, and what it differs by "
        "is charged"
    ),
    "skellam": (
        "Skellam shares (arXiv:2110.04995), whose sum is Skellam noise; its Renyi bound is proved for whole orders, "
        "so that its epsilon looks at no others. rho is so large that it holds between them as well, from order 2 on"
    ),
}
_CONVERSIONS = {
    DISCRETE_GAUSSIAN: "Renyi orders of the zCDP bound of sums of discrete Gaussian shares (epsilon)",
    "skellam": "whole Renyi orders of the bound of Skellam noise (epsilon)",
}
_SAMPLED = {
    DISCRETE_GAUSSIAN: (
        "Each phone's share is made of whole numbers, sampled without rounding (discrete Gaussian, arXiv:2004.00010). "
        "How long the sampling takes is not hidden."
    ),
    "skellam": (
        "Each phone's share is a difference of two Poisson numbers, which numpy samples: exact but for the rounding of "
        "a test in float64, some 1e-15 of each probability, which the claim does not cover."
    ),
}
_NOT_EXACT = "no epsilon that is exact for Gaussian noise is stated, and no mu: the noise is another"


def conversion_of(noise: PhoneNoise) -> str:
    """How rho becomes epsilon."""
    return _CONVERSIONS[noise.kind]


def headline_of(noise: PhoneNoise) -> str:
    """Which epsilon it is, and why there is one alone."""
    return f"epsilon is by {_CONVERSIONS[noise.kind].removesuffix(' (epsilon)')}; {_NOT_EXACT}"


def sampling_caveat(noise: PhoneNoise) -> str:
    """How well the noise is sampled."""
    return _SAMPLED[noise.kind]


def phones_json(plan: PrivacyPlan) -> dict[str, Any]:
    """Fields of the statement; none where the server adds the noise."""
    noise = plan.phone_noise
    if noise is None:
        return {}
    return {
        "noise_place": "phones",
        "phone_noise": {
            "padded": noise.padded,
            "upload_bytes": noise.upload_bytes,
            "l2_sensitivity": noise.l2_sensitivity,
            "charged_noise_multiplier": noise.charged_noise_multiplier,
        },
        "phone_noise_kind": _KINDS[noise.kind],
    }


def phones_rows(plan: PrivacyPlan) -> list[tuple[str, Any]]:
    """(name, value) of what phones add; none where the server does."""
    noise = plan.phone_noise
    if noise is None:
        return []
    return [
        ("noise of each phone", noise.kind),
        ("bits of each number of an update", noise.bits),
        ("numbers of an update, padded", noise.padded),
        ("bytes of them a phone", noise.upload_bytes),
        ("phones of a round, at most", noise.phones),
        ("honest phones whose noise is counted on", noise.counted_on),
        ("clip norm in units of the ring", noise.clip_units),
        ("deviation of a phone's share, in those units", noise.share_stddev),
        ("most that a phone changes after rounding, L2, in those units", noise.l2_sensitivity),
        ("noise multiplier that is charged", noise.charged_noise_multiplier),
    ]


def phones_markdown(plan: PrivacyPlan) -> list[str]:
    """What the page says of it; nothing where the server adds the noise."""
    noise = plan.phone_noise
    if noise is None:
        return []
    lines = [
        f"The noise is added by the phones: {_KINDS[noise.kind]}. Each rotates its clipped update, rounds it to whole",
        f"numbers, adds its share and sends the result modulo 2^{noise.bits}; the server adds nothing. A share has the",
        f"claimed variance over {noise.counted_on:,}, the fewest phones with which a round goes on less those that may",
        "be corrupted: what further phones add makes epsilon no smaller here.",
    ]
    if plan.share_of_the_noise < 1:
        lines += [
            f"That is the deployment's noise. The {plan.goal:,} phones of a round here have units finer by the root of",
            "how many more it has, and as many units of noise and of rounding, so that the mean has the deployment's",
            "noise; where its sum would wrap around in the ring, this one's does not.",
        ]
    return [*lines, ""]
