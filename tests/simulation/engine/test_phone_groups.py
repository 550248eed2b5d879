"""A host that trains several phones at once: the same sum in any grouping, and each phone's failure its own."""

import numpy as np
import pytest

from client_model.learning.padded_batches import Group
from simulation.engine import client_app
from simulation.engine.phone_host import PhoneHost
from tests.simulation.engine.test_client_app import CONTEXT, message, tensorflow_is_at_work

__all__ = ["tensorflow_is_at_work"]  # a fixture

THREE = Group(3, 8, "cpu")


def train(phones, group=THREE):
    content = client_app.train(message("train", phones, group=group), CONTEXT).content
    (values,) = content["update-sum"].to_numpy_ndarrays()
    return values, content


def fails_for(monkeypatch, phone, how):
    """Make what is read of one phone be trained as `how` says, alone and among others."""
    read, together = PhoneHost.read, PhoneHost.train_together
    of_phone = []

    def note(self, number, *when):
        batches = read(self, number, *when)
        if number == phone:
            of_phone.append(batches)
        return batches

    def train_or_fail(self, received, phones):
        results = together(self, received, phones)
        return [how(r) if any(b is one for one in of_phone) else r for b, r in zip(phones, results, strict=True)]

    monkeypatch.setattr(PhoneHost, "read", note)
    monkeypatch.setattr(PhoneHost, "train_together", train_or_fail)
    monkeypatch.setattr(PhoneHost, "train", lambda self, received, batches: train_or_fail(self, received, [batches])[0])


def test_the_sum_is_the_same_however_phones_are_grouped_and_ordered():
    expected, content = train([1, 2, 3, 4])  # three, and one
    norms = dict(zip(content["metrics"]["phone-ids"], content["metrics"]["update-norm"], strict=True))
    for parts in ([[1], [2, 3, 4]], [[4, 3], [2, 1]], [[3, 1, 4, 2]]):
        answers = [train(part) for part in parts]
        np.testing.assert_array_equal(sum(values for values, _ in answers), expected)
        for part, (_, found) in zip(parts, answers, strict=True):
            assert list(found["metrics"]["phone-ids"]) == part
            assert list(found["metrics"]["update-norm"]) == [norms[phone] for phone in part]


def test_it_is_nearly_that_of_one_phone_after_another():
    together, one_by_one = train([1, 2, 3, 4]), train([1, 2, 3, 4], None)
    error = np.linalg.norm((together[0] - one_by_one[0]).astype(np.float64))
    assert error < 1e-5 * np.linalg.norm(one_by_one[0].astype(np.float64))
    for figures in ("update-norm", "loss-sum"):
        np.testing.assert_allclose(*(list(found[1]["metrics"][figures]) for found in (together, one_by_one)), rtol=1e-5)


def test_a_failure_falls_on_the_phone_that_caused_it(monkeypatch):
    expected, _ = train([1, 2, 4])
    fails_for(monkeypatch, 3, lambda result: 1 / 0)
    values, content = train([1, 2, 3, 4])
    np.testing.assert_array_equal(values, expected)
    assert list(content["metrics"]["phone-ids"]) == [1, 2, 4] and list(content["metrics"]["failed-ids"]) == [3]
    assert content["failures"]["causes"][0].startswith("ZeroDivisionError at test_phone_groups.py:")


def test_a_phone_that_cannot_be_read_leaves_its_place_to_nobody(monkeypatch):
    expected, _ = train([1, 2, 4])
    read = PhoneHost.read
    monkeypatch.setattr(PhoneHost, "read", lambda self, phone, *when: 1 / (phone - 3) and read(self, phone, *when))
    values, content = train([1, 2, 3, 4])
    np.testing.assert_array_equal(values, expected)
    assert list(content["metrics"]["phone-ids"]) == [1, 2, 4] and list(content["metrics"]["failed-ids"]) == [3]


def test_an_update_that_is_not_finite_is_left_out_alone(monkeypatch):
    expected, _ = train([1, 2, 4])
    fails_for(monkeypatch, 3, lambda result: result._replace(update=result.update * np.nan))
    values, content = train([1, 2, 3, 4])
    np.testing.assert_array_equal(values, expected)
    assert list(content["metrics"]["rejected-ids"]) == [3] and not content["metrics"]["failed-ids"]


@pytest.mark.parametrize("failure", [MemoryError(), OSError(28, "No space left on device")])
def test_a_failure_of_the_machine_is_not_the_phones(monkeypatch, failure):
    def fail(result):
        raise failure

    fails_for(monkeypatch, 3, fail)
    with pytest.raises(type(failure)):
        train([1, 2, 3, 4])
