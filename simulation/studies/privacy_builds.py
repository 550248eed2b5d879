"""A statement that an earlier build of the same version wrote: what its list of files leaves out.

Between two builds of one version files and values are added, and with them rows to the list of what the files of a run
tell. A shorter list is no false one as long as all that it says would be said today, in the same words and order, and
as nothing that it leaves out is in the run's folder. A list that is silent of what is there does not agree.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from server_strategy.privacy.rounded_up import Bound, BoundOnMu, as_earlier_builds_round
from simulation.run.artefacts import BESIDE
from simulation.run.keys import dotted_keys
from typefleet.errors import ConfigError
from typefleet.untrusted.limits import RECORD_BYTES
from typefleet.untrusted.opening import read_bytes
from typefleet.untrusted.own_json import parse_json, read_lines

_WHAT = "a file of a run"
_ANY = ("{metric}", "{count}", "{tag}")  # in patterns: whatever a run measures


# A heading of the page as it was, and lists in one sentence where they now have a line for each part.
_FORMERLY = {"### Files meant for others once the guarantee": "### For others, once the guarantee"}
# Sentences as they were, in statements that say the same, and as they are.
_SENTENCES = (
    (
        "central: the server sees each round's sum of clipped updates, and is trusted to add the noise",
        "central: nothing hides a phone's clipped update from whoever runs the server, who could look at it: the "
        "server is trusted not to, and to add the noise to each round's sum",
    ),
    (
        r"(busiest phone \| [0-9,]+ \| (?![01] )[0-9,]+ \|\n"
        r"\| smallest separation, rounds \| [0-9,]+ \| no phone came twice) \|",
        r"\1 on the way to these weights |",
    ),
    (
        r'(: "?the (?:[0-9,]+ )?phones of this run)("| \||, scaled as its cohort is)',
        r"\1, held-out ones included\2",
    ),
    ("holds only for who does not know the seed", "holds only against those who do not know the seed"),
    (
        "a round of ([0-9,]+) with fewer than ([0-9,]+) vectors in it fails, and releases nothing",
        r"a round of \1 needs \2 vectors in it, and one in which fewer phones have sent keys may do with fewer, but "
        "never with fewer than the settings ask of a round; else it fails, and releases nothing",
    ),
)
_JOINING = {"", "-", "and", "In"}


# What builds came to round up, the last first, and where a statement of before has it to every digit.
_CAME_TO_ROUND_UP = (
    (BoundOnMu, "which rounds mu to the nearest digit and not up: `gdp_mu` has every digit"),
    (Bound, "which rounds to the nearest digit and not up: `spent` has every digit"),
)
WRITTEN_SINCE = (
    *("audit_trail.jsonl", "release_signatures.json", "model/release_signatures.json"),
    *("assessment.json", "assessment.html", "assessment.md"),
)
"""What commands of this build write into the folder of a run that an earlier one made, whose list cannot have it."""


class LeftOut(NamedTuple):
    """A row of the list, or some of its values, that an earlier build did not have."""

    files: tuple[str, ...]
    keys: tuple[str, ...]  # patterns of their names; empty: the row is of whole files


def in_words_of_today(text: str) -> str:
    """A text with the sentences of earlier builds as this one has them; their figures stay as they are."""
    for former, today in _SENTENCES:
        text = re.sub(former, today, text)
    return text


@contextmanager
def rounding_of(
    page: Path, said: Mapping[str, Any], made: Callable[[], tuple[Mapping[str, Any], str]]
) -> Iterator[str | None]:
    """While it lasts, bounds are shown as a statement shows them; what is to be said where that is an earlier build's.

    Args:
        page: path of privacy.md, which may be missing.
        said: the content of privacy.json.
        made: the two forms that come out today.

    Raises:
        ConfigError: the page cannot be read.
    """
    text = read_bytes(page, "a page", ConfigError, RECORD_BYTES).decode("utf-8", "replace") if page.exists() else ""
    lines = {in_words_of_today(line) for line in (str(said.get("statement")), *text.split("\n"))}
    later, found = _lines_of(*made()), None
    for what, why in _CAME_TO_ROUND_UP:
        with as_earlier_builds_round(what):
            former = _lines_of(*made())
        found = (what, why) if lines & (former - later) else found
        later |= former
    if found is None:
        yield None
        return
    with as_earlier_builds_round(found[0]):
        yield found[1]


def _lines_of(content: Mapping[str, Any], page: str) -> set[str]:
    return {str(content["statement"]), *page.split("\n")}


def same_words(said: Iterable[str], made: Iterable[str]) -> bool:
    """Whether lines of a page say the same, word by word, wherever they break and however lists are joined."""
    return list(_words(said)) == list(_words(made))


def _words(lines: Iterable[str]) -> Iterator[str]:
    text = "\n".join(lines)
    for former, here in _FORMERLY.items():
        text = text.replace(former, here)
    words = (word.strip(".,;:") for word in text.split())
    return (word for word in words if word not in _JOINING)


def left_out(said: object, made: Sequence[Mapping[str, Any]]) -> list[LeftOut] | None:
    """What a list leaves out; None: it says something that this build does not, or in another order.

    Args:
        said: the list, as `files` of privacy.json has it.
        made: the one that comes out today.
    """
    if not isinstance(said, list) or not all(isinstance(row, dict) for row in said):
        return None
    rest, found = list(said), list[LeftOut]()
    for row in made:
        keys = [*row["keys"]]
        if rest and _is_of(rest[0], row):
            here = rest.pop(0)["keys"]
            keys = [key for key in keys if key not in here]
            if not keys:
                continue
        found.append(LeftOut(tuple(row["files"]), tuple(keys)))
    return None if rest else found


def _is_of(said: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether a row is this one, with all of its values or with fewer of them."""
    keys = said.get("keys")
    if not isinstance(keys, list) or {**said, "keys": row["keys"]} != row:
        return False
    return keys == [key for key in row["keys"] if key in keys] and bool(keys) == bool(row["keys"])


