"""What updates tell of the sentences that phones wrote: words in their order, and not only which words there were.

Of a single update, and of sums of 2 and 8 phones' updates, under each protection: the words that the attack on words
holds likelier than not go into a bag, and a beam search (`sentence_search`) makes sentences of them, led by the weights
before the update, which is a prior, or by weights further along the update. The attacker names as many sentences as
there truly are. Beside each figure stands the same search on the update, or sum, of other phones: what it hits by
chance, with a bag of words of the same kind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from client_model.learning.language_model import ModelShape
from client_model.metrics.intervals import CONFIDENCE, Interval, share_over_people
from client_model.text.vocabulary import FIRST_WORD, OOV
from server_strategy.privacy.plan import PrivacyPlan
from simulation.studies.audits.attack import Attack
from simulation.studies.audits.batched_model import BatchedModel
from simulation.studies.audits.sentence_search import search
from simulation.studies.audits.update_sums import CLIPPED, DEPLOYMENT, SIMULATION, SUM, Frame
from simulation.studies.audits.word_attack import WordAttack, word_evidence

SPELLED_SIZES = (1, 2, 8)  # phones in the sums that sentences are looked for in
PHONES, QUICK_PHONES = 64, 16  # whose sentences are looked for, at most
BEFORE, AFTER = "before", "after"
RUN = 4  # words in a row
_STEP = 8.0  # length of the step along the update to the weights that lead the search; chosen on other phones
_TINY = 1e-12
_LIKELY = 0.5  # probability from which on a word is in the bag

Sentence = tuple[int, ...]  # ids


@dataclass(frozen=True)
class SentencesTold:
    """How much was recovered of what stands in order, from sums of one size under one protection."""

    protection: str
    phones: int  # in the sum
    led_by: str  # weights before the update, or after it
    runs: Interval | None
    """Share of a phone's runs of four words that stand in a named sentence, over the phones."""
    runs_by_chance: Interval | None
    """The same of the sentences named from others' updates; so below."""
    precision: Interval | None
    """Share of the runs of four words named that somebody in the sum wrote, over the sums of which any are named."""
    precision_by_chance: Interval | None
    whole: Interval | None
    """Share of a phone's messages of four words or more, all in the vocabulary, that are named word for word."""
    whole_by_chance: Interval | None
    overlap: Interval | None
    """Of single updates: mean over a phone's messages of the best F1 by the longest common subsequence (ROUGE-L, Lin
    2004, "ROUGE: A Package for Automatic Evaluation of Summaries", section 3.1) with a named sentence."""
    overlap_by_chance: Interval | None


class Written(NamedTuple):
    """What a phone wrote."""

    messages: frozenset[Sentence]  # whole ones
    runs: frozenset[Sentence]  # of four words

    @classmethod
    def of(cls, sequences: Sequence[tuple[bool, Sentence]]) -> "Written":
        """From what it trains on.

        Args:
            sequences: as `sentence_search.sequences_of` has them.
        """
        whole = frozenset(tokens for is_whole, tokens in sequences if is_whole and tokens)
        return cls(whole, frozenset(run for _, tokens in sequences for run in runs_of(tokens)))

    @property
    def looked_for(self) -> list[Sentence]:
        """Messages that could be named word for word and say something."""
        return sorted(one for one in self.messages if len(one) >= RUN and OOV not in one)


def runs_of(tokens: Sentence) -> set[Sentence]:
    """All runs of four words; punctuation and what the vocabulary lacks end a run."""
    runs = (tokens[at : at + RUN] for at in range(len(tokens) - RUN + 1))
    return {run for run in runs if min(run) >= FIRST_WORD}


