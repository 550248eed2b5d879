"""Parts that were handed in as objects, and how they reach the hosts.

A kind behind a door travels by its name. An object that only this process has - a cell that was written in a notebook,
a kind that was registered here - has to travel itself. It goes inside the text of the `HostTask`, as Ray's cloudpickle
writes it, in base64: cloudpickle takes along the code of what was defined in `__main__`, which a worker cannot import.

Reading a pickle runs what is in it. Here that gives nobody a power that they lack: the bytes are made by `to_texts` in
the driver, from objects that its user handed to it, and read by the worker processes that the same driver started,
which take pickled code from it through Ray in any case. They are never written to a file and never read from one; a
run's folder has the names of the parts only, so that a resumed run must be handed them again.
"""

import base64
import pickle
from collections.abc import Callable, Mapping

from typefleet.errors import ConfigError

HandedIn = Mapping[str, object]
"""Objects by the name of what they are, such as `cell`."""


def to_texts(parts: HandedIn) -> dict[str, str]:
    """Each part as text.

    Raises:
        ConfigError: a part cannot leave this process, such as an object that holds an open file.
    """
    if not parts:
        return {}
    from ray import cloudpickle  # takes a second to import

    dumps: Callable[[object], bytes] = cloudpickle.dumps
    texts = {}
    for name, part in parts.items():
        try:
            texts[name] = base64.b64encode(dumps(part)).decode("ascii")
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise ConfigError(f"{name}: expected an object that can be sent to workers, found {error}") from error
    return texts


def from_texts(texts: Mapping[str, str]) -> dict[str, object]:
    """Inverse of `to_texts`; see above on whose texts these are."""
    if not texts:
        return {}
    from ray import cloudpickle

    return {name: cloudpickle.loads(base64.b64decode(text)) for name, text in texts.items()}
