"""What the privacy statement says of where the noise comes from, and so of whom it protects from.

Epsilon supposes that nobody knows the noise. A secret key keeps it so; a seeded one is known to whoever has or
guesses a number, and says so wherever epsilon stands.
"""

from collections.abc import Mapping
from typing import Any

from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.privacy.statement_phones import sampling_caveat

REPEATABLE = "repeatable: epsilon holds only against those who do not know the seed"

_CONTINUOUS = (
    "The noise is made of floating-point numbers, whose lowest bits are not those of real numbers (Mironov 2012). "
    "Epsilon is that of the mechanism over the real numbers."
)
_DISCRETE = (
    "The noise is made of whole numbers on the lattice of the exact sum, sampled without rounding (discrete Gaussian, "
    "arXiv:2004.00010): it costs the zCDP that is stated, and epsilon by Renyi orders holds for it. The epsilon that "
    "is exact for Gaussian noise is that of its continuous limit. How long the sampling takes is not hidden."
)
_SECRET = (
    "The key of the noise is 256 bits from the operating system, made for this run alone: no seed gives the noise "
    "again, and the guarantee is against whoever does not read the memory, or the private files, of the server while "
    "the run goes on. The generator, Philox, is no certified cipher; each draw of each release has a key of its own."
)
_SEEDED = (
    f"The noise comes from a seeded generator, so that a run can be repeated ({REPEATABLE}): whoever knows "
    "the seed, or tries seeds until one fits, can subtract the noise."
)
_KEPT = (
    "The secret of the noise stays in the run's folder after its end, as was asked for: whoever reads it can subtract "
    "the noise."
)
_ERASED = (
    "The secret of the noise lies in the run's folder, readable by its owner alone, until the run ends; then it is "
    "overwritten and deleted, and no checkpoint keeps anything of the noise. A file system that copies on write, a "
    "snapshot, a backup or a flash drive may keep older blocks, which only encryption of the disk makes worthless."
)

_OF_PHONES = (
    "The phones' noise has to come from randomness of their own, which nobody else has. A simulation cannot show that: "
    "one key draws all phones' noise, on the hosts that simulate them, so whoever has it can subtract the noise. A "
    "noised sum is counted as soon as the server may know it, whether it led to a model or not. A round that is "
    "repeated has the same noise: the same vectors give the same sum, which is free, and others are not added up."
)


def noise_source_of(privacy: Mapping[str, Any]) -> str | None:
    """Where the noise came from, of a statement or a card of any version; None without privacy.

    Args:
        privacy: the content of privacy.json, or what a model card has of it. Earlier versions do not say it, and had
            no noise but seeded.
    """
    if privacy["spent"].get("epsilon") is None:
        return None
    return str(privacy.get("noise_source") or "seeded")


def repeatable_note(noise_source: str | None) -> str:
    """What has to stand beside epsilon, from "; " on; nothing if the noise is secret, or there is none."""
    return f"; {REPEATABLE}" if noise_source == "seeded" else ""


def noise_json(plan: PrivacyPlan, secret_kept: bool) -> dict[str, Any]:
    """Fields of the statement; None without privacy.

    Args:
        plan: of the run.
        secret_kept: whether the secret outlives the run.
    """
    is_secret = plan.mechanism is not None and plan.noise_source == "secret"
    return {
        "noise_source": None if plan.mechanism is None else plan.noise_source,
        "noise_sampler": None if plan.mechanism is None else _sampler(plan),
        "noise_secret": ("kept" if secret_kept else "erased when the run ends") if is_secret else None,
    }


def noise_caveats(plan: PrivacyPlan, secret_kept: bool) -> tuple[str, ...]:
    """What has to be known of the noise, by where it comes from; nothing without privacy."""
    if plan.mechanism is None:
        return ()
    key = (_SECRET, _KEPT if secret_kept else _ERASED) if plan.noise_source == "secret" else (_SEEDED,)
    if plan.phone_noise is not None:
        return (*key, _OF_PHONES, sampling_caveat(plan.phone_noise))
    return (*key, _DISCRETE if plan.sampler == "discrete" else _CONTINUOUS)


def _sampler(plan: PrivacyPlan) -> str:
    return plan.sampler if plan.phone_noise is None else plan.phone_noise.kind
