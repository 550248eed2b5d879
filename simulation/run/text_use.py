"""How much of the text a run made use of: what phones wrote, what they keep of it, and what those that trained keep."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client_model.text.kept_text import KeptText
from client_model.text.population import Population
from client_model.text.text_lengths import tokens_of_phones


@dataclass(frozen=True)
class TextUse:
    """Tokens of the phones that may train; with a limit of age, of what they keep on the first day."""

    written_tokens: int
    kept_tokens: int
    used_tokens: int  # of what is kept, on phones that took part

    @property
    def kept_share(self) -> float | None:
        """Of what was written, what is kept."""
        return self.kept_tokens / self.written_tokens if self.written_tokens else None

    @property
    def used_share(self) -> float | None:
        """Of what was written, what phones that took part keep."""
        return self.used_tokens / self.written_tokens if self.written_tokens else None


def text_use(population: Population, training: NDArray[np.int64], took_part: NDArray[np.bool_]) -> TextUse:
    """Add it up, without reading any text.

    Args:
        population: as phones keep it.
        training: ids of the phones that may train.
        took_part: bool [phones], those with an update in a sum.
    """
    kept = tokens_of_phones(population, training)  # [training]
    written = tokens_of_phones(population.all_text(), training) if isinstance(population, KeptText) else kept
    return TextUse(int(written.sum()), int(kept.sum()), int(kept[took_part[training]].sum()))
