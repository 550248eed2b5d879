"""What a value in a run's files is computed from, and what the privacy guarantee says of values computed from that.

The guarantee is of what is released: the model after each round, the clip norm if it adapts, and all that follows from
them. Everything else that depends on phones is outside it, however harmless a number looks; what would make it safe is
its cure.
"""

from enum import StrEnum
from typing import NamedTuple


class Guarantee(StrEnum):
    """What the guarantee says of a value."""

    NOT_COVERED = "not covered"
    AS_KNOWN = "taken as known"  # the guarantee is for a given schedule
    COVERED = "covered"
    NOTHING = "nothing of phones"


class Source(NamedTuple):
    """What a value is computed from."""

    name: str
    words: str
    guarantee: Guarantee
    cure: str  # what would make it safe to pass on; empty where it is


class Keys(NamedTuple):
    """Values of a file that are computed from the same."""

    names: tuple[str, ...]  # patterns of dotted names, without places in lists; {metric} and {count}: of the metrics
    holds: str
    source: Source


_NO, _KNOWN, _YES, _NOTHING = Guarantee.NOT_COVERED, Guarantee.AS_KNOWN, Guarantee.COVERED, Guarantee.NOTHING
_NOISED = "noise of its own and a share of the budget"

RELEASES = Source("releases", "what was released, and nothing else of the phones", _YES, "")
SETTINGS = Source("settings", "settings and the project's own text", _NOTHING, "")
COST = Source(
    "cost", "the plan, and how often and how close together phones took part", _KNOWN, "the planned bounds instead"
)
SCHEDULE = Source(
    "schedule", "which phones took part, when, and what became of them", _KNOWN, "the planned bounds instead"
)
TRAINED_TEXT = Source("training text", "the text of the phones that trained, exactly", _NO, _NOISED)
ONE_PHONE = Source(
    "single phones", "the text or the behaviour of single phones, exactly", _NO, "only sums over many phones, noised"
)
LABELS = Source("labels", "single phones, by labels that need the salt to be read", _NO, "counts instead of labels")
FAILURES = Source("failures", "what went wrong on single phones", _NO, "counts instead of labels and causes")
COUNTED = Source(
    "counting", "words counted on the training phones, exactly", _NO, "counts on public text, or noised counts"
)
EVALUATION = Source(
    "evaluation",
    "the text of people who never train, exactly",
    _NO,
    "public text to measure on, or noise on the counts",
)
CHECKED = Source(
    "checks", "whether it does as the weights do on text of people who never train", _NO, "public text to check on"
)
AUDITED = Source(
    "an audit's verdict",
    "whether attacks, on text of the phones that trained, came to no more than a rule allows",
    _NO,
    "holding the release to no rule",
)
WITHOUT_NOISE = Source(
    "a model without noise",
    "the text of the training phones, by a model without noise",
    _NO,
    "none: it is a comparison",
)
SMALL_GROUPS = Source(
    "small groups", "phones in groups, of which some may be small", _NO, "large groups, and noise on their counts"
)
TIMES = Source("time", "how long a machine took, which grows with the text", _NO, "leaving them out")
SECRETS = Source("secrets", "a secret of the run", _NO, "keeping it: it undoes the noise, or the labels")
FILE_OF_TEXT = Source("the file of text", "the file of messages, of whichever phones", _NO, "leaving it out")
# Which of them it is, is the run's to say.
VOCABULARY = Source(
    "vocabulary", "the vocabulary, where it is counted on phones", _NO, "a public list, or a private vocabulary"
)
COUNTED_WORDS = Source("vocabulary", "words counted on phones, without noise", _NO, "a public list, or a private one")
PUBLIC_WORDS = Source("vocabulary", "a public list of words", _NOTHING, "")
LISTED_WORDS = Source(
    "vocabulary", "a list of words that was handed in", _NO, "knowing that nobody's text is in the list"
)
_PUBLIC_START = "a start whose vocabulary is public"
EARLIER_WORDS = Source(
    "vocabulary", "words of what the run started from, and how they were chosen is not known", _NO, _PUBLIC_START
)
EARLIER_COUNTED_WORDS = Source(
    "vocabulary", "words that an earlier run counted on its phones, without noise", _NO, _PUBLIC_START
)
EARLIER_PRIVATE_WORDS = Source(
    "vocabulary", "words that an earlier run chose with noise, at a cost that is part of the cost with it", _YES, ""
)
EARLIER_UNCOVERED_WORDS = Source(
    "vocabulary",
    "words that an earlier run chose with noise, of a modelled deployment or at a cost that no ledger here shows",
    _NO,
    _PUBLIC_START,
)
CORPUS_WORDS = Source(
    "vocabulary", "words counted on text that is taken to be public", _NO, "knowing that nobody's text is in it"
)
PRIVATE_WORDS = Source("vocabulary", "words chosen with noise, at a share of the budget", _YES, "")
PRIVATE_WORDS_OF_A_MODEL = Source(
    "vocabulary",
    "words of phones, chosen with the share of the noise that a modelled deployment leaves to this run",
    _NO,
    "a goal as large as modelled, or a public list",
)
RELEASES_WITHOUT_NOISE = Source("releases", "the phones' updates, without any noise", _NO, "a privacy mechanism")
RELEASES_OF_A_SEED = Source(
    "releases", "the phones' updates, with noise that whoever finds the seed can take away", _NO, "secret noise"
)
RELEASES_OF_A_MODEL = Source(
    "releases",
    "the phones' updates, with the noise that a modelled deployment would need",
    _NO,
    "a goal as large as modelled",
)


def passed(*names: str) -> Keys:
    """The row of what a file says of an audit that allowed a release.

    Args:
        names: patterns of dotted names.
    """
    return Keys(names, "that a release passed an audit", AUDITED)
