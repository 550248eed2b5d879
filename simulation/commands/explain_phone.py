"""Tell the owner of a phone what left it: python scripts/explain_phone.py RUN_DIR --phone NAME

When it took part, what it sent and fetched, how long it was busy, what nobody saw, what its part adds to the cost in
privacy, and how to stop. The rounds of the run are planned once more, so it needs the run's data, and takes seconds.
Nothing but the run's audit trail is changed.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simulation.commands.run_folder import OfRun
from simulation.flags import parse_with_tyro
from simulation.tables import console_for


@dataclass(frozen=True)
class Flags(OfRun):
    """Tell the owner of a phone what left it."""

    phone: str
    """Which: its user id in the data; or its label in the run's records, 16 hexadecimal digits; or # and its number,
    from 0, for a phone that has no user id."""
    page: Path | None = None
    """Also write it as a page, for a browser or paper. It is about one person, and so readable by you alone."""


def main(argv: Sequence[str]) -> None:
    """Find the phone's part again, and tell it."""
    flags = parse_with_tyro(Flags, argv)
    from simulation.studies.phone_story.history import RunHistory
    from simulation.studies.phone_story.showing import print_story, write_story
    from simulation.studies.phone_story.words import story_of

    run = RunHistory(flags.run_dir, [flags.phone])
    story = story_of(run.of(flags.phone), run.config)
    print_story(console_for(sys.stdout), story)
    if flags.page is not None:
        write_story(flags.page, story)
        print(f"\n{flags.page}")
