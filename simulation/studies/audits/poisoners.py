"""What phones send that want a keyboard to suggest a word of theirs, or to suggest nothing useful at all.

| attack | what a phone of an attacker does |
|---|---|
| sentence | has written the sentences among its messages, and trains as all phones do |
| replacement | trains on them five times as long, and sends the update so many times over that the mean is its own |
| adaptive | trains on the sentences alone, and sends an update exactly as long as clipping lets it be |
| labels | learns a wrong word at each place: the n-th commonest in the place of the n-th rarest |

Replacement is that of Bagdasaryan et al. 2020 ("How to backdoor federated learning", AISTATS, arXiv:1807.00459,
equation 3): an update times the round's phones over the attackers among them, each of whom sends a share. No bound on
norms sees the adaptive one. Labels are flipped as in Fang et al. 2020 (USENIX Security, arXiv:1911.11815).

An attacker knows all that a phone is told, the clip norm, and how many of the round's phones are attackers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.text.vocabulary import FIRST_WORD
from server_strategy.update_sum import l2_norm
from simulation.studies.audits.planted import Planted
from simulation.studies.audits.played_training import PlayedTraining

NOBODY, SENTENCE, REPLACEMENT, ADAPTIVE, LABELS = "nobody", "sentence", "replacement", "adaptive", "labels"
ATTACKS = (SENTENCE, REPLACEMENT, ADAPTIVE, LABELS)
_PASSES = 5  # of an attacker's own training, for each of an honest phone's
_WITHIN = 1 - 2.0**-20  # of the clip norm: float32 does not round it above


@dataclass(frozen=True)
class Round:
    """What attackers know of a round."""

    number: int
    phones: int  # that report
    attackers: int  # among them
    clip_norm: float
    layer_sizes: tuple[int, ...] | None  # of clipping layer by layer
    planted: Planted  # what they want


def poisoned_update(
    attack: str, training: PlayedTraining, received: list[Any], phone: int, at: Round
) -> NDArray[np.float32]:
    """What an attacker's phone sends: float32 [num_weights].

    Args:
        attack: one of `ATTACKS`.
        training: in which attackers' phones have written the sentences.
        received: the round's weights, as its host has them.
        phone: of the attacker.
        at: the round.
    """
    if attack == SENTENCE:
        return training.host.train(received, training.batches(phone, at.number)).update
    if attack == LABELS:
        batches = training.batches(phone, at.number)
        wrong = flipped(batches.targets, training.shape.vocabulary_size)
        return training.host.train(received, batches._replace(targets=wrong)).update
    if attack == REPLACEMENT:
        own = training.host.train(received, training.batches(phone, at.number, _PASSES)).update
        return boosted(own, at.phones / at.attackers)
    alone = at.planted.batches(training.shape.sequence_length, _PASSES)
    return within_norms(training.host.train(received, alone).update, at)


def flipped(targets: NDArray[np.int32], words: int) -> NDArray[np.int32]:
    """Wrong targets: of V - FIRST_WORD words the first becomes the last; what is no word stays.

    Args:
        targets: ids, int32 [n].
        words: V, special tokens among them.
    """
    return np.where(targets < FIRST_WORD, targets, words - 1 - (targets - FIRST_WORD)).astype(np.int32)


def boosted(update: NDArray[np.float32], times: float) -> NDArray[np.float32]:
    """An update so many times as long.

    Args:
        update: float32 [num_weights].
        times: at least 1.
    """
    return update * np.float32(times)


def within_norms(update: NDArray[np.float32], at: Round) -> NDArray[np.float32]:
    """An update that is as long as clipping leaves it, layer by layer if it clips so.

    Args:
        update: float32 [num_weights].
        at: the round, with the clip norm.
    """
    sizes: Sequence[int] = at.layer_sizes or (len(update),)
    parts = np.split(update, np.cumsum(sizes)[:-1])
    longest = max(l2_norm(part) for part in parts) * len(sizes) ** 0.5
    return update * np.float32(at.clip_norm * _WITHIN / longest) if longest else update
