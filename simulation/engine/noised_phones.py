"""The noise of simulated phones, on a host: what each adds to its clipped update before anything is added up.

A real phone draws its rounding and its noise itself, and tells nobody. These are simulated: all draws are of one key,
by purpose, round and phone, so that any host has the same phone, and a worker that is started again goes on.
"""

from dataclasses import dataclass, field

import numpy as np
from flwr.app import RecordDict
from numpy.typing import NDArray

from server_strategy.aggregation.noised_vectors import NoisedVectors
from server_strategy.privacy.distributed_noise.encoding import PhoneEncoder
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.protocol_of_sums import noise_key_of, phone_noise_of
from server_strategy.update_sum import FixedPointSum, to_float


@dataclass
class NoisedPhones:
    """The phones of a run, as far as their noise goes.

    Attributes:
        form: of their vectors.
        key: of their draws.
    """

    form: NoisedVectors
    key: NoiseKey
    _encoder: PhoneEncoder = field(init=False)

    def __post_init__(self) -> None:
        self._encoder = PhoneEncoder(self.form.noise, self.key, self.form.rotation_seed)

    def numbers(self, own: FixedPointSum, server_round: int, phone: int) -> NDArray[np.int64]:
        """What a phone adds up to its update, before any modulus: int64 [numbers].

        Args:
            own: the phone's update alone, clipped.
            server_round, phone: whose draws they are.
        """
        clipped = np.zeros(self.form.noise.dimension)  # [dimension], over the clip norm
        values = own.values
        clipped[: len(values)] = to_float(values, 1.0)
        return self._encoder.whole_numbers(clipped, server_round, phone, clip_norm=1.0)


_noised: list[NoisedPhones] = []  # of the run at hand


def noised_phones_of(content: RecordDict) -> NoisedPhones | None:
    """The phones that a message asks to train, if they are to add the noise.

    Raises:
        ProtocolError: it does not say how, or by which key.
    """
    form = phone_noise_of(content)
    if form is None:
        return None
    key = noise_key_of(content)
    if not _noised or (_noised[0].form, _noised[0].key) != (form, key):
        _noised[:] = [NoisedPhones(form, key)]
    return _noised[0]
