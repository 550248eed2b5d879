"""Statistics of the synthetic population beside those of real phone messages.

    python scripts/describe_population.py --phones 1500

Targets: the NUS SMS corpus (Chen and Kan 2013), measured on phones held out from it.
"""

import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import annotated_types as at
import numpy as np
from rich.console import Console
from rich.table import Table

from client_model.text.synthetic_text import SyntheticPopulation
from client_model.text.vocabulary import PUNCTUATION
from simulation.flags import parse_with_tyro, run_door

HELD_OUT_SHARE = 0.13
Messages = list[list[int]]  # of one phone: the type ids of each message's words


@dataclass(frozen=True)
class DescribeFlags:
    """Compare the synthetic population with real phone messages."""

    phones: Annotated[int, at.Ge(200)] = 1500
    """Phones to generate."""
    seed: int = 0
    """Seed of the population."""


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


def describe(flags: DescribeFlags) -> None:
    """Generate phones, measure their text, and print it beside real messages."""
    population = SyntheticPopulation(flags.seed, flags.phones)
    phones = [words_by_message(population, p) for p in range(flags.phones)]
    split = round(flags.phones * (1 - HELD_OUT_SHARE))
    training, held_out = phones[:split], phones[split:]
    counts = Counter(w for phone in phones for m in phone for w in m)
    long = [[w for m in phone for w in m] for phone in phones]
    long = [w[:2000] for w in long if len(w) >= 2000][:60]
    messages = np.log([len(phone) for phone in phones])
    words = np.log([max(len(m), 1) for phone in phones for m in phone])
    table = Table("statistic", "real", "synthetic")
    rows = [
        ("log messages a phone, mean / sd", "2.8 / 2.0", f"{messages.mean():.2f} / {messages.std():.2f}"),
        ("log words a message, mean / sd", "1.94 / 0.94", f"{words.mean():.2f} / {words.std():.2f}"),
        (
            "share of words in the top 1k / 5k / 10k",
            ".80 / .93 / .96",
            " / ".join(f"{coverage(counts, k):.2f}".lstrip("0") for k in (1000, 5000, 10000)),
        ),
        (
            "next word on unseen phones: unigram / bigram / trigram",
            "3 / 8 / 16 %",
            " / ".join(f"{100 * next_word_top1(training, held_out, n):.0f}" for n in (1, 2, 3)) + " %",
        ),
        (
            "divergence of 1,000 words, same phone / other phone",
            ".38 / .61 bits",
            f"{np.mean([divergence(w[:1000], w[1000:]) for w in long]):.2f} / "
            f"{np.mean([divergence(a[:1000], b[:1000]) for a, b in pairwise(long)]):.2f} bits",
        ),
    ]
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 110).print(table)


if __name__ == "__main__":
    sys.exit(run_door(lambda: describe(parse_with_tyro(DescribeFlags, sys.argv[1:]))))
