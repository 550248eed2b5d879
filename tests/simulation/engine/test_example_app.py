"""The Flower app that the docs show: it runs by Flower's own loop, and the docs show that and no other."""

import re

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict

from server_strategy.protocol import TrainReply, TrainRequest
from server_strategy.update_sum import to_float
from tests.conftest import ROOT
from tests.simulation.engine import example_app
from tests.simulation.engine_in_process import GridInProcess


@pytest.fixture
def context():
    return Context(0, 1, {}, RecordDict(), {})


def test_the_page_shows_the_example():
    (shown,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs/how-to/own-flower-app.md").read_text("utf-8"), re.DOTALL
    )
    _, code = (ROOT / "tests/simulation/engine/example_app.py").read_text("utf-8").split('"""\n\n', 1)
    assert shown == code


def test_flowers_own_loop_trains_it(context, capsys):
    grid = GridInProcess(example_app.client)
    example_app.main(grid, context)
    epsilon, error = map(float, capsys.readouterr().out.split()[-2:])
    assert epsilon > 1 and 0 < error < 0.8  # from 1 at the start towards 0.08, what phones differ by


@pytest.mark.parametrize("scope", ["update", "layer"])
def test_what_it_answers_keeps_to_the_request(monkeypatch, context, scope):
    numbers = {1: np.full(20, 0.2, np.float32), 2: np.full(20, np.nan, np.float32), 3: np.full(20, 9.0, np.float32)}
    monkeypatch.setattr(example_app, "numbers_of", lambda phone, size: numbers[phone])
    arrays = ArrayRecord({"a": Array(np.zeros(8, np.float32)), "b": Array(np.zeros(12, np.float32))})
    phones = np.array([3, 2, 1])
    request = TrainRequest(
        arrays=arrays, phones=phones, server_round=1, clip_norm=0.1, clip_scope=scope, longest_norm=5.0
    )
    message = Message(request.to_content(), 1, "train")
    message.metadata.__dict__["_message_id"] = "m"
    reply = TrainReply.from_message(example_app.train(message, context), phones, 20)
    assert reply.phones.tolist() == [3, 1] and reply.rejected.tolist() == [2]
    found = to_float(reply.update_sum, 0.1)  # phone 3's is longer than 5, and counts as zeros
    whole = np.full(20, 0.1 / np.sqrt(20))
    by_layer = np.repeat([0.1 / np.sqrt(2 * 8), 0.1 / np.sqrt(2 * 12)], [8, 12])
    np.testing.assert_allclose(found, whole if scope == "update" else by_layer, rtol=1e-6)
