"""The safeguards of a run, with their measured strength; one that is not there says so, and why."""

from collections.abc import Iterator

from server_strategy.privacy.rounded_up import Bound
from simulation.run.aggregation_told import aggregation_facts
from simulation.run.files_statement import WORDS
from simulation.run.sources import Guarantee
from simulation.studies.assessment.gathering import (
    AUDIT,
    PARTICIPATION,
    STATEMENT,
    SUMMARY,
    Gathered,
)
from simulation.studies.assessment.parts import Figure, Safeguard, State, state_of
from simulation.studies.assessment.processing import (
    LEAST_PHONES,
    share_of,
    text_figures,
)
from simulation.studies.assessment.safeguards_of_records import safeguards_of_records
from simulation.studies.audits.attack import Attack
from simulation.studies.audits.audit import bound_shown


def safeguards(run: Gathered) -> tuple[Safeguard, ...]:
    """All of them, in the order of the way that the data goes."""
    return tuple(_safeguards(run))


def _safeguards(run: Gathered) -> Iterator[Safeguard]:
    yield _purpose(run)
    yield _minimisation(run)
    yield _redaction(run)
    yield _consent(run)
    yield _clipping(run)
    yield _aggregation(run)
    yield _robust(run)
    yield _noise(run)
    yield _attacks(run)
    yield from safeguards_of_records(run)


def _purpose(run: Gathered) -> Safeguard:
    return Safeguard(
        id="purpose",
        name="A purpose that a run is held to",
        state=State.ON,
        risk="other-purpose",
        covers="a text that is marked for other purposes is refused, and so is a start from a run of another one; "
        "whether the text is marked is not in the run's folder",
        figures=(run.setting("purpose", run.config.data.purpose, "", "data.purpose"),),
        shown_by="config.toml (data.purpose), the mark beside the text",
    )


def _minimisation(run: Gathered) -> Safeguard:
    data = run.config.data
    limits = [
        run.setting("newest messages that a phone keeps", data.keep_messages, "messages", "data.keep_messages"),
        run.setting("newest tokens that a phone keeps", data.keep_tokens, "tokens", "data.keep_tokens"),
        run.setting("age at which a phone deletes", data.keep_days, "days", "data.keep_days"),
    ]
    written, kept, used = text_figures(run)
    is_on = any(one.value is not None for one in limits)
    return Safeguard(
        id="minimisation",
        name="Limits on the text that phones keep",
        state=state_of(is_on),
        risk="more-than-needed",
        covers="what is beyond a limit is not trained on; people held out are measured on all that they wrote",
        figures=(
            *limits,
            written,
            share_of(kept, written, "share of what was written that phones keep"),
            share_of(used, written, "share of what was written on phones that took part"),
        ),
        why=None if is_on else "no limit is set: --data.keep-messages, .keep-tokens, .keep-days",
        shown_by="scripts/price_minimisation.py, participation.json",
    )


def _redaction(run: Gathered) -> Safeguard:
    mode, figures = run.config.data.redact, [run.setting("mode", run.config.data.redact, "", "data.redact")]
    if run.text_audit is not None:
        some = run.text_audit["redactable"]
        figures.append(
            Figure(
                "messages with something to take out, before it was taken out",
                some["messages"],
                "messages",
                "data_audit.json: redactable.messages",
            )
        )
    return Safeguard(
        id="redaction",
        name="Personal data taken out of messages",
        state=state_of(mode != "off"),
        risk="identifiers",
        covers="numbers, addresses and accounts of known forms; names stay, and so does what only its meaning makes "
        "personal",
        figures=tuple(figures),
        why=None if mode != "off" else "--data.redact is off",
        shown_by="scripts/audit_data.py, which also measures what its scanner misses (--check-scanner)",
    )


def _consent(run: Gathered) -> Safeguard:
    is_on = run.config.consent.is_simulated
    figures: tuple[Figure, ...] = ()
    if is_on:
        figures = (
            run.figure("agreed to training at the start", "share", SUMMARY, "consent.train_share_at_start"),
            run.figure("agree to training at the end", "share", SUMMARY, "consent.train_share"),
            run.figure("updates that a withdrawal kept out", "updates", SUMMARY, "consent.updates_withdrawn"),
            *_bias(run),
        )
    return Safeguard(
        id="consent",
        name="Consent by purpose, and its withdrawal",
        state=state_of(is_on),
        risk="without-consent",
        covers="who does not agree is not invited, and who withdraws before a sum is there is not in it; what was "
        "released before stays",
        figures=figures,
        why=None if is_on else "the settings know of no consent: every phone is asked, and nothing is recorded",
        shown_by="participation.json (consent), report.html",
    )


