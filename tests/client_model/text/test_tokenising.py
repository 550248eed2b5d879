"""Arrays of a file are what its messages are, and the reader hears how far it is."""

import gzip
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_model.text.formats.base import DataError, Message
from client_model.text.formats.columns import Columns
from client_model.text.formats.json_lines import JsonLines
from client_model.text.tokenising import tokenise
from client_model.text.vocabulary import tokenize
from tests.heard_steps import Heard
from typefleet.steps import heard_by

users, texts = st.sampled_from(["ann", "bob", "eve"]), st.lists(st.sampled_from(["hi", "you", "?"]), max_size=4)
timed = st.builds(Message, users, texts.map(" ".join), st.sampled_from([0.0, 1.0, 2.0]), st.just(False))


class Given:
    endings = ()

    def __init__(self, messages):
        self.messages = messages

    def read(self, path):
        return iter(self.messages)


@given(st.lists(timed, max_size=20))
def test_each_phone_has_its_messages_in_the_order_of_times(tmp_path_factory, messages):
    messages = [Message("zoe", "always there", 0.0), *messages]
    found = tokenise(tmp_path_factory.getbasetemp(), Given(messages), "error")
    words = [found.lexicon[t] for t in found.types]
    bounds = found.message_offsets
    said = [words[a:b] for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
    by_phone = [said[a:b] for a, b in zip(found.first_message[:-1], found.first_message[1:], strict=True)]
    wanted = []
    for user in {m.user_id for m in messages}:
        of_user = sorted((m for m in messages if m.user_id == user), key=lambda m: m.time)
        wanted.append([tokens for m in of_user if (tokens := tokenize(m.text))])
    assert sorted(by_phone) == sorted(tokens for tokens in wanted if tokens)
    assert found.types.dtype == np.int32 and found.digests.dtype == np.uint64 and len(found.digests) == len(by_phone)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_numbers_and_dates_as_times_cannot_be_put_in_one_order(order, tmp_path):
    path, times = tmp_path / "m.jsonl", ["2020-01-31T09:00:00", 1580461200000]
    rows = [{"user_id": "ann", "text": "hello", "at": times[place]} for place in order]
    path.write_text("no message\n" + "".join(json.dumps(row) + "\n" for row in rows))
    found, before = ("numbers", "dates") if order == (0, 1) else ("dates", "numbers")
    with pytest.raises(DataError) as error:
        tokenise(path, JsonLines(columns=Columns(time="at")), "skip")
    wanted = f"times that are all numbers or all dates, as the {before} before"
    assert str(error.value) == f"{path}: message 3: expected {wanted}, found {found}"


@pytest.mark.parametrize("packed", [False, True])
def test_it_says_how_far_it_is_and_how_long_it_takes(packed, tmp_path):
    path = tmp_path / ("m.jsonl.gz" if packed else "m.jsonl")
    content = "".join(json.dumps({"user_id": f"u{n}", "text": f"hello {n}"}) + "\n" for n in range(5000)).encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    heard = Heard()
    with heard_by(heard):
        tokenise(path, JsonLines(), "error")
    assert heard.names == [f"reading {path.name}"]
    shares, totals, notes, left_s = zip(*heard.moves, strict=True)
    assert notes == tuple(f"{512 * n:,} messages" for n in range(1, 5000 // 512 + 1))
    assert set(totals) == {1.0} and list(shares) == sorted(shares) and 0 < shares[0] <= shares[-1] <= 1
    assert all(seconds is not None and 0 <= seconds < 60 for seconds in left_s)


def test_without_a_share_it_says_how_many(tmp_path):
    heard = Heard()
    with heard_by(heard):
        tokenise(tmp_path, Given([Message("u", "hello you")] * 1100), "error")
    assert heard.moves == [(0.0, None, f"{n:,} messages", None) for n in (512, 1024)]
