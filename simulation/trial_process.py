"""A process that carries out one run after another on one engine: python -m simulation.trial_process

It reads requests from standard input and says how they go on standard output, see `simulation.run.run_messages`. The
engine starts with the first run and is kept, so that a later run finds workers that have imported everything. When the
input ends, so that nobody is left to ask, the run is stopped after its round and the process ends.
"""

import os
import queue
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from simulation.api import resume, simulate
from simulation.audit_trail import recording
from simulation.engine.engine import Engine
from simulation.flags import read_config
from simulation.run.records import RoundRecord
from simulation.run.run_messages import Line, Message, RoundNews, RunEnded, RunFailed, RunRequest, StopRequest
from typefleet.errors import MachineError, TypefleetError


class TrialProcess:
    """Answers requests until there are no more."""

    def __init__(self, requests: TextIO, answers: TextIO) -> None:
        self._requests, self._answers = requests, answers
        self._asked: queue.Queue[RunRequest | None] = queue.Queue()
        self._stop, self._orphaned = threading.Event(), threading.Event()
        self._engine: Engine | None = None

    def serve(self) -> None:
        """Carry out runs until the input ends."""
        threading.Thread(target=self._listen, name="requests", daemon=True).start()
        try:
            while (request := self._asked.get()) is not None and not self._orphaned.is_set():
                self._stop.clear()
                with recording("sweep"):
                    answer = self._carried_out(request)
                self._say(answer)
        finally:
            self._close_engine()

    def _listen(self) -> None:
        """In a thread of its own, since a run that goes on may be asked to stop."""
        for line in self._requests:
            message = Line.read(line)
            if isinstance(message, StopRequest):
                self._stop.set()
            elif isinstance(message, RunRequest):
                self._asked.put(message)
        self._orphaned.set()
        self._stop.set()
        self._asked.put(None)

    def _say(self, message: Message) -> None:
        try:
            self._answers.write(Line.of(message))
            self._answers.flush()
        except BrokenPipeError:  # who asked has gone; the end of the input says so as well
            self._orphaned.set()
            self._stop.set()

    def _carried_out(self, request: RunRequest) -> Message:
        began, first = time.monotonic(), [0.0]

        def on_round(record: RoundRecord) -> bool:
            first[0] = first[0] or time.monotonic() - began - record.train_seconds
            self._say(RoundNews(record.completed, record.held_out))
            return self._stop.is_set()

        try:
            folder = Path(request.output_dir)
            config = replace(read_config(Path(request.settings)), seed=request.seed, output_dir=folder)
            if self._engine is None:
                self._engine = Engine(config.engine)
            if request.going_on:
                result = resume(folder, progress=None, engine=self._engine, on_round=on_round)
            else:
                result = simulate(config, progress=None, engine=self._engine, on_round=on_round)
            return RunEnded(result.finished, first[0])
        except MachineError as error:
            self._close_engine()  # whatever is wrong with it, the next run has a new one
            return RunFailed(str(error))
        except TypefleetError as error:
            return RunFailed(str(error))

    def _close_engine(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None


def main() -> None:
    """Serve whoever started the process; what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; whoever started this one decides
    TrialProcess(sys.stdin, answers).serve()


if __name__ == "__main__":
    main()
