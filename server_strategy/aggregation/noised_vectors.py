"""What phones hand in that add the noise themselves, and what the server makes of the sum.

    update   rotated, scaled, rounded, with the phone's share of the noise: whole numbers modulo 2^bits
    tail     the four figures that go with an update, see `vector`, in a ring of their own that holds their sum

The sum of updates is a noised one as it arrives. It may wrap around in a coordinate: then what is read is wrong by
2^bits units, which costs accuracy and never privacy. Only who has the sum before any modulus can count such
coordinates.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server_strategy.aggregation.masks import Ring
from server_strategy.aggregation.vector import TAIL, SumError, UpdateTotals, read_tail, ring_for
from server_strategy.privacy.distributed_noise.encoding import estimate_sum
from server_strategy.privacy.distributed_noise.phone_noise import PhoneNoise
from server_strategy.privacy.distributed_noise.ring import from_ring, to_ring, wrapped_around
from typefleet.errors import expected


@dataclass(frozen=True)
class NoisedSum:
    """A sum of phones' vectors, read.

    Attributes:
        residues: int64 [numbers], the sum of the updates modulo 2^bits, around 0.
        sums: of what goes with the updates.
        update: float64 [num_weights], the noised sum of the updates in units of the clip norm.
        wrapped: coordinates that are not read as what they are; None where nobody knows the sum before the modulus.
    """

    residues: NDArray[np.int64]
    sums: UpdateTotals
    update: NDArray[np.float64]
    wrapped: int | None


@dataclass(frozen=True)
class NoisedVectors:
    """The form of the vectors of a run.

    Attributes:
        noise: as the phones of the run carry it.
        rotation_seed: of the signs, which everybody knows.
        is_modelled: the run has fewer phones than its noise is for, so that its sum is smaller than theirs in the ring.
    """

    noise: PhoneNoise
    rotation_seed: int
    is_modelled: bool = False

    @property
    def length(self) -> int:
        """Numbers of a vector."""
        return self.noise.padded + TAIL

    def ring(self, most_reports: int) -> Ring:
        """What vectors are added in.

        Args:
            most_reports: of a round.
        """
        return noised_ring(self.noise.bits, most_reports)

    def within(self, vector: NDArray[np.int64]) -> NDArray[np.int64]:
        """A vector with the numbers of its update taken modulo 2^bits, around 0: what a phone sends. A copy."""
        bits = self.noise.bits
        return np.concatenate([from_ring(to_ring(vector[:-TAIL], bits), bits), vector[-TAIL:]])

    def read(
        self, total: NDArray[np.int64], num_weights: int, server_round: int, *, reports: int, is_whole: bool
    ) -> NoisedSum:
        """What a sum of vectors says.

        Args:
            total: int64 [length].
            num_weights: of the model.
            server_round: in which the phones began.
            reports: vectors in it.
            is_whole: the sum of the updates was not taken modulo 2^bits.

        Raises:
            SumError: it is none of so many vectors, as where masks are left in it.
        """
        if total.shape != (self.length,) or num_weights > self.noise.dimension:
            found = f"{list(total.shape)}, for {num_weights} weights"
            raise SumError(expected("a sum of vectors", f"[{self.length}]", found))
        sums, whole = read_tail(total[-TAIL:], reports), total[:-TAIL]
        residues = self.within(total)[:-TAIL]
        counts = is_whole and not self.is_modelled
        update = estimate_sum(self.noise, residues, server_round, rotation_seed=self.rotation_seed, clip_norm=1.0)
        wrapped = wrapped_around(whole, self.noise.bits) if counts else None
        return NoisedSum(residues, sums, update[:num_weights], wrapped)

    def facts(self, most_reports: int, wrapped: int | None, is_whole: bool) -> dict[str, object]:
        """What the record of a round says of the vectors.

        Args:
            most_reports: of a round.
            wrapped: coordinates that are not read as what they are.
            is_whole: the sum before the modulus is known.
        """
        why = None
        if not is_whole:
            why = "null: the sum before the modulus is known to nobody"
        elif self.is_modelled:
            why = "null: the sum of fewer phones than the noise is for does not fill the ring as theirs would"
        elif wrapped is None:
            why = "null: there is no sum"
        said = {"noise_place": "phones", "bits": self.noise.bits}
        return {
            **said,
            "vector_bytes": self.ring(most_reports).packed_bytes(self.length),
            "wrapped_coordinates": wrapped,
            **({} if why is None else {"wrapped_coordinates_why": why}),
        }


def noised_ring(bits: int, most_reports: int) -> Ring:
    """The ring of the update's numbers, with that of the figures behind them.

    Args:
        bits: of a number of the update.
        most_reports: of a round.
    """
    return Ring(bits, tail=TAIL, tail_bits=ring_for(most_reports).bits)
