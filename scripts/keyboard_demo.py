"""Type on an exported keyboard: python scripts/keyboard_demo.py RUN_DIR [--compare RUN_DIR]

Serves a page on 127.0.0.1 that runs the exported file in the browser. The runtime for it, LiteRT.js, is installed by
npm into the user's cache at first use; where that cannot be done, this process runs the file instead, and the page
says so.
"""

import sys
import webbrowser
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import annotated_types as at
import tyro

from simulation.device.keyboard_server import KeyboardServer, open_model
from simulation.device.litert_package import LiteRtUnavailableError, litert_files
from simulation.flags import parse_with_tyro, run_door
from typefleet.errors import ConfigError, expected


@dataclass(frozen=True)
class DemoFlags:
    """Type on an exported keyboard."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """Folder of an exported run."""
    compare: Path | None = None
    """Another exported run, to switch to and to see side by side."""
    port: Annotated[int, at.Interval(ge=0, le=65535)] = 8750
    """0 takes any that is free."""
    engine: Literal["auto", "local"] = "auto"
    """local: run the file in this process, not in the browser."""
    open_browser: bool = False
    """Open the page in the default browser."""


def main(flags: DemoFlags) -> None:
    """Serve the page of the models that the flags name, until Ctrl-C."""
    models = [open_model(path) for path in (flags.run_dir, flags.compare) if path is not None]
    litert, why = {}, "asked for with --engine local"
    if flags.engine == "auto":
        try:
            litert, why = litert_files(), ""
        except LiteRtUnavailableError as error:
            why = str(error)
    try:
        server = KeyboardServer(models, litert, why, flags.port)
    except OSError as error:
        raise ConfigError(expected("--port", "a free port", f"{flags.port}: {error.strerror}")) from error
    where = "in the page" if litert else f"in this process, not in the page: {why}"
    print(f"{server.address}\nThe model runs {where}. Ctrl-C ends.", flush=True)
    if flags.open_browser:
        webbrowser.open(server.address)
    with suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    sys.exit(run_door(lambda: main(parse_with_tyro(DemoFlags, sys.argv[1:]))))
