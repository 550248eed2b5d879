"""The section of the privacy statement that says what each file of the run tells, made from the tables.

It is the last section of privacy.md, and `files` in privacy.json. Only files that the folder has are in it, and what
lies beside the folder; what the guarantee does not cover comes first.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from client_model.config import DataConfig
from server_strategy.privacy.plan import PrivacyPlan
from simulation.files import read_json_object, write_text_atomically
from simulation.run.artefacts import ARTEFACTS, BESIDE, Artefact, artefact_of
from simulation.run.keys import STATEMENT
from simulation.run.sources import (
    COUNTED_WORDS,
    EARLIER_WORDS,
    LISTED_WORDS,
    PRIVATE_WORDS,
    PRIVATE_WORDS_OF_A_MODEL,
    PUBLIC_WORDS,
    RELEASES,
    RELEASES_OF_A_MODEL,
    RELEASES_WITHOUT_NOISE,
    VOCABULARY,
    Guarantee,
    Keys,
    Source,
)
from simulation.run.starting_point import StartingPoint
from typefleet.errors import ConfigError, expected

HEADING = "## What each file of this run tells"
WORDS = {
    "public": PUBLIC_WORDS,
    "listed": LISTED_WORDS,
    "earlier": EARLIER_WORDS,
    "counted": COUNTED_WORDS,
    "private": PRIVATE_WORDS,
    "private of a model": PRIVATE_WORDS_OF_A_MODEL,
}
"""Where a vocabulary may come from."""


_KEYS_SHOWN = 6


class Told(NamedTuple):
    """A line of the section: what some values of some files tell."""

    files: tuple[str, ...]
    what: str
    keys: tuple[str, ...]  # patterns of their names; empty where the file has none
    source: Source
    to_pass_on: bool

    def as_json(self) -> dict[str, Any]:
        """As privacy.json has it."""
        return {
            "files": list(self.files),
            "what": self.what,
            "keys": list(self.keys),
            "computed_from": self.source.words,
            "guarantee": str(self.source.guarantee),
            "cure": self.source.cure or None,
            "to_pass_on": self.to_pass_on,
        }


def origin_of_words(data: DataConfig, start: StartingPoint | None, plan: PrivacyPlan) -> str:
    """Where a run's vocabulary comes from, a key of WORDS."""
    if plan.vocabulary is not None:
        return "private" if plan.share_of_the_noise == 1 else "private of a model"
    if data.vocabulary_path is not None:
        return "listed"
    if start is not None:
        return "public" if start.ships_with_us else "earlier"
    return "counted"


def files_of(root: Path, privacy: Mapping[str, Any], words: str, beside: Sequence[Artefact] = BESIDE) -> list[Told]:
    """What the files of a run's folder tell, the worst first.

    Args:
        root: the folder.
        privacy: the content of privacy.json, for what was released.
        words: where the vocabulary comes from, a key of WORDS.
        beside: what the run has elsewhere.
    """
    here = [one for one in ARTEFACTS if _is_there(root, one)]
    unknown = sorted(_unknown(root))
    resolved = {VOCABULARY: WORDS[words], RELEASES: _releases(privacy)}
    found = [
        Told(tuple(one.name for one in alike), part.holds, part.names, resolved.get(part.source, part.source), pass_on)
        for alike, pass_on in _alike([*here, *beside])
        for part in alike[0].tells
    ]
    if unknown:
        other = Source("unknown", "unknown", Guarantee.NOT_COVERED, "removing it")
        found.append(Told(tuple(unknown), "what no table of ours has", (), other, False))
    order = list(Guarantee)
    return sorted(found, key=lambda told: (order.index(told.source.guarantee), not told.to_pass_on))


def _is_there(root: Path, one: Artefact) -> bool:
    return one.tells is STATEMENT or any(root.glob(one.name.rstrip("/")))


def _unknown(root: Path) -> Iterable[str]:
    """Names in the folder, and in the model's, that no row has; drafts are none."""
    for path in (*root.glob("*"), *root.glob("model/*")):
        place = PurePosixPath(path.relative_to(root).as_posix())
        if str(place) != "model" and artefact_of(place) is None and not path.name.startswith("."):
            yield str(place)


def _releases(privacy: Mapping[str, Any]) -> Source:
    if privacy["epsilon_is_of"] == "no privacy":
        return RELEASES_WITHOUT_NOISE
    return RELEASES if privacy.get("not_guaranteed") is None else RELEASES_OF_A_MODEL


