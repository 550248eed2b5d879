"""What secure aggregation costs a phone and the server, measured: for rounds that would take long to play whole.

The real steps of a few phones are taken and timed, with real messages of all their neighbours; nobody else's are made.
"""

import hashlib
import time
from dataclasses import dataclass

from server_strategy.aggregation import keys, shares
from server_strategy.aggregation.graph import USUAL_ASSUMPTIONS, Assumptions, GraphSize, draw_ring, neighbours_on
from server_strategy.aggregation.keys import Authority, RunSecret
from server_strategy.aggregation.masks import FULL_RING, Ring, add_mask, stream
from server_strategy.aggregation.message_format import SERVER, Limits
from server_strategy.aggregation.messages import (
    AdvertiseKeys,
    Confirmation,
    Confirmations,
    PeerKeys,
    SealedShares,
    Survivors,
)
from server_strategy.aggregation.phone import Phone
from server_strategy.aggregation.round import PhoneCosts, processor_time
from server_strategy.aggregation.terms import RoundTerms, Step


@dataclass(frozen=True)
class MeasuredCosts:
    """Costs of a round in which nobody leaves before its vector is there.

    Attributes:
        size: of the graph.
        phone: bytes, and the least processor seconds among the phones that were measured, by step.
        survivor_s: processor seconds in which the server takes the self mask of one survivor off the sum.
        dropout_s: the same of all masks that one phone shared and then left.
    """

    size: GraphSize
    phone: PhoneCosts
    survivor_s: float
    dropout_s: float


def measure(
    phones: int,
    length: int,
    ring: Ring = FULL_RING,
    assumptions: Assumptions = USUAL_ASSUMPTIONS,
    sample: int = 3,
) -> MeasuredCosts:
    """Measure a round in this process, in one thread.

    Args:
        phones: n, that take part.
        length: numbers of a vector.
        ring: that vectors are added in.
        assumptions: what the round has to withstand.
        sample: phones that are measured, neighbours on the ring.
    """
    terms = RoundTerms(1, length, Authority.of(_SECRET).public, ring, assumptions, phones=phones)
    playing = _Sample(phones, terms)
    every = [playing.costs(number) for number in playing.ring[:sample]]
    least = PhoneCosts(every[0].up_bytes, every[0].down_bytes)
    for step in Step:
        least.seconds[step] = min(costs.seconds[step] for costs in every)
    return MeasuredCosts(playing.size, least, *playing.server_seconds(playing.ring[0]))


def phone_seconds(phones: int, length: int, ring: Ring, assumptions: Assumptions) -> float:
    """Processor seconds of one phone in one thread, all steps together; without the server's, a fraction of the work.

    Args:
        phones, length, ring, assumptions: as of `measure`.
    """
    terms = RoundTerms(1, length, Authority.of(_SECRET).public, ring, assumptions, phones=phones)
    playing = _Sample(phones, terms)
    return sum(playing.costs(playing.ring[0]).seconds.values())


_SECRET = RunSecret(hashlib.sha256(b"a round that is measured").digest())


class _Sample:
    """A round of which only some phones play, and those that they hear."""

    def __init__(self, count: int, terms: RoundTerms) -> None:
        self.terms = terms
        self.size = terms.graph_size(count)
        self.ring = draw_ring(range(count), _SECRET, terms.server_round)
        self._neighbours = neighbours_on(self.ring, self.size)
        self._authority = Authority.of(_SECRET)
        self._limits = Limits(count, terms.length, terms.ring)
        self._advertised: dict[int, AdvertiseKeys] = {}

    def costs(self, number: int) -> PhoneCosts:
        """Let a phone take all its steps."""
        costs, terms = PhoneCosts(), self.terms
        identity = self._authority.enrol(number, _SECRET)
        with processor_time(costs, Step.ADVERTISE):
            phone = Phone(identity, terms, _SECRET)
        words = terms.ring.zeros(terms.length)
        survivors = Survivors(terms.server_round, SERVER, tuple(range(len(self.ring))), len(self.ring)).to_bytes()

        def masked(heard: bytes) -> bytes:
            phone.receive_shares(heard)
            phone.mask(words)
            return phone.masked_input(words)

        answers = {
            Step.ADVERTISE: lambda _: phone.advertise(),
            Step.SHARE: phone.share_keys,
            Step.MASK: masked,
            Step.CONFIRM: phone.confirm,
            Step.UNMASK: phone.unmask if terms.assumptions.check_views else phone.confirm,
        }
        for step in terms.steps():
            heard = self._message_to(number, step, survivors)
            with processor_time(costs, step):
                said = answers[step](heard)
            costs.up_bytes[step], costs.down_bytes[step] = len(said), len(heard)
        return costs

    def server_seconds(self, number: int) -> tuple[float, float]:
        """Of the server: to unmask a survivor, and one that left."""
        words, terms, threshold = self.terms.ring.zeros(self.terms.length), self.terms, self.size.threshold
        holders = self._neighbours[number][:threshold]
        randomness = stream(_SECRET.key, shares.coefficient_bytes(threshold))
        held = shares.split(_SECRET.key, self._neighbours[number], threshold, randomness)
        publics = {peer: self._advertise(peer).mask_public for peer in self._neighbours[number]}
        before = time.process_time()
        seed = shares.Recovery(holders).secret(held) or b""
        add_mask(words, keys.self_mask_key(seed, terms.server_round, number), subtract=True)
        survivor_s = time.process_time() - before
        before = time.process_time()
        private = shares.Recovery(holders).secret(held) or b""
        for peer, agreed in keys.agree_with_each(private, publics).items():
            add_mask(words, keys.mask_key(agreed, terms.server_round, number, peer), subtract=peer < number)
        return survivor_s, time.process_time() - before

    def _phone(self, number: int) -> Phone:
        return Phone(self._authority.enrol(number, _SECRET), self.terms, _SECRET)

    def _advertise(self, number: int) -> AdvertiseKeys:
        if number not in self._advertised:
            said = self._phone(number).advertise()
            self._advertised[number] = AdvertiseKeys.from_bytes(said, self.terms.server_round, number, self._limits)
        return self._advertised[number]

    def _sealed(self, sender: int, addressee: int) -> bytes:
        """Some shares, sealed as those of a neighbour are."""
        pair, _ = keys.round_pairs(_SECRET, self.terms.server_round, sender)
        way = (self.terms.server_round, sender, addressee)
        agreed = keys.agree(pair.private, self._advertise(addressee).share_public)
        return shares.seal(keys.share_key(agreed, *way), bytes(2 * shares.SHARE_BYTES), *way)

    def _message_to(self, number: int, step: Step, survivors: bytes) -> bytes:
        """What the server says to a phone before a step."""
        peers, server_round, roster = self._neighbours[number], self.terms.server_round, tuple(range(len(self.ring)))
        match step:
            case Step.ADVERTISE:
                return b""
            case Step.SHARE:
                return PeerKeys(server_round, SERVER, roster, {p: self._advertise(p) for p in peers}).to_bytes()
            case Step.MASK:
                return SealedShares(server_round, SERVER, {p: self._sealed(p, number) for p in peers}).to_bytes()
            case Step.UNMASK if self.terms.assumptions.check_views:
                view = Confirmation.signed(server_round, roster, roster)
                signed = {p: self._authority.enrol(p, _SECRET).sign(view) for p in peers}
                return Confirmations(server_round, SERVER, signed).to_bytes()
        return survivors
