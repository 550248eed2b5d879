"""Messages to and from a process that carries out runs."""

import pytest

from simulation.run.run_messages import Line, RoundNews, RunEnded, RunFailed, RunRequest, StopRequest
from typefleet.errors import MachineError

MESSAGES = [
    RunRequest(settings="a b.toml", seed=3, output_dir="x\ny", going_on=True),
    StopRequest(),
    RoundNews(4, {"top1_recall": 0.2, "recall_by_position": [{"positions": 1}]}),
    RoundNews(4, None),
    RunEnded(True, 1.5),
    RunFailed("--cohort.goal: expected less\nthan this"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_a_message_is_one_line_and_comes_back(message):
    line = Line.of(message)
    assert line.endswith("\n") and line.count("\n") == 1 and Line.read(line) == message


@pytest.mark.parametrize(
    "line", ["", "{}", "[]", "3", "secret", '{"kind": "Secret"}', '{"kind": "RunEnded"}', "[[1, 2]]"]
)
def test_another_line_is_refused_without_its_content(line):
    with pytest.raises(MachineError, match="a line of its own, found another one") as caught:
        Line.read(line)
    assert "ecret" not in str(caught.value)
