"""How pages of results are made from their templates, wherever these lie."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


def page_environment(templates: Path) -> "Environment":
    """Everything is escaped, and a name that is not handed in is an error.

    Args:
        templates: folder of them.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # which no run needs before its end

    return Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
