"""What is said of a message that no host answers; faults of machines are in `test_faults`."""

import gc
import weakref

import numpy as np
import pytest
from flwr.app import ConfigRecord, Error, Message, RecordDict

from client_model.learning.trainers import NoKernelError
from server_strategy.node_messages import with_one_left
from server_strategy.protocol import TrainReply
from server_strategy.protocol_of_sums import SummedReply
from server_strategy.round_replies import join_replies, join_summed_replies
from simulation.engine import exchange as module
from simulation.engine.exchange import exchange
from simulation.engine.failures import EngineError
from simulation.engine.flower_on_ray import EngineGrid
from simulation.engine.node_text import NodeTextError
from simulation.engine.profile import Stopwatch, timed_replies

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


class Clock:
    """In the place of `time`: a second passes whenever somebody sleeps."""

    now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, _):
        self.now += 1.0


class Working(Failing):
    """Each node answers the first of its messages at each look, and the first answer of a message may be an error."""

    def __init__(self, nodes, errors=()):
        super().__init__("")
        self.nodes, self.errors, self.open, self.most, self.answered = nodes, set(errors), {}, 0, 0

    def get_node_ids(self):
        return range(self.nodes)

    def push_messages(self, messages):
        ids = super().push_messages(messages)
        self.open |= dict(zip(ids, messages, strict=True))
        of_each = [message.metadata.dst_node_id for message in self.open.values()]
        self.most = max(self.most, *(of_each.count(node) for node in range(self.nodes)), 0)
        return ids

    def pull_messages(self, ids):
        assert set(ids) == self.open.keys()
        first = {message.metadata.dst_node_id: name for name, message in reversed(self.open.items())}
        return [self._answer(self.open.pop(name)) for name in first.values()]

    def _answer(self, message):
        number = message.content["number"]["n"]
        if number in self.errors:
            self.errors.remove(number)
            return Message(Error(code=1, reason=GONE), reply_to=message)
        self.answered += 1
        return Message(message.content, reply_to=message)


def numbered(messages, nodes):
    return [
        Message(RecordDict({"number": ConfigRecord({"n": n})}), dst_node_id=n % nodes, message_type="train")
        for n in range(messages)
    ]


