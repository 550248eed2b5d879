"""A Flower app of one's own with DPFedAvg, as docs/how-to/own-flower-app.md shows it: phones are arrays of numbers."""

import time

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from typefleet import (
    CohortConfig,
    DPFedAvg,
    EvaluateReply,
    EvaluateRequest,
    FixedPointSum,
    NoiseKey,
    NonFiniteUpdateError,
    PrivacyConfig,
    ServerOptimizerConfig,
    TrainReply,
    TrainRequest,
    UniformCohorts,
)

client, server = ClientApp(), ServerApp()


def numbers_of(phone: int, size: int) -> np.ndarray:
    """What a phone has: float32 [size], about 1."""
    return np.random.default_rng(phone).normal(1.0, 0.1, size).astype(np.float32)


@client.train()
def train(message: Message, context: Context) -> Message:
    """Train each phone of the message, clip its update and add it up; only the sum leaves."""
    request = TrainRequest.from_content(message.content)
    layers = [array.ravel() for array in request.arrays.to_numpy_ndarrays()]
    sizes = [layer.size for layer in layers] if request.clip_scope == "layer" else None
    start = np.concatenate(layers)  # [num_weights]
    total = FixedPointSum(start.size, request.clip_norm, sizes, request.longest_norm)
    summed, rejected = [], []
    for phone in request.phones.tolist():
        update = 0.5 * (numbers_of(phone, start.size) - start)  # of your training: float32 [num_weights]
        try:
            norm = total.add(update, request.update_weight)
        except NonFiniteUpdateError:
            rejected.append(phone)
            continue
        summed.append((phone, norm, float(np.square(update).sum()), 1))  # the loss, and how much it was trained on
    phones, norms, losses, tokens = np.array(summed).reshape(-1, 4).T
    reply = TrainReply(
        update_sum=total.values,
        phones=phones.astype(np.int64),
        norms=norms,
        loss_sums=losses,
        tokens=tokens.astype(np.int64),
        rejected=np.array(rejected, np.int64),
    )
    return Message(reply.to_content(), reply_to=message)


@client.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Count on each held-out phone; the strategy adds the counts up."""
    request = EvaluateRequest.from_content(message.content)
    weights = np.concatenate([array.ravel() for array in request.arrays.to_numpy_ndarrays()])
    errors = [float(np.abs(numbers_of(phone, weights.size) - weights).sum()) for phone in request.phones.tolist()]
    reply = EvaluateReply(phones=request.phones, counts={"error": np.array(errors)})
    return Message(reply.to_content(), reply_to=message)


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Four rounds of six phones out of sixty, by Flower's own loop."""
    strategy = DPFedAvg(
        UniformCohorts(goal=6),
        num_phones=60,
        cohort=CohortConfig(goal=6, min_separation_rounds=2),
        privacy=PrivacyConfig(clip_norm=1.0, noise_multiplier=0.05),
        optimizer=ServerOptimizerConfig("sgd", 1.0),
        noise=NoiseKey.fresh(),
        rounds=4,
        evaluation_phones=np.arange(60, 70),
        metrics=lambda counts: {"mean-error": float(counts["error"]) / (10 * 20)},
    )
    while not list(grid.get_node_ids()):  # the strategy wants a host that is connected
        time.sleep(0.1)
    start = ArrayRecord({"w": Array(np.zeros((4, 5), np.float32))})
    result = strategy.start(grid, start, num_rounds=4)
    print(strategy.spent(ended=True).epsilon, result.evaluate_metrics_clientapp[4]["mean-error"])
