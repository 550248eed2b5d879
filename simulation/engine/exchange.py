"""Send messages to the hosts and collect a good answer to each, as it comes, whatever fails in between.

A phone's training depends only on (seed, round, phone), so a repeated message gives the same answer
and a fault of the machine leaves no mark on the result. Three kinds of failure are told apart:

* the host's own code raised: repeated a few times, in case the cause passes (memory, a file system);
* nothing is heard of a message for long while another worker has nothing to do: that one gets it as well, like a backup
  task of MapReduce (Dean and Ghemawat, OSDI 2004, section 3.6), and only the answer that comes first is given;
* the worker is gone: Ray starts another one; if that does not help, its machine is gone too, and the
  engine is started again on those that are left. A SuperNode that is gone is not started by anybody: its
  messages go to the others, or wait until one is there.
"""

import re
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from flwr.app import Message
from flwr.serverapp import Grid

from client_model.learning.accelerator import DeviceError
from client_model.learning.trainers import NoKernelError
from simulation.engine.failures import EngineError
from simulation.engine.flower_on_ray import POLL_S, EngineGrid, check_engine
from simulation.engine.node_text import NodeTextError
from typefleet.errors import expected

_ATTEMPTS = 6
_ATTEMPTS_IF_GONE = 8  # half a minute: a worker that is started again imports TensorFlow first
_FIRST_PAUSE_S = 0.25  # before a message is repeated; doubles, so a restarting worker has time
_LONGEST_POLL_S = 0.2
_RESTARTS = 3  # of the engine, for one set of messages
_NO_NODE_PAUSE_S = 1.0  # before it is looked again whether a node is there
_OF_NO_USE = (NodeTextError.__name__, NoKernelError.__name__, DeviceError.__name__)  # what a node refuses each time
# Shares of the time that nobody waits beyond: after the first an idle worker gets a message as well, and after each of
# the second, since that one may hang too, a further one does.
_GIVEN_TO_ANOTHER, _TO_A_FURTHER_ONE = 0.5, 0.125
_UNDER_WAY = 2  # messages of a node: the one that it works on, and the next
_RAISED_BY_RAY = "RayTaskError"  # what Ray wraps around whatever the host's code raised
_RAISED = re.compile(r"<class '([^']+)'>:<'(.*?)(?:'>)?$", re.DOTALL)  # how Flower passes on an exception


@dataclass
class _Task:
    """One message and what became of it so far."""

    message: Message
    attempts: int = 0
    repeat_at: float = 0.0
    copies: int = 0  # under way, more than one since who has the first one does not answer
    sent_s: float = 0.0  # when the last of them was, by the monotonic clock


class _Sent(NamedTuple):
    """A copy of a message, which is under way."""

    task: _Task
    node: int


class _Line:
    """Messages that are not sent: a line for each node, and what failed and is to be repeated.

    It is looked at for each answer, so that the time of a look must not grow with the number of messages.
    """

    def __init__(self, tasks: Iterable[_Task]) -> None:
        self._of_node: dict[int, deque[_Task]] = {}
        self._again: list[_Task] = []  # each has its time
        self.begins_at = 0.0  # when it may be looked at, by the monotonic clock
        for task in tasks:
            self._join(task)

    def __len__(self) -> int:
        return len(self._again) + sum(map(len, self._of_node.values()))

    def repeat(self, task: _Task) -> None:
        """Take a message back until it is due again."""
        self._again.append(task)

    def look(self, now: float) -> bool:
        """Whether there is one to be sent now."""
        for task in [one for one in self._again if one.repeat_at <= now]:
            self._again.remove(task)
            self._join(task)
        return self.begins_at <= now and bool(self._of_node)

    def taken(self, has: dict[int, int]) -> list[tuple[_Task, int]]:
        """Those that nodes have room for, each with its node; a node that is gone hands its own on.

        Args:
            has: messages of each node that is there, at least one; those that are taken are added.
        """
        taken = [task for node in has for task in self._first_of(node, node, has)]
        for gone in self._of_node.keys() - has.keys():
            while gone in self._of_node:
                one = self._first_of(gone, min(has, key=has.__getitem__), has, at_most=1)  # to whoever has least to do
                taken += one
                if not one:
                    return taken
        return taken

    def _first_of(
        self, line: int, node: int, has: dict[int, int], at_most: int = _UNDER_WAY
    ) -> list[tuple[_Task, int]]:
        """As many of a line as a node has room for."""
        first: list[tuple[_Task, int]] = []
        while line in self._of_node and has[node] < _UNDER_WAY and len(first) < at_most:
            first.append((self._of_node[line].popleft(), node))
            if not self._of_node[line]:
                del self._of_node[line]
            has[node] += 1
        return first

    def _join(self, task: _Task) -> None:
        self._of_node.setdefault(task.message.metadata.dst_node_id, deque()).append(task)


