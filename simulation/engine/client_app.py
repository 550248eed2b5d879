"""The Flower ClientApp: a host that trains or evaluates the phones named in a message.

A host is not a phone. It receives the weights once, trains its phones from them, one after another or several at once,
clips each update, and answers with one exact sum (`server_strategy.update_sum`). A phone whose
training raises, or whose update is not finite, is left out and named; it does not spoil the sum.

This module must be importable by name: code that lives in `__main__` is rebuilt for every message
and would be traced anew each time.
"""

import math
import os
import sys
from collections.abc import Callable

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from client_model.config import TENSORFLOW
from client_model.learning.accelerator import leave_gpus_alone, use_gpu
from client_model.metrics.table import stacked
from client_model.quiet import restore_keras_switch
from server_strategy.protocol import Briefing, EvaluateReply, EvaluateRequest, TrainRequest
from server_strategy.protocol_of_sums import STEP_ACTION
from server_strategy.update_sum import FixedPointSum
from simulation import start_up
from simulation.engine.host_task import HostTask
from simulation.engine.memory import reuse_large_blocks
from simulation.engine.node_text import OwnText
from simulation.engine.noised_phones import noised_phones_of
from simulation.engine.phone_groups import trained_phones
from simulation.engine.phone_host import PhoneHost, host_for
from simulation.engine.phone_steps import masks_of, take_steps
from simulation.engine.profile import HostClock
from simulation.engine.shard import ToldShard
from simulation.engine.summed_shard import MaskedShard, NoisedRound, SummedShard
from typefleet.own_parts import calling

app = ClientApp()


_TENSORFLOWS_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
_open_hosts: list[bool] = []  # threads can be set only once, before TensorFlow's first operation


def _open(briefing: Briefing, context: Context) -> PhoneHost:
    """The host that a message is for, on this node."""
    start_up.since_the_last("wait", "for Ray and its first message")
    if not _open_hosts:
        restore_keras_switch()  # of a worker that was started again, too
        _set_tensorflow_up(HostTask.from_json(briefing.task))
        reuse_large_blocks()
        _open_hosts.append(True)
    with calling("a host", "to be set up"), start_up.first("prepare", "text and model"):
        return host_for(briefing.task, OwnText.told(context.node_config), briefing.text_key)


def _set_tensorflow_up(task: HostTask) -> None:
    """Keep TensorFlow to one thread, and to the device of the run: of a kernel, or of somebody's own parts."""
    os.environ.update(dict.fromkeys(_TENSORFLOWS_THREADS, "1"))
    if task.group is not None and task.group.device == "gpu":
        use_gpu()
    else:
        leave_gpus_alone()
    if task.kernel == TENSORFLOW or task.group is not None or "tensorflow" in sys.modules:
        from client_model.learning.local_training import limit_threads  # with TensorFlow

        limit_threads(1)


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train the phones of a shard."""
    clock = HostClock()
    request = TrainRequest.from_content(message.content)
    host = _open(request.briefing, context)
    received = host.load(request.arrays.to_numpy_ndarrays())
    shard = _shard(message, request, lambda: _empty_sum(request, host))
    host.expect(request.phones.tolist())
    clock.lap("decode")
    with start_up.first("phones", "trains phones"):
        for phone, result in trained_phones(host, received, request, clock):
            shard.add(phone, result, request.update_weight)
            clock.lap("clip_and_sum")
    reply = shard.reply(clock.profile() if request.briefing.profile else None)
    return Message(reply.to_content(), reply_to=message)


def _shard(
    message: Message, request: TrainRequest, empty: Callable[[], FixedPointSum]
) -> ToldShard | SummedShard | MaskedShard:
    """What the phones of a message are added to, as the server asks for it."""
    if request.aggregation == "none":
        return ToldShard(empty())
    phones = noised_phones_of(message.content)
    noised = None if phones is None else NoisedRound(phones, request.server_round, empty)
    if request.aggregation == "secagg":
        return MaskedShard(empty, masks_of(message.content), noised)
    return SummedShard(empty(), noised=noised)


@app.query(STEP_ACTION)
def aggregation_step(message: Message, context: Context) -> Message:
    """Let the phones of a message take their next step of secure aggregation."""
    return Message(take_steps(message.content).to_content(), reply_to=message)


def _empty_sum(request: TrainRequest, host: PhoneHost) -> FixedPointSum:
    shape = host.task.shape
    layers = [math.prod(sizes) for sizes in shape.weight_shapes().values()]
    by_layer = layers if request.clip_scope == "layer" else None
    return FixedPointSum(shape.num_weights, request.clip_norm, by_layer, request.longest_norm)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Score the held-out phones of a shard, unit by unit.

    A unit's phones share batches, which is several times faster than one by one. The last bits of a
    product may depend on its size, so the units are the strategy's and not the engine's.
    """
    request = EvaluateRequest.from_content(message.content)
    host = _open(request.briefing, context)
    received = host.load(request.arrays.to_numpy_ndarrays())
    with calling("a host", "phones that can be scored"), start_up.first("phones", "scores phones"):
        counts = [own for unit in request.units() for own in host.score(received, unit.tolist())]
    return Message(EvaluateReply(phones=request.phones, counts=stacked(counts)).to_content(), reply_to=message)
