"""The keyboard page's modules by themselves, in Node; `test_keyboard_page.py` runs the page in a browser."""

import json
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from client_model.text.vocabulary import tokenize
from tests.waiting import PATIENCE_S

JS = Path(__file__).parent / "js"
OLDEST_NODE = (20, 19)  # the first that takes a file with `import` for a module wherever it lies


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("Node is not installed (Debian: apt-get install nodejs)")
    answer = subprocess.run([found, "--version"], capture_output=True, text=True, check=True, timeout=PATIENCE_S).stdout
    version = tuple(int(part) for part in answer.strip().lstrip("v").split(".")[:2])
    if version < OLDEST_NODE:
        oldest = ".".join(map(str, OLDEST_NODE))
        pytest.skip(f"the page's modules need Node {oldest} or later, here is {answer.strip()}")
    return found


def test_there_are_tests_of_the_page():
    assert len(list(JS.glob("*.test.js"))) >= 3


@pytest.mark.parametrize("file", sorted(JS.glob("*.test.js")), ids=lambda file: file.name)
def test_modules(node, file):
    command = [node, "--test", "--test-reporter=tap", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert passed is not None and int(passed[1]) > 1, done.stdout


PIECES = (
    *"aZ09é ßİΣς'\u2019.,?!:;-_#*\n\t/@",
    *("don't", "see you", "e\u0301", "\u0915\u094d\u0937", "\u1100\u1161", "\u4f60\u597d", "\U0001d400"),
    *("\U0001f600", "\U0001f44b\U0001f3fd", "\U0001f3fd", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u200d"),
    *("\U0001f1eb\U0001f1f7", "\U0001f1eb", "3\ufe0f\u20e3", "\ufe0f", "\u20e3", "\u2764\ufe0f", "\u00a9"),
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
)


def test_any_text_has_the_tokens_that_it_has_in_training(node):
    rng = random.Random(4)
    texts = ["", *("".join(rng.choices(PIECES, k=rng.randint(1, 12))) for _ in range(3000))]
    done = subprocess.run(
        [node, str(JS / "answer_texts.js")],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    differing = [(t, a, tokenize(t)) for t, a in zip(texts, found, strict=True) if a != tokenize(t)]
    assert not differing, differing[:5]
