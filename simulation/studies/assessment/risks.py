"""The residual risks of a run: each by a rule over its own figures; what is absent or unknown makes it higher."""

from collections.abc import Iterator, Sequence
from typing import Any

from server_strategy.privacy.rounded_up import Bound
from simulation.run.files_statement import WORDS
from simulation.run.sources import Guarantee
from simulation.studies.assessment.gathering import PARTICIPATION, STATEMENT, SUMMARY, Gathered
from simulation.studies.assessment.parts import REAL_PHONES, THIS_MACHINE, Kept, Level, Risk, Safeguard, State
from simulation.studies.assessment.processing import share_of, text_figures
from simulation.studies.assessment.scale import STRONG_EPSILON, WEAK_EPSILON, severity_of_text
from simulation.studies.assessment.words import shown
from simulation.studies.audits.table import family_of

_SENSITIVE = ("checkpoints/", "noise_secret", "held_out.parquet")
_HALF, _TENTH = 0.5, 0.1


def residual_risks(run: Gathered, safeguards: Sequence[Safeguard], kept: Sequence[Kept]) -> tuple[Risk, ...]:
    """All of them, the highest score first.

    Args:
        run: as it was found.
        safeguards: of the run.
        kept: what is on disk.
    """
    absent: dict[str, list[str]] = {}
    for one in safeguards:
        if one.state is not State.ON:
            absent.setdefault(one.risk, []).append(one.id)
    found = [
        Risk(
            id=name,
            name=what,
            about=about,
            likelihood=likelihood,
            severity=severity,
            absent=tuple(absent.get(name, ())),
        )
        for name, what, about, likelihood, severity in (*_of_people(run), *_of_files(run, kept), *_of_duties(run, kept))
    ]
    return tuple(sorted(found, key=lambda one: -one.score))


_Rated = tuple[str, str, str, Level, Level]


def _of_people(run: Gathered) -> Iterator[_Rated]:
    """What others may learn of those whose phones these are, or do to them."""
    text = severity_of_text(run, REAL_PHONES)
    yield "model-tells", "Somebody learns from the model what one person wrote", REAL_PHONES, _model_tells(run), text
    yield "server-reads", "Whoever runs the server reads one phone's change", REAL_PHONES, _server_reads(run), text
    yield (
        "identifiers",
        "Numbers and addresses of people are in what is trained on",
        REAL_PHONES,
        _identifiers(run),
        text,
    )
    yield (
        "without-consent",
        "Somebody who did not agree, or no longer does, is in the model",
        REAL_PHONES,
        _without_consent(run),
        Level(3, "what a person wrote is used against their will"),
    )
    yield (
        "worse-for-some",
        "The keyboard is worse for some people than for others",
        REAL_PHONES,
        _worse_for_some(run),
        Level(2, "people type more, and are not locked out of anything"),
    )
    yield (
        "poisoning",
        "A few phones make the keyboard say what they like to everybody",
        REAL_PHONES,
        _poisoning(run),
        Level(3, "people are shown, and may send, words that somebody else chose"),
    )


def _of_files(run: Gathered, kept: Sequence[Kept]) -> Iterator[_Rated]:
    """What may come of the files that lie here."""
    text = severity_of_text(run, THIS_MACHINE)
    yield "disk", "Somebody with this disk reads text, or takes the noise away", THIS_MACHINE, _disk(run, kept), text
    yield (
        "passed-on",
        "This run's files are passed on as if they were private",
        THIS_MACHINE,
        _passed_on(run),
        text,
    )
    yield "kept-too-long", "Personal data is kept longer than it is needed", THIS_MACHINE, _kept(run, kept), text


def _of_duties(run: Gathered, kept: Sequence[Kept]) -> Iterator[_Rated]:
    """What those who answer for the processing may be unable to do or to show."""
    name, what = "cannot-delete", "A phone whose owner asks for it cannot be taken out"
    shapes_on = Level(3, "what a person wrote goes on shaping a model that others have")
    yield name, what, REAL_PHONES, _cannot_delete(run, kept), shapes_on
    name, what = "more-than-needed", "More text is used than the purpose needs"
    exposed = Level(2, "more of a person is exposed to all other risks")
    yield name, what, REAL_PHONES, _more_than_needed(run), exposed
    name, what = "other-purpose", "What was given for one purpose is used for another"
    marks = f"runs are held to {run.config.data.purpose}; whether the text is marked for it is not known here"
    unheard = Level(3, "what a person wrote is used for what they never heard of")
    yield name, what, REAL_PHONES, Level(3, marks), unheard
    name, what = "unseen-release", "A model goes out that nobody answerable has looked at"
    goes_out = Level(3, "each of the other risks goes out with it")
    yield name, what, REAL_PHONES, _unseen_release(run), goes_out
    name, what = "cannot-show", "What was done with the data cannot be shown afterwards"
    nobody = Level(2, "nobody can be held to account")
    yield name, what, THIS_MACHINE, _cannot_show(run), nobody


