"""What the ledger, the settings and the weights of a run come to, and where its privacy statement says otherwise.

The statement is made again, from the plan and the participants in the ledger and from the facts that the run told, and
compared key by key and line by line; so whatever a statement comes to say is covered. The facts themselves are held to
what the settings say, and are otherwise what only a signature vouches for.
"""

import json
import re
from dataclasses import MISSING, dataclass, fields, replace
from datetime import date, timedelta
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from typing import Any

from server_strategy.privacy.ledger import PrivacySpent, recompute
from server_strategy.privacy.ledger_lines import is_bound, is_release, read_ledger
from server_strategy.privacy.ledger_reading import plan_on_record
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.privacy.statement import StatementFacts
from simulation.files import read_json_object
from simulation.run.statement_pages import FACTS, facts_from, statement_pages
from simulation.studies.privacy_builds import in_folder, in_words_of_today, left_out, rounding_of, same_words, unnamed
from simulation.studies.privacy_findings import Findings
from typefleet.errors import ConfigError, expected
from typefleet.untrusted.limits import RECORD_BYTES
from typefleet.untrusted.opening import read_bytes
from typefleet.untrusted.own_json import json_kind

STATEMENT, PAGE = "privacy.json", "privacy.md"
_VERSION = re.compile(r"[0-9]+(\.[0-9a-z+]+)*")
_NUMBERS = re.compile(r"[0-9][0-9.,e+-]*")
_BY_LEDGER, _BY_RUN = "from the ledger", "told by the run, with no file to check it by"
_OF_BEFORE = "words of an earlier version, which are not compared; figures in them agree"
_KEPT = (  # keys whose words are the same in all versions, but for those of _FORMERLY
    *("statement", "epsilon_is_of", "not_guaranteed", "unit", "adjacency", "trust_model"),
    *("amplification_by_sampling", "mechanism"),
)
_FORMERLY = {
    "trust_model": ("central: the server sees each round's sum of clipped updates, adds the noise, and is trusted to",)
}
_SINCE = (FACTS, "vocabulary_from", "files")  # keys that a statement of before does not have
_NOT_SAID_YET = ("unreleased_sums",)  # numbers in what was spent that earlier builds of this version do not have
_EARLIER_BUILD = "written by an earlier build of this version"
_FIGURES = ("population_rule", "delta_rule")  # words that have any
_FROM_SETTINGS = ("files", "words", "noise_secret_kept")  # facts that are held to config.toml
_SHOWN = 5  # places of a page


@dataclass
class Evidence:
    """A run's folder as it was found.

    Attributes:
        statement: the content of privacy.json.
        entries: of the ledger.
        line: of the release that the statement is of.
        ended: whether the run has, so that nothing may be on record beyond it.
        plan, spent: by the ledger.
        of_before: statement and ledger are as an earlier version's: of words, only those that never changed are
            compared, and nothing is bound.
    """

    folder: Path
    statement: dict[str, Any]
    entries: list[dict[str, Any]]
    line: int
    ended: bool
    plan: PrivacyPlan
    spent: PrivacySpent
    of_before: bool

    @property
    def ledger(self) -> Path:
        """The path of the ledger."""
        return self.folder / "privacy_ledger.jsonl"

    @property
    def unbound(self) -> int:
        """Lines of releases that bind no sum and no weights."""
        return sum(not is_bound(entry) for entry in self.entries[1:])

    @property
    def releases(self) -> int:
        """Releases that the statement counts."""
        return self.spent.releases


