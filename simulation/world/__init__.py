"""The simulated world: phones, time, availability, and rounds resolved before anything is trained."""

from server_strategy.policies import POLICIES

# The server's settings name a policy; the policies themselves live here, with the phones.
POLICIES.register_places(
    {
        "synchronous": "simulation.world.policies.synchronous:KIND",
        "deadline": "simulation.world.policies.deadline:KIND",
        "buffered": "simulation.world.policies.buffered:KIND",
    }
)
