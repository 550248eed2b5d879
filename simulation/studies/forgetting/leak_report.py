"""What is still told of forgotten phones, as tables on a terminal: one for each protection."""

from collections.abc import Sequence
from typing import TextIO

from client_model.metrics.intervals import Interval, shown_half
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
        f"{some.others:,} that never did: area under the ROC curve ± half of its 95 % interval. 0.5 tells "
        "nothing; below it is told as much as above."
    )
    for leak in leaks:
        console.print(f"\nUnder {leak.protection}:")
        headings = ("", "recall,\n%", "lost,\npoints", *(f"by\n{score}" for score in SCORES))
        print_table(console, headings, [_row(one) for one in leak.told])
        console.print(_in_words(leak))


def _row(one: Told) -> list[str]:
    recall = "-" if one.recall is None else f"{100 * one.recall.mean:.1f}"
    return [one.model, recall, _with_half(one.recall_lost, 100, 1), *(_with_half(one.areas.get(s)) for s in SCORES)]


def _with_half(found: Interval | None, times: int = 1, digits: int = 2) -> str:
    if found is None:
        return "-"
    value = f"{round(times * found.mean, digits) + 0.0:.{digits}f}"  # not -0.0
    half = found.half_width
    return value if half is None else f"{value} ±{shown_half(f'{times * half:.{digits}f}')}"


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
