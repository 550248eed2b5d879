"""One round's work, split into requests, and these into messages to the nodes."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from flwr.app import Message, MessageType
from numpy.typing import NDArray

from server_strategy.aggregators import Aggregator, Line
from server_strategy.cohorts import RoundPlan, balanced_shards
from server_strategy.model_versions import ModelVersions
from server_strategy.node_messages import dealt_out
from server_strategy.protocol import TrainRequest

_PHONES_A_MESSAGE = 1000  # about; what is lost with a worker, and the time without an answer, do not grow with a round
# A message takes 15 to 20 ms of both sides, whatever is in it. So a round of little work has as few as there are nodes,
# and one of much has more, which even out the pace of workers.
_TOKENS_A_MESSAGE, _MOST_FOR_PACE = 50_000, 4  # some two seconds of a core; messages of a node


def train_messages(
    current: TrainRequest,
    plan: RoundPlan,
    versions: ModelVersions,
    aggregator: Aggregator,
    line: Line,
    *,
    phones_per_message: int | None,
) -> list[Message]:
    """Begin the round with those who are to sum it, and write what its phones are trained by, dealt out to the nodes.

    Args:
        current, plan, versions, phones_per_message: as of `train_requests`.
        aggregator: says which phones may train, which may be added up, and what a host is sent.
        line: to the hosts, a message a node or more.
    """
    requests = train_requests(
        current,
        plan.only(aggregator.begin(current.server_round, plan, line)),
        versions,
        num_messages=len(line.nodes),
        phones_per_message=phones_per_message,
        groups=aggregator.groups(),
    )
    contents = [aggregator.content(request) for request in requests]
    return dealt_out(MessageType.TRAIN, contents, line.nodes, ttl_s=line.timeout_s)


def train_requests(
    current: TrainRequest,
    plan: RoundPlan,
    versions: ModelVersions,
    *,
    num_messages: int,
    phones_per_message: int | None = None,
    groups: Sequence[NDArray[np.int64]] | None = None,
) -> list[TrainRequest]:
    """What to ask of the hosts, message by message; phones whose updates are of the same round and weight go together.

    Args:
        current: what all phones would be asked at once, had they all begun now.
        plan: who reports, from which round's weights, and what each update counts.
        versions: the weights of earlier rounds.
        num_messages: at least one for each round, weight and group that there is, and about this many in all; up to
            four times as many where they would have more than 50,000 tokens, and any multiple of it where they would
            have more than a thousand phones.
        phones_per_message: most phones in a message, whatever their number comes to; None to leave it to the above.
        groups: phones that may be added up with each other alone, all reporters in one of them; None: all with all.
    """
    now, reports = current.server_round, len(plan.reporters)
    started = np.full(reports, now) if plan.started_round is None else plan.started_round
    weights = np.ones(reports) if plan.update_weight is None else plan.update_weight
    requests = []
    members = np.zeros(reports, np.int64)  # the number of each phone's group
    for number, phones in enumerate(groups or ()):
        members[np.isin(plan.reporters, phones)] = number
    for began, weight, group in sorted(set(zip(started.tolist(), weights.tolist(), members.tolist(), strict=True))):
        own = (started == began) & (weights == weight) & (members == group)
        share = max(1, round(num_messages * float(own.mean())))
        by_phones = -(-int(own.sum()) // (share * _PHONES_A_MESSAGE))
        by_tokens = -(-int(plan.tokens[own].sum()) // (share * _TOKENS_A_MESSAGE))
        share *= max(by_phones, min(by_tokens, _MOST_FOR_PACE))
        received = current.arrays if began == now else versions.of(began, current.arrays)
        for shard in balanced_shards(plan.reporters[own], plan.tokens[own], share, phones_per_message):
            request = replace(
                current,
                arrays=received,
                phones=shard,
                server_round=began,
                update_weight=weight,
                opened_s=plan.text_as_of_s,
            )
            requests.append(request)
    return requests
