"""Some inputs of the corpus through the scripts themselves: exit code 2 and one line, in little memory."""

import os
import pickle
import resource

import pytest

from tests.fuzz.cases import MARKER
from tests.fuzz.settings_cases import WHOLE, many_choices
from tests.fuzz.text_cases import ROWS, as_csv

MEMORY_BYTES = 6 * 2**30  # of address space: libraries reserve much and use little


def limited():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


class Harmful:
    """A pickle of it would make a folder when it is loaded."""

    def __reduce__(self):
        return os.mkdir, ("made-by-a-pickle",)


INPUTS = {
    "m.csv": as_csv(ROWS).partition("\n")[2],  # its header is missing
    "deep.toml": "rounds = " + "[\n" * 60_000,
    "study.toml": f"[search]\n{many_choices(WHOLE, 200)}\n",
    "harm.pkl": pickle.dumps({"a": Harmful()}),
    "fifo.jsonl": None,
}
COMMANDS = {
    "a table without a header": ("simulate.py", "--data.path", "m.csv"),
    "deep settings": ("simulate.py", "--config", "deep.toml"),
    "an argument that is no text": ("simulate.py", "--tracking.experiment", b"\xff"),
    "a pipe": ("simulate.py", "--data.path", "fifo.jsonl"),
    "billions of settings": ("sweep.py", "study.toml", "--output-dir", "out"),
    "a pickle that runs something": ("fleet_dry_run.py", "--fleet.trace", "harm.pkl"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_script_ends_in_one_line(name, script, tmp_path):
    for file, content in INPUTS.items():
        if content is None:
            os.mkfifo(tmp_path / file)
        else:
            (tmp_path / file).write_bytes(content.encode() if isinstance(content, str) else content)
    program, *arguments = COMMANDS[name]
    as_text = [os.fsdecode(argument) for argument in arguments]
    done = script(program, *as_text, cwd=tmp_path, preexec_fn=limited)
    assert done.returncode == 2, done.stderr
    *_, said = done.stderr.splitlines()
    assert said.startswith("error: ") and ": expected " in said and "Traceback" not in done.stderr
    assert MARKER not in done.stderr + done.stdout and not (tmp_path / "made-by-a-pickle").exists()
