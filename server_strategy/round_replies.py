"""What the hosts' answers to one round of training add up to."""

from collections.abc import Iterable
from logging import WARNING, getLogger
from typing import NamedTuple

import numpy as np
from flwr.app import Message
from numpy.typing import NDArray

from server_strategy.pooled_evaluation import as_list

_LOG = getLogger("typefleet")
_LISTS = ("phone-ids", "rejected-ids", "update-norm", "loss-sum", "tokens")


class RoundReplies(NamedTuple):
    """Answers of all hosts, joined; nothing in it depends on how phones were sharded."""

    total: NDArray[np.int64]  # [num_weights], the exact sum of the clipped updates
    reported: NDArray[np.int64]  # phones in the sum, sorted; the next three are in this order
    norms: NDArray[np.float64]  # of the updates before clipping
    loss_sums: NDArray[np.float64]
    tokens: NDArray[np.int64]
    rejected: NDArray[np.int64]  # phones whose update was not finite, sorted
    failed: NDArray[np.int64]  # phones whose training raised, sorted
    failure_causes: tuple[str, ...]  # one for each of `failed`

    @property
    def participants(self) -> NDArray[np.int64]:
        """All phones that count as having taken part.

        A rejected or failed phone added nothing to the sum but is counted, on the conservative side.
        """
        return np.concatenate([self.reported, self.rejected, self.failed])


def join_replies(replies: Iterable[Message], reporters: NDArray[np.int64], num_weights: int) -> RoundReplies:
    """Add up the sums and join the lists; a host that failed is logged, and its phones are missing.

    Raises:
        ValueError: a phone reported twice, or was not asked.
    """
    total = np.zeros(num_weights, np.int64)
    joined: dict[str, list] = {name: [] for name in _LISTS}
    causes: dict[int, str] = {}
    for reply in replies:
        if reply.has_error():
            _LOG.log(WARNING, "a host failed, its phones count as lost: %s", reply.error.reason)
            continue
        (values,) = reply.content.array_records["update-sum"].to_numpy_ndarrays()
        total += values
        metrics = reply.content.metric_records["metrics"]
        for name, values_of in joined.items():
            values_of.extend(as_list(metrics[name]))
        failed = as_list(metrics.get("failed-ids", []))
        if failed:
            causes.update(zip(failed, as_list(reply.content.config_records["failures"]["causes"]), strict=True))
    seen = np.array([*joined["phone-ids"], *joined["rejected-ids"], *causes], np.int64)
    if len(np.unique(seen)) != len(seen) or not np.isin(seen, reporters).all():
        raise ValueError("Expected each reporter at most once in the replies. Found another or a repeated phone.")
    order = np.argsort(np.array(joined["phone-ids"], np.int64))
    failed_ids = np.array(sorted(causes), np.int64)
    return RoundReplies(
        total,
        np.array(joined["phone-ids"], np.int64)[order],
        np.array(joined["update-norm"], np.float64)[order],
        np.array(joined["loss-sum"], np.float64)[order],
        np.array(joined["tokens"], np.int64)[order],
        np.array(sorted(joined["rejected-ids"]), np.int64),
        failed_ids,
        tuple(causes[int(phone)] for phone in failed_ids),
    )
