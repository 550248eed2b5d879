"""What phones keep as simulated days go by: who has any text to train on, and how much."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client_model.text.kept_text import KeptText
from client_model.text.population import Population
from simulation.clock import DAY_S


@dataclass
class SlidingText:
    """Phones whose text has a limit of age; see `client_model.text.kept_text`."""

    kept: KeptText  # on the day that was last asked about
    tokens_of: Callable[[Population, NDArray[np.int64], int], NDArray[np.int64]]  # (text, phones, round)

    def has_text(self, phones: NDArray[np.int64], now_s: float) -> NDArray[np.bool_]:
        """Whether phones keep any message: bool [len(phones)].

        Args:
            phones: ids.
            now_s: simulated time.
        """
        has: NDArray[np.bool_] = self._on(now_s).has_text()[phones]
        return has

    def training_tokens(self, phones: NDArray[np.int64], server_round: int, now_s: float) -> NDArray[np.int64]:
        """Tokens that each would train on: int64 [len(phones)].

        Args:
            phones: ids.
            server_round: in which they train.
            now_s: simulated time at which they begin.
        """
        return self.tokens_of(self._on(now_s), phones, server_round)

    def _on(self, now_s: float) -> KeptText:
        self.kept = self.kept.on_day(int(now_s // DAY_S))
        return self.kept
