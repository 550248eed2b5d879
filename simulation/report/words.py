"""What the report says in sentences: what was run, what came of it, and what is promised about anybody's privacy."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from client_model.metrics.keyboard_metrics import (
    IMPRESSION_RECALL,
    KEYSTROKE_SAVINGS,
    OOV_RATE,
    PERPLEXITY,
    TOP1_RECALL,
)
from client_model.metrics.metric import Metric
from client_model.text.population import text_source
from server_strategy.privacy.rounded_up import Bound
from server_strategy.privacy.statement_noise import REPEATABLE
from simulation.device.everyday_sentences import SENTENCES
from simulation.report.drift import FALSE_ALARMS, LEAST, Alarm, Watched, judged
from simulation.report.facts import ConsentFacts, LeftOut, Participation, Privacy, RunFacts, TypedWord
from simulation.report.funnel import WITHDRAWN, funnel_totals
from simulation.report.tables import simulated_time
from simulation.world.devices import TIER_BOUNDS_GB

_MOST_WRITTEN_OUT = 12.0  # epsilon up to which e^epsilon says something as a number
_TERMS = (
    (TOP1_RECALL.name, "Recall is the share of words that were suggested before any letter of them was typed."),
    (
        IMPRESSION_RECALL.name,
        "Impression recall is of all the times that three suggestions were shown, before punctuation, unknown words "
        "and the end of a message too.",
    ),
    (PERPLEXITY.name, "Perplexity is the number of equally likely tokens that would be as hard to tell apart."),
    (OOV_RATE.name, "Out of vocabulary are the words that the model cannot suggest."),
)


@dataclass(frozen=True)
class Paragraph:
    """A paragraph and the words before it that stand out."""

    lead: str
    text: str


def title(facts: RunFacts) -> str:
    """Model, population, mechanism, rounds."""
    config = facts.config
    mechanism = config.privacy.mechanism if isinstance(facts.privacy, LeftOut) else facts.privacy.mechanism
    noise = "without privacy" if facts.summary.epsilon is None else f"{mechanism} noise"
    return f"{config.model.cell} {config.model.preset} on {text_source(config.data)}, {noise}, {_rounds(facts)}"


def _rounds(facts: RunFacts) -> str:
    done, planned = facts.summary.rounds_completed, facts.config.rounds
    number = f"{done:,}" if done == planned else f"{done:,} of {planned:,}"
    return f"{number} round{'' if number == '1' else 's'}"


def outcome(facts: RunFacts) -> Iterator[str]:
    """What came out, a sentence or two each: recall, keystrokes, training."""
    people = "people" if facts.people is None else f"{facts.people:,} people"
    recall = facts.summary.held_out.get(TOP1_RECALL.name)
    if recall is None:
        yield "Nobody has been measured, so nothing is known of how good the suggestions are."
    else:
        yield (
            f"On {people} who never trained{_of_which_kind(facts)}, the first suggestion is right in "
            f"{100 * recall:.1f} % of the words that the vocabulary has"
            f"{_spread(facts, TOP1_RECALL)}{_counting(facts, TOP1_RECALL)}.{_beside_triples(facts)}"
        )
    saved = facts.summary.held_out.get(KEYSTROKE_SAVINGS.name)
    if saved is not None:
        yield (
            f"Taking a word as soon as it is among the three shown saves {100 * saved:.1f} % of keystrokes"
            f"{_spread(facts, KEYSTROKE_SAVINGS)}{_counting(facts, KEYSTROKE_SAVINGS)}."
        )
    summary, part = facts.summary, facts.summary.participation
    yield (
        f"In {simulated_time(summary.simulated_seconds)} of simulated time {summary.devices_trained:,} updates of "
        f"phones were added up; {part.phones:,} phones with memory enough could have trained, "
        f"{_share(part.never_used_share)} of them never did."
    )


def _of_which_kind(facts: RunFacts) -> str:
    validation = facts.config.evaluation.people == "validation"
    return " (validation people, by whom settings are chosen: no result to report)" if validation else ""


def _share_of_noise(found: Privacy) -> str:
    return f"1/{found.modelled_cohort / found.goal:,.0f}" if found.modelled_cohort else "all"


def _spread(facts: RunFacts, metric: Metric) -> str:
    interval = None if isinstance(facts.intervals, LeftOut) else facts.intervals.get(metric.name)
    if interval is None or interval.low is None or interval.high is None:
        return ""
    return f" (95 % interval over people {100 * interval.low:.1f} to {100 * interval.high:.1f})"


def _counting(facts: RunFacts, metric: Metric) -> str:
    """What counting reaches; nothing where it was not counted."""
    reached = {one.name: facts.summary.reached_by(one.key) for one in metric.baselines}
    pairs, triples = reached.get("bigram"), reached.get("trigram")
    if pairs is None or triples is None:
        return ""
    return f"; counting pairs of words reaches {100 * pairs:.1f} %, triples {100 * triples:.1f} %"


def _beside_triples(facts: RunFacts) -> str:
    """Whether the interval tells the model from counting triples."""
    interval = None if isinstance(facts.intervals, LeftOut) else facts.intervals.get(TOP1_RECALL.name)
    triples = facts.summary.baselines.trigram_top1
    if interval is None or interval.low is None or interval.high is None or triples is None:
        return ""
    if interval.low <= triples <= interval.high:
        return " What triples reach lies within the interval: this run does not tell the two apart."
    return f" What triples reach lies {'below' if triples < interval.low else 'above'} the interval."


def _share(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.1f} %"


def privacy(facts: RunFacts, found: Privacy) -> Iterator[Paragraph]:
    """What the files of this run do not have, if it is of a modelled deployment, and what is promised."""
    if found.epsilon is None or found.delta is None:
        yield Paragraph("What the files do not have:", f"{found.statement}. They must not be shared as if private.")
        return
    promise = (
        f"whatever anybody computes from the released models, replacing everything that one phone sent by nothing "
        f"changes the probability of any outcome by at most a factor of {_factor(found.epsilon)}, and an additional "
        f"{Bound(found.delta):.2g}. That counts every time the phone took part, not one message or one round"
    )
    numbers = f"epsilon {Bound(found.epsilon):.2f} at delta {Bound(found.delta):.2g}"
    if found.modelled_cohort is None:
        yield Paragraph("What the files have:", f"{numbers}, for each phone. In plain words: {promise}.")
    else:
        yield Paragraph(
            "What the files do not have:",
            f"the guarantee below. It is that of a deployment with {found.modelled_cohort:,} reports per round. This "
            f"run had {found.goal:,} and added {_share_of_noise(found)} of the noise that they would need, to show "
            "what accuracy such a deployment reaches. Nobody may say of these files that they are private.",
        )
        yield Paragraph(
            "What the deployment would have:",
            f"{numbers}, for each phone, where {found.modelled_cohort:,} phones report in each round and none takes "
            f"part more often, or sooner again, than here. In plain words: {promise}.",
        )
    if found.forgotten:
        when = f" That was on {' and '.join(found.forgotten_on)}." if found.forgotten_on else ""
        both = (
            f"Epsilon, {Bound(found.epsilon):.2f}, and how often the busiest phone took part are of all that was ever "
            "released; what is said of phones below is of the rounds that made these weights."
        )
        yield Paragraph("Forgotten phones:", f"{found.forgotten}{when} {both}")
    if not facts.finished:
        yield Paragraph("So far:", "the run can go on, and epsilon with it.")


def _factor(epsilon: float) -> str:
    exact = f"e^{Bound(epsilon):.2f}"
    return f"{exact}, which is {Bound(math.exp(epsilon)):,.0f}" if epsilon <= _MOST_WRITTEN_OUT else exact


def privacy_facts(found: Privacy) -> Iterator[tuple[str, str]]:
    """(what, value) of how the guarantee comes about."""
    if found.epsilon is None:
        return
    noise = "" if found.noise_multiplier is None else f", multiplier {found.noise_multiplier:.4g} of the clip norm"
    clipped = f"updates longer than the clip norm, {found.clip_norm:g}, are scaled down to it"
    yield "mechanism", f"{found.mechanism} noise{noise}; {clipped}"
    yield "whose epsilon it is", found.epsilon_is_of
    if found.noise_source is not None:
        yield "noise", REPEATABLE if found.noise_source == "seeded" else "keyed by a secret of this run alone"
    if found.zcdp_rho is not None and found.epsilon_exact is not None:
        exact = f"epsilon {Bound(found.epsilon_exact):.2f}, exact for Gaussian noise"
        of = "of zero-concentrated differential privacy (zCDP), where those of runs add up"
        yield "by other accounts", f"rho {Bound(found.zcdp_rho):.4g} {of}; {exact}"
    yield "unit", found.unit
    if found.max_participations is not None:
        yield "the busiest phone", f"took part {_times(found.max_participations)}"
    yield "trust", found.trust_model


def repeating(noise_source: str | None, kernels: Sequence[tuple[str, int]] = ()) -> str:
    """What comes again when a run is repeated with the same settings.

    Args:
        noise_source: "secret" or "seeded"; None without privacy.
        kernels: that trained, each with its first round.
    """
    if len(kernels) > 1:
        told = ", ".join(f"{kernel} from round {first:,}" for kernel, first in kernels)
        return (
            f"This run was gone on with by another kernel ({told}), and its settings name the last one alone: they do "
            "not give these weights again, whatever the noise, but weights that differ from them as those of two "
            "kernels do."
        )
    same = (
        "the same weights, bit for bit, on processors of one kind, by one kernel and with the same TensorFlow; the "
        "sha256 above says whether they did."
    )
    if noise_source != "secret":
        return f"The same settings give {same}"
    return (
        "This run had noise of its own, keyed by a secret, and another run has other noise: the same settings give "
        "other weights, and a recall within a few tenths of a point. With "
        f"--privacy.noise-source seeded in both runs they give {same} Seeded noise protects only from who does not "
        "know the seed."
    )


def drift(watched: Sequence[Watched], found: Sequence[Alarm]) -> str:
    """What was watched over the rounds, and whether any of it left its band."""
    over = ", ".join(judged(watched))
    if not over:
        return f"Not judged: no statistic was told of more than {LEAST} rounds, which a band is made of."
    rate = f"one in {1 / FALSE_ALARMS:.0f} quiet runs has such a value by chance"
    if not found:
        return f"No round's statistics left the band that the rounds before it give ({rate}). Watched: {over} rounds."
    number = "One value" if len(found) == 1 else f"{len(found):,} values"
    return f"{number} left the band that the rounds before give ({rate}); look at these rounds. Watched: {over} rounds."


def participation(found: Participation) -> str:
    """Who took part at all, and how unevenly."""
    uneven = ""
    if found.gini is not None:
        uneven = (
            f" Updates are spread over phones with a Gini coefficient of {found.gini:.2f}, where 0 is an equal share "
            "for each and 1 all of them from one phone."
        )
    return (
        f"Of {found.phones:,} phones that may train, {_share(found.never_used_share)} never took part; the busiest "
        f"took part {_times(found.most_updates_of_a_phone)}.{uneven}"
    )


def text_use(found: Participation) -> str:
    """How much of the text was made use of, and where it is said what less of it would do; nothing where unknown."""
    if found.text is None or found.text.used_share is None:
        return ""
    limits = "" if found.text.kept_share == 1 else f" keep {_share(found.text.kept_share)} of it, and"
    return (
        f"Phones that may train wrote {found.text.written_tokens:,} tokens;{limits} those that took part hold "
        f"{_share(found.text.used_share)} of it."
    )


def groupings(found: Participation) -> str:
    """What the groups of phones are, of those that the tables have."""
    low_gb, mid_gb = TIER_BOUNDS_GB
    said = {
        "device tier": f"the device tier is a phone's memory, low below {low_gb:g} GB, mid below {mid_gb:g} GB",
        "consent to train": "the consent to train is that of the moment at which the run ended",
        "time eligible": "the time eligible is the share of the time in which it is idle, charging and on Wi-Fi",
        "tokens a round": "the tokens a round are the words, punctuation and ends of messages that it would train on",
    }
    there = dict.fromkeys(group.grouping for group in found.groups)
    text = "; ".join(said[name] for name in there if name in said)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def consent(facts: RunFacts, found: ConsentFacts) -> Iterator[str]:
    """Who agrees to training, what became of withdrawals, and what is not known of those who left."""
    train = found.purposes[0]
    withdrawn = funnel_totals(facts.rounds).get(WITHDRAWN, 0)
    updates = "1 update was" if withdrawn == 1 else f"{withdrawn:,} updates were"
    yield (
        f"Where it is from: {found.origin}. Of {train.phones:,} phones that may train, {train.given:,} agree when the "
        f"run ends, {train.withdrawn:,} agreed and withdrew, {train.never_given:,} never agreed. Nobody is invited who "
        f"does not agree; {updates} dropped since consent was withdrawn before the sum was there. What was released "
        "before a withdrawal is not taken back by it. The share of text trained on is of phones that agree to "
        "telemetry."
    )
    for one in found.recalls:
        if one.why and one.people:
            yield f"No recall of people whose consent was {one.state}: {one.why}."


def failed_on_groups(facts: RunFacts, found: Participation) -> Iterator[str]:
    """Of metrics that failed on a group of people, on how many of them and why."""
    for metric in facts.metrics.compared:
        why = [group.why_no_value[metric.name] for group in found.recalls if metric.name in group.why_no_value]
        if why:
            groups = f"{len(why)} of the {len(found.recalls)} groups"
            yield f"No value, {metric.label.strip()}, of {groups}: {why[0]}."


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def released(facts: RunFacts) -> str:
    """How many of those that reported are in the model, where they are not all."""
    reported, used = funnel_totals(facts.rounds).get("reported", 0), facts.summary.devices_trained
    if reported <= used:
        return ""
    return (
        f"Of the {reported:,} that reported, {used:,} are in the model: the others' rounds were abandoned, or their "
        "updates could not be used."
    )


def notes_on_metrics(facts: RunFacts) -> Iterator[str]:
    """What has to be known of the table of metrics, and where a value or an interval of one is missing, why."""
    metrics = facts.metrics.metrics
    names = {metric.name for metric in metrics}
    terms = [(name, words) for name, words in _TERMS if name in names]
    if terms:
        yield " ".join(words for _, words in terms)
    central = {} if isinstance(facts.central, LeftOut) else facts.central.metrics
    intervals = {} if isinstance(facts.intervals, LeftOut) else facts.intervals
    for metric in metrics:
        name, value = metric.label.strip(), facts.summary.held_out.get(metric.name)
        if any(metric.has_diverged(reached) for reached in (value, central.get(metric.name))):
            yield f"{name[:1].upper()}{name[1:]} has diverged: it is {metric.diverged_why}."
        if value is None and facts.summary.was_measured:
            yield f"No value, {name}: nothing was there to count, or what came out is no finite number."
        elif (interval := intervals.get(metric.name)) is not None and interval.low is None:
            why = interval.why or "there are too few people, or no finite value of draws of them"
            yield f"No interval, {name}: {why}."


def intervals_left_out(why: LeftOut) -> LeftOut:
    """The reason, with what it is that is missing."""
    return replace(why, reason=f"95 % intervals over people; {why.reason}")


def typed(sentences: Sequence[tuple[str, Sequence[TypedWord]]]) -> str:
    """How often the words of the sentences were suggested before they were typed."""
    places = [one.place for _, words in sentences for one in words]
    first, three = places.count(0), len(places) - places.count(None)
    return (
        f"The first {len(sentences)} of {len(SENTENCES)} everyday sentences, word by word, on the exported file in 8 "
        f"bits, with what a keyboard adds and leaves out: of {len(places)} words {first} were the first suggestion and "
        f"{three} among the three. A word that was suggested is underlined and has a tick."
    )
