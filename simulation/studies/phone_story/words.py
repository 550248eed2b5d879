"""A phone's part in a run, told to its owner in plain words.

Short sentences, everyday words, one thought each; a word that needs to be known is explained where it first stands.
What is said follows the settings of the run: nothing is promised that this run did not do.
"""

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from server_strategy.privacy.config import PHONES
from server_strategy.privacy.rounded_up import Bound
from simulation.clock import simulated_date
from simulation.config import RunConfig
from simulation.studies.phone_story.history import (
    COUNTED,
    FORGOTTEN,
    HELD_OUT,
    IN_SUM,
    MEASURED,
    NOISED,
    NOT_USED,
    REFUSED,
    SMALL,
    TRAINS,
    Asked,
    PhoneHistory,
)

_MB = 1e6
_WHY = {
    IN_SUM: "it was added in",
    NOT_USED: "it was not used, and thrown away",
    "training failed": "the training failed; nothing was sent",
    "taken up or unplugged": "you took the phone, or unplugged it; nothing was used",
    "upload broke off": "sending broke off; nothing was used",
    "consent withdrawn": "you said no while it ran; nothing was used",
}
_WHY_NOT = {
    TRAINS: "This phone was never asked.",
    HELD_OUT: "This phone was kept aside. It never trained, and it did not test the keyboard.",
    REFUSED: "This phone was never asked. Its owner did not agree to training.",
    SMALL: "This phone was never asked. It has too little memory.",
}


class Section(NamedTuple):
    """A part of the story."""

    title: str
    paragraphs: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...] = ()  # of a table; the first has the headings


@dataclass(frozen=True)
class Story:
    """All that is told."""

    title: str
    sections: tuple[Section, ...]


def story_of(history: PhoneHistory, config: RunConfig) -> Story:
    """What a phone did in a run, and what that means for its owner.

    Args:
        history: of the phone.
        config: of the run.
    """
    sections = (
        Section("What this is", _what()),
        Section("In short", _in_short(history)),
        Section("When the phone took part", *_when(history, config)),
        Section("What was sent", _sent(history, config)),
        Section("What nobody saw", _unseen(history, config)),
        Section("What can still be learned about you", _cost(history, config)),
        Section("How to stop, and what that does", _stop(history)),
    )
    return Story(f"What left phone {history.label}", sections)


def times(number: int) -> str:
    """So many times, at least one, as one says it."""
    return {1: "once", 2: "twice"}.get(number, f"{number:,} times")


def _what() -> tuple[str, ...]:
    return (
        "Phones can learn together to guess your next word, and build one shared keyboard from that. This is "
        "about one phone. It was played on a computer, with messages from a file. It tells what a real "
        "phone would have done in its place.",
        "A message here is what somebody typed on the phone and sent to other people.",
    )


def _in_short(history: PhoneHistory) -> tuple[str, ...]:
    if history.role == MEASURED:
        return (
            "This phone never trained. It was one of those that test the keyboard.",
            "The model came to it now and then. The phone tried it on your messages and sent back counts: how many "
            "words there were, and how many the keyboard guessed. These counts had no noise added. Your messages "
            "stayed on the phone.",
        )
    left = " ".join(filter(None, (_words_left(history), _given_up(history))))
    if history.role == FORGOTTEN:
        gone = "This phone was taken out of the run. The keyboard was made again as if it had never been asked."
        return (f"{gone} {left}".rstrip(),)
    if not history.asked:
        never = "This phone is in none of the rounds that made this keyboard." if history.given_up else ""
        return (f"{never or _WHY_NOT[history.role]} {left or 'Nothing left it.'}",)
    up = sum(one.upload_bytes for one in history.asked) / _MB
    least = _at_least(history)
    sent = f"It sent {least}{up:,.1f} MB in all. None of that was a message of yours." if up else _sent_none(history)
    return (
        f"The phone was asked to train {least}{times(len(history.asked))}. {_used(history)}",
        f"{sent} {left}".rstrip(),
    )


def _given_up(history: PhoneHistory) -> str:
    """What left the phone in rounds that were played again; empty: nothing."""
    if not history.given_up:
        return ""
    return (
        f"A change from it was added in {times(history.given_up)} in rounds that were later played again. This "
        "keyboard was not made from those. But what was sent then had been used, and cannot be called back."
    )


