"""Settings of consent: a file of what each owner said, or a model of it, or, by default, everybody agrees to all."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from typefleet.errors import ConfigError, expected

TRAIN, EVALUATE, PERSONALISE, TELEMETRY = PURPOSES = ("train", "evaluate", "personalise", "telemetry")


@dataclass(frozen=True)
class ConsentConfig:
    """What the owners of the phones agree to, and when they take it back."""

    path: Path | None = None
    """What each owner said: phone, purpose, time_s, consent (.csv, .parquet, .jsonl); who is not in it agreed to
    nothing."""
    train_share: Annotated[float, Ge(0), Le(1)] = 1.0
    """Share of the phones whose owners agree to training, from the start; a model, as all below."""
    evaluate_share: Annotated[float, Ge(0), Le(1)] = 1.0
    """Share of the phones whose owners agree to being measured."""
    personalise_share: Annotated[float, Ge(0), Le(1)] = 1.0
    """Share of the phones whose owners agree to a model of their own."""
    telemetry_share: Annotated[float, Ge(0), Le(1)] = 1.0
    """Share of the phones whose owners agree to records of their phone alone."""
    regions_h: tuple[float, ...] = ()
    """Time zones, as hours ahead of UTC, where other shares of the owners agree than elsewhere."""
    region_factors: Annotated[tuple[float, ...], Ge(0)] = ()
    """By what every share is multiplied in each of them; at most 1 comes of it."""
    withdrawn_a_day: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Share of those who agree that takes it back within a day."""
    wave_day: Annotated[float | None, Ge(0), Le(1_000_000)] = None
    """Simulated day of an event after which many take it back; none by default."""
    wave_share: Annotated[float, Ge(0), Le(1)] = 0.2
    """Share of those who agree that takes it back for that event."""
    wave_mean_days: Annotated[float, Gt(0), Le(1_000_000)] = 1.0
    """How long after the event they do, on average, in days; most do at first."""
    withdraws: Literal["everything", "training"] = "everything"
    """What an owner takes back: all four agreements at the same moment, or that to training alone."""

    @property
    def withdrawals(self) -> bool:
        """Whether anybody of the model takes anything back."""
        return self.withdrawn_a_day > 0 or self.wave_day is not None

    @property
    def is_simulated(self) -> bool:
        """Whether anybody may disagree; if not, nothing of consent is looked at or recorded."""
        shares = (self.train_share, self.evaluate_share, self.personalise_share, self.telemetry_share)
        return self.path is not None or min(shares) < 1 or self.withdrawals or min(self.region_factors, default=1) < 1


def check_consent(consent: ConsentConfig) -> None:
    """Check the rules between the settings of consent.

    Raises:
        ConfigError: a rule is broken; names the flag.
    """
    regions, factors = consent.regions_h, consent.region_factors
    if len(set(regions)) < len(regions):
        raise ConfigError(expected("--consent.regions-h", "each time zone once", " ".join(map(str, regions))))
    if len(regions) != len(factors) or not all(0 <= factor < float("inf") for factor in factors):
        what = f"{len(regions)} numbers >= 0, one a time zone of --consent.regions-h"
        raise ConfigError(expected("--consent.region-factors", what, " ".join(map(str, factors)) or "none"))
