"""The audit trail of a run held to its chain, and to a head that was kept elsewhere; and shown to people.

What was done to a trail is said in one line, with its place. What the trail itself says of the run and asks for a look,
such as a file that changed while no command was at work, is a note.
"""

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from rich.console import Console

from simulation.audit_trail import BEGIN, FORM, INTERRUPTED, REFUSED, TRAIL, files_of
from simulation.files import read_json_object
from simulation.run.ledger_head import HEAD, TRAIL_DIGEST
from simulation.tables import console_for, print_table
from typefleet.chained_log import Chain, ChainedLine
from typefleet.errors import ConfigError, expected, printable

_OUTCOMES = {0: "done", REFUSED: "refused", INTERRUPTED: "interrupted"}
_NO_END = "no end"
_NO_BREAK = "\N{NO-BREAK SPACE}"
_HEADINGS = ("line", "when (UTC)", "who", "command", "outcome")
_WHO, _WHAT, _FLAGS = 14, 25, 4  # columns, columns, flags that are shown


class Step(NamedTuple):
    """One command."""

    begin: ChainedLine
    end: ChainedLine | None  # None: it was killed, or is still at work

    @property
    def outcome(self) -> str:
        """What became of it, in words."""
        if self.end is None:
            return _NO_END
        code = self.end.says["exit_code"]
        return _OUTCOMES.get(code, f"exit code {code}")

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return None if self.end is None else (_at(self.end) - _at(self.begin)).total_seconds()


@dataclass(frozen=True)
class TrailCheck:
    """What a trail comes to.

    Attributes:
        path: of the trail.
        chain: its lines, as far as each follows the one before it.
        steps: the commands that they are of.
        wrongs: what was done to it, each in one line with its place.
        notes: what asks for a look.
    """

    path: Path
    chain: Chain
    steps: Sequence[Step]
    wrongs: Sequence[str] = field(default_factory=tuple)
    notes: Sequence[str] = field(default_factory=tuple)


def check_trail(folder: Path, head: str | None = None) -> TrailCheck:
    """Read a run's trail and hold it to its chain.

    Args:
        folder: of the run.
        head: the hash of a line that was kept elsewhere, 64 hexadecimal digits.

    Raises:
        ConfigError: there is no trail, or it cannot be read.
    """
    path = folder / TRAIL
    if not path.exists():
        found = "none: no command has been given on it since there are trails, or the trail was taken away"
        raise ConfigError(expected(path, "the audit trail of a run", found))
    chain, wrong = FORM.read_while_whole(folder)
    wrongs = [] if wrong is None else [str(wrong)]
    steps, unpaired = _steps(chain, path)
    wrongs += unpaired
    kept = {} if head is None else {"the head that was kept": head}
    if (of_the_statement := head_in_statement(folder)) is not None:
        kept[f"that in {HEAD}"] = of_the_statement
    for name, one in kept.items():
        if wrong is None and one not in {line.hash for line in chain.lines}:
            found = f"none among {len(chain.lines)}: lines were cut off the end, or written anew"
            wrongs.append(expected(path, f"a line whose hash is {name}", found))
    return TrailCheck(path, chain, steps, wrongs, list(_notes(folder, chain, steps, is_whole=wrong is None)))


def head_in_statement(folder: Path) -> str | None:
    """The hash of a line of the trail that privacy_head.json has, and its signature covers; None without one."""
    path = folder / HEAD
    found = read_json_object(path, "the head of a ledger").get(TRAIL_DIGEST) if path.exists() else None
    return None if found is None else str(found)


def _steps(chain: Chain, path: Path) -> tuple[list[Step], list[str]]:
    """Each command with its end, and ends of none."""
    ends: dict[int, ChainedLine] = {}
    begun: set[int] = set()
    wrongs: list[str] = []
    for line in chain.lines:
        if line.says["event"] == BEGIN:
            begun.add(line.number)
        elif line.says["of"] in begun and line.says["of"] not in ends:
            ends[line.says["of"]] = line
        else:
            wrongs.append(expected(f"{path}:{line.number}", "the end of a command that began before it", "another"))
    return [Step(line, ends.get(line.number)) for line in chain.lines if line.number in begun], wrongs


def _notes(folder: Path, chain: Chain, steps: Sequence[Step], *, is_whole: bool) -> Iterator[str]:
    if chain.half_line is not None:
        yield f"line {chain.half_line} is half-written, by a command that was killed meanwhile, and is not counted"
    if chain.lines and "privacy_ledger.jsonl" in chain.lines[0].says["files"]:
        yield "the run was there before its trail: what was done before line 1 is not in it"
    for before, line in zip(chain.lines, chain.lines[1:], strict=False):
        if _at(line) < _at(before):
            yield f"line {line.number} is earlier than the line before it: a clock was set back, or is another one's"
    at_work, by_killed = _at_work(steps), dict[int, list[str]]()
    then = [(line.says["files"], f"before line {line.number}") for line in chain.lines[1:]]
    now = [(files_of(folder), "since the last line")] if is_whole and chain.lines else []
    for before, (files, when) in zip(chain.lines, [*then, *now], strict=False):
        changes = _changed(before, files)
        if before.number not in at_work:
            yield from (f"{name} {became} {when}, while no command on record was at work" for name, became in changes)
        elif (killed := at_work[before.number]) is not None:
            by_killed.setdefault(killed, []).extend(name for name, _ in changes)
    for begin, names in sorted(by_killed.items()):
        if names:
            what = ", ".join(dict.fromkeys(names))
            yield f"the command of line {begin} has no end; by it, or by none on record, there changed after it: {what}"


