"""Send messages to the hosts and collect a good answer to each, as it comes, whatever fails in between.

A phone's training depends only on (seed, round, phone), so a repeated message gives the same answer
and a fault of the machine leaves no mark on the result. Two kinds of failure are told apart:

* the host's own code raised: repeated a few times, in case the cause passes (memory, a file system);
* the worker is gone: Ray starts another one; if that does not help, its machine is gone too, and the
  engine is started again on those that are left. A SuperNode that is gone is not started by anybody: its
  messages go to the others, or wait until one is there.
"""

import re
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

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
_UNDER_WAY = 2  # messages of a node: the one that it works on, and the next
_RAISED_BY_RAY = "RayTaskError"  # what Ray wraps around whatever the host's code raised
_RAISED = re.compile(r"<class '([^']+)'>:<'(.*?)(?:'>)?$", re.DOTALL)  # how Flower passes on an exception


@dataclass
class _Task:
    """One message and what became of it so far."""

    message: Message
    attempts: int = 0
    repeat_at: float = 0.0
    node: int = 0  # that it was sent to last


def exchange(grid: Grid, messages: Iterable[Message], timeout_s: float) -> Iterator[Message]:
    """Send messages and give a good answer to each as it comes, repeating those that fail.

    Nothing is sent before the first answer is asked for. Whoever takes the answers works while others are on their way.
    A node has two messages at a time, so that neither the driver's memory nor Flower's looking for messages grows with
    the number of them; an answer that was given is let go of. Nobody pulls the late answer to a message that was
    repeated. Whoever stops taking answers midway leaves at most two messages a node behind, and the next exchange waits
    until the nodes are through with them.

    Args:
        grid: that has the nodes.
        messages: at most one is sent to a node beside the one that it works on.
        timeout_s: after which nobody waits for the next answer any more. A message without an answer is repeated when
            its own life is over as many times as its worker may have messages in line.

    Raises:
        EngineError: a message failed several times, or nothing was answered in time.
    """
    unsent = [_Task(message) for message in messages]
    waiting: dict[str, _Task] = {}
    stuck: list[_Task] = []  # their worker is gone and does not come back
    restarts = 0
    began = heard = time.monotonic()
    while unsent or waiting or stuck:
        unsent = _send(grid, unsent, waiting)
        came = deque(grid.pull_messages(list(waiting)))
        while came:  # a loop over them would keep them all
            reply = came.popleft()
            task = waiting.pop(reply.metadata.reply_to_message_id)
            if not reply.has_error():
                yield reply
                heard = time.monotonic()
            elif _is_of_no_use(reply):
                where = f"SuperNode {reply.metadata.src_node_id}"
                raise EngineError(expected(where, "an answer", _last_line(reply.error.reason)))
            elif restarts < _RESTARTS and _does_not_come_back(grid, reply, task.attempts):
                stuck.append(task)
            elif task.attempts < (_ATTEMPTS_IF_GONE if _worker_is_gone(grid, reply) else _ATTEMPTS):
                task.repeat_at = time.monotonic() + _FIRST_PAUSE_S * 2 ** (task.attempts - 1)
                unsent.append(task)
            else:
                raise EngineError(
                    expected("a host", f"an answer in {task.attempts} attempts", _last_line(reply.error.reason))
                )
            del reply
        check_engine(grid)
        now = time.monotonic()
        if now - heard > timeout_s:
            missing = len(waiting) + len(unsent) + len(stuck)
            raise EngineError(expected("the hosts", f"answers within {timeout_s:g} s", f"none to {missing} messages"))
        if stuck and not (unsent or waiting):  # what the other workers had in hand is safe
            grid.restart()  # type: ignore[attr-defined]
            restarts += 1
            unsent, stuck = [_Task(task.message) for task in stuck], []
        elif unsent or waiting:
            _wait(grid, now - began)


def _wait(grid: Grid, waited_s: float) -> None:
    """Until an answer has come, where that is told, or until it is time to look."""
    if isinstance(grid, EngineGrid):
        grid.wait_for_an_answer(_LONGEST_POLL_S)
    else:  # asking takes processor time from the workers: ask less often in a long round
        time.sleep(min(max(POLL_S, waited_s / 100), _LONGEST_POLL_S))


def _send(grid: Grid, tasks: list[_Task], waiting: dict[str, _Task]) -> list[_Task]:
    """Send what is due to nodes that exist now and have few messages; gives the others.

    Flower accepts a message only once, so it is a copy that is sent. The life of one begins now, and a worker may have
    all messages of its nodes to answer first: each may take as long as is given to one.

    Args:
        grid: that has the nodes.
        tasks: not sent yet, or to be repeated.
        waiting: sent, by the id of the copy; what is sent now comes to it.
    """
    now = time.monotonic()
    due = [task for task in tasks if task.repeat_at <= now]
    nodes = sorted(grid.get_node_ids()) if due else []
    if not nodes:
        for task in due:
            task.repeat_at = now + _NO_NODE_PAUSE_S
        return tasks
    has = dict.fromkeys(nodes, 0) | Counter(task.node for task in waiting.values())
    in_line = _UNDER_WAY * (grid.hosts_per_worker if isinstance(grid, EngineGrid) else 1)
    sent, copies = [], []
    for task in due:
        meta = task.message.metadata
        # A node that is gone hands its messages on to whoever has least to do.
        task.node = meta.dst_node_id if meta.dst_node_id in nodes else min(nodes, key=has.__getitem__)
        if has[task.node] < _UNDER_WAY:
            has[task.node] += 1
            task.attempts += 1
            sent.append(task)
            copies.append(
                Message(
                    task.message.content,
                    dst_node_id=task.node,
                    message_type=meta.message_type,
                    ttl=in_line * meta.ttl,
                )
            )
    waiting.update(zip(grid.push_messages(copies), sent, strict=True))
    gone = set(map(id, sent))
    return [task for task in tasks if id(task) not in gone]


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
