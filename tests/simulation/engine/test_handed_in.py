import json
import subprocess
import sys

from simulation.engine.handed_in import from_texts, to_texts

OBJECTS = """
from dataclasses import dataclass
import json
from simulation.engine.handed_in import to_texts

@dataclass(frozen=True)
class Doubling:
    times: int

    def __call__(self, x):
        return self.times * helper(x)

def helper(x):
    return 2 * x

print(json.dumps(to_texts({"cell": Doubling(3), "metric": lambda x: helper(x) + 1})))
"""


def test_what_only_another_process_defines_works_here():
    done = subprocess.run([sys.executable, "-c", OBJECTS], capture_output=True, text=True, check=True)
    found = from_texts(json.loads(done.stdout.splitlines()[-1]))
    assert set(found) == {"cell", "metric"}
    assert found["cell"](5) == 30 and found["metric"](5) == 11


def test_nothing_is_nothing():
    assert to_texts({}) == from_texts({}) == {}
