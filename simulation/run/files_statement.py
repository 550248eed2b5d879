"""The section of the privacy statement that says what each file of the run tells, made from the tables.

It is the last section of privacy.md, and `files` in privacy.json. The files are those that a run leaves with its
settings, what lies beside its folder, and what scripts may add; what the guarantee does not cover comes first.
"""

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from client_model.config import DataConfig
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.privacy.statement_noise import noise_source_of
from simulation.run.artefacts import ARTEFACTS, BESIDE, Artefact
from simulation.run.sources import (
    AUDITED,
    CORPUS_WORDS,
    COUNTED_WORDS,
    EARLIER_COUNTED_WORDS,
    EARLIER_PRIVATE_WORDS,
    EARLIER_UNCOVERED_WORDS,
    EARLIER_WORDS,
    LISTED_WORDS,
    PRIVATE_WORDS,
    PRIVATE_WORDS_OF_A_MODEL,
    PUBLIC_WORDS,
    RELEASES,
    RELEASES_OF_A_MODEL,
    RELEASES_OF_A_SEED,
    RELEASES_WITHOUT_NOISE,
    VOCABULARY,
    Guarantee,
    Keys,
    Source,
)
from simulation.run.starting_point import StartingPoint

HEADING = "## What each file of this run tells"
WORDS = {
    "public": PUBLIC_WORDS,
    "listed": LISTED_WORDS,
    "corpus": CORPUS_WORDS,
    "earlier": EARLIER_WORDS,
    "earlier counted": EARLIER_COUNTED_WORDS,
    "earlier private": EARLIER_PRIVATE_WORDS,
    "earlier private, not covered": EARLIER_UNCOVERED_WORDS,
    "counted": COUNTED_WORDS,
    "private": PRIVATE_WORDS,
    "private of a model": PRIVATE_WORDS_OF_A_MODEL,
}
"""Where a vocabulary may come from."""


_KEYS_SHOWN = 6
_PARTS = (
    ("### To pass on", True, False),
    ("### To pass on, where a script has written it", True, True),
    ("### For the owner of the run alone", False, False),
    ("### For the owner of the run alone, where a script has written it", False, True),
)


_MEANT, _MEANT_LATER = "To pass on", "For others, once the guarantee is their own"
_UNCOVERED = (
    "What is called not covered here is in these files all the same: whoever passes them on passes it on with them, "
    "outside the guarantee."
)
_INTRODUCTION = (
    "All that depends on phones is here. What is covered follows from what was released; what is taken as known is of "
    "the schedule, which the guarantee supposes everybody to know. Whoever holds what is not covered may learn more of "
    "a phone than epsilon says. `privacy.json` has every key."
)
_WIDTH = 80  # columns, of a terminal


class Told(NamedTuple):
    """What some values of some files tell."""

    files: tuple[str, ...]
    what: str
    keys: tuple[str, ...]  # patterns of their names; empty where the file has none
    source: Source
    to_pass_on: bool
    later: bool  # a script writes it, if at all

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
            "if_a_script_writes_it": self.later,
        }


def origin_of_words(
    data: DataConfig, start: StartingPoint | None, plan: PrivacyPlan, others: Mapping[str, Any] | None
) -> str:
    """Where a run's vocabulary comes from, a key of WORDS.

    Args:
        data: the settings.
        start: of the weights; None: at random.
        plan: of the run.
        others: what is said of other runs, and of the words of the start.
    """
    if plan.vocabulary is not None:
        return "private" if plan.share_of_the_noise == 1 else "private of a model"
    if data.vocabulary_path is not None:
        return "listed"
    if start is not None:
        return origin_of_start(plan, others)
    return "counted"


def origin_of_start(plan: PrivacyPlan, others: Mapping[str, Any] | None) -> str:
    """Where the words come from that a start brings, a key of WORDS.

    Those that an earlier run chose with noise are covered where their cost is known by a ledger and added up.
    """
    said = others or {}
    words, earlier, total = (said.get(name) for name in ("vocabulary", "earlier_runs", "with_earlier_runs"))
    if words == "private":
        found = [one.get("known_by") if isinstance(one, dict) else None for one in earlier or ()]
        by_ledgers = set(found) == {"its ledger"}
        is_known = by_ledgers and isinstance(total, Mapping) and total.get("epsilon") is not None
        is_own = plan.share_of_the_noise == 1
        return "earlier private" if is_known and is_own else "earlier private, not covered"
    by_words = {"shipped": "public", "corpus": "corpus", "list": "listed", "counted": "earlier counted"}
    return by_words.get(str(words), "earlier")