def _alike(artefacts: Sequence[Artefact]) -> list[tuple[list[Artefact], bool]]:
    """Those that tell the same together, in their order."""
    together: dict[tuple[tuple[Keys, ...], bool], list[Artefact]] = {}
    for one in artefacts:
        together.setdefault((tuple(one.tells), one.to_pass_on), []).append(one)
    return [(alike, pass_on) for (_, pass_on), alike in together.items()]


def files_markdown(told: Sequence[Told]) -> str:
    """The section of privacy.md: first what is to be passed on, and of it first what the guarantee does not cover."""
    lines = [
        "",
        HEADING,
        "",
        "All that depends on phones is here. What is covered follows from what was released; what is",
    ]
    lines += [
        "taken as known is of the schedule, which the guarantee supposes everybody to know. Whoever holds what is not"
    ]
    lines += ["covered may learn more of a phone than epsilon says. `privacy.json` has every key.", ""]
    for to_pass_on, heading in ((True, "### To pass on"), (False, "### For the owner of the run alone")):
        own = [one for one in told if one.to_pass_on == to_pass_on]
        lines += [heading, ""] if own else []
        for source in dict.fromkeys(one.source for one in own):
            safe = f" Safe with: {source.cure}." if source.cure else ""
            lines += [f"**{str(source.guarantee).capitalize()}**: {source.words}.{safe}", ""]
            lines += [_line(one) for one in own if one.source == source]
            lines.append("")
    return "\n".join(lines)


def _line(one: Told) -> str:
    keys = [f"`{name}`" for name in one.keys if name != "*" and "{" not in name]
    more = ", ..." if len(keys) > _KEYS_SHOWN else ""
    named = f" ({', '.join(keys[:_KEYS_SHOWN])}{more})" if keys else ""
    return f"- {', '.join(map(_named, one.files))}: {one.what}{named}"


def folder_table() -> list[str]:
    """Every file that a run may leave, and then what its values are computed from, as tables for docs/privacy.md."""
    lines = ["| in the run's folder | it holds | what of it the guarantee does not cover | |", "|---|---|---|---|"]
    for one in (*ARTEFACTS, *BESIDE):
        outside = dict.fromkeys(p.source.name for p in one.tells if p.source.guarantee is Guarantee.NOT_COVERED)
        passed = "to pass on" if one.to_pass_on else "private"
        lines.append(f"| {_named(one.name)} | {one.holds} | {', '.join(outside)} | {passed} |")
    lines += ["", "| | computed from | the guarantee | what would make it safe |", "|---|---|---|---|"]
    sources = dict.fromkeys(part.source for one in (*ARTEFACTS, *BESIDE) for part in one.tells)
    named = {source.name: source for source in reversed(sources)}  # the first of a name is the one in general
    for source in sorted(named.values(), key=lambda source: list(Guarantee).index(source.guarantee)):
        lines.append(f"| {source.name} | {source.words} | {source.guarantee} | {source.cure} |")
    return lines


def _named(name: str) -> str:
    return name if name in {one.name for one in BESIDE} else f"`{name}`"


def write_statement(root: Path, privacy: Mapping[str, Any], page: str, words: str) -> None:
    """Replace privacy.json and privacy.md, with what the files tell as their last part.

    Args:
        root: of the run.
        privacy: the statement for programs.
        page: the statement for people.
        words: where the vocabulary comes from, a key of WORDS.
    """
    told = files_of(root, privacy, words)
    content = {**privacy, "files": {"vocabulary": words, "tell": [one.as_json() for one in told]}}
    write_text_atomically(root / "privacy.json", json.dumps(content, indent=2) + "\n")
    write_text_atomically(root / "privacy.md", page + files_markdown(told))


def refresh_files(root: Path) -> None:
    """Say what the files tell that have come into a run's folder since its statement was written.

    One of an earlier version, which has no such part, is left as it is; a run before its first checkpoint has none.

    Raises:
        ConfigError: the statement is damaged.
    """
    path = root / "privacy.json"
    what = "the privacy statement of a run"
    if not path.exists():
        return
    privacy = read_json_object(path, what, ("epsilon_is_of",))
    if "files" not in privacy:
        return
    words = privacy["files"].get("vocabulary") if isinstance(privacy["files"], dict) else None
    if words not in WORDS:
        raise ConfigError(expected(path, what, "a vocabulary of another origin"))
    try:
        page = (root / "privacy.md").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(expected(root / "privacy.md", what, "none that can be read")) from error
    write_statement(root, privacy, page.partition(f"\n{HEADING}")[0], words)


if __name__ == "__main__":
    print("\n".join(folder_table()))