def gather(folder: Path) -> Evidence:
    """Read a run's statement and ledger, and compute the cost again.

    Raises:
        ConfigError, LedgerError: one of them is missing, or is none.
    """
    path, ledger = folder / STATEMENT, folder / "privacy_ledger.jsonl"
    statement = read_json_object(path, "the privacy statement of a run", ("spent", "epsilon_is_of"))
    claimed = statement["spent"]
    releases = claimed.get("releases") if isinstance(claimed, dict) else None
    if type(releases) is not int or releases < 0:
        raise ConfigError(expected(path, "what was spent, with its number of releases", "none"))
    if not ledger.exists() and not (folder / "config.toml").exists():
        found = "none: a published folder has none; who has the run's own folder can recompute epsilon there"
        raise ConfigError(expected(ledger, "the ledger of a run", found))
    entries, _ = read_ledger(ledger)
    line = _line_of(entries, releases, statement.get("weights_sha256"))
    ended = _has_ended(folder)
    spent = recompute(ledger, releases, line=line, everything=ended)
    bound = all(is_bound(entry) for entry in entries[1:]) and len(entries) > 1
    return Evidence(
        folder=folder,
        statement=statement,
        entries=entries,
        line=0 if line is None else line,
        ended=ended,
        plan=plan_on_record(ledger, entries, None),
        spent=PrivacySpent(**spent),
        of_before=not bound and FACTS not in statement,
    )


def _line_of(entries: list[dict[str, Any]], releases: int, weights: Any) -> int | None:
    """The line of a release: the one that led to these weights, if one of several did; None if there is none."""
    lines = [i for i, entry in enumerate(entries) if is_release(entry) and entry["release"] == releases]
    led = [line for line in lines if entries[line].get("weights_sha256") == weights]
    return next(iter([*led[-1:], *lines[-1:]]), None)


def _has_ended(folder: Path) -> bool:
    """Whether a run has written what it writes at its end; any of it is enough, so that one cannot be left out."""
    made_at_the_end = ("model/weights.npz", "model/manifest.json", "participation.json", "privacy_head.json")
    return any((folder / name).exists() for name in made_at_the_end)


def compare_statement(found: Evidence, findings: Findings) -> None:
    """Hold every key of privacy.json, and every line of privacy.md, to what is made again."""
    facts = _facts(found, findings)
    with rounding_of(
        found.folder / PAGE, found.statement, lambda: statement_pages(found.plan, found.spent, facts)
    ) as why:
        if why is not None:
            findings.not_checkable(f"{STATEMENT}: bounds as shown", f"{_EARLIER_BUILD}, {why}")
        _compare_with(found, facts, findings)


def _compare_with(found: Evidence, facts: StatementFacts, findings: Findings) -> None:
    content, page = statement_pages(found.plan, found.spent, facts)
    content = json.loads(json.dumps(content))
    shorter = _shorter_list(found, facts, content["files"], findings)
    if shorter is not None:
        _, page = statement_pages(found.plan, found.spent, facts, shorter)
    if found.of_before:
        content = {name: value for name, value in content.items() if name not in _SINCE}
    told = _told_by_the_run(found, facts, content)
    said = _of_this_version(found, content, findings)
    if shorter is not None:
        del content["files"], said["files"]  # which is held to it already
    for key in [*content, *(key for key in said if key not in content)]:
        _compare(found, findings, key, (said, content), key in told)
    _compare_page(found, findings, page, by_earlier_build=shorter is not None)


def _shorter_list(found: Evidence, facts: StatementFacts, made: Any, findings: Findings) -> Any:
    """The statement's list of files, if it is a shorter one, held to what it may leave out; None: it is not."""
    said: Any = found.statement.get("files")
    missing = None if found.of_before or same(said, made) else left_out(said, made)
    if missing is None:
        return None
    silent = sorted({*in_folder(found.folder, missing), *unnamed(said, facts.files)})
    for name in silent:
        findings.wrong(f"{STATEMENT}: files", f"silent of {name}; a later build may have written it")
    if not silent:
        rows = "1 row" if len(missing) == 1 else f"{len(missing)} rows"
        why = f"{_EARLIER_BUILD}, whose list lacks {rows} of this one's; nothing of them is in this folder"
        findings.not_checkable(f"{STATEMENT}: files", why)
    return said


