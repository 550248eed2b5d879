"""A text that is marked for some purposes is used for no other one."""

from pathlib import Path

import pytest

from client_model.config import DataConfig
from client_model.text.formats.base import DataError
from client_model.text.population import prepare_population
from client_model.text.purpose import NEXT_WORD, mark_of, require_purpose


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text('{"user_id": "a", "text": "hello"}\n{"user_id": "b", "text": "you"}\n')
    return path


def used(path, purpose):
    return prepare_population(DataConfig(path=path, cache_dir=path.parent / "cache", purpose=purpose), 0, None)


def test_a_mark_is_held_to_at_every_use_the_cache_being_there_or_not(text):
    used(text, "research")  # no mark
    mark = mark_of(text)
    mark.write_text("next-word\nspelling\n")
    assert used(text, NEXT_WORD) == used(text, "spelling")
    with pytest.raises(DataError) as error:
        used(text, "research")
    assert str(error.value) == f"--data.purpose: expected one that {mark} names (next-word, spelling), found research"
    mark.write_text("")
    with pytest.raises(DataError, match=r"names \(none\), found next-word"):
        used(text, NEXT_WORD)


def test_a_folder_is_marked_beside_it(text):
    folder = text.parent / "folder"
    folder.mkdir()
    text.rename(folder / "m.jsonl")
    (text.parent / "folder.purpose").write_text("spelling")
    assert used(folder, "spelling").num_phones == 2
    with pytest.raises(DataError, match="found next-word"):
        used(folder, NEXT_WORD)


def test_a_link_is_held_to_the_mark_of_what_it_leads_to_and_to_its_own(text):
    mark_of(text).write_text("spelling")
    link = text.parent / "alias.jsonl"
    link.symlink_to(text)
    require_purpose(link, "spelling")
    with pytest.raises(DataError, match=r"m\.jsonl\.purpose names \(spelling\), found next-word"):
        require_purpose(link, NEXT_WORD)
    mark_of(link).write_text(NEXT_WORD)
    for purpose in ("spelling", NEXT_WORD):
        with pytest.raises(DataError, match="expected one that"):
            require_purpose(link, purpose)


def test_a_link_in_a_folder_is_held_to_the_mark_of_what_it_leads_to(text):
    mark_of(text).write_text("spelling")
    (text.parent / "folder").mkdir()
    (text.parent / "folder" / "n.jsonl").symlink_to(text)
    require_purpose(text.parent / "folder", "spelling")
    with pytest.raises(DataError, match="found next-word"):
        require_purpose(text.parent / "folder", NEXT_WORD)


@pytest.mark.parametrize("path", [".", "../folder", "sub/.."])
def test_a_folder_is_known_by_whatever_path_leads_to_it(path, tmp_path, monkeypatch):
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    (tmp_path / "folder.purpose").write_text("spelling")
    monkeypatch.chdir(tmp_path / "folder")
    require_purpose(Path(path), "spelling")
    with pytest.raises(DataError, match="found next-word"):
        require_purpose(Path(path), NEXT_WORD)
    require_purpose(Path("/"), NEXT_WORD)  # beside it there can be no mark


@pytest.mark.parametrize("purpose", ["", "Next", "two words", "x" * 41, "-a", "a\n"])
def test_a_purpose_is_one_word(text, purpose):
    for config in (DataConfig(path=text, purpose=purpose), DataConfig(format="synthetic", purpose=purpose)):
        with pytest.raises(DataError, match=r"--data\.purpose: expected a word of at most 40 small letters"):
            prepare_population(config, 0, None)


def test_what_is_no_mark_is_refused_and_not_repeated(text):
    mark_of(text).write_text("next-word Dear@Diary")
    with pytest.raises(DataError) as error:
        used(text, NEXT_WORD)
    assert str(error.value).startswith(f"{mark_of(text)}: word 2: expected a word") and "Diary" not in str(error.value)
