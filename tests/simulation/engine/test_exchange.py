"""What is said of a message that no host answers; faults of machines are in `test_faults`."""

import pytest
from flwr.app import Error, Message, RecordDict

from simulation.engine import exchange as module
from simulation.engine.exchange import exchange
from simulation.engine.failures import EngineError

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
        exchange(Failing(reason), [message], timeout_s=10.0)
