"""Runs for real where TenSEAL is installed: `pip install 'typefleet[he]'`."""

import os
import subprocess
import sys

import numpy as np
import pytest

from server_strategy.aggregation.encryption_parameters import LARGEST, bfv_parameters, ckks_parameters
from server_strategy.aggregation.homomorphic import EncryptedSum, Encryptor, KeyHolder, is_installed
from server_strategy.update_sum import FixedPointSum
from typefleet.errors import ConfigError, InputError

if not is_installed():  # loads it as it has to be loaded beside TensorFlow
    pytest.skip("the extra he is not installed", allow_module_level=True)

SIZE = 5000  # two ciphertexts of BFV, the second one not full


def updates_of(phones, size=SIZE, seed=0):
    """Clipped updates in fixed-point steps, as phones have them."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(phones):
        own = FixedPointSum(size, clip_norm=0.5)
        own.add((rng.standard_normal(size) * rng.choice([1e-6, 1e-2, 10.0])).astype(np.float32))
        found.append(own.values)
    return found


def encrypted_sum(holder, parameters, updates):
    phone, server = Encryptor(parameters, holder.public), EncryptedSum(parameters, holder.public)
    for update in updates:
        server.add(phone.encrypt(update))
    return server


@pytest.fixture(scope="module")
def exact():
    parameters = bfv_parameters(8)
    return parameters, KeyHolder(parameters)


def test_the_exact_sum_has_the_bits_of_the_plain_one(exact):
    parameters, holder = exact
    updates = updates_of(8)
    server = encrypted_sum(holder, parameters, updates)
    assert server.count == 8
    found = holder.decrypt(server.total(), SIZE)
    assert found.dtype == np.int64 and found.tobytes() == sum(updates).tobytes()


def test_the_largest_coordinates_of_all_phones_together_come_back(exact):
    parameters, holder = exact
    extreme = np.array([LARGEST, -LARGEST, 0, 1, -1], np.int64)
    total = encrypted_sum(holder, parameters, [extreme] * 8).total()
    assert holder.decrypt(total, 5).tolist() == (8 * extreme).tolist()


def test_a_sum_in_several_limbs_is_exact_too():
    parameters = bfv_parameters(2**22 - 1)
    assert parameters.limbs > 1
    holder, updates = KeyHolder(parameters), updates_of(3, size=300)
    assert np.array_equal(holder.decrypt(encrypted_sum(holder, parameters, updates).total(), 300), sum(updates))


def test_the_error_of_the_approximate_sum_is_as_stated():
    parameters = ckks_parameters(4, tolerance=1e-5)
    holder, updates = KeyHolder(parameters), updates_of(4, size=20_000)
    found = holder.decrypt(encrypted_sum(holder, parameters, updates).total(), 20_000)
    error = (found - sum(updates)) / LARGEST
    assert 0 < np.abs(error).max() <= parameters.error_bound <= 1e-5
    assert error.std() == pytest.approx(parameters.error_deviation, rel=0.1)


def test_neither_the_phone_nor_the_server_can_decrypt(exact):
    import tenseal

    parameters, holder = exact
    (data,) = holder.public
    context = tenseal.context_from(data)
    assert not context.has_secret_key() and tenseal.context_from(data).is_public()
    ((block,),) = Encryptor(parameters, holder.public).encrypt(np.arange(10))
    with pytest.raises(ValueError, match="secret_key"):
        tenseal.bfv_vector_from(context, block).decrypt()


def test_a_single_update_decrypts_like_a_sum_which_is_why_the_key_holder_must_be_another(exact):
    parameters, holder = exact
    (update,) = updates_of(1)
    assert np.array_equal(holder.decrypt(Encryptor(parameters, holder.public).encrypt(update), SIZE), update)


@pytest.mark.slow
def test_it_loads_beside_tensorflow_whose_protobuf_is_another():
    """In whichever order, in processes of their own; the other tests run in one that has loaded TensorFlow or not."""
    works = (
        "import numpy as np\n"
        "from server_strategy.aggregation import homomorphic as h, encryption_parameters as p\n"
        "chosen = p.bfv_parameters(2)\n"
        "holder = h.KeyHolder(chosen)\n"
        "sent = h.Encryptor(chosen, holder.public).encrypt(np.arange(3))\n"
        "assert holder.decrypt(sent, 3).tolist() == [0, 1, 2]\n"
        "import tensorflow\n"
        "assert holder.decrypt(h.Encryptor(chosen, holder.public).encrypt(np.arange(3)), 3).tolist() == [0, 1, 2]\n"
    )
    for code in (works, f"import tensorflow\n{works}"):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_where_symbols_cannot_be_kept_apart_tensorflow_is_refused(monkeypatch):
    monkeypatch.delattr(os, "RTLD_DEEPBIND")
    monkeypatch.setitem(sys.modules, "tensorflow", object())
    monkeypatch.delitem(sys.modules, "tenseal")
    with pytest.raises(ConfigError, match="homomorphic encryption: expected a process without TensorFlow on this sys"):
        KeyHolder(bfv_parameters(2))


def test_the_same_update_never_looks_the_same(exact):
    phone = Encryptor(exact[0], exact[1].public)
    assert phone.encrypt(np.zeros(10, np.int64)) != phone.encrypt(np.zeros(10, np.int64))


def test_what_is_no_update_of_these_parameters_is_refused_and_changes_nothing(exact):
    parameters, holder = exact
    phone, (update,) = Encryptor(parameters, holder.public), updates_of(1)
    server = encrypted_sum(holder, parameters, [update])
    (good,) = phone.encrypt(update)
    other = ckks_parameters(8)
    (foreign,) = Encryptor(other, KeyHolder(other).public).encrypt(update)
    half = [good[0][: len(good[0]) // 2], good[1]]
    for bad in ([], [good, good], [[]], [good[:1]], [good[::-1]], [half], [[b"", b"x"]], [foreign[:2]]):
        with pytest.raises(InputError, match="an encrypted update: expected"):
            server.add(bad)
    assert server.count == 1 and np.array_equal(holder.decrypt(server.total(), SIZE), update)
    with pytest.raises(InputError, match="an encrypted sum: expected 1 limbs, found 2"):
        holder.decrypt([good, good], SIZE)


def test_bytes_that_were_changed_on_the_way_end_nothing(exact):
    """They are refused, or they are some other ciphertext: nothing else happens, whatever byte it is."""
    parameters, holder = exact
    ((good,),) = Encryptor(parameters, holder.public).encrypt(np.arange(100))
    rng, refused = np.random.default_rng(0), 0
    server = EncryptedSum(parameters, holder.public)
    for place in [*range(48), *rng.integers(0, len(good), 48)]:
        broken = bytearray(good)
        broken[place] ^= 1 << int(rng.integers(8))
        try:
            server.add([[bytes(broken)]])
        except InputError:
            refused += 1
        else:
            server = EncryptedSum(parameters, holder.public)
    assert refused > 20


def test_more_phones_than_agreed_on_and_larger_coordinates_are_refused(exact):
    parameters, holder = exact
    updates = [np.zeros(3, np.int64)] * 8
    server = encrypted_sum(holder, parameters, updates)
    phone = Encryptor(parameters, holder.public)
    with pytest.raises(InputError, match="an encrypted sum: expected at most 8 updates, found another"):
        server.add(phone.encrypt(updates[0]))
    for beyond in (LARGEST + 1, -LARGEST - 1):
        with pytest.raises(InputError, match="coordinates within 1099511627776 fixed-point steps, found a larger one"):
            phone.encrypt(np.array([0, beyond]))
