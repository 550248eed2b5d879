import numpy as np

from server_strategy.pooled_evaluation import PhoneCounts, pooled_record

PHONES = np.array([3, 8])
COUNTS = {"hits": np.array([1, 2]), "loss": np.array([20.0, 70.5]), "by-place": np.array([[2, 3], [5, 10]])}


def test_counts_are_added_up_over_phones_whatever_their_names():
    record = pooled_record(PhoneCounts(PHONES, COUNTS), None)
    assert dict(record) == {"hits": 3, "loss": 90.5, "by-place": [7, 13]}


def test_what_the_counts_say_is_said_by_who_knows():
    record = pooled_record(PhoneCounts(PHONES, COUNTS), lambda sums: {"mean-loss": float(sums["loss"] / sums["hits"])})
    assert record["mean-loss"] == 90.5 / 3 and record["hits"] == 3


def test_no_phone_is_no_measurement():
    nobody = PhoneCounts(PHONES[:0], {name: values[:0] for name, values in COUNTS.items()})
    assert pooled_record(nobody, lambda sums: 1 / 0) is None


def test_some_of_the_phones():
    own = PhoneCounts(PHONES, COUNTS).of(np.array([False, True]))
    assert own.phones.tolist() == [8] and own.sums()["by-place"].tolist() == [5, 10]
