"""TensorBoard: curves, the run's settings for its HPARAMS tab, and figures at the end.

Written with what TensorBoard itself ships. The HPARAMS tab puts the runs below one --logdir side by side: their
settings, of which it shows first those that differ, and the last value of each curve.
"""

import struct
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simulation.run.trackers.base import Outcome, TrackedRun, TrackerKind
from simulation.run.trackers.config import TrackingConfig

if TYPE_CHECKING:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

_OUTCOME = ".outcome"  # ending of the file with what the end adds, so that it can be replaced


class TensorBoard:
    """Event files in tensorboard/: one of the rounds, and one of the end."""

    def __init__(self, settings: TrackingConfig) -> None:
        self._writer: EventFileWriter | None = None

    def begin(self, run: TrackedRun) -> None:
        """Begin an event file, with what earlier ones have of the rounds before `next_round`, in their place."""
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._folder = run.folder / "tensorboard"
        earlier = sorted(self._folder.glob("*.tfevents.*"))
        kept = _events_before(run.next_round, [file for file in earlier if file.suffix != _OUTCOME])
        self._writer = EventFileWriter(str(self._folder))
        if not kept:
            self._add(0, hparams_pb(dict(run.settings), trial_id=f"{run.name}-{run.key}"))
        for event in kept:
            self._writer.add_event(event)
        self._writer.flush()
        for file in earlier:
            file.unlink()

    def round(self, number: int, values: Mapping[str, float]) -> None:
        """Write a point of each curve."""
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.plugins.scalar.summary_v2 import scalar_pb

        points = Summary()
        for tag, value in values.items():
            with np.errstate(over="ignore"):  # the perplexity of a model that diverged: infinite here
                points.MergeFrom(scalar_pb(tag, np.float32(value)))
        self._add(number, points)
        if self._writer is not None:
            self._writer.flush()

    def end(self, outcome: Outcome) -> None:
        """Write the figures, and that the run has ended, in the place of what an earlier end wrote."""
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self.close()
        for earlier in self._folder.glob(f"*{_OUTCOME}"):
            earlier.unlink()
        self._writer = EventFileWriter(str(self._folder), filename_suffix=_OUTCOME)
        for tag, png in outcome.figures.items():
            self._add(outcome.last_round, _image(tag, png))
        self._add(outcome.last_round, _ended())

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _add(self, step: int, summary: "Summary") -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        if self._writer is not None:
            self._writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))


def _events_before(step: int, files: Sequence[Path]) -> list["Event"]:
    """What event files have of the steps before one, each event once; a record that a kill cut short is none."""
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event

    events = (Event.FromString(record) for file in files for record in RawEventFileLoader(str(file)).Load())
    kept = {}
    for event in events:
        if event.HasField("summary") and event.step < step:
            kept[event.step, *(value.tag for value in event.summary.value)] = event
    return list(kept.values())


def _image(tag: str, png: bytes) -> "Summary":
    """A picture as TensorBoard's images plugin has it: a tensor of width, height and the file, each a text."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING
    from tensorboard.plugins.image.metadata import create_summary_metadata

    sides = struct.unpack(">II", png[16:24])  # of a PNG's first chunk
    texts = [str(side).encode() for side in sides] + [png]
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=len(texts))])
    tensor = TensorProto(dtype=DT_STRING, string_val=texts, tensor_shape=shape)
    metadata = create_summary_metadata(display_name="", description="")
    return Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=tensor)])


def _ended() -> "Summary":
    """That the run is over, for the HPARAMS tab."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata
    from tensorboard.plugins.hparams.api_pb2 import STATUS_SUCCESS
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

    info = HParamsPluginData(session_end_info=SessionEndInfo(status=STATUS_SUCCESS, end_time_secs=time.time()))
    about = metadata.create_summary_metadata(info)
    return Summary(
        value=[Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=about, tensor=metadata.NULL_TENSOR)]
    )


KIND = TrackerKind("tensorboard", "curves, settings and figures for TensorBoard", make=TensorBoard)