def _bias(run: Gathered) -> Iterator[Figure]:
    """How far those who agree are like the others: shares by group, recall by what they agreed to."""
    source = f"{PARTICIPATION}: consent.by_group"
    rows = [row for row in run.rows(PARTICIPATION, "consent.by_group") if _count(row, "phones") >= LEAST_PHONES]
    shares = [(_count(row, "given") / _count(row, "phones"), row) for row in rows]
    for name, ends in (("least", min), ("most", max)):
        found = ends(shares, key=lambda pair: pair[0], default=None)
        why = f"no group of {LEAST_PHONES} phones or more" if PARTICIPATION in run.records else None
        if found is None:
            yield Figure(f"group that agrees {name}", None, "share", source, why or run.why_not(PARTICIPATION))
        else:
            group = f"{found[1].get('grouping')} {found[1].get('group')}"
            yield Figure(f"{group}, which agrees {name}", found[0], "share", source)
    for row in run.rows(PARTICIPATION, "consent.recall"):
        recall, few = row.get("top1_recall"), _count(row, "measured") < LEAST_PHONES
        is_number = isinstance(recall, int | float) and not isinstance(recall, bool) and not few
        why = None if is_number else row.get("why_no_value") or f"fewer than {LEAST_PHONES} people were measured"
        name = f"recall, first suggestion, of people held out whose consent to training is: {row.get('group')}"
        yield Figure(name, recall if is_number else None, "share", f"{PARTICIPATION}: consent.recall", why)


def _count(row: dict[str, object], name: str) -> int:
    value = row.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _clipping(run: Gathered) -> Safeguard:
    return Safeguard(
        id="clipping",
        name="A bound on what one phone can change",
        state=State.ON,
        risk="poisoning",
        covers="one update; many phones of one attacker add up",
        figures=(
            run.setting("longest change of one phone", run.config.privacy.clip_norm, "L2 norm", "privacy.clip_norm"),
        ),
        shown_by="rounds.jsonl (clipped_share)",
    )


def _aggregation(run: Gathered) -> Safeguard:
    protocol, figures = run.config.aggregation.protocol, []
    facts, said = aggregation_facts(run.config) or {}, run.at(STATEMENT, "aggregation")
    is_told = isinstance(said, dict)  # the statement has a section on it
    figures.append(run.setting("protocol", protocol, "", "aggregation.protocol"))
    if protocol == "secagg":
        names = (
            ("phones", "phones of a sum", "phones"),
            ("neighbours", "neighbours of a phone", "phones"),
            ("threshold", "shares that open a secret", "shares"),
            ("least_survivors", "fewest vectors that are unmasked", "vectors"),
            ("corrupted", "phones that may side with the server", "phones"),
            ("security_bits", "probability of failure, at most 2 to the power of minus", "bits"),
        )
        source = f"{STATEMENT}: aggregation" if is_told else "config.toml: aggregation"
        figures += [
            Figure(what, (said if isinstance(said, dict) else facts).get(name), unit, f"{source}.{name}")
            for name, what, unit in names
        ]
    why = {
        "none": "--aggregation.protocol is none: the server is told of each phone",
        "arithmetic": "--aggregation.protocol arithmetic counts as secure aggregation does and hides nothing",
    }.get(protocol)
    return Safeguard(
        id="secure-aggregation",
        name="Secure aggregation: the server sees sums alone",
        state=state_of(protocol == "secagg"),
        risk="server-reads",
        covers="a single phone's change, against a server that follows the protocol; not the sum, and not who took "
        "part. A simulation makes all phones' keys in one program",
        figures=tuple(figures),
        why=why,
        shown_by=f"{'privacy.md (Who sees what of an update), ' if is_told else ''}scripts/price_aggregation.py",
    )