def tellings(artefacts: Sequence[Artefact], privacy: Mapping[str, Any], words: str) -> list[Told]:
    """What some files tell, the worst first.

    Args:
        artefacts: their rows.
        privacy: the content of privacy.json, for what was released.
        words: where the vocabulary comes from, a key of WORDS.
    """
    resolved = {VOCABULARY: WORDS.get(words, VOCABULARY), RELEASES: _releases(privacy)}
    together: dict[tuple[tuple[Keys, ...], bool, bool], list[str]] = {}
    for one in artefacts:
        together.setdefault((tuple(one.tells), one.to_pass_on, one.by == "script"), []).append(one.name)
    found = [
        Told(
            tuple(names),
            part.holds,
            part.names,
            source=resolved.get(part.source, part.source),
            to_pass_on=pass_on,
            later=later,
        )
        for (parts, pass_on, later), names in together.items()
        for part in parts
        if part.source is not AUDITED or "audit" in privacy or not pass_on
    ]
    order = list(Guarantee)
    return sorted(found, key=lambda told: (order.index(told.source.guarantee), not told.to_pass_on))


def with_files(
    content: dict[str, Any],
    page: str,
    names: Sequence[str],
    words: str,
    listed: Sequence[Mapping[str, Any]] | None = None,
) -> tuple[dict[str, Any], str]:
    """The two forms of a statement, and in each of them what the files of the run tell.

    Args:
        content: of privacy.json.
        page: privacy.md.
        names: of the rows of what the run leaves.
        words: where the vocabulary comes from, a key of WORDS.
        listed: rows of a shorter list, which an earlier build made; None: all that this one knows of.
    """
    here = [one for one in (*ARTEFACTS, *BESIDE) if one.name in names]
    later = [one._replace(by="script") for one in ARTEFACTS if one.by not in ("tracker", "secret") and one not in here]
    told = tellings([*here, *later], content, words)
    if listed is not None:
        keys = {_without_keys(row): tuple(row["keys"]) for row in listed}
        kept = [(one, _without_keys(one.as_json())) for one in told]
        told = [one._replace(keys=keys[known]) for one, known in kept if known in keys]
    section = files_markdown(told, is_own=content.get("not_guaranteed") is None)
    return {**content, "vocabulary_from": words, "files": [one.as_json() for one in told]}, page + section


def _without_keys(row: Mapping[str, Any]) -> str:
    return json.dumps({**row, "keys": []}, sort_keys=True)


def _releases(privacy: Mapping[str, Any]) -> Source:
    if privacy["epsilon_is_of"] == "no privacy":
        return RELEASES_WITHOUT_NOISE
    if privacy.get("not_guaranteed") is not None:
        return RELEASES_OF_A_MODEL
    return RELEASES_OF_A_SEED if noise_source_of(privacy) == "seeded" else RELEASES


def files_markdown(told: Sequence[Told], *, is_own: bool) -> str:
    """The section of privacy.md: first what is to be passed on, and of it first what the guarantee does not cover.

    Args:
        told: what the files tell.
        is_own: whether the guarantee is that of the files; if not, nothing is called ready to be passed on.
    """
    lines = ["", HEADING, "", *_wrapped(_INTRODUCTION), ""]
    for heading, to_pass_on, later in _PARTS:
        own = [one for one in told if (one.to_pass_on, one.later) == (to_pass_on, later)]
        if not own:
            continue
        lines += [heading if is_own or not to_pass_on else heading.replace(_MEANT, _MEANT_LATER), ""]
        if to_pass_on and any(one.source.guarantee is Guarantee.NOT_COVERED for one in own):
            lines += [*_wrapped(_UNCOVERED), ""]
        for source in dict.fromkeys(one.source for one in own):
            lines += [*_wrapped(f"**{str(source.guarantee).capitalize()}**: {source.words}.")]
            lines += [*(_wrapped(f"Safe with: {source.cure}.") if source.cure else []), ""]
            lines += [*_by_files([one for one in own if one.source == source]), ""]
    return "\n".join(lines)


def _wrapped(text: str, first: str = "", later: str = "") -> list[str]:
    """A text in lines as wide as a terminal; names are not broken."""
    return textwrap.wrap(
        text, _WIDTH, initial_indent=first, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    )


def _by_files(told: Sequence[Told]) -> Iterator[str]:
    """What some files tell, as a list; those that tell several things are named once, above a list of these."""
    together: dict[tuple[str, ...], list[str]] = {}
    for one in told:
        together.setdefault(one.files, []).append(_what(one))
    for files, what in together.items():
        named = ", ".join(map(_named, files))
        if len(what) == 1:
            yield from _wrapped(f"{named}: {what[0]}", "- ", "  ")
        else:
            yield from _wrapped(f"{named}:", "- ", "  ")
            for each in what:
                yield from _wrapped(each, "  - ", "    ")


def _what(one: Told) -> str:
    keys = [f"`{name}`" for name in one.keys if name != "*" and "{" not in name]
    more = ", ..." if len(keys) > _KEYS_SHOWN else ""
    return f"{one.what} ({', '.join(keys[:_KEYS_SHOWN])}{more})" if keys else one.what


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


if __name__ == "__main__":
    print("\n".join(folder_table()))
