"""No privacy: nothing is added to the sums."""

from server_strategy.privacy.mechanisms.base import MechanismKind
from typefleet.doors import PlotStyle

KIND = MechanismKind(
    "none", "no noise at all", make=lambda settings, horizon: None, style=PlotStyle("#555555", line=":")
)
