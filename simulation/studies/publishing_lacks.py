"""What the files of a run may lack and be published all the same, if that is said in words."""

from typing import Literal, TypeAlias

Lack: TypeAlias = Literal["no-privacy", "modelled-deployment", "seeded-noise", "vocabulary", "start"]
