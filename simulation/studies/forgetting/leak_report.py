"""What is still told of forgotten phones, as tables on a terminal: one for each protection."""

from collections.abc import Sequence
from typing import TextIO

from client_model.metrics.intervals import Interval
from simulation.studies.forgetting.leak import AGAIN, SCORES, Leak, Told
from simulation.tables import console_for, print_table


def print_leaks(stream: TextIO, leaks: Sequence[Leak]) -> None:
    """Print a table for each protection, and what each comes to in words.

    Args:
        stream: where to.
        leaks: what was measured; at least one.
    """
    console = console_for(stream)
    some = leaks[0]
    console.print(
        f"What is told of {some.forgotten:,} forgotten phones of {some.took_part:,} that took part once, among "
        f"{some.others:,} that never did: area under the ROC curve, with its 95 % interval. 0.5 tells nothing; below "
        "it is told as much as above."
    )
    for leak in leaks:
        console.print(f"\nUnder {leak.protection}:")
        headings = ("", "recall, %", *(f"by {score}" for score in SCORES))
        print_table(console, headings, [_row(one) for one in leak.told])
        console.print(_in_words(leak))


def _row(one: Told) -> list[str]:
    recall = "-" if one.recall is None else f"{100 * one.recall.mean:.1f}"
    if one.recall_lost is not None and one.recall_lost.half_width is not None:
        recall += f" (lost {100 * one.recall_lost.mean:.1f} ±{100 * one.recall_lost.half_width:.1f})"
    return [one.model, recall, *(_area(one.areas.get(score)) for score in SCORES)]


def _area(found: Interval | None) -> str:
    if found is None:
        return "-"
    if found.low is None or found.high is None:
        return f"{found.mean:.2f}"
    return f"{found.mean:.2f} ({found.low:.2f}-{found.high:.2f})"


def _in_words(leak: Leak) -> str:
    """How the ascent ended, and by which scores each model tells more, or less, than one that was trained again."""
    ascent, parts = leak.ascent, []
    for one in leak.told:
        if one.model != AGAIN:
            more = [score for score, gap in one.beside_again.items() if gap.leaves_out_zero and gap.mean > 0]
            less = [score for score, gap in one.beside_again.items() if gap.leaves_out_zero and gap.mean < 0]
            said = [f"{word} by {', '.join(by)}" for word, by in (("more", more), ("less", less)) if by]
            parts.append(f"{one.model}: {' and '.join(said) or 'no difference shown'}")
    ended = ", and was held by its ball" if ascent.on_edge else ""
    return f"The ascent took {ascent.passes} passes{ended}. Beside one {AGAIN} these tell, {'; '.join(parts)}."
