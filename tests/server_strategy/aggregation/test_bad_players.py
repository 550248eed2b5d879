"""Bad messages are refused and counted; the round goes on without their phones, or fails by rule."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server_strategy.aggregation import shares
from server_strategy.aggregation.failures import ProtocolViolation, RoundFailedError
from server_strategy.aggregation.keys import Authority, KeyPair, RunSecret
from server_strategy.aggregation.message_format import SERVER, Limits
from server_strategy.aggregation.messages import AdvertiseKeys, PeerKeys, SealedShares, SharedKeys, UnmaskingShares
from server_strategy.aggregation.phone import Phone
from server_strategy.aggregation.terms import Step
from tests.server_strategy.aggregation.conftest import NUMBERS, SECRET, as_far_as, begun

STEPS = [step for step in Step if step != Step.DONE]


def rest(now, step):
    """Play the steps from this one on, with those who may."""
    for following in now.terms.steps():
        if following >= step:
            now.play(following, now.server.expected_phones())
    return now.terms.ring.decode(now.server.sum()).tolist()


def sum_of(now, numbers):
    return sum(now.vectors[n] for n in numbers).tolist()


def harmed(said, harm, draw):
    """A message as it arrives."""
    match harm:
        case "flip":
            changed = bytearray(said)
            changed[draw(st.integers(0, len(said) - 1))] ^= 1 << draw(st.integers(0, 7))
            return bytes(changed)
        case "cut":
            return said[: draw(st.integers(0, len(said) - 1))]
        case "grow":
            return said + draw(st.binary(min_size=1, max_size=40))
        case _:
            return draw(st.binary(max_size=200))


@settings(max_examples=30)
@given(data=st.data(), step=st.sampled_from(STEPS), harm=st.sampled_from(["flip", "cut", "grow", "other"]))
def test_a_harmed_message_never_harms_the_round_of_the_others(rounds, data, step, harm):
    """One phone's message of one step is changed on its way."""
    now, bad = rounds[step].copy(), 13
    for number, said in zip(NUMBERS, now.take(step, NUMBERS), strict=True):
        taken = now.server.receive(number, harmed(said, harm, data.draw) if number == bad else said)
        assert taken or number == bad
    refusals = now.server.refused.copy()
    assert sum(refusals.values()) <= 1 and (harm == "flip" or refusals)
    try:
        now.server.close()
        total = rest(now, Step(step + 1))
    except RoundFailedError as error:
        assert error.cause == "shares_do_not_fit" and step == Step.SHARE and not refusals  # its digest was flipped
        return
    own_choice = step == Step.MASK and not refusals  # of a flipped vector: a phone may send what it likes
    assert own_choice or total == sum_of(now, now.server.survivors)
    assert (bad in now.server.survivors) == (step > Step.MASK or not refusals)


@pytest.mark.parametrize("step", STEPS)
def test_messages_of_others_other_steps_and_rounds_are_refused(rounds, step):
    now = rounds[step].copy()
    earlier = rounds[Step(max(step - 1, 1))].copy().take(Step(max(step - 1, 1)), [13])[0]
    (of_another, own) = now.take(step, [2, 13])
    assert not now.server.receive(13, of_another)
    of_another_round = own[:5] + (8).to_bytes(8, "big") + own[13:]
    assert not now.server.receive(13, of_another_round)
    assert step == Step.ADVERTISE or not now.server.receive(13, earlier)
    assert now.server.receive(13, own) and not now.server.receive(13, own)
    found = Counter({(step.word, "wrong_sender"): 1, (step.word, "wrong_round"): 1, (step.word, "replayed"): 2})
    found[step.word, "replayed"] -= step == Step.ADVERTISE
    assert now.server.refused == found