def exchange(grid: Grid, messages: Iterable[Message], timeout_s: float) -> Iterator[Message]:
    """Send messages and give a good answer to each as it comes, repeating those that fail.

    Nothing is sent before the first answer is asked for. Whoever takes the answers works while others are on their way.
    A node has two messages at a time, so that neither the driver's memory nor Flower's looking for messages grows with
    the number of them; an answer that was given is let go of. Each message has one answer, whatever comes of its other
    copies: those are let go of when they come. Whoever stops taking answers midway leaves at most two messages a
    node behind, and the next exchange waits until the nodes are through with them.

    Args:
        grid: that has the nodes.
        messages: at most one is sent to a node beside the one that it works on.
        timeout_s: after which nobody waits for the next answer any more. A message without an answer is repeated
            once its life, times the messages that its worker may have in line, is over. A worker of the engine that
            has nothing to do gets it as well after half of this time, and a further one after each eighth more.

    Raises:
        EngineError: a message failed several times, or nothing was answered in time.
    """
    unsent = _Line(map(_Task, messages))
    waiting: dict[str, _Sent] = {}
    stuck: list[_Task] = []  # their worker is gone and does not come back
    restarts = 0
    began = heard = time.monotonic()
    while unsent or waiting or stuck:
        _send(grid, unsent, waiting)
        _give_to_another(grid, waiting, timeout_s)
        came = deque(grid.pull_messages(list(waiting)))
        while came:  # a loop over them would keep them all
            reply = came.popleft()
            task = _taken_out(grid, reply, waiting)
            if task is None:
                pass
            elif not reply.has_error():
                yield reply
                heard = time.monotonic()
            elif _is_of_no_use(reply):
                where = f"SuperNode {reply.metadata.src_node_id}"
                raise EngineError(expected(where, "an answer", _last_line(reply.error.reason)))
            elif restarts < _RESTARTS and _does_not_come_back(grid, reply, task.attempts):
                stuck.append(task)
            elif task.attempts < (_ATTEMPTS_IF_GONE if _worker_is_gone(grid, reply) else _ATTEMPTS):
                task.repeat_at = time.monotonic() + _FIRST_PAUSE_S * 2 ** (task.attempts - 1)
                unsent.repeat(task)
            else:
                raise EngineError(
                    expected("a host", f"an answer in {task.attempts} attempts", _last_line(reply.error.reason))
                )
            del reply
        check_engine(grid)
        now = time.monotonic()
        if now - heard > timeout_s:
            missing = len({id(sent.task) for sent in waiting.values()}) + len(unsent) + len(stuck)
            raise EngineError(expected("the hosts", f"answers within {timeout_s:g} s", f"none to {missing} messages"))
        if stuck and not (unsent or waiting):  # what the other workers had in hand is safe
            grid.restart()  # type: ignore[attr-defined]
            restarts += 1
            unsent, stuck = _Line(_Task(task.message) for task in stuck), []
        elif unsent or waiting:
            _wait(grid, now - began)


def _wait(grid: Grid, waited_s: float) -> None:
    """Until an answer has come, where that is told, or until it is time to look."""
    if isinstance(grid, EngineGrid):
        grid.wait_for_an_answer(_LONGEST_POLL_S)
    else:  # asking takes processor time from the workers: ask less often in a long round
        time.sleep(min(max(POLL_S, waited_s / 100), _LONGEST_POLL_S))


def _send(grid: Grid, unsent: _Line, waiting: dict[str, _Sent]) -> None:
    """Send what is due to nodes that exist now and have few messages.

    Args:
        grid: that has the nodes.
        unsent: not sent yet, or to be repeated; what is sent leaves it.
        waiting: sent, by the id of the copy; what is sent now comes to it.
    """
    now = time.monotonic()
    if not unsent.look(now):
        return
    nodes = sorted(grid.get_node_ids())
    if not nodes:
        unsent.begins_at = now + _NO_NODE_PAUSE_S
        return
    taken = unsent.taken(_messages_of(nodes, waiting))
    for task, _ in taken:
        task.attempts += 1
    _push(grid, waiting, taken)


