"""What is tried next does not depend on when the process was started."""

import threading

import pytest
from optuna.trial import TrialState

from simulation.studies.sweeps.search import FILE_NAME, Search, setting_of
from simulation.studies.sweeps.study_file import Choices, Range, Study, StudyOptions
from typefleet.errors import ConfigError

SPACE = {
    "a": Range(0.01, 10.0, True, None, False),
    "b": Choices(("x", "y", "z")),
    "c": Range(1, 9, False, 2, True),
    "d": Range(1, 10**6, True, None, True),
}


def study(method="random", trials=8, space=SPACE, **options):
    return Study(StudyOptions(method=method, trials=trials, **options), {}, space)


def reached(setting):
    return setting.get("a", 0.0) - len(str(setting["b"])) * setting["c"]


def played(folder, asked, reopen_after=()):
    folder.mkdir()
    search, found = Search(folder, asked), []
    while (trial := search.next()) is not None:
        setting = setting_of(trial, list(asked.search))
        found.append(setting)
        search.finished(trial, reached(setting))
        if len(found) in reopen_after:
            search = Search(folder, asked)
    return found


@pytest.mark.parametrize("method", ["random", "tpe"])
def test_trials_are_the_same_however_often_the_process_was_started(method, tmp_path):
    asked = study(method, 12)
    straight = played(tmp_path / "a", asked)
    assert straight == played(tmp_path / "b", asked, (1, 5, 6, 11))
    assert len({tuple(setting.values()) for setting in straight}) == len(straight) == 12
    for setting in straight:
        assert 0.01 <= setting["a"] <= 10 and setting["b"] in "xyz" and setting["c"] in (1, 3, 5, 7, 9)
        assert 1 <= setting["d"] <= 10**6


def played_in_batches(folder, asked, at_once, order=lambda batch: batch, killed=False):
    """Settings in the order of their trials; the trials of a batch end in some order, perhaps in another process."""
    folder.mkdir()
    search, found = Search(folder, asked, at_once), {}
    while batch := search.draw():
        if killed:
            search = Search(folder, asked, at_once)
            batch = search.unfinished()
        found |= {search.number_of(trial): setting_of(trial, list(SPACE)) for trial in batch}
        for trial in order(batch):
            assert search.draw() == []  # others are under way
            search.finished(trial, float(search.number_of(trial)))  # ever better, so that each makes a difference
    assert search.all_drawn
    return [found[number] for number in range(len(found))]


def test_tpe_with_several_at_once_repeats_whatever_the_order_in_which_they_end(tmp_path):
    asked = study("tpe", 10)
    straight = played_in_batches(tmp_path / "a", asked, 3)
    assert straight == played_in_batches(tmp_path / "b", asked, 3, lambda batch: batch[::-1], killed=True)
    assert len({tuple(setting.values()) for setting in straight}) == len(straight) == 10
    assert straight != played_in_batches(tmp_path / "c", asked, 2)  # which is another search


def test_a_batch_that_a_kill_cut_short_is_drawn_whole_before_any_of_it_ends(tmp_path):
    asked = study("tpe", 6)
    (tmp_path / "straight").mkdir()
    straight = Search(tmp_path / "straight", asked, 6).draw()
    killed = Search(tmp_path, asked, 6)
    killed.next()
    killed.next()  # two of six, and killed
    again = Search(tmp_path, asked, 6).unfinished()
    assert [setting_of(t, list(SPACE)) for t in again] == [setting_of(t, list(SPACE)) for t in straight]


def test_trials_that_do_not_learn_from_others_wait_for_none(tmp_path):
    search = Search(tmp_path, study("random", 3), 2)
    assert [len(search.draw()) for _ in range(4)] == [1, 1, 1, 0] and search.all_drawn


def test_a_further_attempt_has_the_setting_and_the_number_of_the_trial_that_failed(tmp_path):
    asked = study(trials=3)
    search = Search(tmp_path, asked)
    first, second = search.next(), search.next()
    search.failed(first, "the machine was full")
    search.finished(second, 1.0)
    (again,) = search.retry_failed()
    assert search.number_of(again) == 0 and setting_of(again, list(SPACE)) == setting_of(first, list(SPACE))
    assert search.retry_failed() == []  # it is under way
    killed = Search(tmp_path, asked)
    (unfinished,) = killed.unfinished()
    assert killed.number_of(unfinished) == 0
    killed.failed(unfinished, "and again")
    (last,) = killed.retry_failed()
    third = killed.next()
    assert killed.number_of(third) == 2 and killed.next() is None  # an attempt is no trial more
    killed.finished(last, 2.0)
    found = Search(tmp_path, asked).trials()
    assert [(t.number, t.state.name, t.value) for t in found] == [
        (0, "COMPLETE", 2.0),
        (1, "COMPLETE", 1.0),
        (2, "RUNNING", None),
    ]
    assert found[0].causes == ("the machine was full", "and again") and found[1].causes == ()
    assert setting_of(found[2], list(SPACE)) == played(tmp_path / "straight", asked)[2]


