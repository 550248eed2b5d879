"""The record of processing: what for, whose and which data, who gets it, what is kept; in the run's own figures."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from client_model.text.personal.kinds import WORDS, Kind
from client_model.text.population import text_source
from simulation.run.artefacts import ARTEFACTS, Artefact
from simulation.run.sources import Guarantee
from simulation.studies.assessment.gathering import LEDGER, PARTICIPATION, STATEMENT, SUMMARY, Gathered
from simulation.studies.assessment.parts import Figure, Kept, Row
from simulation.studies.retention import CATEGORIES
from simulation.world.consent.config import EVALUATE
from typefleet.sealed.chunks import is_sealed

_TRAINING = re.compile(r"the text of the ([0-9][0-9,]*) training phones of ")
_WORST = (Guarantee.NOT_COVERED, Guarantee.AS_KNOWN, Guarantee.COVERED, Guarantee.NOTHING)
_SUMS_ALONE = "where the server learns sums alone, nobody is told how much text the phones that took part have"
_DAY_S = 86_400.0
LEAST_PHONES = 10
"""Groups of fewer phones are not shown: a figure of so few may be a figure of somebody."""


def training_phones(run: Gathered) -> Figure:
    """Phones whose text may be trained on, as the privacy statement counts them."""
    said = run.at(STATEMENT, "facts.data_covered")
    found = _TRAINING.match(said) if isinstance(said, str) else None
    value = None if found is None else int(found[1].replace(",", ""))
    why = None
    if value is None:
        why = "privacy.json does not say it" if STATEMENT in run.records else run.why_not(STATEMENT)
    name = "phones whose text may be trained on: not held out, and their owners agree when the run begins"
    return Figure(name, value, "phones", f"{STATEMENT}: facts.data_covered", why)


def all_phones(run: Gathered) -> Figure:
    """Phones of the fleet: those of which the plan is, before it is scaled to a deployment."""
    population, goal = run.number(STATEMENT, "planned.population"), run.number(STATEMENT, "planned.goal")
    modelled = run.number(STATEMENT, "planned.modelled_cohort")
    name, source = "phones in the simulated fleet", f"{STATEMENT}: planned.population, before it is scaled"
    if population is None or not goal:
        return Figure(name, None, "phones", source, run.why_not(STATEMENT))
    return Figure(name, round(population / (modelled / goal if modelled else 1.0)), "phones", source)


def held_out_phones(run: Gathered) -> Figure:
    """Phones on which the model is measured; where owners may refuse to train, by the record of consents."""
    name = "phones that are held out: they never train, and the model is measured on them"
    if run.config.consent.is_simulated:
        rows = run.rows(PARTICIPATION, "consent.purposes")
        found = next((row.get("phones") for row in rows if row.get("purpose") == EVALUATE), None)
        why = None if isinstance(found, int) else run.why_not(PARTICIPATION)
        return Figure(name, found if why is None else None, "phones", f"{PARTICIPATION}: consent.purposes", why)
    everybody, training = all_phones(run), training_phones(run)
    if isinstance(everybody.value, int) and isinstance(training.value, int):
        gone = run.number(STATEMENT, "forgotten.phones") or 0
        found = everybody.value - training.value - int(gone)
        return Figure(name, found, "phones", f"{STATEMENT}: of the fleet, all others but forgotten ones")
    return Figure(name, None, "phones", STATEMENT, everybody.why or training.why)


def subjects(run: Gathered) -> tuple[Figure, ...]:
    """How many phones, each with an owner, the run is about."""
    return (
        all_phones(run),
        training_phones(run),
        run.figure(
            "phones that may train: neither held out nor short of memory, whether their owners agree or not",
            "phones",
            SUMMARY,
            "participation.phones",
        ),
        held_out_phones(run),
        *update_figures(run),
        run.figure("share of phones that never took part", "share", SUMMARY, "participation.never_used_share"),
        run.figure("updates of the busiest phone", "updates", SUMMARY, "participation.most_updates_of_a_phone"),
        run.figure("phones of one person at most", "phones", STATEMENT, "most_phones_of_a_person"),
    )


def update_figures(run: Gathered) -> tuple[Figure, ...]:
    """Updates in all that was ever released, and in this model; what came in a round that was abandoned is in none."""
    name, released = "updates of phones in all releases; those sent to abandoned rounds come on top", run.released
    why = run.why_not(LEDGER) if released is None else None
    return (
        Figure(name, None if released is None else released.updates, "updates", f"{LEDGER}: reports", why),
        run.figure("of them, in this model", "updates", SUMMARY, "devices_trained"),
    )


def text_figures(run: Gathered) -> tuple[Figure, ...]:
    """How much text phones wrote, keep, and had where they took part."""
    names = ("written", "kept", "used")
    said = (
        "tokens that phones which may train wrote",
        "of them, tokens that phones keep",
        "of those kept, tokens on phones that took part",
    )
    found = [
        run.figure(what, "tokens", PARTICIPATION, f"text.{name}_tokens") for name, what in zip(names, said, strict=True)
    ]
    if PARTICIPATION in run.records and run.config.aggregation.is_summed:
        found = [one._replace(why=one.why and _SUMS_ALONE) for one in found]
    return tuple(found)


def share_of(part: Figure, whole: Figure, name: str) -> Figure:
    """One figure as a share of another; None where one of them is."""
    known = isinstance(part.value, int | float) and isinstance(whole.value, int | float) and whole.value > 0
    value = part.value / whole.value if known else None  # type: ignore[operator]  # both are numbers
    return Figure(name, value, "share", part.source, None if known else part.why or whole.why or "nothing was written")


def categories(run: Gathered) -> tuple[Row, ...]:
    """Kinds of personal data, where each is."""
    return tuple(_categories(run))


def _categories(run: Gathered) -> Iterator[Row]:
    releases = None if run.released is None else run.released.releases
    why = run.why_not(LEDGER) if run.released is None else None
    yield Row(
        "messages that people typed",
        f"{text_source(run.config.data)}; on real phones they never leave the phone, here they are read from a file",
        text_figures(run),
    )
    if run.text_audit is not None:
        yield _kinds(run)
    hidden = run.config.aggregation.protocol == "secagg"
    yield Row(
        "changes of the model",
        "what a phone learned from its messages, clipped to a fixed length: numbers from which words can be read "
        + ("if the sum is of few phones" if hidden else "as they are"),
        (
            *update_figures(run),
            run.setting("longest change of one phone", run.config.privacy.clip_norm, "L2 norm", "privacy.clip_norm"),
        ),
    )
    yield Row(
        "behaviour of phones",
        "when each is idle, charging and on Wi-Fi, its memory, speed, network and time zone, whether it finished: the "
        "server sees when it checks in and takes part" + (", loss and tokens in sums alone" if hidden else ""),
    )
    yield Row(
        "who took part when",
        "labels of phones in the ledger, keyed by a salt in the checkpoints",
        (
            Figure("releases on record", releases, "releases", f"{LEDGER}: releases", why),
            run.figure("of them, on the way to this model", "releases", STATEMENT, "spent.releases"),
        ),
    )
    yield Row("counts on people held out", "words, and how many of them the model guessed", (held_out_phones(run),))
    if run.at(STATEMENT, "facts.words") in ("counted", "private", "private of a model"):
        yield Row("words for the vocabulary", f"how many phones wrote each: {run.at(STATEMENT, 'facts.words')}")
    if run.config.consent.is_simulated:
        yield Row("what each owner agreed to", "by purpose, with the moments of giving and withdrawing")


def _kinds(run: Gathered) -> Row:
    """What an audit of the text found, by kind."""
    figures, source = [], "data_audit.json: personal"
    for row in (run.text_audit or {})["personal"]:
        name = WORDS[Kind(row["kind"])] if row["kind"] in set(Kind) else row["kind"]
        why = None if row["messages"] is not None else str(row.get("why") or "it was not looked for")
        figures.append(Figure(name, row["messages"], "messages", source, why))
    return Row(
        "personal data inside the messages",
        "in the whole text that the run draws on, by pattern and check digit",
        tuple(figures),
    )


def recipients(run: Gathered) -> tuple[Row, ...]:
    """Who gets what, by the settings."""
    config = run.config
    secagg, at_phones = config.aggregation.protocol == "secagg", config.privacy.noise_place == "phones"
    sees = "sums of a round's changes alone" if secagg else "the change of each phone, by host, and its loss and tokens"
    if secagg and config.aggregation.sums_buckets:
        sees = f"sums of buckets of {config.aggregation.bucket_phones} phones or more"
    noised = ", with the phones' noise in them" if at_phones else ""
    rows = [
        Row("whoever runs the server", f"{sees}{noised}; who took part, and when"),
        Row("every phone that takes part", "the model after each round"),
        Row("whoever gets the exported file", "the last model, its vocabulary and its card"),
        Row("whoever has this machine's disk", "what is listed under storage"),
    ]
    trackers = ", ".join(config.tracking.trackers)
    if trackers:
        rows.append(Row("whoever looks at the curves", f"exact loss, tokens and metrics of each round ({trackers})"))
    if config.tracking.mlflow_store is not None:
        rows.append(Row("a store of MLflow elsewhere", "the same curves and the settings, outside the run's folder"))
    return tuple(rows)


def storage(run: Gathered) -> tuple[Kept, ...]:
    """What of the run is on disk now, by the table of artefacts, with what a policy says of it."""
    found: list[Kept] = []
    for one in ARTEFACTS:
        paths = [path for path in _matching(run.folder, one) if path.exists() and not path.is_symlink()]
        files = [file for path in paths for file in _files_in(path)]
        if files:
            found.append(_kept(run, one, files))
    return tuple(found)


def unlisted(run: Gathered) -> int:
    """Files in the run's folder that no table names, links among them."""
    listed = {path for one in ARTEFACTS for path in _matching(run.folder, one)}
    own = (path for path in run.folder.rglob("*") if path.is_symlink() or path.is_file())
    return sum(not any(path == one or path.is_relative_to(one) for one in listed) for path in own)


