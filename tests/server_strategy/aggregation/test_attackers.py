"""What a curious server learns together with corrupted phones: below the threshold the sum alone, at it the vector."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chisquare, kstest

from server_strategy.aggregation import keys
from server_strategy.aggregation.failures import Cause, ProtocolViolation, RoundFailedError
from server_strategy.aggregation.graph import Assumptions, graph_size
from server_strategy.aggregation.masks import add_mask
from server_strategy.aggregation.message_format import SERVER
from server_strategy.aggregation.messages import Confirmations, SealedShares, Survivors, UnmaskingShares
from server_strategy.aggregation.server import Server
from server_strategy.aggregation.shares import Recovery
from server_strategy.aggregation.terms import Step
from tests.server_strategy.aggregation.conftest import NUMBERS, SECRET, as_far_as, begun
from typefleet.errors import ConfigError

TARGET, LENGTH = 2, 1 << 15
OTHERS = NUMBERS[1:]


class Attack:
    """A server that kept all it saw in a round, and phones that tell it all they know."""

    def __init__(self) -> None:
        now = as_far_as(Step.MASK, length=LENGTH)
        now.vectors[TARGET] = np.full(LENGTH, 1234)  # as far from uniform as can be
        self.round = now
        self.words = {number: now.masked(number) for number in NUMBERS}
        for number in NUMBERS:
            now.server.receive_masked([number], self.words[number])
        now.server.close()
        self.threshold = now.terms.graph_size(8).threshold
        held = {number: now.phones[number]._held[TARGET] for number in OTHERS}
        self.of_seed = {number: pair[0] for number, pair in held.items()}
        self.of_key = {number: pair[1] for number, pair in held.items()}
        now.play(Step.CONFIRM)
        now.play(Step.UNMASK)
        self.seed = Recovery(OTHERS[: self.threshold]).secret(self.of_seed)  # which the server recovers in any case

    def pairwise_key(self, private: bytes, own: int, peer: int) -> bytes:
        public = self.round.server._advertised[peer].mask_public
        return keys.mask_key(keys.agree(private, public), 9, own, peer)

    def strip(self, corrupted) -> np.ndarray:
        """The target's masked vector without its self mask and the masks that corrupted phones know."""
        left = self.words[TARGET].copy()
        add_mask(left, keys.self_mask_key(self.seed, 9, TARGET), subtract=True)
        for number in corrupted:
            key = self.pairwise_key(self.round.phones[number]._mask_pair.private, number, TARGET)
            add_mask(left, key, subtract=number > TARGET)
        return left


@pytest.fixture(scope="module")
def attack() -> Attack:
    return Attack()


def pvalues(words: np.ndarray) -> list[float]:
    """Of tests that words are uniform: of their bytes, and of them as fractions of 2^64."""
    counts = np.bincount(words.view(np.uint8), minlength=256)
    return [chisquare(counts).pvalue, kstest(words / 2.0**64, "uniform").pvalue]


def test_a_masked_vector_is_uniform(attack):
    assert min(pvalues(attack.words[TARGET])) > 1e-3


def test_it_stays_uniform_for_the_server_and_fewer_corrupted_phones_than_the_threshold(attack):
    assert attack.threshold == 5
    assert min(pvalues(attack.strip(OTHERS[:4]))) > 1e-3
    assert min(pvalues(attack.strip(OTHERS[:6]))) > 1e-3  # one honest neighbour's mask is enough
    assert max(pvalues(attack.strip(OTHERS))) < 1e-9  # the tests do tell: without that, the vector is bare


def test_two_vectors_of_the_same_sum_look_the_same_to_them(attack):
    """Moving a number from the target to an honest phone changes no other thing that they see: the sum is the same."""
    honest = OTHERS[-1]
    differences = attack.strip(OTHERS[:4]) - attack.words[honest]
    assert min(pvalues(differences)) > 1e-3


def test_shares_below_the_threshold_recover_neither_secret(attack):
    phone = attack.round.phones[TARGET]
    few = OTHERS[: attack.threshold - 1]
    for found, secret in ((attack.of_seed, phone._seed), (attack.of_key, phone._mask_pair.private)):
        assert Recovery(few).secret(found) != secret
        assert Recovery(OTHERS[: attack.threshold]).secret(found) == secret


def test_with_the_threshold_they_do_learn_the_vector(attack):
    private = Recovery(OTHERS[: attack.threshold]).secret(attack.of_key)
    left = attack.words[TARGET].copy()
    add_mask(left, keys.self_mask_key(attack.seed, 9, TARGET), subtract=True)
    for peer in OTHERS:
        add_mask(left, attack.pairwise_key(private, TARGET, peer), subtract=peer > TARGET)
    assert (attack.round.terms.ring.decode(left) == 1234).all()


