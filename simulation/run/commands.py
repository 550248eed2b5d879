"""Command lines that a run or a page shows, to be copied."""

import shutil
import sys
from pathlib import Path


def command(script: str, *arguments: object) -> str:
    """A command line for the Python that runs now, as it is reached from the working directory."""
    python, here = Path(sys.executable), Path.cwd()
    found = shutil.which("python")
    if python.is_relative_to(here):
        shown = str(python.relative_to(here))
    else:
        shown = "python" if found is not None and Path(found) == python else str(python)
    return " ".join(map(str, (shown, script, *arguments)))