def _matching(folder: Path, one: Artefact) -> list[Path]:
    return sorted(folder.glob(one.name.rstrip("/"))) if "*" in one.name else [folder / PurePosixPath(one.name)]


def _files_in(path: Path) -> list[Path]:
    some = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [one for one in some if one.is_file() and not one.is_symlink()]


def _kept(run: Gathered, one: Artefact, files: list[Path]) -> Kept:
    category = next((name for name, names in CATEGORIES.items() if one.name in names), None)
    stats = [file.stat() for file in files]
    age = (run.now_s - max(stat.st_mtime for stat in stats)) / _DAY_S
    keep = (run.policy or {}).get(category) if category is not None else None
    return Kept(
        what=one.name,
        holds=one.holds,
        tells=_worst(run, one),
        files=len(files),
        bytes=sum(stat.st_size for stat in stats),
        encrypted=all(is_sealed(file) for file in files),
        category=category,
        age_days=max(age, 0.0),
        keep_days=keep,
        is_over=keep is not None and age >= keep,
    )


def _worst(run: Gathered, one: Artefact) -> str:
    """The worst that the privacy statement says of a file; without one, releases count as not covered as well."""
    rows = run.rows(STATEMENT, "files")
    said = [row.get("guarantee") for row in rows if isinstance(row.get("files"), list) and one.name in row["files"]]
    if not said:
        said = [str(part.source.guarantee) for part in one.tells]
        said = [str(Guarantee.NOT_COVERED) if word == Guarantee.COVERED else word for word in said]
    known = [word for word in _WORST if word in said]
    return str(known[0]) if known else str(Guarantee.NOT_COVERED)
