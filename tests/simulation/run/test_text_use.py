"""What phones wrote, what they keep, and what those that took part keep, add up as one counts them."""

import numpy as np

from client_model.text.kept_text import KeptText, Limits
from client_model.text.synthetic_text import SyntheticPopulation
from simulation.run.text_use import text_use


def test_each_part_is_what_single_phones_add_up_to():
    written, training = SyntheticPopulation(1, 12), np.arange(1, 11)
    took_part = np.arange(12) % 2 == 0
    kept = KeptText(written, Limits(tokens=30), np.ones(12, bool))
    lengths = [written.message_lengths(phone) for phone in range(12)]
    left = [int(kept.message_lengths(phone).sum()) for phone in range(12)]
    found = text_use(kept, training, took_part)
    assert found.written_tokens == sum(int(lengths[phone].sum()) for phone in training)
    assert found.kept_tokens == sum(left[phone] for phone in training) < found.written_tokens
    assert found.used_tokens == sum(left[phone] for phone in (2, 4, 6, 8, 10))
    assert found.used_share == found.used_tokens / found.written_tokens
    whole = text_use(written, training, took_part)
    assert whole.kept_share == 1 and whole.written_tokens == found.written_tokens
    assert text_use(written, training[:0], took_part).used_share is None
