"""Key pairs, agreement, HKDF and signatures give the answers of their RFCs."""

import pickle

import pytest

from server_strategy.aggregation import keys
from server_strategy.aggregation.failures import ProtocolViolation
from server_strategy.aggregation.keys import Authority, KeyPair, RunSecret

SECRET = RunSecret(bytes(range(32)))


def test_x25519_is_that_of_rfc_7748_section_5_2():
    scalar = bytes.fromhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4")
    u = bytes.fromhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
    assert keys.agree(scalar, u).hex() == "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"


def test_two_key_pairs_agree_as_in_rfc_7748_section_6_1():
    alice = KeyPair.of(bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"))
    bob = KeyPair.of(bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
    assert alice.public.hex() == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    assert bob.public.hex() == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    assert keys.agree(alice.private, bob.public).hex() == keys.agree(bob.private, alice.public).hex() == shared


@pytest.mark.parametrize(
    ("secret", "salt", "info", "output"),
    [
        (
            *("0b" * 22, "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9"),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            *("0b" * 22, "", ""),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ],
)
def test_hkdf_is_that_of_rfc_5869_appendix_a(secret, salt, info, output):
    found = keys.hkdf(bytes.fromhex(secret), bytes.fromhex(info), 42, bytes.fromhex(salt) or None)
    assert found.hex() == output


def test_signatures_are_those_of_rfc_8032_section_7_1():
    private = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    assert keys.signing_public_key(private).hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    signature = keys.sign(private, b"")
    assert signature.hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    keys.verify(keys.signing_public_key(private), signature, b"", "a phone")
    with pytest.raises(ProtocolViolation, match="a phone: expected a signature that holds") as refused:
        keys.verify(keys.signing_public_key(private), signature, b"something else", "a phone")
    assert refused.value.cause == "bad_signature"


@pytest.mark.parametrize("public", [bytes(32), (1).to_bytes(32, "little"), bytes(31)])
def test_a_public_key_with_which_anybody_agrees_is_refused(public):
    with pytest.raises(ProtocolViolation) as refused:
        keys.agree(bytes(range(32)), public)
    assert refused.value.cause == "bad_key"


def test_material_differs_by_secret_purpose_round_phone_and_repeats():
    places = [("seed", 1, 2), ("seed", 2, 1), ("seed", 1, 3), ("seed", 2, 2), ("see", 1, 2), ("key", 1, 2)]
    made = [secret.material(*place) for secret in (SECRET, RunSecret(bytes(32))) for place in places]
    assert len(set(made)) == len(made)
    assert made[0] == SECRET.material("seed", 1, 2)
    assert SECRET.material("seed", 1, 2, 96)[:32] == made[0]


def test_keys_of_a_pair_differ_by_use_and_direction():
    agreed = bytes(range(32))
    assert keys.mask_key(agreed, 5, 1, 2) == keys.mask_key(agreed, 5, 2, 1)
    made = [
        *(keys.mask_key(agreed, 5, 1, 2), keys.mask_key(agreed, 6, 1, 2), keys.mask_key(agreed, 5, 1, 3)),
        *(keys.share_key(agreed, 5, 1, 2), keys.share_key(agreed, 5, 2, 1), keys.self_mask_key(agreed, 5, 1)),
    ]
    assert len(set(made)) == len(made)


def test_secrets_are_in_no_text_of_their_owners():
    authority = Authority.of(SECRET)
    identity = authority.enrol(3, SECRET)
    pair = KeyPair.of(SECRET.material("mask key", 1, 3))
    for owner, secret in ((SECRET, SECRET.key), (authority, authority.private), (pair, pair.private)):
        assert repr(secret) not in repr(owner) and secret.hex() not in repr(owner)
    assert repr(identity.private) not in repr(identity)


def test_fresh_secrets_differ_and_have_256_bits():
    assert len(RunSecret.fresh().key) == 32 and RunSecret.fresh() != RunSecret.fresh()
    with pytest.raises(ValueError, match="secret: expected 32 bytes, found 31"):
        RunSecret(bytes(31))


def test_a_violation_keeps_its_cause_between_processes():
    error = pickle.loads(pickle.dumps(ProtocolViolation("bad_key", "a key: expected one, found none")))  # noqa: S301
    assert error.cause == "bad_key" and str(error) == "a key: expected one, found none"