def unnamed(said: Iterable[Mapping[str, Any]], leaves: Iterable[str]) -> Iterator[str]:
    """What no row of a list names.

    Args:
        said: the list.
        leaves: names of all that the run says that it leaves.
    """
    named = {name for row in said for name in row["files"]}
    return (name for name in leaves if name not in named and name not in WRITTEN_SINCE)


def in_folder(folder: Path, missing: Iterable[LeftOut]) -> Iterator[str]:
    """What is left out and is there all the same, or of which nobody can say that it is not.

    Args:
        folder: of the run.
        missing: what a list leaves out.

    Raises:
        ConfigError: a file cannot be read.
    """
    beside, names = {one.name for one in BESIDE}, dict[Path, set[str]]()
    for one in missing:
        if beside.intersection(one.files):
            yield " and ".join(one.files)  # no file, and so never known to be absent
            continue
        there = [path for name in one.files if name not in WRITTEN_SINCE for path in folder.glob(name.rstrip("/"))]
        told = [path for path in there if path.suffix in (".json", ".jsonl")]
        for path in told:
            if path not in names:
                names[path] = _names_in(path)
        if not (told and one.keys):
            yield from (path.relative_to(folder).as_posix() for path in there)
        elif any(_has(names[path], one.keys) for path in told):
            yield f"{', '.join(one.keys)} in {' and '.join(one.files)}"


def _names_in(path: Path) -> set[str]:
    """Names of all values of a JSON file, or of all lines of one."""
    if path.suffix == ".jsonl":
        whole = (line.content for line in read_lines(path, _WHAT) if line.is_whole)
        return {name for line in whole for name in dotted_keys(parse_json(line, path, _WHAT))}
    return dotted_keys(parse_json(read_bytes(path, _WHAT, ConfigError, RECORD_BYTES), path, _WHAT))


def _has(names: set[str], patterns: Iterable[str]) -> bool:
    for pattern in patterns:
        for mark in _ANY:
            pattern = pattern.replace(mark, "*")
        if any(fnmatchcase(name, pattern) for name in names):
            return True
    return False
