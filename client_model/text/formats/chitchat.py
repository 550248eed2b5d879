"""Chats of real people, which an installed package brings: chitchat-dataset (MIT), 258,145 messages of 1,315 people.

They took part in the Chit-Chat Challenge of BYU's Perception, Control & Cognition lab in 2018. The file is a JSON
object of conversations; `messages` of each is a list of turns, a turn a list of `text`, `timestamp` (UTC)
and `sender`. A person's messages come in the order in which they were written.

What is left out, and why (`Cleaning`): some held a key or typed "a a a a a", some sent one text again and again, and a
few wrote so much that a model would be theirs.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from client_model.text.formats.base import DataError, Message, message_of
from client_model.text.formats.columns import moment
from client_model.text.formats.door import BUNDLED
from client_model.text.vocabulary import tokenize
from typefleet.doors import Kind
from typefleet.errors import expected
from typefleet.untrusted.json_values import read_json

PACKAGE = "chitchat_dataset"
_FILE = "dataset.json"


@dataclass(frozen=True)
class Cleaning:
    """Which messages of a person are left out."""

    longest_word: int = 20
    """Letters; a longer one is a key that was held, or several keys at once."""
    mashed_words: int = 5
    """Of so many words or more, no single one makes up more than half."""
    same_text: int = 10
    """How often the same text counts, at most: greetings come again, and so do pastes."""
    most_messages: int = 1000
    """The newest of a person."""

    def keep(self, texts: list[str]) -> list[str]:
        """The messages that count, of one person's in the order of writing."""
        return [texts[place] for place in self.kept(texts)]

    def kept(self, texts: list[str]) -> list[int]:
        """Places of the messages that count."""
        seen: Counter[str] = Counter()
        kept = []
        for place in reversed(range(len(texts))):
            tokens = tokenize(texts[place])
            same = " ".join(tokens)
            seen[same] += 1
            if not self._is_mashed(tokens) and seen[same] <= self.same_text:
                kept.append(place)
        return kept[: self.most_messages][::-1]

    def _is_mashed(self, tokens: list[str]) -> bool:
        words = [token for token in tokens if token[0].isalnum()]
        if max(map(len, words), default=0) > self.longest_word:
            return True
        return len(words) >= self.mashed_words and Counter(words).most_common(1)[0][1] * 2 > len(words)


class ChitChat:
    """Conversations of pairs, in one JSON file."""

    endings: tuple[str, ...] = ()  # .json says too little

    def bundled(self) -> Path:
        """The file that the package brings.

        Raises:
            DataError: the package is not installed.
        """
        found = find_spec(PACKAGE)
        if found is None or found.origin is None:
            hint = f"pip install {PACKAGE.replace('_', '-')}"
            raise DataError(f"{expected('--data.format chitchat', f'the package {PACKAGE}', 'none')}; {hint}")
        return Path(found.origin).with_name(_FILE)

    def read(self, path: Path) -> Iterator[Message | DataError]:
        """The messages of each person that `Cleaning` keeps, or a DataError in place of a bad one."""
        by_person: dict[str, list[tuple[str, str]]] = {}  # (time, text)
        for number, conversation in enumerate(_conversations(path).values(), start=1):
            for where, written in _written(conversation, f"{path}: conversation {number}"):
                message = message_of({"user_id": written.get("sender"), "text": written.get("text")}, where)
                if isinstance(message, DataError):
                    yield message
                else:
                    time = str(written.get("timestamp", ""))
                    by_person.setdefault(message.user_id, []).append((time, message.text))
        cleaning = Cleaning()
        is_dated = all(_is_date(time) for texts in by_person.values() for time, _ in texts)
        for person, texts in by_person.items():
            texts.sort(key=lambda one: one[0])  # stable, and ISO 8601 in UTC sorts as text
            for place in cleaning.kept([text for _, text in texts]):
                time, text = texts[place]
                when = moment(time) if is_dated else None
                yield Message(person, text) if when is None else Message(person, text, when.at, when.is_date)


def _is_date(text: str) -> bool:
    written = moment(text)
    return written is not None and written.is_date


def _conversations(path: Path) -> dict[str, Any]:
    content = read_json(path, "JSON", DataError)
    if not isinstance(content, dict):
        raise DataError(expected(path, "an object of conversations", f"a {type(content).__name__}"))
    return content


def _written(conversation: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where it stands, what was written) of each message."""
    turns = conversation.get("messages") if isinstance(conversation, dict) else None
    if not isinstance(turns, list) or not all(isinstance(turn, list) for turn in turns):
        raise DataError(expected(where, "messages, a list of turns", "none"))
    for number, turn in enumerate(turns, start=1):
        for written in turn:
            yield f"{where}, turn {number}", written if isinstance(written, dict) else {}


KIND = Kind(BUNDLED, "chats of 1,315 people, from the package chitchat-dataset", make=lambda settings: ChitChat())
