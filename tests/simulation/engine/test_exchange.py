"""What is said of a message that no host answers; faults of machines are in `test_faults`."""

import pytest
from flwr.app import Error, Message, RecordDict

from client_model.learning.trainers import NoKernelError
from simulation.engine import exchange as module
from simulation.engine.exchange import exchange
from simulation.engine.failures import EngineError
from simulation.engine.node_text import NodeTextError

SAID = "metric mine: expected the count odd, found KeyError at mine.py:3"
REASON = (
    "<class 'ray.exceptions.RayTaskError'>:<'ray::run()\\n  File x, line 3\nException ClientAppException occurred. "
)


class Failing:
    """A grid of one node, whose host raises."""

    def __init__(self, reason):
        self.reason, self.sent = reason, []

    def get_node_ids(self):
        return [1]

    def push_messages(self, messages):
        for message in messages:
            message.metadata.__dict__["_message_id"] = f"m{len(self.sent)}"
            self.sent.append(message)
        return [message.metadata.message_id for message in messages]

    def pull_messages(self, ids):
        asked = [message for message in self.sent if message.metadata.message_id in ids]
        return [Message(Error(code=1, reason=self.reason), reply_to=message) for message in asked]


@pytest.mark.parametrize(
    ("reason", "found"),
    [
        (f"{REASON}Message: {SAID}'>", SAID),
        ("<class 'ray.exceptions.RayTaskError'>:<'KeyError: 3'>", "<class .*KeyErro"),
    ],
)
def test_what_the_host_said_is_said_without_words_around_it(monkeypatch, reason, found):
    monkeypatch.setattr(module, "_FIRST_PAUSE_S", 0.0)
    message = Message(RecordDict(), dst_node_id=1, message_type="evaluate")
    with pytest.raises(EngineError, match=f"^a host: expected an answer in 6 attempts, found {found}"):
        list(exchange(Failing(reason), [message], timeout_s=10.0))


class Deployed(Failing):
    """SuperNodes under a SuperLink: each answers with a given error, or, once there is no error left, well."""

    def __init__(self, *reasons, nodes=((1, 2),)):
        super().__init__("")
        self.reasons, self.nodes = list(reasons), list(nodes)

    def get_node_ids(self):
        return self.nodes.pop(0) if len(self.nodes) > 1 else self.nodes[0]

    def pull_messages(self, ids):
        asked = [message for message in self.sent if message.metadata.message_id in ids]
        errors = [self.reasons.pop(0) if self.reasons else None for _ in asked]
        return [
            Message(RecordDict() if error is None else Error(code=1, reason=error), reply_to=message)
            for message, error in zip(asked, errors, strict=True)
        ]


GONE = "Error: Node Unavailable: no heartbeat"  # Flower's text is of this form: no class in it


def asked_of(grid, timeout_s=10.0, node=1):
    list(exchange(grid, [Message(RecordDict(), dst_node_id=node, message_type="train")], timeout_s))
    return [message.metadata.dst_node_id for message in grid.sent]


def test_a_message_of_a_supernode_that_is_gone_goes_to_another(monkeypatch):
    monkeypatch.setattr(module, "_FIRST_PAUSE_S", 0.0)
    assert asked_of(Deployed(GONE, nodes=[(1, 2), (2,)])) == [1, 2]


def test_without_a_supernode_a_message_waits_until_one_is_there(monkeypatch):
    monkeypatch.setattr(module, "_NO_NODE_PAUSE_S", 0.0)
    assert asked_of(Deployed(nodes=[(), (), (7,)])) == [7]


def test_and_not_for_ever(monkeypatch):
    monkeypatch.setattr(module, "_NO_NODE_PAUSE_S", 0.0)
    with pytest.raises(EngineError, match=r"^the hosts: expected answers within 0\.05 s, found none to 1 messages$"):
        asked_of(Deployed(nodes=[()]), timeout_s=0.05)


def test_what_a_supernode_raised_is_said_without_flowers_words(monkeypatch):
    monkeypatch.setattr(module, "_FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(module, "_ATTEMPTS", 2)
    reason = "<class 'builtins.ValueError'>:<'a cause\nof two lines'>"
    with pytest.raises(EngineError, match=r"^a host: expected an answer in 2 attempts, found of two lines$"):
        asked_of(Deployed(*[reason] * 3))


@pytest.mark.parametrize("kind", [NodeTextError, NoKernelError])
def test_a_supernode_without_the_text_or_the_kernel_is_not_asked_again(kind):
    grid = Deployed(f"<class '{kind.__module__}.{kind.__name__}'>:<'a node's text: expected X, found Y'>")
    with pytest.raises(EngineError, match=r"^SuperNode 1: expected an answer, found a node's text: expected X, .* Y$"):
        asked_of(grid)
    assert len(grid.sent) == 1
