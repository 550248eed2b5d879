"""The sum of one round under homomorphic encryption: phones encrypt, the server adds, a key holder decrypts the sum.

The three roles are three classes, and what passes between them is bytes, so that sizes are those of real messages:

    KeyHolder   makes the one key pair, hands out `public` (without the secret key), decrypts sums
    Encryptor   on a phone, from `public`: an update becomes ciphertexts
    EncryptedSum   on the server, from `public`: adds up ciphertexts, which it cannot read

**There is a single secret key.** TenSEAL has neither multi-key nor threshold decryption, so whoever holds the key can
decrypt each phone's own update as well as the sum. What that means depends on who it is:

* the server: nothing is hidden from it, and encryption is a cost without a gain;
* every phone (a key that they share): the server sees nothing alone, but with one phone, its own or a bought one, it
  sees all;
* a key holder apart, as modelled here: the server sees ciphertexts, the key holder the sum; together they see each
  phone's update, so nobody may be both. The key holder must refuse anything but sums of enough phones, and has no way
  to tell a sum from a single update: it has to trust the server in this.

Secure aggregation with masks needs no such party. Noise is added after decryption, so the key holder sees the sum
without it. CKKS needs noise of its own before a decrypted sum is published: its rounding error depends on the secret
key (Li and Micciancio, "On the security of homomorphic encryption on approximate numbers", Eurocrypt 2021).

Nothing proves that a ciphertext holds a clipped update, or one of this key: a bad phone can spoil a sum, as it can
under masks.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server_strategy.aggregation.encryption_parameters import EncryptionParameters, Limb, from_limbs, to_limbs
from typefleet.errors import ConfigError, InputError, expected

INSTALL = "pip install 'typefleet[he]'"

Ciphertexts = Sequence[Sequence[bytes]]
"""An update, or a sum, by limb and then by block of as many coordinates as a ciphertext holds."""


def is_installed() -> bool:
    """Whether the extra package that encrypts is there and loads."""
    try:
        _tenseal()
    except ConfigError:
        return False
    return True


def version() -> str:
    """The release of the package that encrypts.

    Raises:
        ConfigError: it is not installed.
    """
    return str(_tenseal().__version__)


def _tenseal() -> Any:
    with _own_symbols():
        try:
            import tenseal
        except ImportError as error:
            raise ConfigError(expected("homomorphic encryption", f"TenSEAL ({INSTALL})", "it missing")) from error
    return tenseal


@contextmanager
def _own_symbols() -> Iterator[None]:
    """Let what is loaded within prefer its own symbols to those of what is there.

    TensorFlow shows its protobuf to all that is loaded after it, and TenSEAL brings another one: it would call into
    TensorFlow's and crash.

    Raises:
        ConfigError: TensorFlow is there, TenSEAL is not, and this system cannot keep them apart.
    """
    if "tensorflow" not in sys.modules or "tenseal" in sys.modules:
        yield
        return
    prefer_own = getattr(os, "RTLD_DEEPBIND", None)  # Linux
    if prefer_own is None:
        where = "a process without TensorFlow on this system, whose protobuf clashes with that of TenSEAL"
        raise ConfigError(expected("homomorphic encryption", where, "TensorFlow loaded"))
    usual = sys.getdlopenflags()
    sys.setdlopenflags(usual | prefer_own)
    try:
        yield
    finally:
        sys.setdlopenflags(usual)


class KeyHolder:
    """Who makes the keys and decrypts sums; neither the server nor a phone.

    Args:
        parameters: of the sum.

    Attributes:
        public: what phones and server get, per limb; no secret key is in it.

    Raises:
        ConfigError: TenSEAL is not installed.
    """

    def __init__(self, parameters: EncryptionParameters) -> None:
        ts = _tenseal()
        scheme = ts.SCHEME_TYPE.BFV if parameters.scheme == "bfv" else ts.SCHEME_TYPE.CKKS
        self._parameters = parameters
        self._contexts = [
            ts.context(scheme, parameters.ring_degree, modulus, list(parameters.prime_bits), n_threads=1)
            for modulus in parameters.plain_moduli or (0,)
        ]
        self.public: list[bytes] = []
        for context in self._contexts:
            context.global_scale = 2.0**parameters.scale_bits
            self.public.append(context.serialize(save_secret_key=False, save_galois_keys=False, save_relin_keys=False))

    def decrypt(self, encrypted: Ciphertexts, size: int) -> NDArray[Any]:
        """The sum in fixed-point steps: int64 [size], exact, or of the approximate scheme float64 [size].

        Args:
            encrypted: by `EncryptedSum.total`.
            size: coordinates.

        Raises:
            InputError: these are no ciphertexts of these parameters.
        """
        if len(encrypted) != len(self._contexts):
            raise InputError(expected("an encrypted sum", f"{len(self._contexts)} limbs", len(encrypted)))
        whole = []
        for context, blocks in zip(self._contexts, encrypted, strict=True):
            read = _vectors(self._parameters, context, blocks)
            whole.append(np.concatenate([np.array(vector.decrypt()) for vector in read])[:size])
        if self._parameters.scheme == "ckks":
            return np.asarray(whole[0] * float(self._parameters.largest))
        moduli = self._parameters.plain_moduli
        return from_limbs([Limb(modulus, own.astype(np.int64)) for modulus, own in zip(moduli, whole, strict=True)])


class Encryptor:
    """A phone: it knows the public key alone.

    Args:
        parameters: of the sum.
        public: from the key holder.

    Raises:
        ConfigError: TenSEAL is not installed.
    """

    def __init__(self, parameters: EncryptionParameters, public: Sequence[bytes]) -> None:
        self._parameters, self._contexts = parameters, _read_public(public)

    def encrypt(self, update: NDArray[np.int64]) -> list[list[bytes]]:
        """Ciphertexts of an update, as they are sent.

        Args:
            update: int64 [coordinates] in fixed-point steps.

        Raises:
            InputError: a coordinate is larger than the parameters allow.
        """
        parameters, ts = self._parameters, _tenseal()
        if int(np.abs(update).max(initial=0)) > parameters.largest:
            bound = f"coordinates within {parameters.largest} fixed-point steps"
            raise InputError(expected("an update to encrypt", bound, "a larger one"))
        if parameters.scheme == "ckks":
            scaled = update / float(parameters.largest)
            return [[ts.ckks_vector(self._contexts[0], block).serialize() for block in self._blocks(scaled)]]
        return [
            [ts.bfv_vector(context, block).serialize() for block in self._blocks(limb.residues)]
            for context, limb in zip(self._contexts, to_limbs(update, parameters.plain_moduli), strict=True)
        ]

    def _blocks(self, values: NDArray[Any]) -> Iterator[NDArray[Any]]:
        slots = self._parameters.slots
        return (values[begin : begin + slots] for begin in range(0, len(values), slots))


class EncryptedSum:
    """The server: it adds what it cannot read.

    Args:
        parameters: of the sum.
        public: from the key holder.

    Attributes:
        count: updates added.

    Raises:
        ConfigError: TenSEAL is not installed.
    """

    def __init__(self, parameters: EncryptionParameters, public: Sequence[bytes]) -> None:
        self._parameters, self._contexts = parameters, _read_public(public)
        self._sums: list[list[Any]] = []
        self.count = 0

    def add(self, encrypted: Ciphertexts) -> None:
        """Add one phone's update; one that is refused changes nothing.

        Args:
            encrypted: by `Encryptor.encrypt`.

        Raises:
            InputError: these are no ciphertexts of these parameters, not as many as in the sum, or of too many phones.
        """
        if self.count >= self._parameters.phones:
            raise InputError(expected("an encrypted sum", f"at most {self._parameters.phones} updates", "another"))
        if len(encrypted) != self._parameters.limbs:
            raise InputError(expected("an encrypted update", f"{self._parameters.limbs} limbs", len(encrypted)))
        vectors = [
            _vectors(self._parameters, context, blocks)
            for context, blocks in zip(self._contexts, encrypted, strict=True)
        ]
        sizes = [[vector.size() for vector in limb] for limb in vectors]
        if any(own != sizes[0] for own in sizes) or (
            self._sums and sizes != [[vector.size() for vector in limb] for limb in self._sums]
        ):
            raise InputError(expected("an encrypted update", "blocks of the sizes of the first one's", "others"))
        if not self._sums:
            self._sums = vectors
        else:
            for limb, own in zip(self._sums, vectors, strict=True):
                for block, other in zip(limb, own, strict=True):
                    block.add_(other)
        self.count += 1

    def total(self) -> list[list[bytes]]:
        """Ciphertexts of the sum, for the key holder."""
        return [[block.serialize() for block in limb] for limb in self._sums]


def _read_public(public: Sequence[bytes]) -> list[Any]:
    ts = _tenseal()
    return [ts.context_from(data, n_threads=1) for data in public]


def _vectors(parameters: EncryptionParameters, context: Any, blocks: Sequence[bytes]) -> list[Any]:
    ts = _tenseal()
    read = ts.bfv_vector_from if parameters.scheme == "bfv" else ts.ckks_vector_from
    try:
        vectors = [read(context, block) for block in blocks]
    except (ValueError, RuntimeError, IndexError) as error:  # SEAL's checks of what it reads
        what = f"ciphertexts under the {parameters.scheme.upper()} parameters agreed on"
        raise InputError(expected("an encrypted update", what, "something else")) from error
    if not vectors or any(vector.size() > parameters.slots for vector in vectors):
        raise InputError(expected("an encrypted update", f"blocks of at most {parameters.slots} coordinates", "others"))
    return vectors