def _at_work(steps: Sequence[Step]) -> dict[int, int | None]:
    """Lines after which some command is, or may be, at work.

    One without an end may be so until the next of its kind, or for good; such a line has the beginning of the last of
    these, unless another command is known to be at work.
    """
    known: dict[int, int | None] = {}
    maybe: dict[int, int | None] = {}
    following: dict[str, int] = {}  # the next line of a command, by its name
    last = max(((step.end or step.begin).number for step in steps), default=0) + 1
    for step in reversed(steps):
        name, begin = str(step.begin.says["command"]), step.begin.number
        if step.end is not None:
            known.update(dict.fromkeys(range(begin, step.end.number)))
        else:
            maybe = {**dict.fromkeys(range(begin, following.get(name, last)), begin), **maybe}
        following[name] = begin
    return maybe | known


def _changed(before: ChainedLine, now: dict[str, str]) -> list[tuple[str, str]]:
    """Files that are others than after a line, and what became of them."""
    then: dict[str, str] = before.says["files"]
    return [
        (name, "went" if name not in now else "came" if name not in then else "became another")
        for name in [*then, *(name for name in now if name not in then)]
        if then.get(name) != now.get(name)
    ]


def _at(line: ChainedLine) -> datetime:
    return datetime.fromisoformat(line.says["at"])


def show_trail(found: TrailCheck, out: TextIO, errors: TextIO, *, as_json: bool = False) -> bool:
    """Print the commands as a table, then what holds and what does not; whether all does.

    Args:
        found: of a check.
        out: takes the table, the head and notes.
        errors: takes what was done to the trail, a line each.
        as_json: print one JSON object in the place of the table.
    """
    if as_json:
        print(json.dumps(_as_json(found), indent=2), file=out)
    else:
        _print(console_for(out), found)
    for wrong in found.wrongs:
        print(printable(wrong), file=errors)
    return not found.wrongs


def _as_json(found: TrailCheck) -> dict[str, Any]:
    commands = [
        {
            "line": step.begin.number,
            **{name: step.begin.says[name] for name in ("at", "command", "flags", "user", "actor", "version")},
            "exit_code": None if step.end is None else step.end.says["exit_code"],
            "seconds": step.seconds,
        }
        for step in found.steps
    ]
    lines = len(found.chain.lines)
    kept = {"whole": not found.wrongs, "lines": lines, "head": found.chain.head or None}
    return {**kept, "commands": commands, "notes": list(found.notes), "wrong": list(found.wrongs)}


def _print(console: Console, found: TrailCheck) -> None:
    if found.steps:
        this = found.chain.lines[-1].number
        rows = [_row(step, is_this=step.begin.number == this) for step in found.steps]
        print_table(console, _HEADINGS, rows, left=(1, 2, 3, 4))
        if any(row[-1] == _NO_END for row in rows):
            console.print(f"{_NO_END}: killed, or still at work")
    for note in found.notes:
        console.print(f"note: {note}")
    if found.wrongs:
        return
    lines = len(found.chain.lines)
    console.print(f"{lines} line{'' if lines == 1 else 's'}, each follows the one before it; head:")
    console.print(found.chain.head, soft_wrap=True)
    console.print("Kept elsewhere, it shows later, as --head, that nothing up to it was changed or cut off.")


def _row(step: Step, *, is_this: bool) -> list[str]:
    says = step.begin.says
    who = says["user"] if says["actor"] is None else f"{says['actor']} ({says['user']})"
    flags, more = says["flags"][:_FLAGS], len(says["flags"]) - _FLAGS
    what = " ".join([says["command"], *flags, *([f"and{_NO_BREAK}{more}{_NO_BREAK}more"] if more > 0 else [])])
    took = "" if step.seconds is None else f", {_spoken(step.seconds)}"
    return [
        f"{step.begin.number}",
        f"{_at(step.begin):%Y-%m-%d %H:%M}",
        textwrap.fill(printable(who), _WHO),
        textwrap.fill(what, _WHAT, subsequent_indent="  ", break_on_hyphens=False).replace(_NO_BREAK, " "),
        "this check" if is_this and says["command"] == "trail" else f"{step.outcome}{took}",
    ]


def _spoken(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 600
        else f"{seconds / 60:.0f} min"
        if seconds < 36_000
        else f"{seconds / 3600:.0f} h"
    )
