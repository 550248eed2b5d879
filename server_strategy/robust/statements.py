"""Of each defence: what it does to a claim of privacy, and to the fixed denominator.

A claim rests on one number: how far the sum of a round moves, in L2 norm, when one phone's update is put to zero
(zero-out), or the phone is not there while all others stay (add-or-remove). With clipped updates f_p, each a function
of its own phone alone, of norm at most C, that is at most C, and the noise is made for it.

**What keeps that.** Screening a phone by the norm of its own update against a bound of the settings (or of what was
released before) puts another function in the place of f_p: the same, or zeros. It is still of its own phone alone and
at most C, so the sum moves by C at most; put to zero or not there, the phone adds nothing, as before. The denominator
stays the fixed goal: one that counted who passed would tell of a phone's text. So epsilon is the same. In the count of
adaptive clipping a phone that is left out counts as one that is longer than the clip norm, and moves it by 1 at most,
as before. A bound that is made of the round's own norms (their median, a quantile) breaks it: one phone moves the
bound, and the bound leaves out others, whose C come on top.

**What does not.** What a rule gives is no sum, and one phone moves it further than 1/n of the clip norm. Of B buckets
of b phones each (n = B b) one phone moves one bucket's mean by C / b at most. Then:

* The trimmed mean without f values on each side moves by C / (b (B - 2 f)) at most. One value that rises by e, others
  being as they are, makes no ordered value fall, and all of them together rise by e; so those in the middle by e at
  most. It holds in each coordinate, so in L2 norm too. That is B / (B - 2 f) times as far as the mean does.
* The median is its extreme, with one or two values in the middle: C / b at most, B times as far for an odd B.
* Krum and multi-Krum jump from one point to another, however little a phone moves its own: 2 C at most, and no less in
  the worst case, whatever n is: 2 n times as far.
* The geometric median can move by more than a bucket does where the points are nearly on one line; we know of no bound
  but the diameter of where the points are, 2 C.
* Screening buckets by the norm of their mean, at most L clip norms: one phone takes its whole bucket in or out, so
  L b times as far as the mean, where that is more than once. (A single phone's own norm is another matter, see above.)
* Screening by cosine with the round's own median: one phone moves the median, which lets in or leaves out buckets of
  others: 2 C at most.

Noise for those is not what the accountant counts. So a rule goes with no mechanism that adds noise, also where a bound
is known: it is refused, and nothing is claimed of such a run.
"""

from dataclasses import dataclass

from server_strategy.robust.config import NORM_SCREENING


@dataclass(frozen=True)
class Defence:
    """What a defence is and what it costs a claim.

    Attributes:
        does: in one line.
        source: where it is from.
        keeps_claim: whether epsilon is the same with it.
        privacy: what it does to the claim.
        denominator: what the sum is divided by.
    """

    does: str
    source: str
    keeps_claim: bool
    privacy: str
    denominator: str


_OF_ALL = "the goal, fixed"
_OF_BUCKETS = "a bucket's by the phones that were asked, fixed before they train; who fails counts as zeros"
_BUCKETS_SCREENED = "the buckets, fixed; one that is left out counts as zeros"
_REFUSED = "refused with noise"

NORM_SCREENING_OF_BUCKETS = "norm-screening of buckets"
"""Norm screening where nobody sees a single update."""

DEFENCES: dict[str, Defence] = {
    "clipping": Defence(
        "each update is shortened to the clip norm",
        "McMahan et al. 2018, arXiv:1710.06963",
        keeps_claim=True,
        privacy="is what the claim rests on: one phone moves the sum by the clip norm at most",
        denominator=_OF_ALL,
    ),
    "norm-screening": Defence(
        "an update that is longer than a fixed bound is left out",
        "Sun et al. 2019, arXiv:1911.07963",
        keeps_claim=True,
        privacy="none: what a phone adds is still a function of its own text, and at most the clip norm",
        denominator=f"{_OF_ALL}; who is left out counts as zeros",
    ),
    NORM_SCREENING_OF_BUCKETS: Defence(
        "a bucket whose mean is longer than a fixed bound is left out",
        "after Sun et al. 2019, arXiv:1911.07963",
        keeps_claim=False,
        privacy=f"{_REFUSED}: one phone takes its bucket in or out, b times the bound as far as the mean of all phones",
        denominator=_BUCKETS_SCREENED,
    ),
    "cosine-screening": Defence(
        "a bucket whose direction is unlike the median's is left out",
        "after Cao et al. 2021, arXiv:2012.13995",
        keeps_claim=False,
        privacy=f"{_REFUSED}: one phone moves the median, and that leaves out others; 2 clip norms at most",
        denominator=_BUCKETS_SCREENED,
    ),
    "median": Defence(
        "the median of the buckets' means in each coordinate",
        "Yin et al. 2018, arXiv:1803.01498",
        keeps_claim=False,
        privacy=f"{_REFUSED}: one phone moves it as far as its bucket, B times as far as the mean of B buckets",
        denominator=_OF_BUCKETS,
    ),
    "trimmed-mean": Defence(
        "the mean in each coordinate without the f least and the f greatest",
        "Yin et al. 2018, arXiv:1803.01498",
        keeps_claim=False,
        privacy=f"{_REFUSED}: one phone moves it B / (B - 2f) times as far as the mean of B buckets",
        denominator=_OF_BUCKETS,
    ),
    "krum": Defence(
        "the one bucket that is nearest to B - f - 2 others",
        "Blanchard et al. 2017, arXiv:1703.02757",
        keeps_claim=False,
        privacy=f"{_REFUSED}: it jumps from one bucket to another; 2 clip norms at most",
        denominator=_OF_BUCKETS,
    ),
    "multi-krum": Defence(
        "the mean of the B - f - 2 buckets that Krum holds best",
        "Blanchard et al. 2017, arXiv:1703.02757",
        keeps_claim=False,
        privacy=f"{_REFUSED}: it jumps from buckets to others; 2 clip norms at most",
        denominator=_OF_BUCKETS,
    ),
    "geometric-median": Defence(
        "the point with the least sum of distances to the buckets' means",
        "Pillutla et al. 2022, arXiv:1912.13445",
        keeps_claim=False,
        privacy=f"{_REFUSED}: no bound is known but the diameter of all, 2 clip norms",
        denominator=_OF_BUCKETS,
    ),
}
"""By name; the rules' names are those of `rules.RULES`."""


def defence_of(rule: str, of_buckets: bool) -> Defence:
    """What a run's defence is and costs.

    Args:
        rule: as of --aggregation.robust.
        of_buckets: it looks at sums of buckets; else at each phone's update.
    """
    return DEFENCES[NORM_SCREENING_OF_BUCKETS if of_buckets and rule == NORM_SCREENING else rule]
