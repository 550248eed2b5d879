"""What native code says is set aside, and shown after all if it failed; what Python says is shown at once."""

import gc
import subprocess
import sys
import weakref

import pytest

from client_model.quiet import only_new_objects_collected, without_tensorflow

SAYS = """
import os, sys
from client_model.quiet import native_messages_aside
before = sys.stderr
try:
    with native_messages_aside():
        with native_messages_aside():
            os.write(2, b"native\\n")
        print("ours", file=sys.stderr)
        {last}
finally:
    assert sys.stderr is before
    os.write(2, b"end\\n")
"""


@pytest.mark.parametrize(
    ("last", "said"), [("pass", "ours\nend\n"), ("raise SystemExit(3)", "ours\nnative\nend\n")], ids=["well", "failed"]
)
def test_native_messages_are_set_aside_and_ours_are_not(last, said):
    done = subprocess.run([sys.executable, "-c", SAYS.format(last=last)], capture_output=True, text=True, check=False)
    assert done.stderr == said and done.returncode == (0 if last == "pass" else 3)


def test_a_stream_that_somebody_put_in_place_is_left(capsys):
    from client_model.quiet import native_messages_aside

    with native_messages_aside():
        print("ours", file=sys.stderr)
    assert capsys.readouterr().err == "ours\n"


def test_tensorflow_can_count_as_not_installed_for_a_while(monkeypatch):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    with without_tensorflow(), pytest.raises(ModuleNotFoundError):
        import tensorflow  # noqa: F401
    assert "tensorflow" not in sys.modules
    monkeypatch.setitem(sys.modules, "tensorflow", sys)
    with without_tensorflow():
        assert sys.modules["tensorflow"] is sys
    assert sys.modules["tensorflow"] is sys


class Cycle:
    def __init__(self):
        self.own = self


def test_garbage_that_was_there_before_waits_and_new_one_is_collected():
    old = Cycle()
    seen_old = weakref.ref(old)
    with only_new_objects_collected():
        new = Cycle()
        seen_new = weakref.ref(new)
        del old, new
        gc.collect()
        assert seen_old() is not None and seen_new() is None
    gc.collect()
    assert seen_old() is None
