import io
import os
import time
from pathlib import Path

import pytest

from client_model.config import DataConfig
from client_model.text.population import open_population, prepare_population
from simulation.commands import show_cache
from simulation.studies.cache_report import empty_cache, print_cache
from tests.client_model.text.test_population import GOOD, write_jsonl
from typefleet.errors import ConfigError


def shown(act, root):
    stream = io.StringIO()
    return act(stream, root), stream.getvalue()


@pytest.fixture
def spec(tmp_path):
    config = DataConfig(path=write_jsonl(tmp_path / "m.jsonl", GOOD), cache_dir=tmp_path / "cache")
    return prepare_population(config, 0, None)


def test_size_and_age_are_shown_without_a_flag_and_no_text(spec, tmp_path):
    folder = Path(spec.cache_folder)
    os.utime(folder, (0, time.time() - 3 * 86400))
    code, text = shown(print_cache, tmp_path / "cache")
    assert code == 0 and f"{folder.name[:8]}-jsonl-error-5" in text and "3 days ago" in text and "30 days" in text
    assert f"{sum(p.stat().st_size for p in folder.iterdir()) / 1e3:.1f} kB" in text and "hello" not in text
    assert "show_cache.py --cache-dir" in text and folder.exists()


def test_emptied_it_has_nothing_but_what_is_in_use(spec, tmp_path):
    reader = open_population(spec)
    code, text = shown(empty_cache, tmp_path / "cache")
    assert code == 1 and "removed: 0 files" in text and "at work on it: 1 file" in text
    del reader
    code, text = shown(empty_cache, tmp_path / "cache")
    assert (code, text.count("\n")) == (0, 1) and "removed: 1 file" in text
    assert not list((tmp_path / "cache").iterdir())
    assert "0 files, 0.0 kB" in shown(print_cache, tmp_path / "cache")[1]


def test_the_command_shows_it_and_with_empty_removes_it(spec, tmp_path, capsys):
    cache = ["--cache-dir", str(tmp_path / "cache")]
    assert show_cache.main(cache) == 0 and Path(spec.cache_folder).name[:8] in capsys.readouterr().out
    assert show_cache.main([*cache, "--empty"]) == 0 and "removed: 1 file" in capsys.readouterr().out
    assert not list((tmp_path / "cache").iterdir())


def test_without_a_cache_there_is_nothing_and_a_file_is_none(tmp_path):
    assert "0 files" in shown(print_cache, tmp_path / "none")[1]
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file: expected a cache that can be read, found not a directory"):
        print_cache(io.StringIO(), tmp_path / "file")
