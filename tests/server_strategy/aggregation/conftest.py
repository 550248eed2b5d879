"""A round of eight phones that has come as far as its vectors, to go on from in many ways."""

import pickle
from dataclasses import dataclass

import numpy as np
import pytest

from server_strategy.aggregation.graph import Assumptions
from server_strategy.aggregation.keys import Authority, RunSecret
from server_strategy.aggregation.masks import Ring
from server_strategy.aggregation.phone import Phone
from server_strategy.aggregation.server import Server
from server_strategy.aggregation.terms import RoundTerms, Step

FULL = Ring(64)
SECRET = RunSecret(bytes(range(32)))
NUMBERS = (2, 3, 5, 70_000, 11, 13, 17, 19)  # of the phones


@dataclass
class Round:
    """Server and phones of one round, and the vectors."""

    terms: RoundTerms
    server: Server
    phones: dict[int, Phone]
    vectors: dict[int, np.ndarray]

    def copy(self) -> "Round":
        return pickle.loads(pickle.dumps(self))  # noqa: S301  # our own

    def hear(self, number: int) -> bytes:
        return self.server.message_to(number)

    def masked(self, number: int) -> np.ndarray:
        """The phone's masked vector; the phone takes its step."""
        self.phones[number].receive_shares(self.hear(number))
        words = self.terms.ring.encode(self.vectors[number])
        self.phones[number].mask(words)
        return words

    def take(self, step: Step, numbers) -> list[bytes]:
        """The messages of phones in a step before or after that of the vectors."""
        answers = {
            Step.ADVERTISE: lambda n: self.phones[n].advertise(),
            Step.SHARE: lambda n: self.phones[n].share_keys(self.hear(n)),
            Step.MASK: lambda n: self.phones[n].masked_input(self.masked(n)),
            Step.CONFIRM: lambda n: self.phones[n].confirm(self.hear(n)),
            Step.UNMASK: lambda n: self.phones[n].unmask(self.hear(n)),
        }
        return [answers[step](n) for n in numbers]

    def play(self, step: Step, numbers=NUMBERS) -> None:
        """The step of these phones, to its end."""
        for number, said in zip(numbers, self.take(step, numbers), strict=True):
            assert self.server.receive(number, said)
        self.server.close()


def begun(length: int = 3, ring: Ring = FULL, numbers=NUMBERS, **assumptions) -> Round:
    """A round that begins."""
    authority = Authority.of(SECRET)
    terms = RoundTerms(9, length, authority.public, ring, Assumptions(**assumptions), phones=len(numbers))
    phones = {number: Phone(authority.enrol(number, SECRET), terms, SECRET) for number in numbers}
    generator = np.random.default_rng(5)
    largest = ring.largest // len(numbers)
    vectors = {number: generator.integers(-largest, largest, length) for number in numbers}
    return Round(terms, Server(terms, numbers, SECRET), phones, vectors)


def as_far_as(step: Step, **settings) -> Round:
    """A round in which all phones have taken the steps before."""
    found = begun(**settings)
    for before in found.terms.steps():
        if before < step:
            found.play(before, tuple(found.phones))
    return found


@pytest.fixture(scope="session")
def shared_round() -> Round:
    """Eight phones that have shared their keys; to be copied."""
    return as_far_as(Step.MASK)


@pytest.fixture(scope="session")
def masked_round() -> Round:
    """Eight phones whose vectors are there; to be copied."""
    return as_far_as(Step.CONFIRM)