@pytest.mark.parametrize("nodes", [1, 3, 8])
@pytest.mark.parametrize("messages", [1, 7, 40])
@pytest.mark.parametrize("errors", [(), (0, 2, 5)])
def test_a_node_has_two_messages_at_most_and_answers_are_given_as_they_come(monkeypatch, nodes, messages, errors):
    monkeypatch.setattr(module, "time", Clock())
    grid, seen = Working(nodes, errors), []
    for answer in exchange(grid, numbered(messages, nodes), timeout_s=30.0):
        seen.append(answer.content["number"]["n"])
        assert grid.answered - len(seen) < nodes  # the others are in hand
    assert sorted(seen) == list(range(messages))
    assert grid.most == min(2, -(-messages // nodes))


def test_whoever_answers_may_take_long_together(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    assert len(list(exchange(Working(1), numbered(50, 1), timeout_s=3.0))) == 50
    assert clock.now > 3.0


def test_messages_of_a_node_that_is_gone_go_to_whoever_has_least_to_do(monkeypatch):
    monkeypatch.setattr(module, "time", Clock())
    grid = Working(3)
    assert len(list(exchange(grid, numbered(12, 6), timeout_s=30.0))) == 12
    assert grid.most == 2 and {message.metadata.dst_node_id for message in grid.sent} == {0, 1, 2}


class OnRay(Working, EngineGrid):
    """As a grid of the engine, whose workers have several nodes each."""

    def __init__(self, nodes, hosts_per_worker):
        EngineGrid.__init__(self, lambda: None)
        Working.__init__(self, nodes)
        self.hosts_per_worker = hosts_per_worker

    def wait_for_an_answer(self, timeout_s):
        pass


@pytest.mark.parametrize("grid", [Working(4), OnRay(4, 1), OnRay(4, 4)])
def test_a_message_lives_until_its_worker_has_had_time_for_all_that_it_has_in_line(grid):
    each_s = 5.0
    asked = [Message(RecordDict({"number": ConfigRecord({"n": n})}), n % 4, "train", ttl=each_s) for n in range(24)]
    assert len(list(exchange(grid, asked, timeout_s=30.0))) == 24
    of_a_worker = grid.most * getattr(grid, "hosts_per_worker", 1)
    assert {message.metadata.ttl for message in grid.sent} == {of_a_worker * each_s}


class Training(OnRay):
    """Answers as many messages at each look as there are nodes; looks whether answers are kept while it is waited."""

    def __init__(self, nodes, sums_alone):
        super().__init__(nodes, 1)
        self.sums_alone, self.given, self.kept = sums_alone, [], []

    def wait_for_an_answer(self, timeout_s):
        self.kept += [one() for one in self.given if one() is not None]

    def _answer(self, message):
        phones, one, total = np.array([message.content["number"]["n"]]), np.ones(1), np.zeros(8, np.int64)
        if self.sums_alone:
            content = SummedReply(phones=phones, total=total).to_content()
        else:
            told = {"norms": one, "loss_sums": one, "tokens": one.astype(np.int64)}
            content = TrainReply(phones=phones, update_sum=total, **told).to_content()
        answer = Message(content, reply_to=message)
        self.given += [weakref.ref(answer), weakref.ref(answer.content["update-sum"]["0"])]
        return answer


@pytest.mark.parametrize("join", [join_replies, join_summed_replies])
@pytest.mark.parametrize("nodes", [1, 3])
def test_no_answer_nor_its_sum_is_kept_while_the_next_one_is_waited_for(nodes, join):
    grid = Training(nodes, join is join_summed_replies)
    gc.disable()  # nothing waits for it
    try:
        replies = timed_replies(exchange(grid, numbered(7, nodes), timeout_s=30.0), Stopwatch(), [])
        came = join(with_one_left(replies, 7, lambda: None), np.arange(7), 8)
    finally:
        gc.enable()
    assert len(grid.given) == 14 and len(came.reported) == 7
    assert grid.kept == []


class Looked(Message):
    """Knows how often somebody looked where it goes."""

    looks = 0

    @property
    def metadata(self):
        Looked.looks += 1
        return super().metadata


@pytest.mark.parametrize("gone", [False, True])
def test_an_answer_is_not_a_look_at_every_message_that_is_still_to_be_sent(monkeypatch, gone):
    monkeypatch.setattr(module, "time", Clock())
    monkeypatch.setattr(Looked, "looks", 0)
    asked = [Looked(one.content, n % (6 if gone else 3), "train") for n, one in enumerate(numbered(300, 3))]
    Looked.looks = 0
    assert len(list(exchange(Working(3), asked, timeout_s=30.0))) == 300
    assert 300 <= Looked.looks < 10 * 300


def test_what_is_in_hand_of_a_node_that_is_gone_brings_it_nothing_new(monkeypatch):
    monkeypatch.setattr(module, "time", Clock())

    class Leaving(Working):
        def get_node_ids(self):
            return range(3) if self.sent else range(4)

    grid = Leaving(3)
    grid.nodes = 4
    assert len(list(exchange(grid, numbered(40, 4), timeout_s=30.0))) == 40
    assert [message.metadata.dst_node_id for message in grid.sent].count(3) == 2


class Hanging(OnRay):
    """Node 0 answers nothing before `wakes_at_s`, and then everything at once; the others answer as they do."""

    has_an_idle_worker = True

    def __init__(self, clock, wakes_at_s=float("inf")):
        super().__init__(2, 1)
        self.clock, self.wakes_at_s, self.sent_at_s = clock, wakes_at_s, []

    def wait_for_an_answer(self, timeout_s):
        self.clock.now += 1.0

    def push_messages(self, messages):
        self.sent_at_s += [self.clock.now] * len(messages)
        return super().push_messages(messages)

    def pull_messages(self, ids):
        awake = self.clock.now >= self.wakes_at_s
        of_others = {name: one.metadata.dst_node_id for name, one in self.open.items() if one.metadata.dst_node_id}
        first = {node: name for name, node in reversed(of_others.items())}.values()
        return [self._answer(self.open.pop(name)) for name in (list(self.open) if awake else list(first))]

    def given_to_others(self):
        """(number of the message, when) of each that was sent again."""
        numbers = [one.content["number"]["n"] for one in self.sent]
        return [(n, self.sent_at_s[at]) for at, n in enumerate(numbers) if n in numbers[:at]]


def answers_of(grid, messages, timeout_s=30.0):
    return sorted(answer.content["number"]["n"] for answer in exchange(grid, numbered(messages, 2), timeout_s))


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(module, "time", clock := Clock())
    return clock


@pytest.mark.parametrize("messages", [1, 2, 4, 9])
def test_what_hangs_is_sent_to_another_once_that_has_nothing_to_do(clock, messages):
    grid = Hanging(clock)
    assert answers_of(grid, messages) == list(range(messages))
    assert [n for n, _ in grid.given_to_others()] == list(range(0, messages, 2))
    assert {s for _, s in grid.given_to_others()[:2]} <= {16.0, 17.0}  # half of the time that nobody waits beyond


def test_an_answer_that_comes_late_beside_another_is_none(clock):
    for wakes_at_s in (15.0, 16.0, 17.0, 18.0):
        clock.now = 0.0
        grid = Hanging(clock, wakes_at_s)
        assert answers_of(grid, 4) == [0, 1, 2, 3]
        assert grid.answered == 4 + len(grid.given_to_others()) - len(grid.open)


def test_while_no_worker_is_idle_nothing_is_sent_twice(clock, monkeypatch):
    monkeypatch.setattr(Hanging, "has_an_idle_worker", False)
    grid = Hanging(clock)
    with pytest.raises(EngineError, match=r"^the hosts: expected answers within 30 s, found none to 2 messages$"):
        answers_of(grid, 4)
    assert grid.given_to_others() == []


@pytest.mark.parametrize(("failing", "copies"), [([], 2), ([1], 2), ([0, 1], 3)])
def test_of_two_copies_one_may_fail_and_a_message_is_repeated_where_both_do(clock, failing, copies):
    class Counting(Hanging):
        def _answer(self, message):
            if int(message.metadata.message_id[1:]) in failing:
                return Message(Error(code=1, reason=GONE), reply_to=message)
            return super()._answer(message)

    grid = Counting(clock, 25.0)
    assert answers_of(grid, 1) == [0]
    assert len(grid.sent) == copies and grid.answered == 1


class FirstHang(Hanging):
    """So many nodes hang, of four, and answer nothing."""

    def __init__(self, clock, hang):
        super().__init__(clock)
        self.nodes, self.hang = 4, hang

    def pull_messages(self, ids):
        of_others = {name: one.metadata.dst_node_id for name, one in self.open.items()}
        answered = {node: name for name, node in reversed(of_others.items()) if node >= self.hang}.values()
        return [self._answer(self.open.pop(name)) for name in answered]


@pytest.mark.parametrize("hang", [1, 2, 3])
def test_where_the_second_one_hangs_too_a_further_one_gets_the_message(clock, hang):
    grid = FirstHang(clock, hang)
    assert len(list(exchange(grid, numbered(1, 1), timeout_s=30.0))) == 1
    assert [one.metadata.dst_node_id for one in grid.sent] == list(range(hang + 1))
    assert clock.now < 30.0


def test_of_a_message_that_has_its_answer_the_other_copies_are_let_go_of(clock):
    grid = FirstHang(clock, 2)
    assert len(list(exchange(grid, numbered(1, 1), timeout_s=30.0))) == 1
    others = [one.metadata.message_id for one in grid.sent[:2]]
    asked = []

    class Flowers:
        def pull_messages(self, ids):
            asked.append(sorted(ids))
            return [Message(RecordDict(), reply_to=one) for one in grid.sent if one.metadata.message_id in ids]

    grid._grid = Flowers()
    assert list(EngineGrid.pull_messages(grid, [])) == [] and asked == [others]
    (last,) = EngineGrid.pull_messages(grid, [grid.sent[2].metadata.message_id])
    assert last.metadata.reply_to_message_id == "m2" and asked[1:] == [["m2"]]
