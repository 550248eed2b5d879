"""The phones' half of secure aggregation, on a host: what each says in a step, and the masks on its vector.

A phone is a function of its secret and of what it has heard in the round (`aggregation.phone`), and hears all of that
with each message. So any host can have it for any step, a message may be repeated, and a worker that is started again
goes on; what a host keeps from one step to the next only saves it the work of the steps before, and is bounded.

A real phone makes its secrets itself and tells nobody. These are simulated: all are made of one secret, which comes
with the messages to hosts and is in no answer.
"""

from dataclasses import dataclass, field

import numpy as np
from flwr.app import RecordDict
from numpy.typing import NDArray

from server_strategy.aggregation.failures import ProtocolViolation
from server_strategy.aggregation.keys import Authority, RunSecret
from server_strategy.aggregation.masks import Words
from server_strategy.aggregation.phone import Phone
from server_strategy.aggregation.terms import RoundTerms, Step
from server_strategy.protocol_of_sums import StepReply, StepRequest, phone_secret_of

_MOST_KEPT = 2000  # phones of a session, half a megabyte each where a session has a thousand
_MASKED_AFTER = 2  # messages that a phone has heard when it masks its vector


@dataclass
class HostedPhones:
    """The phones of one round, as far as this process has had them."""

    secret: RunSecret
    terms: RoundTerms
    _authority: Authority = field(init=False)
    _kept: dict[int, tuple[tuple[bytes, ...], Phone]] = field(default_factory=dict)  # what it has heard, and it

    def __post_init__(self) -> None:
        self._authority = Authority.of(self.secret)

    def after(self, number: int, heard: tuple[bytes, ...]) -> Phone:
        """A phone that has answered all of these messages."""
        then, phone = self._kept.pop(number, ((), None))
        if phone is None or then != heard:
            phone = Phone(self._authority.enrol(number, self.secret), self.terms, self.secret)
            phone.advertise()
            for place, message in enumerate(heard):
                self._answer(phone, place, message)
        return phone

    def keep(self, number: int, heard: tuple[bytes, ...], phone: Phone) -> None:
        """Keep a phone for its next step, unless too many are; what it heard so far is then told and taken anew."""
        if len(self._kept) < _MOST_KEPT:
            self._kept[number] = heard, phone

    def step(self, number: int, heard: tuple[bytes, ...]) -> bytes:
        """What a phone answers to the last of these messages; its keys, if it has heard none.

        Raises:
            ProtocolViolation: it refuses the message, and leaves.
        """
        if not heard:
            phone = Phone(self._authority.enrol(number, self.secret), self.terms, self.secret)
            said = phone.advertise()
        else:
            phone = self.after(number, heard[:-1])
            said = self._answer(phone, len(heard) - 1, heard[-1])
        self.keep(number, heard, phone)
        return said

    def _answer(self, phone: Phone, place: int, message: bytes) -> bytes:
        if place == 0:
            return phone.share_keys(message)
        if place + 1 == _MASKED_AFTER:  # whose answer is the vector
            phone.receive_shares(message)
            phone.step = Step.CONFIRM
            return b""
        return phone.confirm(message) if phone.step is Step.CONFIRM else phone.unmask(message)


@dataclass(frozen=True)
class Masks:
    """Masks the vectors of the phones that a host is to train."""

    hosted: HostedPhones
    heard: dict[int, tuple[bytes, ...]]  # by phone

    @property
    def terms(self) -> RoundTerms:
        """Of the round."""
        return self.hosted.terms

    def masked(self, number: int, vector: NDArray[np.int64]) -> Words:
        """A phone's vector under its masks.

        Raises:
            ProtocolViolation: the phone refuses what it has heard, and leaves.
        """
        heard = self.heard[number]
        phone = self.hosted.after(number, heard[:-1])
        phone.receive_shares(heard[-1])
        words = self.terms.ring.encode(vector)
        phone.mask(words)
        self.hosted.keep(number, heard, phone)
        return words


_hosted: list[HostedPhones] = []  # of the round at hand, one for all sessions of the same terms


def _phones_of(content: RecordDict, request: StepRequest) -> HostedPhones:
    secret, terms = phone_secret_of(content), request.terms
    if _hosted and (_hosted[0].secret, _hosted[0].terms.server_round) != (secret, terms.server_round):
        _hosted.clear()
    for hosted in _hosted:
        if hosted.terms == terms:
            return hosted
    _hosted.append(HostedPhones(secret, terms))
    return _hosted[-1]


def masks_of(content: RecordDict) -> Masks:
    """What masks the vectors of the phones that a message asks to train.

    Raises:
        ProtocolError: the message has no steps of secure aggregation, or no secret.
    """
    request = StepRequest.from_content(content)
    heard = dict(zip(request.phones.tolist(), request.heard, strict=True))
    return Masks(_phones_of(content, request), heard)


def take_steps(content: RecordDict) -> StepReply:
    """Let the phones of a message take their next step.

    Raises:
        ProtocolError: it is no such message.
    """
    request = StepRequest.from_content(content)
    hosted = _phones_of(content, request)
    phones, said, refused = [], [], []
    for number, heard in zip(request.phones.tolist(), request.heard, strict=True):
        try:
            said.append(hosted.step(number, heard))
            phones.append(number)
        except ProtocolViolation as error:
            refused.append(error.cause)
    return StepReply(phones=np.array(phones, np.int64), said=tuple(said), refused=tuple(refused))
