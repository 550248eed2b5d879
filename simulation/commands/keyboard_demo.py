"""Type on an exported keyboard: python scripts/keyboard_demo.py RUN_DIR [--compare RUN_DIR]

Serves a page on 127.0.0.1 that runs the exported file in the browser. The runtime for it, LiteRT.js, is installed by
npm into the user's cache at first use; where that cannot be done, this process runs the file instead, and the page
says so. With --phone NAME the page also tells the owner of that phone what left it, as scripts/explain_phone.py does.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import annotated_types as at

from simulation.commands.run_folder import OfExportedRun
from simulation.flags import parse_with_tyro


@dataclass(frozen=True)
class Flags(OfExportedRun):
    """Type on an exported keyboard."""

    compare: Path | None = None
    """Another exported run, to switch to and to see side by side."""
    port: Annotated[int, at.Interval(ge=0, le=65535)] = 8750
    """0 takes any that is free."""
    engine: Literal["auto", "local"] = "auto"
    """local: run the file in this process, not in the browser."""
    phone: str | None = None
    """Tell on the page what left this phone of RUN_DIR: its user id in the data, its label in the run's records, or #
    and its number."""
    open_browser: bool = False
    """Open the page in the default browser."""


def main(argv: Sequence[str]) -> None:
    """Serve the page of the models that the flags name, until Ctrl-C."""
    flags = parse_with_tyro(Flags, argv)
    from simulation.device.keyboard_demo import serve_page
    from simulation.run.forgotten import note_pending

    folders = [path for path in (flags.run_dir, flags.compare) if path is not None]
    for folder in folders:
        note_pending(sys.stderr, folder)
    story = None if flags.phone is None else _story_of(flags.run_dir, flags.phone)
    in_the_page = flags.engine == "auto"
    serve_page(folders, flags.port, in_the_page=in_the_page, open_browser=flags.open_browser, story=story)


def _story_of(run_dir: Path, phone: str) -> bytes:
    from simulation.studies.phone_story.history import RunHistory
    from simulation.studies.phone_story.showing import story_as_json
    from simulation.studies.phone_story.words import story_of

    run = RunHistory(run_dir, [phone])
    return story_as_json(story_of(run.of(phone), run.config))
