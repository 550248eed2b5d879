"""The phones whose words are looked for, and those whose words the attacker knows: trained, added up, looked at."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from client_model.text.vocabulary import FIRST_WORD
from simulation.studies.audits.attack import Subject
from simulation.studies.audits.sentence_search import sequences_of
from simulation.studies.audits.sentences_told import SentenceReader, Written
from simulation.studies.audits.update_sums import Frame, Observed, observe, protections_of
from simulation.studies.audits.word_attack import WordAttack, WordPrior

ONE, ANYBODY = "one phone", "anybody"


@dataclass(frozen=True)
class People:
    """Phones in the order in which they are added up, what they wrote, and what is seen of their sums."""

    written: NDArray[np.bool_]  # [people, V]
    observed: tuple[Observed, ...]
    sentences: tuple[Written, ...] = ()  # of the first of them

    def truth(self, seen: Observed, whose: str) -> NDArray[np.float64]:
        """Share of each sum's phones that wrote each word, or whether anybody did: float64 [sums, V]."""
        sums = len(seen.rose)
        of_sums = self.written[: sums * seen.phones].reshape(sums, seen.phones, -1)  # [sums, n, V]
        share: NDArray[np.float64] = of_sums.mean(1) if whose == ONE else of_sums.any(1).astype(np.float64)
        return share


@dataclass
class Known:
    """What the attacker has to learn from: how common words are, and other people's sums and words."""

    prior: WordPrior
    people: People
    _fitted: dict[tuple[str, int, str], WordAttack] = field(default_factory=dict)

    def attack(self, protection: str, phones: int, whose: str) -> WordAttack:
        """The attack for sums of so many phones under a protection, fitted when it is first asked for."""
        if (case := (protection, phones, whose)) not in self._fitted:
            practice = self._seen(phones)
            share = self.people.truth(practice, whose)
            self._fitted[case] = WordAttack.fitted(self.prior, practice.evidence[protection], share)
        return self._fitted[case]

    def guess(self, phones: int, whose: str) -> NDArray[np.float64]:
        """How likely the attacker holds each word without any sum: float64 [V]."""
        practice = self._seen(phones)
        nothing = np.zeros_like(next(iter(practice.evidence.values())))
        return WordAttack.fitted(self.prior, nothing, self.people.truth(practice, whose)).probabilities(nothing[0])

    def _seen(self, phones: int) -> Observed:
        return next(seen for seen in self.people.observed if seen.phones == phones)


def written_by(subject: Subject, phones: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which words each phone has anywhere in its messages: bool [phones, V].

    Args:
        subject: whose text it is.
        phones: ids.
    """
    prepared = subject.prepared
    lookup = prepared.vocabulary.lookup_table(prepared.population.lexicon)
    written = np.zeros((len(phones), len(prepared.vocabulary)), np.bool_)
    for row, (types, _) in zip(written, prepared.population.types_of_phones(phones), strict=True):
        row[lookup[np.minimum(types, len(lookup) - 1)]] = True
    written[:, :FIRST_WORD] = False
    return written


def trained(
    subject: Subject,
    phones: NDArray[np.int64],
    most: dict[int, int],
    advance: Callable[[], None],
    whose: str,
    *,
    reader: SentenceReader | None = None,
) -> People:
    """Train phones as the first round does, and look at the sums of their updates.

    Args:
        subject: whose phones they are.
        phones: in the order in which they are added up.
        most: sums that are looked at, by the phones in a sum.
        advance: called after each phone.
        whose: they are, which keys the noise.
        reader: of sentences.
    """
    from client_model.learning.local_training import limit_threads  # TensorFlow takes seconds to import
    from simulation.engine.phone_host import PhoneHost
    from simulation.run.starting_point import starting_weights

    limit_threads(1)  # the same bits on any number of cores
    prepared = subject.prepared
    host = PhoneHost(prepared.task.on_processor)
    received = host.load(starting_weights(prepared.start, prepared.config, prepared.shape))
    written = np.zeros((len(phones), prepared.shape.vocabulary_size), np.bool_)
    sentences: list[Written] = []

    def updates() -> Iterator[NDArray[np.float32]]:
        for row, phone in zip(written, phones.tolist(), strict=True):
            batches = host.read(phone, 1)
            row[batches.inputs] = row[batches.targets] = True
            if reader is not None and len(sentences) < reader.phones:
                sentences.append(Written.of(list(sequences_of(batches))))
            yield host.train(received, batches).update
            advance()

    frame, protections = Frame.of(prepared.shape, prepared.plan.clip_scope), protections_of(prepared.plan)
    observed = observe(updates(), frame, protections, most, seed=subject.seed, whose=whose, reader=reader)
    written[:, :FIRST_WORD] = False
    return People(written, observed, tuple(sentences))
