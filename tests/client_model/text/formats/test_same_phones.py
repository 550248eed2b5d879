"""The same 25 phones in four formats: the same people with the same messages."""

import pytest

from client_model.text.formats.base import Message
from client_model.text.formats.by_ending import ByEnding
from client_model.text.formats.leaf import Leaf
from client_model.text.vocabulary import tokenize
from tests.conftest import REAL_DATA

FOLDER = REAL_DATA / "formats"


@pytest.fixture(scope="module")
def phones():
    """By format: the texts of each phone, sorted, since not all keep the order."""
    if not FOLDER.exists():
        pytest.skip("messages in these formats are not part of the project and not on this machine")
    found = {}
    for message_format, name in (
        (Leaf(), "leaf.json"),
        (ByEnding(), "messages.csv"),
        (ByEnding(), "tff_stackoverflow.sqlite"),
        (ByEnding(), "tff_stackoverflow.h5"),
    ):
        of_file = found.setdefault(name.split(".")[-1], {})
        for message in message_format.read(FOLDER / name):
            assert isinstance(message, Message)
            of_file.setdefault(message.user_id, []).append(message.text)
    return {name: {user: sorted(texts) for user, texts in of_file.items()} for name, of_file in found.items()}


def test_pairs_of_formats_hold_the_very_same_texts(phones):
    assert phones["json"] == phones["csv"] and phones["sqlite"] == phones["h5"]
    assert len(phones["csv"]) == 25 and sum(map(len, phones["csv"].values())) == 4936


def test_all_hold_the_same_phones_and_as_many_messages(phones):
    counts = [{user: len(texts) for user, texts in of_file.items()} for of_file in phones.values()]
    assert all(one == counts[0] for one in counts)


def test_what_tff_has_cut_into_tokens_is_nearly_always_what_our_tokeniser_makes(phones):
    """There, texts are lower-case tokens with spaces between, cut otherwise: `2day` is `2 day`."""
    same = total = 0
    for user, texts in phones["csv"].items():
        cut = {" ".join(tokenize(text)) for text in phones["h5"][user]}
        same += sum(" ".join(tokenize(text)) in cut for text in texts)
        total += len(texts)
    assert same > 0.94 * total