def _give_to_another(grid: Grid, waiting: dict[str, _Sent], timeout_s: float) -> None:
    """Send the oldest message that has no answer for long to a worker that has nothing to do, as well.

    One at each look. Nodes are not bound to workers; of a SuperNode that hangs Flower hears no heartbeat any more, and
    says so.
    """
    now = time.monotonic()

    def is_overdue(task: _Task) -> bool:
        return now - task.sent_s > timeout_s * (_GIVEN_TO_ANOTHER if task.copies < 2 else _TO_A_FURTHER_ONE)

    task = next(filter(is_overdue, (sent.task for sent in waiting.values())), None)
    if task is not None and isinstance(grid, EngineGrid) and grid.has_an_idle_worker:
        has = _messages_of(sorted(grid.get_node_ids()), waiting)
        _push(grid, waiting, [(task, min(has, key=has.__getitem__))])


def _messages_of(nodes: Iterable[int], waiting: dict[str, _Sent]) -> dict[int, int]:
    """How many messages each of some nodes has."""
    has = dict.fromkeys(nodes, 0)
    for sent in waiting.values():
        if sent.node in has:
            has[sent.node] += 1
    return has


def _push(grid: Grid, waiting: dict[str, _Sent], tasks: list[tuple[_Task, int]]) -> None:
    """Send messages, each to a node.

    Flower accepts a message only once, so it is a copy that is sent. The life of one begins now, and a worker may have
    all messages of its nodes to answer first: each may take as long as is given to one.
    """
    in_line = _UNDER_WAY * (grid.hosts_per_worker if isinstance(grid, EngineGrid) else 1)
    copies = []
    for task, node in tasks:
        meta = task.message.metadata
        copies.append(
            Message(task.message.content, dst_node_id=node, message_type=meta.message_type, ttl=in_line * meta.ttl)
        )
        task.copies, task.sent_s = task.copies + 1, time.monotonic()
    waiting.update(zip(grid.push_messages(copies), (_Sent(*one) for one in tasks), strict=True))


def _taken_out(grid: Grid, reply: Message, waiting: dict[str, _Sent]) -> _Task | None:
    """The message that this is the answer to; None if it has one already, or may still have one from who else has it.

    A good answer takes the other copies out with it, so that answers to those, which may have come already, are none.
    """
    sent = waiting.pop(reply.metadata.reply_to_message_id, None)
    if sent is None:
        return None
    sent.task.copies -= 1
    if sent.task.copies and reply.has_error():
        return None
    if sent.task.copies:
        others = [name for name, one in waiting.items() if one.task is sent.task]
        for name in others:
            del waiting[name]
        if isinstance(grid, EngineGrid):
            grid.let_go(others)
    sent.task.copies = 0
    return sent.task


def _worker_is_gone(grid: Grid, reply: Message) -> bool:
    """Whether what carries messages failed, and not the host's code: on Ray, whose wrapping says so, or elsewhere."""
    kind = _kind_raised(reply.error.reason)
    if kind is None:
        return True
    return _RAISED_BY_RAY not in kind and (isinstance(grid, EngineGrid) or kind.startswith("ray."))


def _is_of_no_use(reply: Message) -> bool:
    """Whether a node refused a message for a reason that repeating it does not change."""
    return (_kind_raised(reply.error.reason) or "").rpartition(".")[2] in _OF_NO_USE


def _kind_raised(reason: str | None) -> str | None:
    """The full name of the class that was raised, as Flower says it; None if it says something else."""
    found = _RAISED.match(reason or "")
    return found[1] if found else None


def _does_not_come_back(grid: Grid, reply: Message, attempts: int) -> bool:
    """Whether the worker is gone for good: its machine is known to be lost, or it was waited for long enough."""
    if not (isinstance(grid, EngineGrid) and _worker_is_gone(grid, reply)):
        return False
    return attempts >= _ATTEMPTS_IF_GONE or grid.has_lost_a_machine


def _last_line(reason: str | None) -> str:
    """The cause at the end of the traceback that Flower passes on."""
    raised = _RAISED.match(reason or "")
    if raised and not raised[1].startswith("ray."):
        reason = raised[2]
    lines = [line for line in (reason or "").splitlines() if line.strip()]
    last = lines[-1].strip().removesuffix("'>") if lines else "no reason given"
    return last.partition("ClientAppException occurred. Message: ")[2] or last  # Flower's words around ours
