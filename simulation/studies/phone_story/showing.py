"""The story of a phone on a terminal, as a page, and for the keyboard page."""

import json
import textwrap
from pathlib import Path

from rich.console import Console

from simulation.files import write_text_atomically
from simulation.studies.pages import render
from simulation.studies.phone_story.words import Story
from simulation.tables import print_table
from typefleet.errors import ConfigError, unwritable

_WIDEST = 88  # columns: longer lines are hard to read


def print_story(console: Console, story: Story) -> None:
    """Tell it on a terminal.

    Args:
        console: where to.
        story: what.
    """
    width = min(console.width, _WIDEST)
    console.print(story.title)
    for section in story.sections:
        console.print(f"\n{section.title.upper()}")
        for paragraph in section.paragraphs:
            console.print(textwrap.fill(paragraph, width))
        if section.rows:
            console.print()
            print_table(console, section.rows[0], section.rows[1:], left=(0, 4), wrapped=4)


def story_as_json(story: Story) -> bytes:
    """For the keyboard page: title, and of each section title, paragraphs and rows of a table."""
    sections = [section._asdict() for section in story.sections]
    return json.dumps({"title": story.title, "sections": sections}).encode()


def write_story(path: Path, story: Story) -> None:
    """Write it as one page, whole or not at all; readable by its owner alone.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        write_text_atomically(path, render("phone_story.html", story=story), private=True)
    except OSError as error:
        raise ConfigError(unwritable(path, error)) from error