def _facts(found: Evidence, findings: Findings) -> StatementFacts:
    """The facts that the run told; of an earlier version as far as its statement repeats them."""
    said = found.statement
    if not found.of_before:
        if FACTS not in said:
            raise ConfigError(expected(found.folder / STATEMENT, "the facts that it is made of", "none"))
        facts = facts_from(said, found.folder / STATEMENT)
        _check_date(facts.date, findings)
        return facts
    names = ("data_covered", "recompute", "weights_sha256", "date")
    texts: dict[str, Any] = {name: said[name] if isinstance(said.get(name), str) else "" for name in names}
    facts = StatementFacts(outside_the_budget=(), weighting="", **texts)
    of_every_run = statement_pages(found.plan, found.spent, facts)[0]["outside_the_budget"]
    outside = said.get("outside_the_budget")
    if isinstance(outside, list) and outside[-len(of_every_run) :] == of_every_run:
        return replace(facts, outside_the_budget=tuple(map(str, outside[: -len(of_every_run)])))
    return facts


def _check_date(stated: str, findings: Findings) -> None:
    try:
        is_one = date.fromisoformat(stated).isoformat() == stated
    except ValueError:
        is_one = False
    if not is_one:
        findings.wrong(f"{STATEMENT}: date", "no day of the form YYYY-MM-DD")
    elif date.fromisoformat(stated) > date.today() + timedelta(days=1):  # of any time zone
        findings.wrong(f"{STATEMENT}: date", "a day that is yet to come")


def _told_by_the_run(found: Evidence, facts: StatementFacts, content: dict[str, Any]) -> set[str]:
    """The keys that say what only the run knew: those that change where its facts are left empty."""
    blank: dict[str, Any] = {}
    for f in fields(facts):
        value = getattr(facts, f.name)
        if f.name not in _FROM_SETTINGS:
            empty = "" if isinstance(value, str) else () if isinstance(value, tuple) else value
            blank[f.name] = empty if f.default is MISSING else f.default
    other, _ = statement_pages(found.plan, found.spent, replace(facts, **blank))
    other = json.loads(json.dumps(other))
    return {key for key in content if content[key] != other.get(key)} - (
        set() if found.unbound else {"weights_sha256"}  # which the last line says as well
    )


def _of_this_version(found: Evidence, content: dict[str, Any], findings: Findings) -> dict[str, Any]:
    """The statement with the versions that wrote it; another one than is installed here is noted, and nothing more."""
    written = json.dumps(found.statement)
    said: dict[str, Any] = json.loads(in_words_of_today(written))
    if json.dumps(said) != written:
        findings.not_checkable(f"{STATEMENT}: words", f"{_EARLIER_BUILD}: compared as this one would say it")
    for key, program in (("typefleet_version", ""), ("accountant", "dp-accounting ")):
        stated, here = said.get(key), content.get(key)
        if key not in said or stated == here or here is None:
            continue
        if isinstance(stated, str) and _VERSION.fullmatch(stated.removeprefix(program)):
            findings.not_checkable(f"{STATEMENT}: {key}", "written by another version than the one that checks")
            content[key] = stated
    return said


def _compare(
    found: Evidence, findings: Findings, key: str, sides: tuple[dict[str, Any], dict[str, Any]], told: bool
) -> None:
    """One key of the statement against the one that is made again."""
    said, content = sides
    place = f"{STATEMENT}: {key}"
    if key not in said:
        if found.of_before and (key != "not_guaranteed" or content[key] is None):
            findings.not_checkable(place, "an earlier version's statement, which does not say it")
        else:
            findings.wrong(place, "it is missing")
    elif key not in content:
        if found.of_before and key in _SINCE:
            findings.not_checkable(place, "an earlier version's statement: it cannot be made again")
        else:
            findings.wrong(place, "no statement has it")
    elif isinstance(content[key], dict) and isinstance(said[key], dict) and said[key] and key != FACTS and not told:
        _compare_values(found, findings, place, (said[key], content[key]))
    elif same(said[key], content[key]):
        if told:
            findings.not_checkable(place, _BY_RUN)
        else:
            findings.recomputed(place, _BY_LEDGER)
    elif found.of_before and _may_be_of_before(key, said[key], content[key]):
        findings.not_checkable(place, _OF_BEFORE)
    elif found.of_before and told:
        findings.not_checkable(place, _BY_RUN)
    else:
        findings.wrong(place, _difference(said[key], content[key]))


