"""The phones' text on a machine that shares no file system with the driver: its own copy, and the same to the last bit.

Text never travels in messages. The folder of tokenised text is named by what is in it: the digest of the file, the
format, the columns. A node that has no folder of the run's name makes it of its own copy of the file, once, and refuses
if the name comes out different. Its copy is not encrypted, whatever the run's is.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from client_model.text.cache import cache_root
from client_model.text.population import PopulationSpec, tokenised_text
from client_model.text.tokenised_file import name_unencrypted
from simulation.engine.host_task import HostTask
from typefleet.errors import ConfigError, InputError, expected

_WHERE = "a node's text"
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]*")  # of a folder, and of no other one


class NodeTextError(ConfigError):
    """A node has no text, or another one than the run's; to ask it again is no use."""


@dataclass(frozen=True)
class OwnText:
    """What a SuperNode was told when it was started: --node-config 'text="FILE" cache-dir="FOLDER"'."""

    file: str = ""
    cache_dir: str = ""

    @staticmethod
    def told(node_config: Mapping[str, Any]) -> "OwnText":
        """From Flower's configuration of a node; nodes of a simulation are told nothing."""
        return OwnText(str(node_config.get("text", "")), str(node_config.get("cache-dir", "")))


NOTHING_TOLD = OwnText()


def population_here(task: HostTask, own: OwnText) -> PopulationSpec:
    """The task's population as it can be opened on this machine.

    Args:
        task: of the run; its folder of tokenised text is used where this machine sees it and was told nothing.
        own: what this node was told of its text.

    Raises:
        NodeTextError: there is no text here, or another one.
    """
    spec = task.population
    if spec.cache_folder is None or (own == NOTHING_TOLD and Path(spec.cache_folder).is_dir()):
        return spec
    name = name_unencrypted(Path(spec.cache_folder))  # the run's key is of its own copy
    if not _NAME.fullmatch(name):
        raise NodeTextError(expected(_WHERE, "the name of a folder in the run's message", "something else"))
    folder = cache_root(Path(own.cache_dir) if own.cache_dir else None) / name
    if not folder.is_dir():
        folder = _tokenised(task, own, folder)
    return replace(spec, cache_folder=str(folder))


def _tokenised(task: HostTask, own: OwnText, wanted: Path) -> Path:
    """The folder, made of this node's copy of the text."""
    if task.text is None:
        reason = "no folder of that name, and a format that other machines do not find"
        raise NodeTextError(expected(_WHERE, f"the tokenised text {wanted}", reason))
    if task.text.path is not None and not own.file:
        shared = f"{task.population.cache_folder} to be a folder here"
        what = f"{shared}, or --node-config 'text=\"FILE\"' to name a copy of {task.text.path}"
        raise NodeTextError(expected(_WHERE, what, "neither"))
    copy = Path(own.file) if task.text.path is not None else None
    try:
        path, made = tokenised_text(replace(task.text, path=copy, cache_dir=wanted.parent))
    except InputError as error:
        raise NodeTextError(f"{_WHERE}: {error}") from error
    if made != wanted:
        raise NodeTextError(expected(_WHERE, f"a file whose text is {wanted.name}", f"{path} with {made.name}"))
    return made
