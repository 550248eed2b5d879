"""Settings of how updates are added up: what the server sees of a single phone."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from server_strategy.config import CohortConfig
from typefleet.errors import ConfigError, expected

_WHY_NOT_BUFFERED = (
    "a buffer is full when its phones have long gone, and nobody is there to take the masks out; that needs clients "
    "who speak once, or a trusted machine"
)


@dataclass(frozen=True)
class AggregationConfig:
    """How the server gets the sum of the updates."""

    protocol: Literal["none", "arithmetic", "secagg"] = "none"
    """none: the server sees each host's sum, and the norm, loss and tokens of each phone. secagg: each phone masks its
    vector, by real keys, and the server learns the sum of all alone. arithmetic: the same sums and counts as secagg
    without any key or mask, for large fleets; it hides nothing."""
    neighbours: Annotated[int | None, Ge(2)] = None
    """Phones that each phone shares masks and secrets with; by default the fewest with which the shares below
    do no harm but with probability 2^-40, and all others in a round of up to 64 phones."""
    threshold: Annotated[int | None, Ge(2)] = None
    """Shares of a phone's secret that open it, and so neighbours of each phone that must stay; by default the
    fewest that are safe."""
    corrupted_share: Annotated[float | None, Ge(0), Lt(1)] = None
    """Share of the phones that may side with the server and tell it all they know; by default 0.05."""
    dropout_share: Annotated[float | None, Ge(0), Lt(1)] = None
    """Share of the phones that may leave on the way and yet be made up for; by default 0.15."""
    step_latency_s: Annotated[float | None, Ge(0), Le(3600)] = None
    """Let the steps of secure aggregation take simulated time: this many seconds each, beside their bytes; phones that
    leave meanwhile are made up for, or the round fails. By default they take no time, and lose nobody, so that a run
    has the same phones, and the same weights, as with --aggregation.protocol none."""

    bits: Annotated[int, Ge(12), Le(32)] = 20
    """Of each number of an update whose noise the phones add (--privacy.noise-place phones): it is sent and added
    modulo 2^bits. Fewer are fewer bytes, and a coarser update."""

    robust: Literal[
        "none",
        "median",
        "trimmed-mean",
        "krum",
        "multi-krum",
        "geometric-median",
        "norm-screening",
        "cosine-screening",
    ] = "none"
    """A rule in the place of the mean, which few attackers cannot move at will: phones are dealt out to buckets, and
    the rule makes one of the buckets' means; under secagg each bucket is a session of its own, and the server learns
    the buckets' sums. Screening leaves out what is too long, or points another way. With --privacy.mechanism none
    alone."""
    bucket_phones: Annotated[int, Ge(1)] = 4
    """Phones whose updates are added up before the rule looks at them: what one of them is hidden in under secagg."""
    robust_share: Annotated[float, Ge(0), Lt(0.5)] = 0.05
    """Share of a round's phones that may be attackers; the rule is told that each may spoil a bucket."""
    screening_norm: Annotated[float, Gt(0), Le(1000)] = 2.0
    """Clip norms above which norm-screening leaves out: a phone's update before it is clipped; with secagg or
    arithmetic, where no single one is seen, the mean of a bucket of clipped updates, so that it has to be below 1."""
    screening_cosine: Annotated[float, Ge(-1), Lt(1)] = 0.0
    """Cosine with the buckets' median below which cosine-screening leaves a bucket out."""

    @property
    def sums_buckets(self) -> bool:
        """Whether the server gets sums over buckets of a round's phones alone."""
        return self.is_summed and self.robust != "none"

    @property
    def screens_each(self) -> bool:
        """Whether each phone's update is left out or added by its own norm, so that there are no buckets."""
        return not self.is_summed and self.robust == "norm-screening"

    @property
    def is_summed(self) -> bool:
        """Whether the server gets sums over phones alone, at least by what it is told."""
        return self.protocol != "none"


def check_aggregation(aggregation: AggregationConfig, cohort: CohortConfig, noise_place: str = "server") -> None:
    """Refuse settings that do not go together, before anything is computed.

    Args:
        aggregation, cohort: settings, each within its bounds.
        noise_place: who adds the noise, as `PrivacyConfig` has it.

    Raises:
        ConfigError: names the flag.
    """
    if aggregation.is_summed and cohort.policy == "buffered":
        flag = f"--aggregation.protocol {aggregation.protocol}"
        raise ConfigError(expected(flag, f"only with rounds that follow one another ({_WHY_NOT_BUFFERED})", "buffered"))
    if not aggregation.is_summed:
        if noise_place == "phones":
            what = "only with --aggregation.protocol secagg or arithmetic (one phone's noise hides nothing alone)"
            raise ConfigError(expected("--privacy.noise-place phones", what, "none"))
        return
    if cohort.goal < 3:
        least = "a number >= 3 with --aggregation.protocol: of a sum of two, each phone's other is known to it"
        raise ConfigError(expected("--cohort.goal", least, cohort.goal))
    if aggregation.sums_buckets and aggregation.bucket_phones < 3:
        least = "a number >= 3 with --aggregation.protocol: of a bucket's sum of two, each phone's other is known to it"
        raise ConfigError(expected("--aggregation.bucket-phones", least, aggregation.bucket_phones))
    neighbours, threshold = aggregation.neighbours, aggregation.threshold
    if neighbours is not None and threshold is not None and threshold > neighbours:
        most = f"a number <= --aggregation.neighbours = {neighbours}"
        raise ConfigError(expected("--aggregation.threshold", most, threshold))