def test_a_vector_that_comes_late_stays_masked():
    """The phone was taken for gone and its mask key recovered; then its vector arrives. The self mask is left on it."""
    now = as_far_as(Step.MASK, length=LENGTH)
    now.vectors[TARGET] = np.full(LENGTH, 1234)
    late = now.masked(TARGET)
    now.play(Step.MASK, OTHERS)
    now.play(Step.CONFIRM, OTHERS)
    now.play(Step.UNMASK, OTHERS)
    assert now.terms.ring.decode(now.server.sum()).tolist() == sum(now.vectors[n] for n in OTHERS).tolist()
    for peer in OTHERS:  # the server has every pairwise mask of the phone
        agreed = keys.agree(now.phones[TARGET]._mask_pair.private, now.server._advertised[peer].mask_public)
        add_mask(late, keys.mask_key(agreed, 9, TARGET, peer), subtract=peer > TARGET)
    assert min(pvalues(late)) > 1e-3
    add_mask(late, keys.self_mask_key(now.phones[TARGET]._seed, 9, TARGET), subtract=True)
    assert (now.terms.ring.decode(late) == 1234).all()


def test_a_failed_round_leaves_nothing_to_unmask(masked_round):
    now = masked_round.copy()
    now.play(Step.CONFIRM)
    for number, said in zip(NUMBERS[:4], now.take(Step.UNMASK, NUMBERS[:4]), strict=True):
        now.server.receive(number, said)
    with pytest.raises(RoundFailedError) as failed:
        now.server.close()
    assert failed.value.cause == "too_few_unmasked"
    assert not now.server._unmasking and not len(now.server._total) and now.server.step == Step.DONE
    assert not now.server.receive(NUMBERS[5], b"") and now.server.refused["done", "replayed"] == 1


# A server that lies about who takes part --------------------------------------------------------------------


def played_among(now, members) -> tuple[list[Cause], list[int] | None]:
    """The causes by which phones refuse a roster of these alone, and the sum that the server gets of them."""
    causes: list[Cause] = []
    server = Server(replace(now.terms, phones=len(members)), members, SECRET)  # by itself, it would go on
    for number in members:
        assert server.receive(number, now.phones[number].advertise())
    server.close()
    for number in members:
        try:
            assert server.receive(number, now.phones[number].share_keys(server.message_to(number)))
        except ProtocolViolation as error:
            causes.append(error.cause)
    try:
        server.close()
        now.server = server
        for step in (Step.MASK, Step.CONFIRM, Step.UNMASK):
            now.play(step, members)
    except RoundFailedError:
        return causes, None
    return causes, now.terms.ring.decode(server.sum()).tolist()


@pytest.mark.parametrize("size", [3, 4, 32, 33])
def test_phones_refuse_a_roster_of_a_part_of_those_agreed_on(size):
    """64 phones; were n the roster's, 21 groups of three could each be unmasked."""
    now = begun(numbers=tuple(range(64)))
    causes, total = played_among(now, tuple(range(size)))
    assert causes == ["bad_terms"] * size and total is None


def test_all_that_were_agreed_on_play_on():
    now = begun(numbers=tuple(range(12)))
    causes, total = played_among(now, tuple(range(12)))
    assert not causes and total == sum(now.vectors.values()).tolist()


def test_phones_refuse_a_roster_of_more_than_were_agreed_on():
    now = begun(numbers=tuple(range(9)))
    for phone in now.phones.values():
        phone._terms = replace(now.terms, phones=8)
    causes, total = played_among(now, tuple(range(9)))
    assert causes == ["bad_terms"] * 9 and total is None


@pytest.mark.parametrize("agreed", [3, 8, 31, 64, 65, 128, 300])
@pytest.mark.parametrize("corrupted_share", [0.05, 0.3])
def test_no_two_rosters_have_only_corrupted_phones_in_common(agreed, corrupted_share):
    """And where all are neighbours, the honest phones are too few to confirm two views, whatever the rosters."""
    assumptions = Assumptions(corrupted_share, 0.0, complete_up_to=64)
    corrupted, accepted = assumptions.corrupted(agreed), []
    for phones in range(agreed + 1):
        try:
            accepted.append(graph_size(phones, assumptions, agreed))
        except ConfigError:
            continue
    assert accepted[-1].phones == agreed
    assert 2 * accepted[0].phones - agreed > corrupted
    if agreed <= 64:
        least = min(size.threshold for size in accepted)
        assert all(size.complete for size in accepted) and 2 * (least + 1 - corrupted) > agreed - corrupted


# A server that lies about who survived ---------------------------------------------------------------------