@settings(max_examples=60)
@given(data=st.data(), step=st.sampled_from([Step.SHARE, Step.MASK, Step.CONFIRM, Step.UNMASK]))
def test_a_phone_refuses_bad_messages_of_the_server_and_nothing_else_happens(rounds, data, step):
    phone, changed = rounds[step].copy().phones[2], bytearray(rounds[step].hear(2))
    if data.draw(st.booleans()):
        changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    else:
        changed = changed[: data.draw(st.integers(0, len(changed) - 1))]
    hear = {Step.SHARE: phone.share_keys, Step.MASK: phone.receive_shares, Step.CONFIRM: phone.confirm}
    try:
        hear.get(step, phone.unmask)(bytes(changed))
    except ProtocolViolation as error:
        assert error.cause


@pytest.fixture(scope="module")
def rounds():
    """Rounds at the beginning of each step."""
    return {step: as_far_as(step) for step in STEPS}


def test_a_second_message_is_refused_and_the_first_one_counts():
    now = begun()
    said = now.phones[2].advertise()
    assert now.server.receive(2, said) and not now.server.receive(2, said)
    assert now.server.refused == Counter({("advertise", "replayed"): 1})
    assert not now.server.receive(99, said)  # not invited
    assert now.server.refused["advertise", "unknown_phone"] == 1


def test_keys_of_another_round_are_refused():
    now, other = begun(), begun()
    object.__setattr__(other.terms, "server_round", 8)
    old = Phone(other.phones[2]._identity, other.terms, SECRET).advertise()
    assert not now.server.receive(2, old) and now.server.refused == Counter({("advertise", "wrong_round"): 1})


def test_keys_that_nobody_certified_are_refused():
    now = begun()
    stranger = RunSecret(bytes(32))
    identity = Authority.of(stranger).enrol(2, stranger)
    assert not now.server.receive(2, Phone(identity, now.terms, SECRET).advertise())
    assert now.server.refused == Counter({("advertise", "bad_signature"): 1})


def test_a_server_cannot_put_keys_of_its_own_in_a_neighbours_place():
    now = as_far_as(Step.SHARE)
    message = PeerKeys.from_bytes(now.hear(2), 9, SERVER, Limits())
    theirs = message.neighbours[5]
    own = (KeyPair.of(bytes(range(32))).public, KeyPair.of(bytes(range(1, 33))).public)
    forged = AdvertiseKeys(9, 5, *own, theirs.identity_public, theirs.certificate, theirs.signature)
    with pytest.raises(ProtocolViolation) as refused:
        now.phones[2].share_keys(PeerKeys(9, SERVER, message.roster, {**message.neighbours, 5: forged}).to_bytes())
    assert refused.value.cause == "bad_signature"


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda roster, peers: (roster, {p: peers[p] for p in list(peers)[1:]}), "bad_terms"),
        (lambda roster, peers: (roster[:2], {p: peers[p] for p in list(peers)[:2]}), "bad_terms"),
        (lambda roster, peers: ((*roster[1:], 80_000), peers), "unknown_phone"),
    ],
    ids=["fewer neighbours", "two phones", "another roster"],
)
def test_a_phone_leaves_a_round_that_is_not_as_agreed(change, cause):
    now = as_far_as(Step.SHARE)
    message = PeerKeys.from_bytes(now.hear(2), 9, SERVER, Limits())
    roster, peers = change(message.roster, dict(message.neighbours))
    with pytest.raises(ProtocolViolation) as refused:
        now.phones[2].share_keys(PeerKeys(9, SERVER, tuple(roster), peers).to_bytes())
    assert refused.value.cause == cause


def test_a_key_of_small_order_is_refused():
    now = as_far_as(Step.SHARE)
    message = PeerKeys.from_bytes(now.hear(2), 9, SERVER, Limits())
    identity = now.phones[5]._identity
    weak = (bytes(32), message.neighbours[5].mask_public)
    signature = identity.sign(AdvertiseKeys.signed(9, 5, *weak))
    said = AdvertiseKeys(9, 5, *weak, identity.public, identity.certificate, signature)
    with pytest.raises(ProtocolViolation) as refused:
        now.phones[2].share_keys(PeerKeys(9, SERVER, message.roster, {**message.neighbours, 5: said}).to_bytes())
    assert refused.value.cause == "bad_key"


