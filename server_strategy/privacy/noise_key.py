"""The key of a run's noise: who has it can take the noise away, so it is either secret or said to be known.

A draw is a function of (key, purpose, release, tensor, level, attempt): a run that goes on after a crash
repeats its releases bit for bit, and no two releases, tensors, levels or purposes share a draw. The state
of a counter-based generator (Philox, Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) is
a digest of all of them, so that what one draw may reveal of its generator says nothing of another's.

A *seeded* key is a number that anybody can try. A *secret* key is 256 bits from the operating system, bound
to one run: of the same bits another run makes other noise.
"""

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from typefleet.errors import expected

NoiseSource = Literal["secret", "seeded"]
SECRET_BYTES = 32

_PERSON = b"typefleet noise"  # these digests are of no other use of the same secret


@dataclass(frozen=True)
class NoiseKey:
    """Key of all draws of one run; made by `fresh`, `secret` or `seeded`.

    Attributes:
        source: "secret", or "seeded" where epsilon holds only against those who do not know the seed.
    """

    source: NoiseSource
    _key: bytes | int = field(repr=False)

    @staticmethod
    def fresh() -> "NoiseKey":
        """A secret key that ends with the process: such noise cannot be repeated, by a resume neither."""
        return NoiseKey.secret(secrets.token_bytes(SECRET_BYTES), b"")

    @staticmethod
    def secret(secret: bytes, bound_to: bytes) -> "NoiseKey":
        """The key that a secret gives one run.

        Args:
            secret: 32 bytes from the operating system.
            bound_to: what the run is, of any length; another run's key is independent of this one's.

        Raises:
            ValueError: a secret of another length.
        """
        if len(secret) != SECRET_BYTES:
            raise ValueError(expected("secret", f"{SECRET_BYTES} bytes", f"{len(secret)}"))
        return NoiseKey("secret", hashlib.blake2b(bound_to, key=secret, digest_size=32, person=_PERSON).digest())

    @staticmethod
    def seeded(seed: int) -> "NoiseKey":
        """The key that a number gives, to everybody who has it or tries it."""
        return NoiseKey("seeded", int(seed))

    def of_life(self, life: int) -> "NoiseKey":
        """Key of the noise of a later life of the run, once phones were forgotten: independent of those before.

        Args:
            life: counted from 0, the first.
        """
        if not life:
            return self
        said = repr((self._key, int(life))).encode()
        return NoiseKey(self.source, hashlib.blake2b(said, digest_size=SECRET_BYTES, person=b"life of a run").digest())

    def of_phones(self) -> "NoiseKey":
        """Key of the noise that simulated phones add: independent of this one, which nobody has who has that."""
        digest = hashlib.blake2b(repr(self._key).encode(), digest_size=SECRET_BYTES, person=b"noise of phones")
        return NoiseKey(self.source, digest.digest())

    def exported(self) -> tuple[bytes, str]:
        """A key of phones as it travels to where they are simulated: (32 bytes, source).

        Raises:
            ValueError: it is a number.
        """
        if isinstance(self._key, int):
            raise ValueError(expected("a key", "one of phones", "a number"))
        return self._key, self.source

    @staticmethod
    def imported(key: object, source: object) -> "NoiseKey":
        """Inverse of `exported`.

        Raises:
            ValueError: it is none.
        """
        if not (isinstance(key, bytes) and len(key) == SECRET_BYTES and source in get_args(NoiseSource)):
            raise ValueError(expected("a key of phones", f"{SECRET_BYTES} bytes and their source", "another"))
        return NoiseKey("seeded" if source == "seeded" else "secret", key)

    def check(self) -> str:
        """A digest that tells whether two secret keys are the same, and nothing else of them."""
        return hashlib.blake2b(repr(self._key).encode(), digest_size=16, person=b"check of a key").hexdigest()

    def generator(
        self, release: int, tensor: int, level: int = 0, purpose: str = "noise", attempt: int = 0
    ) -> np.random.Generator:
        """The generator of the draws of one tensor in one release.

        Args:
            release: counted from 0.
            tensor: index of it.
            level: which of several draws of the tensor in this release.
            purpose: of the query; those side by side have different ones.
            attempt: counts, from 1, further sums that are released in the place of the same release.
        """
        place = (purpose, int(release), int(tensor), *([int(level)] if level or attempt else []))
        place = (*place, int(attempt)) if attempt else place
        if isinstance(self._key, int):
            digest = hashlib.blake2b(repr((self._key, *place)).encode(), digest_size=32).digest()
            seed = np.random.SeedSequence(int.from_bytes(digest, "little"))
            return np.random.Generator(np.random.Philox(seed))
        digest = hashlib.blake2b(repr(place).encode(), key=self._key, digest_size=32, person=_PERSON).digest()
        words = np.frombuffer(digest, "<u8")
        # Half of the digest is the cipher's key, the other half says where the counter starts.
        return np.random.Generator(np.random.Philox(key=words[:2], counter=[0, 0, *words[2:]]))
