"""Signatures by one algorithm or by both: against answers of others, and against who changes or leaves out anything."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from typefleet.errors import ConfigError
from typefleet.signing import algorithms
from typefleet.signing.algorithms import (
    ED25519,
    ML_DSA_65,
    PrivateKey,
    PublicKey,
    SignatureError,
    has_ml_dsa,
    new_key,
    require_key,
    require_size,
    sign,
    verify,
)

needs_ml_dsa = pytest.mark.skipif(not has_ml_dsa(), reason="the extra pqcrypto is not installed")
BOTH = [False, pytest.param(True, marks=needs_ml_dsa)]
TEXT = b"typefleet release 1\n"
# RFC 8032, section 7.1, TEST 2.
SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
OF_72 = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


@pytest.fixture
def without_ml_dsa(monkeypatch):
    monkeypatch.setattr(algorithms, "find_spec", lambda name: None)


def test_ed25519_is_that_of_the_rfc():
    key = PrivateKey(PublicKey(PUBLIC), SEED)
    require_key(key, "key")
    assert sign(key, b"\x72") == {ED25519: OF_72}
    assert verify(key.public, b"\x72", {ED25519: OF_72}, "here") == (ED25519,)


@needs_ml_dsa
def test_ml_dsa_65_verifies_what_another_implementation_has_signed():
    known = json.loads(Path(__file__).with_name("ml_dsa_65.json").read_text())
    public, signature = (base64.b64decode(known[name]) for name in ("public", "signature"))
    own = new_key(hybrid=False)
    made = {**sign(own, known["message"].encode()), ML_DSA_65: signature}
    key = replace(own.public, ml_dsa_65=public)
    require_key(key, "key")
    assert verify(key, known["message"].encode(), made, "here") == (ED25519, ML_DSA_65)
    with pytest.raises(SignatureError, match="ml-dsa-65 that this key made"):
        verify(key, b"another", {**sign(own, b"another"), ML_DSA_65: signature}, "here")


@pytest.mark.parametrize("hybrid", BOTH)
def test_every_part_of_a_signature_has_to_hold(hybrid):
    key, other = new_key(hybrid=hybrid), new_key(hybrid=hybrid)
    require_key(key, "key")
    made, of_other = sign(key, TEXT), sign(other, TEXT)
    assert verify(key.public, TEXT, made, "here") == key.public.algorithms == tuple(made)

    @settings(max_examples=15)
    @given(st.data())
    def flipped(data):
        name = data.draw(st.sampled_from(sorted(made)))
        bit = data.draw(st.integers(0, 8 * len(made[name]) - 1))
        wrong = bytearray(made[name])
        wrong[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SignatureError, match=f"here: expected a signature by {name} that this key made"):
            verify(key.public, TEXT, {**made, name: bytes(wrong)}, "here")

    flipped()
    for name in made:
        with pytest.raises(SignatureError, match=f"by {name}"):
            verify(key.public, TEXT, {**made, name: of_other[name]}, "here")
        with pytest.raises(SignatureError, match=f"a signature by {name} as well.*found none"):
            verify(key.public, TEXT, {one: made[one] for one in made if one != name}, "here")
        for cut in (b"", made[name][:-1], made[name] + b"\0"):
            with pytest.raises(SignatureError, match=f"of a signature by {name}, found"):
                require_size(name, cut, "here")
            with pytest.raises(SignatureError, match=f"by {name}"):
                verify(key.public, TEXT, {**made, name: cut}, "here")
    with pytest.raises(SignatureError, match="made of this text, found another"):
        verify(key.public, TEXT + b"\n", made, "here")
    assert not key.public.shares(other.public) and key.public.shares(key.public)
    assert key.public.id != other.public.id


def test_a_signature_more_than_the_key_makes_is_refused():
    key = new_key(hybrid=False)
    with pytest.raises(SignatureError, match="by ed25519 alone, found one more"):
        verify(key.public, TEXT, {**sign(key, TEXT), ML_DSA_65: bytes(3309)}, "here")


@needs_ml_dsa
def test_without_the_package_what_was_verified_is_said_and_nothing_is_signed(monkeypatch):
    key = new_key(hybrid=True)
    made = sign(key, TEXT)
    monkeypatch.setattr(algorithms, "find_spec", lambda name: None)
    assert verify(key.public, TEXT, made, "here") == (ED25519,)
    with pytest.raises(SignatureError, match="ed25519"):
        verify(key.public, TEXT, {**made, ED25519: bytes(64)}, "here")
    with pytest.raises(ConfigError, match=r"expected the package pqcrypto: pip install 'typefleet\[pqcrypto\]', found"):
        sign(key, TEXT)


def test_no_hybrid_key_is_made_without_the_package(without_ml_dsa):
    with pytest.raises(ConfigError, match="a hybrid key: expected the package pqcrypto"):
        new_key(hybrid=True)
    assert new_key(hybrid=False).public.algorithms == (ED25519,)


@pytest.mark.parametrize("y", [0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18, 2**255 + 1])
def test_a_point_of_low_order_is_no_key(y):
    with pytest.raises(SignatureError, match="a point of low order"):
        require_key(PublicKey(y.to_bytes(32, "little")), "key")


def test_halves_that_do_not_belong_together_are_no_key():
    one, other = new_key(hybrid=False), new_key(hybrid=False)
    with pytest.raises(SignatureError, match="with its public one, found another"):
        require_key(replace(one, public=other.public), "key")
    with pytest.raises(SignatureError, match="32 bytes of ed25519, found 31"):
        require_key(replace(one, ed25519=one.ed25519[1:]), "key")
    with pytest.raises(SignatureError, match="4,032 bytes of ml-dsa-65, found 5"):
        require_key(replace(one, ml_dsa_65=b"short"), "key")


@needs_ml_dsa
def test_halves_by_ml_dsa_belong_together_too():
    one, other = new_key(hybrid=True), new_key(hybrid=True)
    mixed = replace(one.public, ml_dsa_65=other.public.ml_dsa_65)
    with pytest.raises(SignatureError, match="with its public one, found another"):
        require_key(replace(one, public=mixed), "key")
    assert mixed.shares(one.public) and mixed.shares(other.public)
    with pytest.raises(SignatureError, match="with its public one, found another"):
        require_key(replace(one, ml_dsa_65=None), "key")