def _robust(run: Gathered) -> Safeguard:
    settings = run.config.aggregation
    figures = [run.setting("rule", settings.robust, "", "aggregation.robust")]
    if settings.robust != "none":
        figures.append(
            run.setting("attackers it reckons with", settings.robust_share, "share", "aggregation.robust_share")
        )
    return Safeguard(
        id="robust-rule",
        name="A rule that few attackers cannot move at will",
        state=state_of(settings.robust != "none"),
        risk="poisoning",
        covers="as many attackers as it is told of; it cannot be had together with noise",
        figures=tuple(figures),
        why=None if settings.robust != "none" else "--aggregation.robust is none: the mean, with clipping alone",
        shown_by="scripts/audit.py --attacks poison",
    )


def _noise(run: Gathered) -> Safeguard:
    privacy, why = run.config.privacy, None
    if not run.private:
        why = "--privacy.mechanism is none: nothing bounds what the model tells of a phone"
    elif run.at(STATEMENT, "not_guaranteed"):
        why = f"the guarantee is of {run.at(STATEMENT, 'epsilon_is_of')}; the files of this run do not have it"
    return Safeguard(
        id="differential-privacy",
        name="Differential privacy: noise that hides each phone's part",
        state=state_of(run.private),
        risk="model-tells",
        covers=_covered(run),
        figures=(
            run.setting("mechanism", privacy.mechanism, "", "privacy.mechanism"),
            *_costs(run),
            run.setting("who adds the noise", privacy.noise_place, "", "privacy.noise_place"),
            run.setting("where the noise comes from", privacy.noise_source, "", "privacy.noise_source"),
        ),
        why=why,
        shown_by="privacy.md; scripts/check_privacy.py recomputes it",
    )


def _costs(run: Gathered) -> tuple[Figure, ...]:
    if not run.private:
        return (Figure("epsilon", None, "", f"{STATEMENT}: spent.epsilon", "no privacy mechanism"),)
    earlier = run.figure("epsilon with the runs it starts from", "", STATEMENT, "other_runs.with_earlier_runs.epsilon")
    account = run.figure("epsilon with its account", "", STATEMENT, "other_runs.account.epsilon")
    return (
        _rounded_up(run.figure("epsilon", "", STATEMENT, "spent.epsilon")),
        _rounded_up(run.figure("delta", "", STATEMENT, "spent.delta")),
        *(_rounded_up(one) for one in (earlier, account) if one.value is not None),
        run.figure("participations of the busiest phone", "", STATEMENT, "spent.max_participations"),
    )


def _rounded_up(one: Figure) -> Figure:
    """A bound, which is shown no smaller than it is."""
    return one._replace(value=Bound(one.value)) if isinstance(one.value, float) else one


def _covered(run: Gathered) -> str:
    said = run.at(STATEMENT, "unit")
    if not run.private or not isinstance(said, str):
        return "nothing is known to be covered"
    words = WORDS.get(str(run.at(STATEMENT, "vocabulary_from")))
    outside = words is None or words.guarantee is Guarantee.NOT_COVERED
    counted = "; the vocabulary is outside of it" if outside else ""
    return f"{said}, of {run.at(STATEMENT, 'epsilon_is_of')}; other runs on the same phones are not counted{counted}"


def _held(one: Attack) -> str:
    """The name of a figure of an audit, with the bound that it is held to."""
    if one.bound is None or one.holds is None:
        return one.name
    return f"{one.name} (bound {bound_shown(one.bound)}: {'within' if one.holds else 'ABOVE'})"


def _attacks(run: Gathered) -> Safeguard:
    audit = run.audit
    figures: tuple[Figure, ...] = ()
    if audit is not None:
        held = [one for one in audit.attacks if one.holds is not None]
        where = f"{AUDIT}: attacks"
        figures = (
            Figure("figures held to a bound", len(held), "figures", where),
            Figure("bounds that fell", len(audit.fallen), "figures", where),
            Figure("short attacks", audit.quick, "", f"{AUDIT}: quick"),
            *(Figure(_held(one), one.value, one.quantity, where, one.why or None) for one in audit.attacks),
        )
    return Safeguard(
        id="attacks",
        name="Attacks carried out on the run",
        state=state_of(audit is not None),
        risk="model-tells",
        covers="the attacks that were carried out; a better one may come",
        figures=figures,
        why=None if audit is not None else run.why_not(AUDIT),
        shown_by="audit.html, scripts/audit.py",
    )