def _at_least(history: PhoneHistory) -> str:
    """Before a number that is of the rounds that made the keyboard, where others were played that did not."""
    return "at least " if history.given_up else ""


def _sent_none(history: PhoneHistory) -> str:
    if history.given_up:
        return "In the rounds that made this keyboard, no change from it arrived whole."
    return "No change from it arrived whole."


def _used(history: PhoneHistory) -> str:
    number, here = len(history.in_sum), " in this keyboard" if history.given_up else ""
    if number:
        return f"Its work was used {times(number)}{here}."
    return f"Its work was not used{here}." if here else "Its work was never used."


def _words_left(history: PhoneHistory) -> str:
    """What counting the words of the keyboard took from the phone; empty: nothing."""
    if not history.words_counted:
        return ""
    noise = "with noise mixed in" if history.words == NOISED else "without noise"
    return f"Words that you wrote were counted for the keyboard's list of words, {noise}."


def _when(history: PhoneHistory, config: RunConfig) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    if not history.asked:
        return (f"It did not train{' in the rounds that made this keyboard' if history.given_up else ''}.",), ()
    minutes, goal = sum(one.minutes for one in history.asked), config.cohort.goal
    said = [
        "The phone is only asked while it rests on the charger, on Wi-Fi, and nobody uses it.",
        f"Training kept it busy for {_at_least(history)}{_minutes(minutes)} in all. It was plugged in all that time.",
        f"Each round aims for the work of {goal:,} phone{'s' * (goal != 1)}. Some of it may be left out at the end. A "
        "round that gets too little is dropped.",
    ]
    why = Counter(one.outcome for one in history.asked)
    if why[NOT_USED]:
        said.append(
            "Not all that arrives is used. More phones are asked than are needed, because some drop out, and what "
            "comes last is left over. Or the round was dropped, or a part of it was left out. Or you said no before "
            "the sum was there."
        )
    rows: list[tuple[str, ...]] = [("when (UTC)", "round", "words read", "busy for", "what became of it")]
    rows += [_row(one, config) for one in history.asked]
    return tuple(said), tuple(rows)


def _row(one: Asked, config: RunConfig) -> tuple[str, ...]:
    date = simulated_date(config.fleet.start_date, one.began_s).removesuffix("Z").replace("T", " ")[:16]
    return date, f"{one.round:,}", f"{one.tokens:,}", _minutes(one.minutes), _WHY[one.outcome]


def _minutes(minutes: float) -> str:
    if minutes >= 2:
        return f"{minutes:,.0f} minutes"
    seconds = max(round(minutes * 60), 1)
    return f"{seconds} second{'s' * (seconds != 1)}"


def _sent(history: PhoneHistory, config: RunConfig) -> tuple[str, ...]:
    if not history.asked:
        since = "In the rounds that made this keyboard, no change was sent from this phone."
        return (since if history.given_up else "No change to the keyboard was sent from this phone.",)
    down = sum(one.download_bytes for one in history.asked) / _MB
    up = sum(one.upload_bytes for one in history.asked) / _MB
    fetched = f"It fetched the shared keyboard {_at_least(history)}{times(len(history.asked))}: {down:,.1f} MB."
    if not up:
        return (fetched, f"It may have begun to train on your messages. {_sent_none(history)}")
    said = [
        fetched,
        "It read messages of yours, on the phone, and worked out how the shared keyboard should change to guess them "
        "better. That change is a long list of numbers.",
        f"Only these numbers went out: {_at_least(history)}{up:,.1f} MB. If they were too large, the phone first made "
        "them smaller. That limits what any one phone can do.",
    ]
    if config.privacy.noise_place == PHONES and config.privacy.mechanism != "none":
        said.append("The phone also mixed its own random numbers in before it sent them.")
    if config.aggregation.protocol == "secagg":
        counted = "counted" if config.aggregation.step_latency_s is not None else "not counted"
        said.append(
            "They were masked: hidden under random numbers that only cancel out once many phones are added up. Some "
            f"small packets with keys for that went out too, and are {counted} above."
        )
    return tuple(said)


