"""The most that a core could train or score: the roofline that `of the limit` refers to.

    seconds a token = max(operations / product rate + V * seconds of a logit's softmax, bytes / stream bandwidth)

* operations: those of the matrix products, 6 a weight and token in training (2 in scoring); see `flop_per_token`;
* product rate: the best square float32 product of a core, whichever library has it;
* softmax: TensorFlow's over V columns, of a few rows that stay in the cache or of a batch, whichever is faster. Each
  logit takes part in one. It adds to the products, since both need the same units of the core;
* bytes: each weight is read once and written once for every batch (read only, in scoring). Logits and what belongs to
  time steps count as nothing, since a kernel could keep blocks of them in the cache;
* stream bandwidth: what copying or adding vectors moves at best, reads and writes counted, whether they are far larger
  than any cache or as large as the model, which a cache may hold from batch to batch.

That of compute and memory which takes longer counts, as in Williams, Waterman and Patterson, "Roofline: an insightful
visual performance model for multicore architectures", Communications of the ACM 52(4), 2009: a core can do both at a
time. Each part is the least that it can be, and what the gates cost is left out, so the limit is one from above: where
it errs, a kernel looks further from it than it is. Only a softmax faster than TensorFlow's would bring a kernel nearer
than it should.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class CoreRates:
    """What one core reaches at best.

    Attributes:
        product_flops: float32 operations a second in a matrix product.
        softmax_s: seconds of a softmax for each of its columns.
        stream_bytes_s: bytes a second between memory and core.
    """

    product_flops: float
    softmax_s: float
    stream_bytes_s: float


@dataclass(frozen=True)
class TokenCost:
    """What one token needs at least.

    Attributes:
        flop: operations of products.
        columns: logits.
        bytes: between memory and core.
    """

    flop: float
    columns: int
    bytes: float

    def seconds(self, rates: CoreRates) -> dict[str, float]:
        """Seconds a token by part; see `least_seconds`."""
        return {
            "products": self.flop / rates.product_flops,
            "softmax": self.columns * rates.softmax_s,
            "memory": self.bytes / rates.stream_bytes_s,
        }


def least_seconds(parts: Mapping[str, float]) -> float:
    """Seconds a token of the roofline: compute or memory, whichever takes longer.

    Args:
        parts: as `TokenCost.seconds` has them, in any unit of time.
    """
    return max(parts["products"] + parts["softmax"], parts["memory"])


def bytes_per_token(weights: int, batches: int, tokens: int, passes: int = 2) -> float:
    """Float32 weights that go through memory for one token.

    Args:
        weights: of the model.
        batches: of one phone.
        tokens: of one phone.
        passes: over all weights for a batch: read and written in training, 2; read alone in scoring, 1.
    """
    return passes * 4 * weights * batches / tokens