def _compare_values(
    found: Evidence, findings: Findings, place: str, sides: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    said, content = sides
    for name in [*content, *(name for name in said if name not in content)]:
        if name in said and name in content:
            why = _difference(said[name], content[name])
            findings.agree(f"{place}.{name}", same(said[name], content[name]), _BY_LEDGER, why)
        elif found.of_before and name not in said:
            findings.not_checkable(f"{place}.{name}", "an earlier version's statement, which does not say it")
        elif name in _NOT_SAID_YET and name not in said and content[name] == 0:
            findings.not_checkable(f"{place}.{name}", f"{_EARLIER_BUILD}, which does not say it: there are none")
        else:
            findings.wrong(f"{place}.{name}", "it is missing" if name in content else "no statement has it")


def _compare_page(found: Evidence, findings: Findings, page: str, *, by_earlier_build: bool) -> None:
    """Line by line; of an earlier build word by word, and of an earlier version the headline alone, and its numbers."""
    path = found.folder / PAGE
    if not path.exists():
        findings.not_checkable(PAGE, "it is not there")
        return
    try:
        text = read_bytes(path, "a page", ConfigError, RECORD_BYTES).decode("utf-8")
        lines = in_words_of_today(text).split("\n")
    except UnicodeDecodeError:
        findings.wrong(PAGE, "no text")
        return
    if found.of_before:
        headline = in_words_of_today(f"**{found.statement.get('statement')}.**")
        if headline in lines:
            findings.not_checkable(PAGE, "a page of an earlier version: all but its headline is not compared")
        else:
            findings.wrong(PAGE, "another headline")
        return
    for program, key in (("Typefleet", "typefleet_version"), ("dp-accounting", "accountant")):
        theirs = str(found.statement.get(key)).removeprefix(f"{program} ")
        page = page.replace(f"{program} {version(program.lower())}", f"{program} {theirs}")
    wanted = page.split("\n")
    if by_earlier_build and lines != wanted and same_words(lines, wanted):
        by = "every word from privacy.json's facts and the ledger, in the lines of an earlier build"
        findings.recomputed(f"{PAGE}:1-{len(lines) - 1}", by)
        return
    if len(lines) < len(wanted) and lines[:-1] == wanted[: len(lines) - 1]:
        findings.wrong(f"{PAGE}:{len(lines)}", "it ends here, and the statement goes on")
        return
    wrong = [n for n, (a, b) in enumerate(zip_longest(lines, wanted), start=1) if a != b]
    for number in wrong[:_SHOWN]:
        why = "a line too many" if number > len(wanted) else "it is missing" if number > len(lines) else "another line"
        findings.wrong(f"{PAGE}:{number}", why)
    if not wrong:
        findings.recomputed(f"{PAGE}:1-{len(lines) - 1}", "every line from privacy.json's facts and the ledger")


def same(said: Any, computed: Any) -> bool:
    """Equal, and of the same kind all through: 1 is not true, and 5 is not 5.0."""
    return json.dumps(said, sort_keys=True) == json.dumps(computed, sort_keys=True)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(one, str) for one in value))


def _may_be_of_before(key: str, said: Any, computed: Any) -> bool:
    """Whether an earlier version could have said it: in words that changed, with the same figures, and not nothing."""
    if key in _KEPT:
        return said in _FORMERLY.get(key, ())
    if not (_is_text(said) and _is_text(computed) and bool(said) == bool(computed)):
        return False
    return key not in _FIGURES or _NUMBERS.findall(json.dumps(said)) == _NUMBERS.findall(json.dumps(computed))


def _difference(said: Any, computed: Any) -> str:
    """What is said of a value that is another one; a text of the file is not repeated."""
    plain = (int, float)
    here = f"{computed!r} comes out" if type(computed) in plain else "something else comes out"
    if type(said) in plain:
        return f"{said!r} is claimed, {here}"
    return f"{here}" if type(said) is type(computed) else f"it is {json_kind(said)}, {here}"
