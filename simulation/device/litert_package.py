"""LiteRT.js, the runtime that executes a model file inside a browser: fetched by npm once, then kept.

It is 38 MB, changes at its own pace and is not ours, so it is no part of this project: npm installs the pinned version
into the user's cache. Only six of its files are ever served, and each must have the digest that is written here.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from typefleet.errors import MachineError, expected, unreadable
from typefleet.private_files import make_private_folder

VERSION = "2.5.3"
_NPM_TIMEOUT_S = 300
# Served under /litert/: file of the installed packages, its SHA-256.
FILES = {
    "core.js": (
        "@litertjs/core/dist/index.js",
        "e7daccc3a31eef890848a737ccb863ded5f046a6b40c3fdc0556495adeb5d9b3",
    ),
    "wasm-utils.js": (
        "@litertjs/wasm-utils/dist/index.js",
        "e0e20bc28ab001ac732cf40d15b6eebd24fb0deaeb95eeba5100f51eebf015f2",
    ),
    "wasm/litert_wasm_internal.js": (
        "@litertjs/core/wasm/litert_wasm_internal.js",
        "68efb69f770e3f76aff36a377de629ca496c131b86ac0f0f4b592a1543a898eb",
    ),
    "wasm/litert_wasm_internal.wasm": (
        "@litertjs/core/wasm/litert_wasm_internal.wasm",
        "7280cf4471774867e385e6c3cd53e2b45e2975b80fea338fff4ef359b0865614",
    ),
    "wasm/litert_wasm_compat_internal.js": (
        "@litertjs/core/wasm/litert_wasm_compat_internal.js",
        "4d8f894b7883654fd6e8439730aa41e79ceaab7d19184fc4f1f0b0f1a2a2c8a5",
    ),
    "wasm/litert_wasm_compat_internal.wasm": (
        "@litertjs/core/wasm/litert_wasm_compat_internal.wasm",
        "5255c8ad06eabdbd2522cdebf6b22fc10faf74625c23a49b9e072570cd1fa41c",
    ),
}


class LiteRtUnavailableError(MachineError):
    """The browser runtime cannot be had here; the text says why."""


def litert_files() -> dict[str, bytes]:
    """The runtime's files by the name they are served under, installed first where they are not yet.

    Raises:
        LiteRtUnavailableError: npm is missing or fails, or a file is not the one that is expected.
    """
    folder = _cache_folder()
    if not folder.exists():
        _install(folder)
    files = {}
    for name, (path, digest) in FILES.items():
        try:
            content = (folder / path).read_bytes()
        except OSError as error:
            hint = f"remove {folder} and try again"
            raise LiteRtUnavailableError(f"{unreadable(folder / path, error)}; {hint}") from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise LiteRtUnavailableError(expected(folder / path, f"sha256 {digest[:16]}...", "another file"))
        files[name] = content
    return files


def _cache_folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "typefleet" / f"litertjs-{VERSION}"


def _install(folder: Path) -> None:
    """Into a draft folder first, so that a failed installation leaves nothing."""
    npm = shutil.which("npm")
    if npm is None:
        raise LiteRtUnavailableError(expected("npm", "a command of that name", "none"))
    try:
        make_private_folder(folder.parent)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".litertjs-") as draft:
            packages = [f"@litertjs/core@{VERSION}", f"@litertjs/wasm-utils@{VERSION}"]
            options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--no-package-lock"]
            done = subprocess.run(
                [npm, "install", "--prefix", draft, *options, *packages],
                capture_output=True,
                text=True,
                timeout=_NPM_TIMEOUT_S,
                check=False,
            )
            if done.returncode:
                last = (done.stderr.strip() or "no message").splitlines()[-1]
                raise LiteRtUnavailableError(expected("npm", "it to install LiteRT.js", last))
            try:
                (Path(draft) / "node_modules").rename(folder)
            except OSError:
                if not folder.is_dir():  # else another process was first, with the same files
                    raise
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LiteRtUnavailableError(expected("npm", "it to install LiteRT.js", error)) from error
