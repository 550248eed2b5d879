"""Text without spaces between words is refused, and no other."""

import gzip
import json

import pytest

from client_model.config import DataConfig
from client_model.text.formats.base import DataError
from client_model.text.population import open_population, prepare_population
from tests.conftest import REAL_DATA


def prepare(path, cache):
    return prepare_population(DataConfig(path=path, cache_dir=cache), 0, None)


def write(path, texts):
    path.write_text("".join(json.dumps({"user_id": f"u{i % 2}", "text": t}) + "\n" for i, t in enumerate(texts)))
    return path


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("今天晚上一起吃饭吗", "Han"),
        ("ありがとうございます、またね", "Hiragana"),
        ("コーヒーとケーキ", "Katakana"),
        ("วันนี้ไปกินข้าวกัน", "Thai"),
        ("ມື້ນີ້ເຈົ້າສະບາຍດີບໍ", "Lao"),
        ("សួស្តីអ្នកសុខសប្បាយទេ", "Khmer"),
        ("နေကောင်းလား", "Myanmar"),
    ],
)
def test_a_script_without_spaces_is_refused_in_one_line_that_names_it(text, script, tmp_path):
    path = write(tmp_path / "m.jsonl", [text, f"{text} ok"])
    with pytest.raises(DataError) as error:
        prepare(path, tmp_path)
    assert str(error.value) == f"{path}: expected text of a script with spaces between words, found mostly {script}"


@pytest.mark.parametrize(
    "text",
    [
        "ça va très bien",
        "wie geht's dir, Größe?",
        "привет как дела",
        "안녕하세요 반갑습니다",
        "مرحبا كيف حالك",
        "see you 今天",
    ],
)
def test_a_script_with_spaces_is_read(text, tmp_path):
    assert open_population(prepare(write(tmp_path / "m.jsonl", [text, text]), tmp_path)).num_phones == 2


def test_the_first_messages_decide_before_all_is_read(tmp_path):
    path = write(tmp_path / "m.jsonl", ["今天"] * 2000)
    path.write_text(path.read_text() + "damaged")
    with pytest.raises(DataError, match="mostly Han"):
        prepare(path, tmp_path)
    path = write(tmp_path / "n.jsonl", ["hello you"] * 2000 + ["今天晚上一起吃饭吗"] * 4000)
    assert open_population(prepare(path, tmp_path)).num_phones == 2


@pytest.mark.parametrize("name", ["sms_zh", "sentences_fr", "fortunes_de", "fortunes_ru"])
def test_real_text(name, tmp_path):
    path = REAL_DATA / "text" / f"{name}.jsonl.gz"
    if not path.exists():
        pytest.skip("real text is not part of the project and not on this machine")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        first = [line for line, _ in zip(lines, range(3000), strict=False)]
    part = tmp_path / f"{name}.jsonl"
    part.write_text("".join(first), encoding="utf-8")
    if name == "sms_zh":
        with pytest.raises(DataError, match="expected text of a script with spaces between words, found mostly Han"):
            prepare(part, tmp_path)
    else:
        assert open_population(prepare(part, tmp_path)).num_phones >= 2
