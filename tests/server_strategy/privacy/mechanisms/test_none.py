"""No privacy is a kind as well: chosen like the others, and it makes nothing."""

from server_strategy.privacy.mechanisms.base import Horizon
from server_strategy.privacy.mechanisms.door import private_mechanisms
from server_strategy.privacy.mechanisms.none import KIND
from server_strategy.privacy.mechanisms.record import made, name_of, on_record, parameters_of
from typefleet.doors import KindSettings


def test_it_makes_nothing_and_says_so():
    assert made("none", KindSettings(), Horizon(5, 1, 5)) is None
    assert not KIND.private and KIND.name not in private_mechanisms()
    assert (name_of(None), parameters_of(None)) == ("none", None)
    assert on_record("none", None) is None
