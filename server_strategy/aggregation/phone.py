"""A phone's part in a round of secure aggregation.

    advertise -> share_keys -> receive_shares -> mask -> confirm -> unmask

Each step is taken once and in this order. What a phone gives away of a neighbour is one share: of the seed of its self
mask if its vector is in the sum, of its mask key if it left; never both, for both together would bare its vector.

The state is plain bytes and numbers. It can be copied to where the phone's next step is made, and a phone with the same
secret that hears the same messages says the same again.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial

from server_strategy.aggregation import keys, shares
from server_strategy.aggregation.failures import Cause, ProtocolViolation, violation
from server_strategy.aggregation.keys import Identity, RunSecret
from server_strategy.aggregation.masks import Words, add_mask, stream
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
from server_strategy.aggregation.terms import RoundTerms, Step
from typefleet.errors import ConfigError, expected

_SHARE = shares.SHARE_BYTES


class Phone:
    """One phone in one round.

    Args:
        identity: who the phone is.
        terms: of the round.
        secret: of the simulated run, which stands for the phone's own randomness.

    Attributes:
        number: of the phone.
        step: that comes next.
        refused: what was refused in messages that were otherwise good, by cause.
    """

    def __init__(self, identity: Identity, terms: RoundTerms, secret: RunSecret) -> None:
        self.number = identity.phone
        self.step = Step.ADVERTISE
        self.refused: Counter[Cause] = Counter()
        self._identity = identity
        self._terms = terms
        self._random: Callable[..., bytes] = partial(
            secret.material, server_round=terms.server_round, phone=identity.phone
        )
        self._share_pair, self._mask_pair = keys.round_pairs(secret, terms.server_round, identity.phone)
        self._seed = self._random("seed of the self mask")
        self._roster: tuple[int, ...] = ()
        self._peers: dict[int, AdvertiseKeys] = {}
        self._agreed: dict[int, bytes] = {}  # for sealing, by neighbour
        self._sharing: tuple[int, ...] = ()  # neighbours with whom there is a mask
        self._held: dict[int, tuple[int, int]] = {}  # shares of seed and of key, by neighbour
        self._survivors: frozenset[int] = frozenset()

    def advertise(self) -> bytes:
        """The `AdvertiseKeys` of this phone."""
        self._take(Step.ADVERTISE, Step.SHARE)
        public = self._share_pair.public, self._mask_pair.public
        signed = AdvertiseKeys.signed(self._terms.server_round, self.number, *public)
        return AdvertiseKeys(
            self._terms.server_round,
            self.number,
            *public,
            identity_public=self._identity.public,
            certificate=self._identity.certificate,
            signature=self._identity.sign(signed),
        ).to_bytes()

    def share_keys(self, peer_keys: bytes) -> bytes:
        """The `SharedKeys` in answer to the server's `PeerKeys`.

        Raises:
            ProtocolViolation: the message is none, its graph is not the one that the terms ask for, or a neighbour's
                keys are not its own. The phone then leaves the round.
        """
        self._expect(Step.SHARE)
        message = PeerKeys.from_bytes(peer_keys, self._terms.server_round, SERVER, Limits())
        threshold = self._check_graph(message)
        for keys_of_peer in message.neighbours.values():
            check_advertised(keys_of_peer, self._terms.authority)
        self._roster, self._peers = message.roster, dict(message.neighbours)
        share_publics = {peer: said.share_public for peer, said in self._peers.items()}
        agreed = keys.agree_with_each(self._share_pair.private, share_publics)
        peers = list(self._peers)
        of_seed, of_key = (
            shares.split(secret, peers, threshold, self._random_terms(of, threshold))
            for of, secret in (("seed", self._seed), ("key", self._mask_pair.private))
        )
        sealed = {}
        for peer, secret in agreed.items():
            content = of_seed[peer].to_bytes(_SHARE, "big") + of_key[peer].to_bytes(_SHARE, "big")
            way = (self._terms.server_round, self.number, peer)
            sealed[peer] = shares.seal(keys.share_key(secret, *way), content, *way)
        self._agreed = agreed
        self._take(Step.SHARE, Step.MASK)
        digest = hashlib.sha256(self._seed).digest()
        return SharedKeys(self._terms.server_round, self.number, digest, sealed).to_bytes()

    def receive_shares(self, sealed_shares: bytes) -> None:
        """Keep the neighbours' shares, from the server's `SealedShares`; `mask` comes next.

        Shares that do not open are refused, counted and done without.

        Raises:
            ProtocolViolation: the message is none, or fewer neighbours than the threshold are left: the phone's own
                secrets could not be recovered, and it leaves.
        """
        self._expect(Step.MASK)
        if self._sharing:
            raise violation("replayed", "shares", "one message", "a second")
        message = SealedShares.from_bytes(sealed_shares, self._terms.server_round, SERVER, Limits())
        self._refuse_strangers(message.sealed)
        self._refuse_few(message.sealed)
        for peer, sealed in message.sealed.items():
            try:
                self._held[peer] = self._open(peer, sealed)
            except ProtocolViolation as error:
                self.refused[error.cause] += 1
        self._sharing = tuple(message.sealed)

    def mask(self, words: Words) -> None:
        """Add the phone's masks to its vector, in place: modulo 2^64, or what the words wrap around at.

        Once only: two vectors under the same masks would tell their difference.

        Args:
            words: the vector in the ring, as many numbers as the terms say.
        """
        self._expect(Step.MASK)
        if not self._sharing:
            raise ValueError(expected("a phone's masks", "shares before them", "none"))
        if words.shape != (self._terms.length,) or words.dtype != self._terms.ring.dtype:
            shape = f"{self._terms.length} numbers of {self._terms.ring.dtype}"
            raise ValueError(expected("a vector", shape, f"{words.shape} of {words.dtype}"))
        self._take(Step.MASK, Step.CONFIRM)
        server_round = self._terms.server_round
        add_mask(words, keys.self_mask_key(self._seed, server_round, self.number))
        publics = {peer: self._peers[peer].mask_public for peer in self._sharing}
        for peer, agreed in keys.agree_with_each(self._mask_pair.private, publics).items():
            key = keys.mask_key(agreed, server_round, self.number, peer)
            add_mask(words, key, subtract=self.number > peer)
        self._terms.ring.reduce(words)

    def masked_input(self, words: Words) -> bytes:
        """The `MaskedInput` with a vector that `mask` has masked."""
        return MaskedInput(self._terms.server_round, self.number, self._terms.ring.pack(words)).to_bytes()

    def confirm(self, survivors: bytes) -> bytes:
        """The `Confirmation` of the server's `Survivors`; where views are not checked, the `UnmaskingShares`.

        Raises:
            ProtocolViolation: the message is none, this phone is not among the survivors, or too few are: the phone
                then leaves, and gives no share away.
        """
        self._expect(Step.CONFIRM)
        message = Survivors.from_bytes(survivors, self._terms.server_round, SERVER, Limits())
        if message.roster_size != len(self._roster):
            raise violation("bad_terms", "survivors", f"of {len(self._roster)} phones", message.roster_size)
        shown = frozenset(self._roster[place] for place in message.places)
        least = self._terms.graph_size(len(self._roster)).least_survivors
        if self.number not in shown or len(shown) < least:
            raise violation("bad_terms", "survivors", f"this phone and {least} in all", len(shown))
        staying = [peer for peer in self._peers if peer in shown]
        # A server that hid some neighbours' shares would get a sum of fewer phones than it lists: they share no mask.
        if not set(staying) <= set(self._sharing):
            raise violation("bad_terms", "survivors", "those who had shared their keys", "others too")
        self._refuse_few(staying)
        self._survivors = shown
        self._take(Step.CONFIRM, Step.UNMASK)
        if not self._terms.assumptions.check_views:
            return self._give_shares()
        return Confirmation(self._terms.server_round, self.number, self._identity.sign(self._view())).to_bytes()

    def unmask(self, confirmations: bytes) -> bytes:
        """The `UnmaskingShares` in answer to the server's `Confirmations`.

        Raises:
            ProtocolViolation: fewer neighbours than the threshold signed the survivors that this phone was shown.
        """
        self._expect(Step.UNMASK)
        message = Confirmations.from_bytes(confirmations, self._terms.server_round, SERVER, Limits())
        self._refuse_strangers(message.signatures)
        agreeing, view = 0, self._view()
        for peer, signature in message.signatures.items():
            try:
                keys.verify(self._peers[peer].identity_public, signature, view, "a neighbour's confirmation")
            except ProtocolViolation as error:
                self.refused[error.cause] += 1
            else:
                agreeing += peer in self._survivors
        if agreeing < (threshold := self._terms.graph_size(len(self._roster)).threshold):
            raise violation("split_view", "survivors", f"signatures of {threshold} neighbours", agreeing)
        return self._give_shares()

    def _open(self, peer: int, sealed: bytes) -> tuple[int, int]:
        """The shares of a neighbour's seed and of its mask key, that it sealed for this phone."""
        way = (self._terms.server_round, peer, self.number)
        content = shares.unseal(keys.share_key(self._agreed[peer], *way), sealed, *way)
        pair = (int.from_bytes(content[:_SHARE], "big"), int.from_bytes(content[_SHARE:], "big"))
        if max(pair) >= shares.PRIME:
            raise violation("bad_share", "a share", "a number below the prime", "a larger one")
        return pair

    def _random_terms(self, of: str, threshold: int) -> bytes:
        """Randomness for the polynomial of one secret."""
        return stream(self._random(f"shares of the {of}"), shares.coefficient_bytes(threshold))

    def _give_shares(self) -> bytes:
        """One share of each neighbour; all that this phone holds are forgotten."""
        self._take(Step.UNMASK, Step.DONE)
        seeds = {peer: pair[0] for peer, pair in self._held.items() if peer in self._survivors}
        of_keys = {peer: pair[1] for peer, pair in self._held.items() if peer not in self._survivors}
        self._held = {}
        return UnmaskingShares(self._terms.server_round, self.number, seeds, of_keys).to_bytes()

    def _view(self) -> bytes:
        return Confirmation.signed(self._terms.server_round, self._roster, self._survivors)

    def _check_graph(self, message: PeerKeys) -> int:
        """Whether the graph is what the terms ask for; its threshold."""
        try:
            size = self._terms.graph_size(len(message.roster))
        except ConfigError as error:
            what = f"enough of the {self._terms.phones} phones agreed on"
            raise violation("bad_terms", "roster", what, len(message.roster)) from error
        if len(message.neighbours) != size.neighbours:
            raise violation("bad_terms", "neighbours", f"{size.neighbours}", len(message.neighbours))
        if self.number not in message.roster or not set(message.neighbours) <= set(message.roster) - {self.number}:
            raise violation("unknown_phone", "neighbours", "other phones of the same roster", "others")
        publics = {public for said in message.neighbours.values() for public in (said.share_public, said.mask_public)}
        if len(publics) < 2 * size.neighbours:  # which an honest server refuses when they are advertised
            raise violation("bad_key", "neighbours", "two keys each", "the same for two")
        return size.threshold

    def _refuse_strangers(self, phones: Iterable[int]) -> None:
        if not set(phones) <= set(self._peers):
            raise violation("unknown_phone", "a list", "neighbours", "others")

    def _refuse_few(self, phones: Iterable[int]) -> None:
        threshold = self._terms.graph_size(len(self._roster)).threshold
        if (found := len(list(phones))) < threshold:
            raise violation("bad_terms", "neighbours who are left", f"at least {threshold}", found)

    def _expect(self, step: Step) -> None:
        if self.step != step:
            cause: Cause = "replayed" if self.step > step else "malformed"
            raise violation(cause, f"step {step.word}", f"step {self.step.word}", "a message of another")

    def _take(self, step: Step, then: Step) -> None:
        self._expect(step)
        self.step = then


def check_advertised(said: AdvertiseKeys, authority: bytes) -> None:
    """Check that advertised keys are those of the phone that they say they are of.

    Args:
        said: the keys.
        authority: public key of who certifies phones.

    Raises:
        ProtocolViolation: bad_signature.
    """
    whose = f"phone {said.sender}"
    keys.verify(authority, said.certificate, keys.certified(said.sender, said.identity_public), whose)
    signed = AdvertiseKeys.signed(said.server_round, said.sender, said.share_public, said.mask_public)
    keys.verify(said.identity_public, said.signature, signed, whose)
