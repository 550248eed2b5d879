"""The server's part in a round of secure aggregation: it passes messages on, adds masked vectors, and unmasks the sum.

It is honest but curious: it does its part, and keeps all that it sees. What it sees are messages and masked vectors, or
sums of masked vectors where a host has added up those of its phones; that is the same modulo 2^64.

A message that is refused counts as not sent: its phone drops out, and the round goes on. A round in which a step is
left by more phones than the graph withstands ends there, by cause, and nothing of it can be unmasked.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from server_strategy.aggregation import keys, shares
from server_strategy.aggregation.failures import Cause, FailureCause, ProtocolViolation, round_failed, violation
from server_strategy.aggregation.graph import draw_ring, neighbours_on
from server_strategy.aggregation.keys import KeyPair, RunSecret
from server_strategy.aggregation.masks import Words, add_mask
from server_strategy.aggregation.message_format import SERVER, Limits
from server_strategy.aggregation.messages import (
    AdvertiseKeys,
    Confirmation,
    Confirmations,
    MaskedInput,
    PeerKeys,
    SealedShares,
    SharedKeys,
    Survivors,
    UnmaskingShares,
)
from server_strategy.aggregation.phone import check_advertised
from server_strategy.aggregation.terms import RoundTerms, Step
from typefleet.errors import ConfigError, expected
from typefleet.whole import check_phone


class Server:
    """The server in one round.

    Args:
        terms: of the round.
        invited: numbers of the phones that may take part.
        secret: of the simulated run, for the random order of the graph.

    Raises:
        ValueError: a number that no phone has.

    Attributes:
        step: in which messages are taken.
        refused: messages that were refused, by step and cause.
        survivors: whose vectors are in the sum, in ascending order; known once the vectors are there.
    """

    def __init__(self, terms: RoundTerms, invited: Sequence[int], secret: RunSecret) -> None:
        self.step = Step.ADVERTISE
        self.refused: Counter[tuple[str, Cause]] = Counter()
        self.survivors: tuple[int, ...] = ()
        self._terms = terms
        self._secret = secret
        self._invited = frozenset(map(check_phone, invited))
        self._limits = Limits(len(self._invited), terms.length, terms.ring)
        self._advertised: dict[int, AdvertiseKeys] = {}
        self._keys: set[bytes] = set()  # public ones that phones advertised
        self._roster: tuple[int, ...] = ()  # all that advertised keys, in ascending order
        self._neighbours: dict[int, tuple[int, ...]] = {}
        self._shared: dict[int, SharedKeys] = {}
        self._masked: set[int] = set()
        self._total: Words = terms.ring.zeros(terms.length)
        self._view = b""  # what a confirmation signs
        self._confirmed: dict[int, Confirmation] = {}
        self._unmasking: dict[int, UnmaskingShares] = {}

    def receive(self, phone: int, data: bytes) -> bool:
        """Take a phone's message of the current step.

        Args:
            phone: who delivered it, as the channel knows.
            data: the message.

        Returns:
            Whether it was taken; one that is refused is counted, and changes nothing.
        """
        try:
            self._take(phone, data)
        except ProtocolViolation as error:
            self.refused[self.step.word, error.cause] += 1
            return False
        return True

    def receive_masked(self, phones: Sequence[int], words: Words) -> bool:
        """Take the sum of the masked vectors of phones that a host has added up.

        Args:
            phones: whose vectors are in it.
            words: the sum, in the ring; it is not changed.

        Returns:
            Whether it was taken.
        """
        try:
            self._expect_vectors(phones)
            if words.shape != (self._terms.length,) or words.dtype != self._terms.ring.dtype:
                raise violation("malformed", "a sum", f"{self._terms.length} numbers", f"{words.shape}")
        except ProtocolViolation as error:
            self.refused[self.step.word, error.cause] += 1
            return False
        self._add(phones, words)
        return True

    def close(self) -> Step:
        """End the current step, in which no further message is taken; returns the next one.

        Raises:
            RoundFailedError: too few phones took it; all that was gathered is forgotten.
        """
        try:
            match self.step:
                case Step.ADVERTISE:
                    self._draw_graph()
                case Step.SHARE:
                    self._refuse_lonely(self._shared, "too_few_shared")
                case Step.MASK:
                    self._settle_survivors()
                case Step.CONFIRM:
                    self._refuse_lonely(self._confirmed, "too_few_confirmed", of=self._needed())
                case Step.UNMASK:
                    self._unmask()
        except Exception:
            self._forget()
            raise
        self.step = self._next_step()
        return self.step

    def expected_phones(self) -> tuple[int, ...]:
        """Who may send a message of the current step, in ascending order: those whose last one was taken."""
        return tuple(sorted(self._allowed()))

    def message_to(self, phone: int) -> bytes:
        """What the server sends a phone of `expected_phones` at the beginning of the current step."""
        number, peers = self._terms.server_round, self._neighbours[phone]
        match self.step:
            case Step.SHARE:
                return PeerKeys(number, SERVER, self._roster, {p: self._advertised[p] for p in peers}).to_bytes()
            case Step.MASK:
                sealed = {p: self._shared[p].sealed[phone] for p in peers if p in self._shared}
                return SealedShares(number, SERVER, sealed).to_bytes()
            case Step.UNMASK if self._terms.assumptions.check_views:
                signed = {p: self._confirmed[p].signature for p in peers if p in self._confirmed}
                return Confirmations(number, SERVER, signed).to_bytes()
            case Step.CONFIRM | Step.UNMASK:
                places = tuple(place for place, p in enumerate(self._roster) if p in self._masked)
                return Survivors(number, SERVER, places, len(self._roster)).to_bytes()
        raise ValueError(expected("a message", "a step that begins with one", self.step.word))

    def neighbours(self, phone: int) -> tuple[int, ...]:
        """The phone's neighbours in the graph, known once keys are advertised."""
        return self._neighbours[phone]

    def sum(self) -> Words:
        """The sum of the survivors' vectors, in the ring; after the last step."""
        if self.step != Step.DONE or not len(self._total):
            raise ValueError(expected("the sum", "a round that has been unmasked", self.step.word))
        return self._total

    # Messages ---------------------------------------------------------------------------------------------

    def _take(self, phone: int, data: bytes) -> None:
        number, limits = self._terms.server_round, self._limits
        match self.step:
            case Step.ADVERTISE:
                self._expect_from(phone, self._advertised)
                said = AdvertiseKeys.from_bytes(data, number, phone, limits)
                check_advertised(said, self._terms.authority)
                self._check_keys(said)
                self._advertised[phone] = said
            case Step.SHARE:
                self._expect_from(phone, self._shared)
                shared = SharedKeys.from_bytes(data, number, phone, limits)
                self._expect_list(shared.sealed, self._neighbours[phone])
                self._shared[phone] = shared
            case Step.MASK:
                self._expect_vectors([phone])
                self._add([phone], MaskedInput.from_bytes(data, number, phone, limits).words(limits))
            case Step.CONFIRM:
                self._expect_from(phone, self._confirmed)
                confirmation = Confirmation.from_bytes(data, number, phone, limits)
                keys.verify(
                    *(self._advertised[phone].identity_public, confirmation.signature, self._view),
                    whose=f"phone {phone}",
                )
                self._confirmed[phone] = confirmation
            case Step.UNMASK:
                self._expect_from(phone, self._unmasking)
                self._unmasking[phone] = self._unmasking_shares(phone, data)
            case _:
                raise violation("replayed", "a message", "a round that goes on", "one that is over")

    def _check_keys(self, said: AdvertiseKeys) -> None:
        """Refuse keys for which every neighbour of the phone would leave: of small order, or of another phone."""
        own = {said.share_public, said.mask_public}
        for public in own:
            keys.refuse_small_order(public)
        if len(own) < 2 or own & self._keys:
            raise violation("bad_key", f"keys of phone {said.sender}", "two of its own", "one that is there already")
        self._keys |= own

    def _allowed(self) -> Collection[int]:
        """Whose messages are taken in the current step."""
        those: dict[Step, Collection[int]] = {
            Step.ADVERTISE: self._invited,
            Step.SHARE: self._advertised,
            Step.MASK: self._shared,
            Step.CONFIRM: self._masked,
            Step.UNMASK: self._confirmed if self._terms.assumptions.check_views else self._masked,
            Step.DONE: (),
        }
        return those[self.step]

    def _expect_from(self, phone: int, already: Mapping[int, object] | set[int]) -> None:
        if phone in already:
            raise violation("replayed", f"phone {phone}", "one message a step", "a second")
        if phone not in self._allowed():
            raise violation("unknown_phone", f"phone {phone}", "one that takes part in this step", "another")

    def _expect_vectors(self, phones: Sequence[int]) -> None:
        if self.step != Step.MASK:
            raise violation("replayed" if self.step > Step.MASK else "malformed", "a vector", "its step", "another")
        if not phones or len(set(phones)) < len(phones):
            raise violation("malformed", "a sum", "phones, each once", "others")
        for phone in phones:
            self._expect_from(phone, self._masked)

    def _expect_list(self, found: Mapping[int, object], phones: Sequence[int]) -> None:
        if set(found) != set(phones):
            raise violation("unknown_phone", "a list", "the phone's neighbours", "others")

    def _unmasking_shares(self, phone: int, data: bytes) -> UnmaskingShares:
        message = UnmaskingShares.from_bytes(data, self._terms.server_round, phone, self._limits)
        sharing = {peer for peer in self._neighbours[phone] if peer in self._shared}
        if not (set(message.seeds) <= sharing & self._masked and set(message.keys) <= sharing - self._masked):
            raise violation("unknown_phone", "shares", "one of each neighbour, as the survivors say", "others")
        return message

    def _add(self, phones: Sequence[int], words: Words) -> None:
        self._masked |= set(phones)
        self._total += words

    # The ends of steps ------------------------------------------------------------------------------------

    def _next_step(self) -> Step:
        steps = (*self._terms.steps(), Step.DONE)
        return steps[steps.index(self.step) + 1]

    def _forget(self) -> None:
        """All that could unmask a round that failed."""
        self._total, self._unmasking, self.step = self._total[:0], {}, Step.DONE

    def _draw_graph(self) -> None:
        count = len(self._advertised)
        try:
            size = self._terms.graph_size(count)
        except ConfigError as error:
            what = "enough for what the round has to withstand"
            raise round_failed("too_few_advertised", "phones that advertised keys", what, count) from error
        self._roster = tuple(sorted(self._advertised))
        ring = draw_ring(self._roster, self._secret, self._terms.server_round)
        self._neighbours = neighbours_on(ring, size)

    def _settle_survivors(self) -> None:
        least = self._terms.graph_size(len(self._advertised)).least_survivors
        if len(self._masked) < least:
            raise round_failed("too_few_masked", "masked vectors", f"at least {least}", len(self._masked))
        self.survivors = tuple(sorted(self._masked))
        self._view = Confirmation.signed(self._terms.server_round, self._roster, self.survivors)
        self._refuse_lonely(self._masked, "too_few_masked", of=self._needed())

    def _needed(self) -> list[int]:
        """Of whom a secret has to be recovered: survivors, and neighbours of survivors who left with a mask between."""
        return [
            phone
            for phone in self._shared
            if phone in self._masked or any(peer in self._masked for peer in self._neighbours[phone])
        ]

    def _refuse_lonely(
        self, staying: Mapping[int, object] | set[int], cause: FailureCause, of: Sequence[int] | None = None
    ) -> None:
        """Fail if a phone has fewer neighbours among `staying` than recover its secrets.

        Args:
            staying: who took the step.
            cause: of the failure.
            of: phones whose secrets are needed, all of `staying` if None.
        """
        threshold = self._terms.graph_size(len(self._advertised)).threshold
        phones = list(staying) if of is None else of
        counts = [sum(peer in staying for peer in self._neighbours[phone]) for phone in phones]
        if (least := min(counts, default=0)) < threshold:
            raise round_failed(cause, "neighbours of each phone that are left", f"at least {threshold}", least)

    def _unmask(self) -> None:
        """Take the masks off the sum."""
        self._refuse_lonely(self._unmasking, "too_few_unmasked", of=self._needed())
        number = self._terms.server_round
        for phone in self.survivors:
            seed = self._recover(phone)
            add_mask(self._total, keys.self_mask_key(seed, number, phone), subtract=True)
        for phone in sorted(set(self._needed()) - self._masked):
            private = self._recover(phone)
            staying = [peer for peer in self._neighbours[phone] if peer in self._masked]
            publics = {peer: self._advertised[peer].mask_public for peer in staying}
            for peer, agreed in keys.agree_with_each(private, publics).items():
                key = keys.mask_key(agreed, number, phone, peer)
                add_mask(self._total, key, subtract=peer < phone)  # the smaller number added the mask
        self._terms.ring.reduce(self._total)

    def _recover(self, phone: int) -> bytes:
        """The seed of a survivor, or the mask key of a phone that left."""
        survived = phone in self._masked
        threshold = self._terms.graph_size(len(self._advertised)).threshold
        found = {}
        for peer in self._neighbours[phone]:
            if peer in self._unmasking:
                given = self._unmasking[peer].seeds if survived else self._unmasking[peer].keys
                if phone in given:
                    found[peer] = given[phone]
        if len(found) < threshold:
            raise round_failed("too_few_unmasked", f"shares of phone {phone}", f"at least {threshold}", len(found))
        first = list(found)[:threshold]
        secret = shares.Recovery(first).secret(found)
        if secret is None or not self._fits(phone, secret):
            corrected = shares.recover(found, threshold)
            if corrected is None or not self._fits(phone, corrected[0]):
                raise round_failed("shares_do_not_fit", f"shares of phone {phone}", "those of one secret", "others")
            secret = corrected[0]
            self.refused[Step.UNMASK.word, "bad_share"] += len(corrected[1])
        return secret

    def _fits(self, phone: int, secret: bytes) -> bool:
        """Whether it is the secret that the phone shared."""
        if phone in self._masked:
            return hashlib.sha256(secret).digest() == self._shared[phone].seed_digest
        return KeyPair.of(secret).public == self._advertised[phone].mask_public