def _unseen(history: PhoneHistory, config: RunConfig) -> tuple[str, ...]:
    said = ["Nobody saw your messages. They never left the phone.", *_of_words(history)]
    if history.role == MEASURED:
        return (*said, "The people who run the server do see the counts of this phone.")
    if not any(one.upload_bytes for one in history.asked) and not history.given_up:
        return tuple(said)
    if config.aggregation.protocol == "secagg":
        whom = "a whole round" if config.aggregation.robust == "none" else "a small group of phones"
        said.append(f"Nobody saw the change from this phone alone. The server can only open the sum of {whom}.")
    else:
        said.append(
            "The change from this phone was not hidden from the machine that adds them up. Whoever runs that machine "
            "could look at it, and could then guess some of the words that you use. Secure adding would close that "
            "gap. This run did not use it."
        )
    return tuple(said)


def _of_words(history: PhoneHistory) -> tuple[str, ...]:
    if not history.words_counted:
        return ()
    if history.words == NOISED:
        return ("The list of words that the keyboard knows was made from what phones wrote, with noise mixed in.",)
    return (
        "The list of words that the keyboard knows was made by counting what phones wrote. That was done without "
        "noise. A rare word in the list can show that somebody among them wrote it.",
    )


def _cost(history: PhoneHistory, config: RunConfig) -> tuple[str, ...]:
    if history.role in (MEASURED, HELD_OUT, REFUSED, FORGOTTEN) and not history.words_counted and not history.given_up:
        return ("This phone does not shape the keyboard, so the keyboard cannot give you away.",)
    if history.plan.mechanism is None:
        used = "But nothing from your phone is in it."
        if history.in_sum or history.words_counted or history.given_up:
            used = "Your phone's part can stand out in it."
        return (f"No noise was added in this run. So nothing limits what the keyboard can give away. {used}",)
    said = [
        "Before the keyboard changes, random numbers (noise) are mixed in. So nobody can be sure what your phone "
        "sent, even with all other phones in hand. Epsilon says how sure they could get: 0 means not at all, "
        "and each 1 more can make the odds of a right guess almost three times as high.",
        f"{_promised(history)} For it alone, epsilon is {_number(history.own_epsilon)}.",
    ]
    if history.plan.modelled_cohort is not None:
        said.append(
            f"These figures are for a real launch with {history.plan.modelled_cohort:,} phones in each round, all of "
            "whom share one dose of noise. This run is a small model of it. On its own it would protect you far "
            "less."
        )
    if history.plan.noise_source == "seeded":
        said.append("In this run the noise can be made again by whoever knows its seed. Then it protects nobody.")
    if (history.own_epsilon or 0.0) > 10:
        said.append("An epsilon above 10 promises little.")
    if history.delta is not None:
        said.append(f"There is a small chance that the promise does not hold: one in {int(1 / history.delta):,}.")
    if history.words_counted and history.words == COUNTED:
        said.append("Your words in the keyboard's list of words were counted without noise. Epsilon leaves that out.")
    said.append("Other runs on the same phones add to this. They are not counted here.")
    return tuple(said)


def _promised(history: PhoneHistory) -> str:
    """What the run promises every phone, and this phone's part."""
    took = len(history.in_sum) + history.given_up
    part = f"Your phone took part {times(took)}." if took else "Your phone did not take part."
    if not history.most_participations:
        return f"The keyboard has not changed in this run so far. {part}"
    return (
        f"For every phone, this run promises epsilon {_number(history.epsilon)} at most. That counts a phone that took "
        f"part {times(history.most_participations)}. {part}"
    )


def _stop(history: PhoneHistory) -> tuple[str, ...]:
    if history.role == FORGOTTEN:
        return ("This phone is out for good. It is never asked again.", "Your own keyboard keeps working.")
    said = [
        "On a real phone you can leave at any time. From then on the phone is not asked any more, and nothing more "
        "goes out."
    ]
    if history.in_sum:
        said.append(
            "What was added in before stays in this keyboard. To take it out, the rounds would have to be played again "
            "without your phone. And it cannot be called back from those who have the keyboard already."
        )
    return (*said, "Your own keyboard keeps working. It just stops helping to make the shared one.")


def _number(epsilon: float | None) -> str:
    if epsilon is None:
        return "unknown"
    return f"{Bound(epsilon):,.2f}" if epsilon < 100 else f"{Bound(epsilon):,.0f}"
