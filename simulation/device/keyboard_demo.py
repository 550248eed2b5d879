"""The keyboard page as a command: open models, find the runtime for the browser, serve until Ctrl-C."""

import webbrowser
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from simulation.device.keyboard_server import KeyboardServer, open_model
from simulation.device.litert_package import LiteRtUnavailableError, litert_files
from typefleet.errors import ConfigError, expected, said_by_system


def serve_page(
    folders: Sequence[Path], port: int, *, in_the_page: bool, open_browser: bool, story: bytes | None = None
) -> None:
    """Serve the page of exported runs until Ctrl-C.

    Args:
        folders: of the runs, the first is shown first.
        port: 0 takes any that is free.
        in_the_page: run the file in the browser if that can be had; in this process otherwise.
        open_browser: open the page in the default browser.
        story: of one phone of the first run, as JSON.

    Raises:
        ConfigError: a folder holds no exported run, or the port is taken.
    """
    models = [open_model(folder) for folder in folders]
    litert, why = {}, "asked for with --engine local"
    if in_the_page:
        try:
            litert, why = litert_files(), ""
        except LiteRtUnavailableError as error:
            why = str(error)
    try:
        server = KeyboardServer(models, litert, why, port, story=story)
    except OSError as error:
        raise ConfigError(expected("--port", "a free port", f"{port}: {said_by_system(error)}")) from error
    where = "in the page" if litert else f"in this process, not in the page: {why}"
    print(f"{server.page_address}\nThe model runs {where}. Ctrl-C ends.", flush=True)
    if open_browser:
        webbrowser.open(server.page_address)
    with suppress(KeyboardInterrupt):
        server.serve_forever()
