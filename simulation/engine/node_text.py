"""The phones' text on a machine that shares no file system with the driver: its own copy, and the same to the last bit.

Text never travels in messages. Machines of a Ray cluster get a copy of the folder before the rounds (`text_copies`),
which a host prefers. Elsewhere the folder of tokenised text is named by what is in it: the digest of the file, the
format, the columns. A node that has no folder of the run's name makes it of its own copy of the file, once, and refuses
if the name comes out different. It encrypts it with a storage key of its own, which lies on its machine; where the run
keeps its text encrypted, a node without one refuses, unless it was told that its copy may be plain.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from client_model.text.cache import cache_root
from client_model.text.population import PopulationSpec, tokenised_text
from client_model.text.tokenised_file import is_to_be_encrypted, name_encrypted, name_unencrypted
from simulation.engine.host_task import HostTask
from typefleet.errors import ConfigError, InputError, expected
from typefleet.sealed.envelope import data_key_of, is_encrypted

_WHERE = "a node's text"
_PLAIN = "none"  # in the place of a storage key: this node's copy may be read by whoever has its disk
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]*")  # of a folder, and of no other one


class NodeTextError(ConfigError):
    """A node has no text, or another one than the run's; to ask it again is no use."""


@dataclass(frozen=True)
class OwnText:
    """What a SuperNode was told when it was started.

    --node-config 'text="FILE" cache-dir="FOLDER" storage-key="PLACE"'.
    """

    file: str = ""
    cache_dir: str = ""
    storage_key: str = ""  # place of the key, as --storage.key has it, on the node's machine; or `none`

    @property
    def key_place(self) -> str | None:
        """Where the node's storage key is, if it has one."""
        return None if self.storage_key in ("", _PLAIN) else self.storage_key

    @staticmethod
    def told(node_config: Mapping[str, Any]) -> "OwnText":
        """From Flower's configuration of a node; nodes of a simulation are told nothing."""
        return OwnText(*(str(node_config.get(name, "")) for name in ("text", "cache-dir", "storage-key")))


NOTHING_TOLD = OwnText()


class TextHere(NamedTuple):
    """The population of a task as it can be opened on this machine."""

    spec: PopulationSpec
    key: bytes  # of its tokenised text; empty where that is not encrypted


def population_here(task: HostTask, own: OwnText, text_key: bytes = b"") -> TextHere:
    """The task's population as it can be opened on this machine.

    Args:
        task: of the run; its folder of tokenised text is used where this machine sees it and was told nothing.
        own: what this node was told of its text.
        text_key: of the run's own folder, where that is encrypted.

    Raises:
        NodeTextError: there is no text here, or another one; or it is to be encrypted, and there is no key for it.
    """
    spec = task.population
    if own == NOTHING_TOLD and _NAME.fullmatch(task.copy) and (copy := cache_root(None) / task.copy).is_dir():
        return TextHere(replace(spec, cache_folder=str(copy)), text_key)
    if spec.cache_folder is None or (own == NOTHING_TOLD and Path(spec.cache_folder).is_dir()):
        return TextHere(spec, text_key)
    name = _name_here(Path(spec.cache_folder), own)
    if not _NAME.fullmatch(name):
        raise NodeTextError(expected(_WHERE, "the name of a folder in the run's message", "something else"))
    folder = cache_root(Path(own.cache_dir) if own.cache_dir else None) / name
    if not folder.is_dir() or (is_to_be_encrypted(folder) and not is_encrypted(folder)):
        folder = _tokenised(task, own, folder)
    return TextHere(replace(spec, cache_folder=str(folder)), _key_of(folder, own))


def _name_here(runs: Path, own: OwnText) -> str:
    """What the folder of the run is called here; the run's key is of its own copy, and opens no other one."""
    if own.key_place is not None:
        return name_encrypted(runs)
    if is_to_be_encrypted(runs) and own.storage_key != _PLAIN:
        what = f'--node-config \'storage-key="PLACE"\', since the run keeps its text encrypted, or "{_PLAIN}" there'
        raise NodeTextError(expected(_WHERE, what, "neither"))
    return name_unencrypted(runs)


def _key_of(folder: Path, own: OwnText) -> bytes:
    if own.key_place is None:
        return b""
    try:
        return data_key_of(folder, own.key_place) or b""
    except ConfigError as error:
        raise NodeTextError(f"{_WHERE}: {error}") from error


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
        text = replace(task.text, path=copy, cache_dir=wanted.parent)
        path, made = tokenised_text(text, storage_key=own.key_place)
    except InputError as error:
        raise NodeTextError(f"{_WHERE}: {error}") from error
    if made != wanted:
        raise NodeTextError(expected(_WHERE, f"a file whose text is {wanted.name}", f"{path} with {made.name}"))
    return made