def test_a_grid_is_tried_in_its_order_each_once(tmp_path):
    space = {"b": Choices((True, "x", 0.5)), "c": Range(1, 3, False, 1, True)}
    asked = study("grid", 1, space)
    assert played(tmp_path / "a", asked, (2, 3)) == asked.grid() and Search(tmp_path / "a", asked).total == 9


def test_tpe_learns(tmp_path):
    space = {"a": Range(0.0, 10.0, False, None, False), "b": Choices(("x",)), "c": Choices((1,))}
    found = played(tmp_path / "a", study("tpe", 40, space))
    assert sum(s["a"] for s in found[20:]) / 20 > 1.3 * sum(s["a"] for s in found[:5]) / 5


def test_a_trial_that_was_under_way_goes_on(tmp_path):
    asked = study(trials=2)
    first = Search(tmp_path, asked).next()
    again = Search(tmp_path, asked)
    (unfinished,) = again.unfinished()
    assert unfinished.number == first.number and unfinished.params == first.params
    again.finished(unfinished, 1.0)
    assert again.unfinished() == [] and again.next().number == 1 and again.next() is None


def test_failures_keep_their_cause(tmp_path):
    search = Search(tmp_path, study(trials=1))
    search.failed(search.next(), "--cohort.goal: expected less")
    (trial,) = Search(tmp_path, study(trials=1)).trials()
    assert trial.state == TrialState.FAIL and trial.causes == ("--cohort.goal: expected less",)


def test_the_median_pruner_ends_what_does_worse_at_the_same_round(tmp_path):
    search = Search(tmp_path, study(trials=9, pruner="median"))
    for value in (5, 6, 7, 8, 9):
        trial = search.next()
        assert not search.is_hopeless(trial, 10, value) and not search.is_hopeless(trial, 20, value + 1)
        search.finished(trial, value + 1)
    worse, better = search.next(), search.next()
    assert search.is_hopeless(worse, 10, 6.5) and not search.is_hopeless(better, 10, 7.5)
    assert search.is_hopeless(worse, 10, 99.0)  # a round is told once: what comes again when a run goes on is not new
    search.pruned(worse)
    assert search.trials()[worse.number].state == TrialState.PRUNED


@pytest.mark.parametrize("content", [b"secret", b"SQLite format 3\0" + b"x" * 9000])
def test_another_file_in_the_place_of_the_trials_is_refused(content, tmp_path):
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(ConfigError, match=r"study\.db: expected the trials of a sweep") as caught:
        Search(tmp_path, study())
    assert "secret" not in str(caught.value)


def test_whoever_looks_meanwhile_sees_no_trial_without_its_setting(tmp_path):
    asked = study(trials=25)
    search = Search(tmp_path, asked)

    def draw():
        while (trial := search.next()) is not None:
            search.finished(trial, 1.0)

    drawing, looks = threading.Thread(target=draw), 0
    drawing.start()
    while drawing.is_alive() or not looks:
        looks += 1
        for trial in search.trials():
            assert setting_of(trial, list(SPACE)).keys() == SPACE.keys()
    assert looks


def test_whole_numbers_stay_whole_however_wide_their_range(tmp_path):
    found = played(tmp_path / "a", study(space={"a": Range(0.1, 1.0, False, None, False), **dict(SPACE)}))
    assert all(isinstance(setting["d"], int) for setting in found)


def test_a_kill_before_a_setting_was_whole_leaves_the_trial_to_go_on(tmp_path):
    asked = study(trials=2)
    whole = played(tmp_path / "whole", asked)[0]
    (tmp_path / "killed").mkdir()
    search = Search(tmp_path / "killed", asked)
    search._study.sampler = search._sampler(0)
    trial = search._study.ask()
    trial._suggest("a", search._space["a"])  # and killed
    (again,) = Search(tmp_path / "killed", asked).unfinished()
    found = setting_of(again, list(SPACE))
    assert found.keys() == SPACE.keys() and found["a"] == whole["a"]


def test_a_kill_before_an_enqueued_setting_was_asked_for_loses_none(tmp_path):
    asked = study("grid", 1, {"c": Range(1, 3, False, 1, True)})
    search = Search(tmp_path, asked)
    search.finished(search.next(), 1.0)
    search._study.enqueue_trial(asked.grid()[1])  # and killed
    again, found = Search(tmp_path, asked), []
    while (trial := again.next()) is not None:
        found.append(setting_of(trial, ["c"]))
        again.finished(trial, 1.0)
    assert found == asked.grid()[1:]


def test_its_file_is_its_owners_alone(tmp_path):
    Search(tmp_path, study(trials=1)).next()
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600