def shown(now, gone):
    """The message that all but `gone` survived."""
    roster = sorted(NUMBERS)
    places = tuple(place for place, number in enumerate(roster) if number not in gone)
    return Survivors(9, SERVER, places, len(roster)).to_bytes()


@pytest.mark.parametrize("corrupted", [(), (19,)])
def test_a_split_view_is_caught(masked_round, corrupted):
    """Half of the phones are shown that phone 3 left, the others that it is in the sum; corrupted ones sign both."""
    now = masked_round.copy()
    halves = ((2, 5, 11, 70_000), (3, 13, 17, 19))
    views = dict.fromkeys(halves[0], (3,)) | dict.fromkeys(halves[1], ())
    signed = {n: now.phones[n].confirm(shown(now, views[n]))[-64:] for n in NUMBERS}
    for number in NUMBERS:
        if number in corrupted:
            continue
        seen = {peer: signed[peer] for peer in NUMBERS if peer != number}
        for liar in corrupted:
            view = now.phones[number]._view()
            seen[liar] = now.phones[liar]._identity.sign(view)
        with pytest.raises(ProtocolViolation) as refused:
            now.phones[number].unmask(Confirmations(9, SERVER, seen).to_bytes())
        assert refused.value.cause == "split_view" and now.phones[number].refused["bad_signature"] > 0
        assert now.phones[number]._held  # no share of which was given away


def test_no_two_views_can_both_be_unmasked(masked_round):
    """However many phones see the one view, and with one that signs both: at most one view gets its signatures."""
    for first in range(1, 7):
        now = masked_round.copy()
        honest = [n for n in NUMBERS if n not in (3, 19)]
        views = {n: (3,) if i < first else (17,) for i, n in enumerate(honest)}
        views = {n: gone for n, gone in views.items() if n not in gone}  # a phone that is said to have left refuses
        signed = {n: now.phones[n].confirm(shown(now, gone))[-64:] for n, gone in views.items()}
        gave = set()
        for number, gone in views.items():
            seen = {peer: signature for peer, signature in signed.items() if peer != number}
            seen[19] = now.phones[19]._identity.sign(now.phones[number]._view())
            try:
                now.phones[number].unmask(Confirmations(9, SERVER, seen).to_bytes())
            except ProtocolViolation as error:
                assert error.cause == "split_view"
            else:
                gave.add(gone)
        assert len(gave) <= 1


def test_a_phone_never_gives_both_shares_of_a_neighbour(masked_round):
    now = masked_round.copy()
    gone = (3,)
    for number in NUMBERS:
        if number in gone:
            with pytest.raises(ProtocolViolation) as refused:
                now.phones[number].confirm(shown(now, gone))
            assert refused.value.cause == "bad_terms"  # it knows that it did not leave
    staying = [n for n in NUMBERS if n not in gone]
    signed = {n: now.phones[n].confirm(shown(now, gone))[-64:] for n in staying}
    for number in staying:
        with pytest.raises(ProtocolViolation) as refused:
            now.phones[number].confirm(shown(now, ()))  # and again, with another view
        assert refused.value.cause == "replayed"
        confirmations = Confirmations(9, SERVER, {n: s for n, s in signed.items() if n != number}).to_bytes()
        given = UnmaskingShares.from_bytes(now.phones[number].unmask(confirmations), 9, number, now.server._limits)
        assert set(given.keys) == {3} and set(given.seeds) == set(staying) - {number}
        assert not now.phones[number]._held
        with pytest.raises(ProtocolViolation):
            now.phones[number].unmask(confirmations)


def test_a_phone_refuses_a_survivor_with_whom_it_was_kept_from_sharing_a_mask(shared_round):
    now = shared_round.copy()
    sealed = SealedShares.from_bytes(now.hear(2), 9, SERVER, now.server._limits).sealed
    hidden = SealedShares(9, SERVER, {peer: one for peer, one in sealed.items() if peer != 3})
    now.phones[2].receive_shares(hidden.to_bytes())
    now.phones[2].mask(now.terms.ring.encode(now.vectors[2]))
    with pytest.raises(ProtocolViolation, match="expected those who had shared their keys") as refused:
        now.phones[2].confirm(shown(now, ()))
    assert refused.value.cause == "bad_terms"
    now.phones[2].confirm(shown(now, (3,)))


@pytest.mark.parametrize(
    ("gone", "cause"), [((3, 5, 11), "bad_terms"), (NUMBERS[1:], "bad_terms")], ids=["too few", "alone"]
)
def test_a_phone_refuses_a_sum_of_too_few(masked_round, gone, cause):
    now = masked_round.copy()
    with pytest.raises(ProtocolViolation) as refused:
        now.phones[2].confirm(shown(now, gone))
    assert refused.value.cause == cause