def total_epsilon(run: Gathered) -> float | None:
    """The largest epsilon that the statement knows of a person: with earlier runs, the account, several phones.

    Returns:
        None: nothing bounds it, or it is not known.
    """
    spent = run.number(STATEMENT, "spent.epsilon")
    if spent is None or not run.private:
        return None
    found = [float(spent)]
    if run.rows(STATEMENT, "other_runs.earlier_runs"):
        earlier = run.number(STATEMENT, "other_runs.with_earlier_runs.epsilon")
        if earlier is None:
            return None
        found.append(float(earlier))
    if run.at(STATEMENT, "other_runs.account") is not None:
        account = run.number(STATEMENT, "other_runs.account.epsilon")
        if account is None:
            return None
        found.append(float(account))
    phones = run.number(STATEMENT, "most_phones_of_a_person") or 1
    if phones > 1:
        groups = [row for row in run.rows(STATEMENT, "group_privacy") if _number(row.get("phones")) >= phones]
        group = min(groups, key=lambda row: _number(row.get("phones")), default=None)
        if group is None or not _number(group.get("epsilon")):
            return None
        found.append(_number(group["epsilon"]))
    return max(found)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def _model_tells(run: Gathered) -> Level:
    privacy, audit, epsilon = run.config.privacy, run.audit, total_epsilon(run)
    whose = run.at(STATEMENT, "epsilon_is_of")
    if not run.private:
        return Level(4, "no noise is added: nothing bounds what the model tells")
    if epsilon is None:
        return Level(4, "no epsilon of all that a person is in is known")
    if privacy.noise_source == "seeded" or privacy.keep_noise_secret:
        return Level(
            4, f"epsilon {Bound(epsilon):.3g}, and the noise can be taken away by whoever has its seed or secret"
        )
    if audit is not None and audit.fallen:
        return Level(4, f"epsilon {Bound(epsilon):.3g} is claimed; bounds that fell under attack: {len(audit.fallen)}")
    if epsilon > WEAK_EPSILON:
        return Level(4, f"epsilon {Bound(epsilon):.3g} is above {WEAK_EPSILON:g}, of {whose}")
    words = WORDS.get(str(run.at(STATEMENT, "vocabulary_from")))
    if words is None or words.guarantee is Guarantee.NOT_COVERED:
        return Level(3, f"epsilon {Bound(epsilon):.3g} of {whose}; the vocabulary is outside of it")
    if audit is None or audit.quick or not any(one.holds for one in audit.attacks):
        how = "attacked shortly (--quick)" if audit is not None and audit.quick else "not attacked, to a bound"
        return Level(3, f"epsilon {Bound(epsilon):.3g} of {whose}; the run was {how}")
    if epsilon > STRONG_EPSILON:
        return Level(2, f"epsilon {Bound(epsilon):.3g} of {whose}, and each attack came to no more than its bound")
    return Level(
        1, f"epsilon {Bound(epsilon):.3g} is at most {STRONG_EPSILON:g}, and attacks came to no more than claimed"
    )


def _server_reads(run: Gathered) -> Level:
    settings = run.config.aggregation
    if settings.protocol != "secagg":
        return Level(4, f"--aggregation.protocol is {settings.protocol}: nothing hides a single phone's change from it")
    if settings.sums_buckets:
        return Level(3, f"it gets exact sums of as few as {settings.bucket_phones} phones")
    if run.private and run.config.privacy.noise_place == "phones":
        return Level(1, "it gets a round's sum alone, with the phones' noise in it already")
    return Level(2, "it gets a round's exact sum alone, as long as few enough phones side with it")


def _identifiers(run: Gathered) -> Level:
    if run.config.data.redact != "off":
        return Level(2, f"--data.redact {run.config.data.redact} takes out what has a known form")
    if run.text_audit is None:
        return Level(4, "nothing is taken out, and no audit of the text was handed in")
    messages = run.text_audit["redactable"]["messages"]
    if messages:
        return Level(4, f"nothing is taken out of {shown(messages, 'messages')} in which an audit found something")
    return Level(2, "an audit found nothing to take out")


def _without_consent(run: Gathered) -> Level:
    if not run.config.consent.is_simulated:
        return Level(4, "nobody's consent is asked for or recorded")
    rows = [row for row in run.rows(PARTICIPATION, "by_group") if row.get("grouping") == "consent to train"]
    if not rows:
        return Level(4, "whether updates of those who left are in the model is not known")
    left = sum(_number(row.get("share_of_updates")) for row in rows if row.get("group") == "withdrawn")
    done = run.forgotten if run.forgotten is not None and run.forgotten.pending is None else None
    if left > 0 and done is None:
        return Level(3, f"{left:.1%} of all updates are of phones whose owners have withdrawn since")
    if left > 0 and done is not None:
        return Level(3, f"{left:.1%} of all updates are of owners who withdrew since, though phones were forgotten")
    return Level(2, "no update of a phone whose consent was withdrawn is in a sum of this run")