@dataclass
class SentenceReader:
    """Reads sentences out of sums as these come by, so that no sum has to be kept.

    Attributes:
        shape: of the model.
        start: weights that the updates are of, float32 [num_weights].
        attacks: on words, by protection and size of the sum.
        phones: whose sentences are looked for; the first of those that are added up.
        named: all sentences found, the likeliest first, of one sum after the other.
    """

    shape: ModelShape
    start: NDArray[np.float32]
    attacks: Mapping[tuple[str, int], WordAttack]
    phones: int
    named: dict[tuple[str, int, str], list[list[Sentence]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._before = BatchedModel(self.shape, self.start)
        self._frame = Frame.of(self.shape, "")

    def wants(self, phones: int, number: int) -> bool:
        """Whether a sum is to be read: the one of that number among those of so many phones."""
        return phones in SPELLED_SIZES and (number + 1) * phones <= self.phones

    def read(self, protection: str, phones: int, flat: NDArray[np.floating[Any]]) -> None:
        """Find sentences in a sum.

        Args:
            protection: that it is under.
            phones: that are in it.
            flat: as it is seen, [num_weights].
        """
        evidence = word_evidence(*self._frame.parts(flat))
        bag = np.flatnonzero(self.attacks[protection, phones].probabilities(evidence) > _LIKELY)
        along = (self.start + _STEP / max(float(np.linalg.norm(flat)), _TINY) * flat).astype(np.float32)
        models = {BEFORE: self._before} if protection == SUM else {}  # a prior; of the bag alone
        for led_by, model in {**models, AFTER: BatchedModel(self.shape, along)}.items():
            found = search(model, bag, self.shape.sequence_length) if len(bag) else []
            self.named.setdefault((protection, phones, led_by), []).append([s for s in found if len(s) >= RUN])

    def told(self, written: Sequence[Written]) -> list[SentencesTold]:
        """How much of it is right.

        Args:
            written: of the phones, in the order in which they are added up.
        """
        return [_told(case, sums, written) for case, sums in self.named.items()]


def _told(case: tuple[str, int, str], sums: Sequence[Sequence[Sentence]], written: Sequence[Written]) -> SentencesTold:
    n = case[1]
    own_of = [list(written[at * n : (at + 1) * n]) for at in range(len(sums))]
    others = [*sums[1:], *sums[:1]] if len(sums) > 1 else []  # what other phones' updates have come to
    found, by_chance = _shares(sums, own_of), _shares(others, own_of)
    return SentencesTold(
        *case,
        runs=found["runs"],
        runs_by_chance=by_chance["runs"],
        precision=found["precision"],
        precision_by_chance=by_chance["precision"],
        whole=found["whole"],
        whole_by_chance=by_chance["whole"],
        overlap=found["overlap"],
        overlap_by_chance=by_chance["overlap"],
    )


def _shares(sums: Sequence[Sequence[Sentence]], own_of: Sequence[Sequence[Written]]) -> dict[str, Interval | None]:
    """All shares, with intervals over phones, of precision over sums; None where there is nothing."""
    shares: dict[str, list[float]] = {"runs": [], "precision": [], "whole": [], "overlap": []}
    for every, phones in zip(sums, own_of, strict=False):
        named = list(every[: sum(len(one.messages) for one in phones)])
        said, known = set(named), {run for one in named for run in runs_of(one)}
        if known:
            shares["precision"].append(len(known & {run for one in phones for run in one.runs}) / len(known))
        for one in phones:
            if one.runs:
                shares["runs"].append(len(one.runs & known) / len(one.runs))
            if messages := one.looked_for:
                shares["whole"].append(sum(message in said for message in messages) / len(messages))
                if len(phones) == 1:
                    shares["overlap"].append(sum(best_overlap(m, named) for m in messages) / len(messages))
    return {name: share_over_people(np.array(own), np.ones(len(own))) for name, own in shares.items()}


def best_overlap(message: Sentence, named: Sequence[Sentence]) -> float:
    """The best F1 of a message with any named sentence, by their longest common subsequence; 0 without any.

    Args:
        message: that was written.
        named: sentences.
    """
    places: dict[int, int] = {}
    for place, token in enumerate(message):
        places[token] = places.get(token, 0) | 1 << place
    return max((2 * _common(places, one) / (len(message) + len(one)) for one in named), default=0.0)


def _common(places: Mapping[int, int], other: Sentence) -> int:
    """Length of the longest common subsequence, a bit for each place of the first sentence.

    Hyyroe 2004, "Bit-parallel LCS-length computation revisited", section 3.
    """
    row = -1
    for token in other:
        match = row & places.get(token, 0)
        row = (row + match) | (row - match)
    length = max((bits.bit_length() for bits in places.values()), default=0)
    return length - (row & ((1 << length) - 1)).bit_count()


_HEADLINES = (
    *((SUM, 1, AFTER), (SUM, 1, BEFORE), (SUM, 2, AFTER), (SUM, 8, AFTER)),
    *((CLIPPED, 1, AFTER), (SIMULATION, 1, AFTER), (DEPLOYMENT, 1, AFTER)),
)


def as_attacks(told: Sequence[SentencesTold], plan: PrivacyPlan, adds: float | None, quick: bool) -> list[Attack]:
    """The headlines, one figure each; all others are details of the first.

    Args:
        told: all figures.
        plan: of the run.
        adds: what one release can add to the chance of anything; None: there is no noise.
        quick: whether fewer phones were attacked.
    """
    by_case = {(one.protection, one.phones, one.led_by): one for one in told if one.runs is not None}
    found: list[Attack] = []
    for case in _HEADLINES:
        if case in by_case:
            details: dict[str, Any] = {} if found else {"sentences_told": [asdict(each) for each in told]}
            found.append(_as_attack(by_case[case], plan, adds, quick=quick, details=details))
    return found


def _as_attack(
    one: SentencesTold, plan: PrivacyPlan, adds: float | None, *, quick: bool, details: dict[str, Any]
) -> Attack:
    of = "update of one phone" if one.phones == 1 else f"sum of {one.phones} phones' updates"
    what = "" if one.protection == SUM else f", {one.protection}"
    chance = 0.0 if one.runs_by_chance is None else one.runs_by_chance.mean
    bound, bound_is = None, "none: nothing that was promised is between the update and who sees it"
    if one.protection == SIMULATION:
        bound_is = f"none: the noise is that of {plan.epsilon_is_of}, and protects none of so few phones"
    if one.protection == DEPLOYMENT and adds is not None:
        bound = min(1.0, chance + adds)
        bound_is = "what others' updates give, and what one release with this noise can add to the chance of anything"
    led = ", led by the weights before it" if one.led_by == BEFORE else ""
    runs = one.runs
    return Attack(
        name=f"words in order: {of}{what}{led}",
        attacker="whoever reads what is added up",
        sees=f"the {of}{what}",
        assumes="words of the vocabulary alone; the starting weights, and other people's updates and words, are known",
        quantity=f"share of a phone's runs of {RUN} words",
        value=None if runs is None else runs.mean,
        low=None if runs is None else runs.low,
        high=None if runs is None else runs.high,
        confidence=CONFIDENCE,
        bound=bound,
        bound_is=bound_is,
        why=_why(one, quick),
        details=details,
    )


def _why(one: SentencesTold, quick: bool) -> str:
    def said(found: Interval | None) -> str:
        return "-" if found is None else f"{found.mean:.3f}"

    few = "; of few phones, with --quick" if quick else ""
    return (
        f"from others' updates {said(one.runs_by_chance)}; of the runs named {said(one.precision)} are right (from "
        f"others' {said(one.precision_by_chance)}); whole messages word for word: {said(one.whole)} (from others' "
        f"{said(one.whole_by_chance)}){few}"
    )
