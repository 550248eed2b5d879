"""Text that phones clear away after days, from an encrypted cache: the same bits, and no word of it on the disk."""

import json

import numpy as np
import pytest

from client_model.text.kept_text import DAY_S
from tests.simulation.storage.encrypted_run import DIGITS, TINY, WORDS, key_file, played
from typefleet.errors import InputError
from typefleet.sealed.chunks import is_sealed


@pytest.fixture(scope="module")
def dated(tmp_path_factory):
    """Sixty phones that write on days of their own, so that each day other messages are kept."""
    path, draw = tmp_path_factory.mktemp("dated") / "m.jsonl", np.random.default_rng(0)
    rows = [
        {"user_id": f"u{n}", "text": " ".join(draw.choice(WORDS, 5)), "at": f"2020-01-{1 + day:02}T12:00:00"}
        for n in range(60)
        for day in sorted(draw.choice(8, 4, replace=False).tolist())
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_window_that_slides_is_read_from_an_encrypted_cache_bit_for_bit(dated, tmp_path):
    flags = (
        *(*TINY, "--rounds", 3, "--data.path", dated, "--data.time-column", "at", "--data.keep-days", 2),
        *("--fleet.start-date", "2020-01-03", "--fleet.never-eligible-share", 0, "--cohort.pause-s", DAY_S),
        *("--cohort.min-separation-rounds", 1, "--privacy.noise-source", "seeded"),
    )
    key, found = key_file(tmp_path / "key", DIGITS), {}
    for name, own in (("plain", ()), ("sealed", ("--storage.key", key))):
        folder = tmp_path / name
        begun = (*flags, "--data.cache-dir", folder / "cache", "--output-dir", folder / "run", *own)
        played(*begun, rounds=1 if own else None)
    key.rename(tmp_path / "away")
    with pytest.raises(InputError):
        played("--resume", tmp_path / "sealed" / "run")
    (tmp_path / "away").rename(key)
    played("--resume", tmp_path / "sealed" / "run")  # on another day, with another window
    for name in ("plain", "sealed"):
        lines = [json.loads(line) for line in (tmp_path / name / "run" / "rounds.jsonl").open()]
        found[name] = [(line["weights_sha256"], line["tokens"], line["reports"]) for line in lines]
        days = {int(line["opened_s"] // DAY_S) for line in lines if line["reports"]}
        assert len(days) > 1, "the window has to slide"
    assert found["plain"] == found["sealed"]
    (entry,) = (tmp_path / "sealed" / "cache").iterdir()
    content = {path.name: path.read_bytes() for path in entry.iterdir()}
    assert not [word for word in WORDS for one in content.values() if word.encode() in one]
    (plain,) = (tmp_path / "plain" / "cache").iterdir()
    arrays = {path.name for path in plain.glob("*.npy")}
    assert "times_s.npy" in arrays and all(is_sealed(entry / name) for name in arrays)