LOW_ORDER = (bytes(32), (1).to_bytes(32, "little"), (2**255 - 20).to_bytes(32, "little"))  # of X25519; 0, 1 and -1


def with_keys(now, number, share=None, mask=None) -> bytes:
    """What a certified phone advertises if it puts other keys in the place of its own."""
    said = AdvertiseKeys.from_bytes(now.phones[number].advertise(), 9, number, Limits())
    publics = share or said.share_public, mask or said.mask_public
    identity = now.phones[number]._identity
    signature = identity.sign(AdvertiseKeys.signed(9, number, *publics))
    return AdvertiseKeys(9, number, *publics, identity.public, identity.certificate, signature).to_bytes()


@pytest.mark.parametrize("which", ["share", "mask"])
@pytest.mark.parametrize("bad", [*LOW_ORDER, "copied share", "copied mask"])
def test_a_certified_phone_with_bad_keys_is_refused_and_the_round_goes_on(which, bad):
    now = begun()
    others = [number for number in NUMBERS if number != 13]
    for number, said in zip(others, now.take(Step.ADVERTISE, others), strict=True):
        assert now.server.receive(number, said)
    first = now.server._advertised[2]
    copied = {"copied share": first.share_public, "copied mask": first.mask_public}
    assert not now.server.receive(13, with_keys(now, 13, **{which: copied.get(bad, bad)}))
    now.server.close()
    assert rest(now, Step.SHARE) == sum_of(now, others) and now.server.survivors == tuple(sorted(others))
    assert now.server.refused == Counter({("advertise", "bad_key"): 1})


def test_a_phone_with_one_key_for_both_uses_is_refused():
    now = begun()
    own = AdvertiseKeys.from_bytes(begun().phones[13].advertise(), 9, 13, Limits())
    assert not now.server.receive(13, with_keys(now, 13, share=own.mask_public))
    assert now.server.refused == Counter({("advertise", "bad_key"): 1})


def test_a_phone_whose_shares_open_for_nobody_stops_the_round_if_its_vector_is_in_it():
    """As the documentation says: nobody can take its self mask off, and nothing is unmasked."""
    now = begun()
    stolen = KeyPair.of(bytes(range(32))).public  # which it has no private key of
    for number in NUMBERS:
        said = with_keys(now, 13, share=stolen) if number == 13 else now.phones[number].advertise()
        assert now.server.receive(number, said)
    now.server.close()
    now.play(Step.SHARE)
    now.play(Step.MASK)
    now.play(Step.CONFIRM)
    for number, said in zip(NUMBERS, now.take(Step.UNMASK, NUMBERS), strict=True):
        assert now.server.receive(number, said)
    with pytest.raises(RoundFailedError, match="shares of phone 13") as failed:
        now.server.close()
    assert failed.value.cause == "too_few_unmasked"
    assert all(now.phones[n].refused == Counter({"bad_share": 1}) for n in NUMBERS if n != 13)


def test_shares_that_do_not_open_are_done_without():
    """Phone 13 seals nothing that opens: its neighbours have no share of it, and the round hangs on its staying."""
    now = as_far_as(Step.SHARE)
    for number, said in zip(NUMBERS, now.take(Step.SHARE, NUMBERS), strict=True):
        if number == 13:
            message = SharedKeys.from_bytes(said, 9, 13, now.server._limits)
            sealed = {p: bytes(82) if p in (2, 3) else one for p, one in message.sealed.items()}
            said = SharedKeys(9, 13, message.seed_digest, sealed).to_bytes()
        assert now.server.receive(number, said)
    now.server.close()
    assert rest(now, Step.MASK) == sum_of(now, NUMBERS)
    assert now.phones[2].refused == now.phones[3].refused == Counter({"bad_share": 1})


