"""Messages come back as they were said, and nothing else is taken for one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server_strategy.aggregation import messages
from server_strategy.aggregation.failures import ProtocolViolation
from server_strategy.aggregation.masks import Ring
from server_strategy.aggregation.message_format import HEADER, KINDS_OF_MESSAGES, SERVER, Limits
from server_strategy.aggregation.messages import KINDS
from server_strategy.aggregation.shares import PRIME

LIMITS = Limits(phones=8, length=5, ring=Ring(20))


def raw(size):
    return bytes(i % 251 for i in range(size))


KEYS = messages.AdvertiseKeys(9, 4, raw(32), raw(32), raw(32), raw(64), raw(64))
SAID = [
    KEYS,
    messages.PeerKeys(
        9, SERVER, (2, 4, 70_000), {2: messages.AdvertiseKeys(9, 2, *(raw(s) for s in (32, 32, 32, 64, 64)))}
    ),
    messages.SharedKeys(9, 4, raw(32), {2: raw(82), 70_000: raw(82)}),
    messages.SealedShares(9, SERVER, {3: raw(82)}),
    messages.MaskedInput(9, 4, raw(12) + b"\x0f"),
    messages.Survivors(9, SERVER, (0, 2, 7), 8),
    messages.Confirmation(9, 4, raw(64)),
    messages.Confirmations(9, SERVER, {1: raw(64), 2: raw(64)}),
    messages.UnmaskingShares(9, 4, {1: 5, 2: PRIME - 1}, {3: 0}),
]
each = pytest.mark.parametrize("message", SAID, ids=lambda m: type(m).__name__)


def read(message, data, server_round=9, sender=None, limits=LIMITS):
    return type(message).from_bytes(data, server_round, message.sender if sender is None else sender, limits)


def refused(*args, **kwargs):
    with pytest.raises(ProtocolViolation) as found:
        read(*args, **kwargs)
    return found.value.cause


def test_every_kind_is_tried():
    assert [type(message) for message in SAID] == [KINDS[kind] for kind in sorted(KINDS)]
    assert sorted(KINDS) == [*range(1, KINDS_OF_MESSAGES + 1)]


@each
def test_a_message_comes_back(message):
    assert read(message, message.to_bytes()) == message


@each
def test_a_cut_or_longer_message_is_refused(message):
    data = message.to_bytes()
    for size in {0, 3, HEADER.size - 1, HEADER.size, HEADER.size + 3, len(data) - 1} - {len(data)}:
        assert refused(message, data[:size]) == "malformed"
    assert refused(message, data + b"\0") in ("malformed", "oversized")
    assert refused(message, data + bytes(1 << 21)) == "oversized"


@each
def test_another_round_sender_or_kind_is_refused(message):
    data = message.to_bytes()
    assert refused(message, data, server_round=8) == "wrong_round"
    assert refused(message, data, sender=5) == "wrong_sender"
    for other in SAID:
        as_of_this = type(other)(9, message.sender, *list(vars(other).values())[2:]).to_bytes()
        if type(other) is not type(message):
            earlier = other.KIND // 2 < message.KIND // 2
            assert refused(message, as_of_this) == ("replayed" if earlier else "malformed")
    assert refused(message, b"TSA2" + data[4:]) == refused(message, data[:4] + b"\xff" + data[5:]) == "malformed"


@each
@settings(max_examples=60)
@given(data=st.data())
def test_changed_bytes_are_a_message_or_refused(message, data):
    """What is taken is exactly what its bytes say: it is sent as the same bytes again."""
    said = bytearray(message.to_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        said[data.draw(st.integers(0, len(said) - 1))] = data.draw(st.integers(0, 255))
    try:
        taken = read(message, bytes(said))
    except ProtocolViolation:
        return
    assert taken.to_bytes() == bytes(said)


@given(st.binary(max_size=300), st.sampled_from(SAID))
def test_no_bytes_are_a_traceback(data, message):
    for said in (data, message.to_bytes()[: HEADER.size] + data):
        try:
            taken = read(message, said)
        except ProtocolViolation:
            continue
        assert taken.to_bytes() == said


def test_limits_hold_for_counts_and_sizes():
    many = messages.SealedShares(9, SERVER, {n: raw(82) for n in range(9)})
    assert refused(many, many.to_bytes()) == "oversized"
    claimed = messages.SealedShares(9, SERVER, {}).to_bytes()[:-4] + (1 << 31).to_bytes(4, "big")
    assert refused(many, claimed) == "oversized"  # before anything is read, or made, of that size
    assert refused(many, claimed[:-4] + (8).to_bytes(4, "big")) == "malformed"


def test_lists_are_in_order_and_name_each_phone_once():
    said = messages.Confirmations(9, SERVER, {1: raw(64), 2: raw(64)})
    data = said.to_bytes()
    one, two = data[21:89], data[89:]
    assert data[:21] + one + two == data
    assert refused(said, data[:21] + two + one) == refused(said, data[:21] + one + one) == "malformed"


def test_numbers_that_no_honest_phone_sends_are_refused():
    too_large = messages.UnmaskingShares(9, 4, {1: PRIME}, {})
    assert refused(too_large, too_large.to_bytes()) == "malformed"
    spare = messages.MaskedInput(9, 4, raw(12) + b"\x10")  # a bit after the last of five numbers of 20 bits
    assert refused(spare, spare.to_bytes()) == "malformed"
    more = messages.Survivors(9, SERVER, (0, 3), 3)
    assert refused(more, more.to_bytes()) == "malformed"
