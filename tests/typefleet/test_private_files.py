import os

import pytest

from typefleet.private_files import close_to_others, make_private_folder, open_private


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o277])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path):
    return path.stat().st_mode & 0o777


def test_a_private_file_is_its_owners_alone_whatever_the_umask(tmp_path, umask):
    for kind in ("w", "a", "a+", "wb"):
        path = tmp_path / f"new-{kind}"
        with open_private(path, kind) as file:
            assert mode(path) == 0o600  # from the first moment
            file.write("ü" if "b" not in kind else b"x")
    (tmp_path / "old").touch(mode=0o644)
    open_private(tmp_path / "old", "a").close()
    assert mode(tmp_path / "old") == 0o600


def test_a_private_folder_is_closed_and_what_is_above_is_left_to_the_umask(tmp_path):
    before = os.umask(0o022)
    try:
        make_private_folder(tmp_path / "above" / "private")
        (tmp_path / "open").mkdir()
        make_private_folder(tmp_path / "open")
    finally:
        os.umask(before)
    assert mode(tmp_path / "above" / "private") == mode(tmp_path / "open") == 0o700
    assert mode(tmp_path / "above") == 0o755


def test_what_is_private_already_is_not_touched(tmp_path):
    path = tmp_path / "file"
    path.touch(mode=0o600)
    changed = path.stat().st_ctime_ns
    close_to_others(path)
    assert path.stat().st_ctime_ns == changed
    close_to_others(tmp_path / "gone")  # as a draft may be by then