def test_a_wrong_share_is_corrected_and_counted(masked_round):
    now = masked_round.copy()
    now.play(Step.CONFIRM)
    for number, said in zip(NUMBERS, now.take(Step.UNMASK, NUMBERS), strict=True):
        if number == 3:
            given = UnmaskingShares.from_bytes(said, 9, 3, now.server._limits)
            wrong = {p: (share + 1) % shares.PRIME for p, share in given.seeds.items()}
            said = UnmaskingShares(9, 3, wrong, {}).to_bytes()
        assert now.server.receive(number, said)
    now.server.close()
    assert now.terms.ring.decode(now.server.sum()).tolist() == sum_of(now, NUMBERS)
    # It has the smallest number but one, so its share was among the first that were tried, for all seven neighbours.
    assert now.server.refused == Counter({("unmask", "bad_share"): 7})


def test_more_wrong_shares_than_can_be_corrected_end_the_round(masked_round):
    now = masked_round.copy()
    now.play(Step.CONFIRM)
    for number, said in zip(NUMBERS, now.take(Step.UNMASK, NUMBERS), strict=True):
        if number in (3, 5):
            given = UnmaskingShares.from_bytes(said, 9, number, now.server._limits)
            wrong = {p: (share + 1) % shares.PRIME for p, share in given.seeds.items()}
            said = UnmaskingShares(9, number, wrong, {}).to_bytes()
        now.server.receive(number, said)
    with pytest.raises(RoundFailedError, match="expected those of one secret") as failed:
        now.server.close()
    assert failed.value.cause == "shares_do_not_fit"


def test_a_phone_that_shared_another_key_than_it_advertised_is_found_out():
    """It leaves after that, so its key is needed, and what is recovered is not the key of its masks."""
    now = as_far_as(Step.SHARE)
    liar = now.phones[13]
    honest = liar._mask_pair
    liar._mask_pair = KeyPair(bytes(range(32)), honest.public)
    now.play(Step.SHARE)
    staying = [n for n in NUMBERS if n != 13]
    now.play(Step.MASK, staying)
    now.play(Step.CONFIRM, staying)
    for number, said in zip(staying, now.take(Step.UNMASK, staying), strict=True):
        assert now.server.receive(number, said)
    with pytest.raises(RoundFailedError, match="shares of phone 13") as failed:
        now.server.close()
    assert failed.value.cause == "shares_do_not_fit"


def test_shares_of_the_wrong_secret_are_refused(masked_round):
    """A phone that gives the key's share of one who did not leave: it would bare a vector."""
    now = masked_round.copy()
    now.play(Step.CONFIRM)
    said = UnmaskingShares.from_bytes(now.take(Step.UNMASK, [2])[0], 9, 2, now.server._limits)
    both = UnmaskingShares(9, 2, said.seeds, {3: 5}).to_bytes()
    assert not now.server.receive(2, both) and now.server.refused == Counter({("unmask", "unknown_phone"): 1})


def test_a_confirmation_of_other_survivors_is_refused(masked_round):
    now = masked_round.copy()
    said = bytearray(now.take(Step.CONFIRM, [2])[0])
    said[-1] ^= 1
    assert not now.server.receive(2, bytes(said)) and now.server.refused == Counter({("confirm", "bad_signature"): 1})


def test_shares_for_another_phone_are_refused():
    now = as_far_as(Step.MASK)
    message = SealedShares.from_bytes(now.hear(2), 9, SERVER, Limits())
    for_another = SealedShares.from_bytes(now.hear(3), 9, SERVER, Limits()).sealed
    swapped = {p: for_another.get(p, one) if p == 5 else one for p, one in message.sealed.items()}
    now.phones[2].receive_shares(SealedShares(9, SERVER, swapped).to_bytes())
    assert now.phones[2].refused == Counter({"bad_share": 1})
    with pytest.raises(ProtocolViolation) as refused:
        now.phones[3].receive_shares(SealedShares(9, SERVER, {99: bytes(82)}).to_bytes())
    assert refused.value.cause == "unknown_phone"


def test_everything_that_is_refused_has_a_cause_that_can_be_counted(masked_round):
    now = masked_round.copy()
    for data in (b"", bytes(17), b"TSA1", now.take(Step.CONFIRM, [2])[0] + bytes(1 << 20)):
        assert not now.server.receive(2, data)
    assert now.server.refused == Counter({("confirm", "malformed"): 3, ("confirm", "oversized"): 1})
