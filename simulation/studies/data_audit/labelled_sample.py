"""Messages whose personal data is known, to measure the scanner on: sentences with a place, and what stands in it.

Two thirds have one piece of personal data; the rest have none, and of those most have something that looks like it:
prices, versions, orders, times, dates of meetings, words with a capital. They are shorter and tidier than what people
write, so that figures on real text will be lower.
"""

from dataclasses import dataclass

from client_model.keyed_random import generator
from client_model.text.personal.kinds import Finding, Kind
from simulation.studies.data_audit.labelled_values import VALUES, Draw, digits_of, one_of

_SENTENCES: dict[Kind, tuple[str, ...]] = {
    Kind.EMAIL: ("send it to {} please", "My mail is {}.", "{} is the one i use", "write me ({}), ok?"),
    Kind.HOST: ("look at {} lol", "It is on {}, have you seen it?", "{}", "the server is {} now"),
    Kind.IBAN: ("please transfer to {} thanks", "My account: {}.", "IBAN {}"),
    Kind.NATIONAL_ID: (
        *("my number is {} if they ask", "They wanted {}, so i gave it.", "ssn {}", "id: {}"),
        *("{} 05/06/1980", "we have 2 {} 3"),
    ),
    Kind.CARD: (
        *("use my card {} exp 12/27", "Card number is {}.", "{} is the visa", "pay with {} ok"),
        *("{} 12/27", "visa {} 09/28 cvc 321", "2 {}"),
    ),
    Kind.BIRTH_DATE: ("i was born on {} btw", "My birthday is {}!", "dob {}", "{} is my birthday", "She was born {}."),
    Kind.TELEPHONE: ("call me at {} later", "My new number is {}.", "{} is mum's phone", "txt {} when you are there"),
    Kind.NAME: ("is {} coming tonight?", "{} said hi", "I saw {} yesterday.", "Tell {} that we are late", "thanks {}"),
}
_WITHOUT = (
    "see you at {hour}:30 then",
    "it was ${price} but i got it for {hour}.50",
    "My order {order} has not come yet",
    "android 4.{hour}.2 is out",
    "we meet on {hour}/5 at the station",
    "May I ask you something? Will you come?",
    "Paris was great. Summer too!",
    "the score was {hour}-{price} haha",
    "ok.thanks.see you",
    "the part no is {order}-{order}",
    "I have {order} points now",
    "version 1.2.{hour} of the app, build {order}{order}",
    "lol no way",
    "what are you doing @ home?",
    "Great. Mark it on the list, Grace period ends Monday",
    "bus {order} leaves in {hour} min",
    "the code is {order} {order}",
    "half past {hour}, room {price}.{hour}",
    "due on 2019-0{small}-1{small}, paid {price} dollars",
    "10 000 {order} 000",
    "{order} {order} {hour} {order} {small}00",
    "won 4 {hour} {price} {hour} {hour} {price} {price} {hour} {price}",
)
_PERSONAL_SHARE = 2 / 3


@dataclass(frozen=True)
class Labelled:
    """A message and what is in it."""

    text: str
    label: Finding | None


def labelled_sample(number: int, seed: int) -> list[Labelled]:
    """So many messages; the same ones for the same seed.

    Args:
        number: of messages.
        seed: of all that is drawn.
    """
    return [_message(generator(seed, "labelled sample", place)) for place in range(number)]


def _message(rng: Draw) -> Labelled:
    if rng.random() >= _PERSONAL_SHARE:
        filled = one_of(rng, _WITHOUT).format(
            hour=rng.integers(2, 12), price=rng.integers(13, 99), order=digits_of(rng, 5), small=rng.integers(1, 9)
        )
        return Labelled(filled, None)
    kind = list(Kind)[int(rng.integers(len(Kind)))]
    before, after = one_of(rng, _SENTENCES[kind]).split("{}")
    value = VALUES[kind](rng)
    return Labelled(f"{before}{value}{after}", Finding(kind, len(before), len(before) + len(value)))
