"""Send messages to the hosts and collect a good answer to each, whatever fails in between.

A phone's training depends only on (seed, round, phone), so a repeated message gives the same answer
and a fault of the machine leaves no mark on the result. Two kinds of failure are told apart:

* the host's own code raised: repeated a few times, in case the cause passes (memory, a file system);
* the worker is gone: Ray starts another one; if that does not help, its machine is gone too, and the
  engine is started again on those that are left. A SuperNode that is gone is not started by anybody: its
  messages go to the others, or wait until one is there.
"""

import re
import time
from collections.abc import Iterable
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
_RAISED_BY_RAY = "RayTaskError"  # what Ray wraps around whatever the host's code raised
_RAISED = re.compile(r"<class '([^']+)'>:<'(.*?)(?:'>)?$", re.DOTALL)  # how Flower passes on an exception


@dataclass
class _Task:
    """One message and what became of it so far."""

    message: Message
    attempts: int = 0
    repeat_at: float = 0.0


def exchange(grid: Grid, messages: Iterable[Message], timeout_s: float) -> list[Message]:
    """Send messages and collect a good answer to each, repeating those that fail.

    Raises:
        EngineError: a message failed several times, or had no answer in time.
    """
    unsent = [_Task(message) for message in messages]
    waiting: dict[str, _Task] = {}
    stuck: list[_Task] = []  # their worker is gone and does not come back
    answers: list[Message] = []
    restarts = 0
    began = time.monotonic()
    while unsent or waiting or stuck:
        now = time.monotonic()
        due = [task for task in unsent if task.repeat_at <= now]
        unsent = [task for task in unsent if task.repeat_at > now]
        sent = _send(grid, due)
        waiting.update(sent)
        if not sent:
            unsent += due
        for reply in grid.pull_messages(list(waiting)):
            task = waiting.pop(reply.metadata.reply_to_message_id)
            if not reply.has_error():
                answers.append(reply)
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
        check_engine(grid)
        if now - began > timeout_s:
            missing = len(waiting) + len(unsent) + len(stuck)
            raise EngineError(expected("the hosts", f"answers within {timeout_s:g} s", f"none to {missing} messages"))
        if stuck and not (unsent or waiting):  # what the other workers had in hand is safe
            grid.restart()  # type: ignore[attr-defined]
            restarts += 1
            unsent, stuck = [_Task(task.message) for task in stuck], []
        elif unsent or waiting:
            # Asking takes processor time from the workers: ask less often in a long round.
            time.sleep(min(max(POLL_S, (now - began) / 100), _LONGEST_POLL_S))
    return answers


def _send(grid: Grid, tasks: list[_Task]) -> dict[str, _Task]:
    """Push a copy of each message (Flower accepts one only once) to nodes that exist now; none if there are none."""
    nodes = sorted(grid.get_node_ids()) if tasks else []
    if not nodes:
        for task in tasks:
            task.repeat_at = time.monotonic() + _NO_NODE_PAUSE_S
        return {}
    copies = []
    for index, task in enumerate(tasks):
        task.attempts += 1
        meta = task.message.metadata
        node = meta.dst_node_id if meta.dst_node_id in nodes else nodes[index % len(nodes)]
        copies.append(Message(task.message.content, dst_node_id=node, message_type=meta.message_type, ttl=meta.ttl))
    return dict(zip(grid.push_messages(copies), tasks, strict=True))


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