def _worse_for_some(run: Gathered) -> Level:
    share = run.number(SUMMARY, "participation.never_used_share")
    measured = run.audit is not None and any(family_of(one) == "fairness" for one in run.audit.attacks)
    if share is None:
        return Level(4, "who never took part is not known")
    said = f"{share:.1%} of the phones that may train never took part"
    if not measured:
        return Level(4 if share > _HALF else 3, f"{said}; gaps between groups were not measured")
    return Level(3 if share > _HALF else 2, f"{said}; gaps between groups were measured")


def _poisoning(run: Gathered) -> Level:
    measured = run.audit is not None and any(family_of(one) == "poison" for one in run.audit.attacks)
    robust = run.config.aggregation.robust
    if robust != "none" and measured:
        return Level(2, f"{robust} stands against it, and attacks on it were carried out")
    if robust != "none" or measured:
        what = f"{robust} stands against it, not attacked" if robust != "none" else "clipping alone, attacked"
        return Level(3, what)
    return Level(4, "clipping alone stands against it, and no such attack was carried out")


def _disk(run: Gathered, kept: Sequence[Kept]) -> Level:
    there = [one for one in kept if one.what in _SENSITIVE]
    plain = [one.what for one in there if not one.encrypted]
    if "noise_secret" in plain:
        return Level(4, "the secret of the noise lies there, and nothing keeps a reader of the disk from it")
    if plain:
        return Level(3, f"{', '.join(plain)}: plain files, which only their owner may read")
    if there:
        return Level(2, f"{', '.join(one.what for one in there)}: encrypted; figures of small groups are plain")
    if run.needed is None and not run.shredded:
        return Level(3, "what was kept of single phones is deleted; tokenised text in the cache is not looked at")
    return Level(2, "what was kept of single phones is deleted or has no key; figures in reports are plain")


def _passed_on(run: Gathered) -> Level:
    if not run.private:
        return Level(4, "no noise is in them")
    if STATEMENT not in run.records:
        return Level(4, "they have no privacy statement")
    if run.at(STATEMENT, "not_guaranteed"):
        return Level(4, f"what is claimed is of {run.at(STATEMENT, 'epsilon_is_of')}, and not of these files")
    own = _model_tells(run)
    return Level(own.level, f"the claim is of these files: {own.because}")


def _kept(run: Gathered, kept: Sequence[Kept]) -> Level:
    of_policy = [one for one in kept if one.category is not None]
    over = [one.what for one in of_policy if one.is_over]
    if not of_policy:
        return Level(1, "nothing is left but what the privacy statement stands on")
    if run.policy is None:
        return Level(
            4, f"nobody said for how long; the oldest is {max(one.age_days for one in of_policy):.0f} days old"
        )
    if over:
        return Level(4, f"kept for longer than the policy says: {', '.join(over)}")
    if unnamed := sorted({str(one.category) for one in of_policy if one.keep_days is None}):
        return Level(3, f"the policy has no days for {', '.join(unnamed)}")
    return Level(
        2, "all in the run's folder is younger than the policy says; the cache of tokenised text was not looked at"
    )


def _more_than_needed(run: Gathered) -> Level:
    written, kept, _ = text_figures(run)
    share = share_of(kept, written, "").value
    if not isinstance(share, float):
        return Level(4, "how much of what was written phones keep is not known")
    said = f"phones keep {share:.1%} of what was written"
    if share <= _TENTH:
        return Level(1, said)
    return Level(2 if share <= _HALF else 3 if share < 1 else 4, said)


def _cannot_delete(run: Gathered, kept: Sequence[Kept]) -> Level:
    if run.forgotten is not None and run.forgotten.pending is not None:
        return Level(4, run.forgotten.pending)
    told = "nothing shows that it was done"
    if run.forgotten is not None:
        told = f"{shown(run.forgotten.phones, 'phones')} on record as taken out; earlier releases stay out there"
    if not any(one.what == "checkpoints/" for one in kept):
        return Level(4, f"no checkpoint is left to go back to, so that nobody else can be taken out; {told}")
    return Level(2 if run.forgotten is not None else 3, f"checkpoints are here to go back to; {told}")


def _unseen_release(run: Gathered) -> Level:
    if run.signing is None:
        return Level(4, "no signature of those who answer for it is in the run's folder")
    if run.signing.why is not None:
        return Level(3, run.signing.why)
    return Level(2, f"signed by {' and '.join(run.signing.held)}, and verified")


def _cannot_show(run: Gathered) -> Level:
    if run.trail is None:
        return Level(4, "no record of commands is in the run's folder")
    if run.trail.wrong is not None:
        return Level(4, f"the record of commands is not as they wrote it: {run.trail.wrong}")
    return Level(
        2, f"on record: {shown(run.trail.commands, 'commands')}; lines cut off the end are not seen by it alone"
    )
