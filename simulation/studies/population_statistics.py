"""Statistics of the synthetic population beside those of real phone messages.

Targets: the NUS SMS corpus (Chen and Kan 2013), measured on phones held out from it.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from rich.table import Table

from client_model.text.synthetic_text import SyntheticPopulation
from client_model.text.vocabulary import PUNCTUATION
from typefleet.steps import each

HELD_OUT_SHARE = 0.13
Messages = list[list[int]]  # of one phone: the type ids of each message's words


@dataclass(frozen=True)
class TextStatistics:
    """What is compared."""

    log_messages: tuple[float, float]  # mean and standard deviation of the log of messages per phone
    log_words: tuple[float, float]  # of the log of words per message
    coverage: tuple[float, ...]  # share of words in the top 1,000, 5,000 and 10,000
    next_word: tuple[float, ...]  # top-1 of unigrams, bigrams and trigrams on unseen phones
    divergence_of_a_phone: float  # bits, of 1,000 words and the next 1,000 of the same phone; mean
    divergence_between_phones: float  # bits, of 1,000 words each of two phones; mean


def words_by_message(population: SyntheticPopulation, phone: int) -> Messages:
    """Each message as type ids without punctuation."""
    flat, offsets = population.types(phone)
    return [[int(t) for t in flat[a:b] if t >= len(PUNCTUATION)] for a, b in pairwise(offsets)]


def coverage(counts: Counter[int], top: int) -> float:
    """Share of all words that the `top` commonest make up."""
    return sum(n for _, n in counts.most_common(top)) / sum(counts.values())


def next_word_top1(training: list[Messages], held_out: list[Messages], order: int) -> float:
    """Top-1 of a back-off n-gram model on unseen phones; contexts seen once are not trusted."""
    models: list[defaultdict[tuple[int, ...], Counter[int]]] = [defaultdict(Counter) for _ in range(order)]
    for message in (m for phone in training for m in phone):
        padded = [-1] * (order - 1) + message
        for i in range(order - 1, len(padded)):
            for n in range(order):
                models[n][tuple(padded[i - n : i])][padded[i]] += 1
    best = [
        {k: c.most_common(1)[0][0] for k, c in m.items() if sum(c.values()) > (n > 1)} for n, m in enumerate(models)
    ]
    hits = total = 0
    for message in (m for phone in held_out for m in phone):
        padded = [-1] * (order - 1) + message
        for i in range(order - 1, len(padded)):
            guess = next(best[n][c] for n in reversed(range(order)) if (c := tuple(padded[i - n : i])) in best[n])
            hits += guess == padded[i]
            total += 1
    return hits / total


def divergence(a: list[int], b: list[int]) -> float:
    """Jensen-Shannon divergence of two word lists, in bits."""
    p, q = Counter(a), Counter(b)
    words = list(p.keys() | q.keys())
    x = np.array([p[w] for w in words]) / len(a)
    y = np.array([q[w] for w in words]) / len(b)
    middle = (x + y) / 2
    return float(sum(np.sum(v[v > 0] * np.log2(v[v > 0] / middle[v > 0])) / 2 for v in (x, y)))


def measure_text(num_phones: int, seed: int) -> TextStatistics:
    """Generate phones and measure their text."""
    population = SyntheticPopulation(seed, num_phones)
    phones = [words_by_message(population, p) for p in each("writing messages", range(num_phones), num_phones)]
    split = round(num_phones * (1 - HELD_OUT_SHARE))
    counts = Counter(w for phone in phones for m in phone for w in m)
    long = [[w for m in phone for w in m] for phone in phones]
    long = [w[:2000] for w in long if len(w) >= 2000][:60]
    messages = np.log([len(phone) for phone in phones])
    words = np.log([max(len(m), 1) for phone in phones for m in phone])
    return TextStatistics(
        log_messages=(float(messages.mean()), float(messages.std())),
        log_words=(float(words.mean()), float(words.std())),
        coverage=tuple(coverage(counts, k) for k in (1000, 5000, 10000)),
        next_word=tuple(next_word_top1(phones[:split], phones[split:], n) for n in (1, 2, 3)),
        divergence_of_a_phone=float(np.mean([divergence(w[:1000], w[1000:]) for w in long])),
        divergence_between_phones=float(np.mean([divergence(a[:1000], b[:1000]) for a, b in pairwise(long)])),
    )


def comparison_table(found: TextStatistics) -> Table:
    """The statistics beside those of real messages."""
    table = Table("statistic", "real", "synthetic")

    def spread(values: tuple[float, float]) -> str:
        return " / ".join(f"{value:.2f}" for value in values)

    table.add_row("log messages per phone, mean / sd", "2.8 / 2.0", spread(found.log_messages))
    table.add_row("log words per message, mean / sd", "1.94 / 0.94", spread(found.log_words))
    table.add_row(
        "share of words in the top 1k / 5k / 10k",
        ".80 / .93 / .96",
        " / ".join(f"{share:.2f}".lstrip("0") for share in found.coverage),
    )
    table.add_row(
        "next word on unseen phones: unigram / bigram / trigram",
        "3 / 8 / 16 %",
        " / ".join(f"{100 * share:.0f}" for share in found.next_word) + " %",
    )
    table.add_row(
        "divergence of 1,000 words, same phone / other phone",
        ".38 / .61 bits",
        f"{spread((found.divergence_of_a_phone, found.divergence_between_phones))} bits",
    )
    return table
