"""A deployment on this machine's loopback, of the commands that docs/deployment.md gives: processes, ports, logs."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import psutil

from simulation.deployment.keys import make_keys
from tests.conftest import ROOT
from tests.waiting import PATIENCE_S

PAGE = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
ADDRESS = "10.0.0.5"  # of the SuperLink, in the documentation


def commands_of_the_page() -> dict[str, list[str]]:
    """The commands of docs/deployment.md that begin with a program of Flower's, by its name and what it is to do."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    words = [shlex.split(line, comments=True) for line in lines]
    found: dict[str, list[str]] = {}
    for command in words:
        if command and command[0].startswith(("flwr", "flower-")):
            found.setdefault(" ".join(command[:3] if command[1] == "supernode" else command[:1]), command)
    return found


def free_ports(count: int) -> list[str]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [str(one.getsockname()[1]) for one in sockets]


class Deployment:
    """One SuperLink and SuperNodes, each with a home, a cache and a copy of the text of its own."""

    def __init__(self, folder: Path, text: Path) -> None:
        self.folder, self.keys = folder, folder / "keys"
        self.text = text
        self.commands = commands_of_the_page()
        make_keys(self.keys, ["localhost", "127.0.0.1"], ["berlin", "paris", "unknown"], 1)
        self.ports = dict(zip(("9091", "9092", "9093"), free_ports(3), strict=True))
        self.processes: list[subprocess.Popen] = []
        self.logs: dict[str, Path] = {}

    def environment(self, machine: str) -> dict[str, str]:
        home = self.folder / machine
        home.mkdir(exist_ok=True)
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        own = {"FLWR_HOME": str(home / "flower"), "XDG_CACHE_HOME": str(home / "cache"), "HOME": str(home)}
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("FLWR", "XDG_"))}
        return {**kept, **own, "FLWR_TELEMETRY_ENABLED": "0", "PATH": path, "PYTHONPATH": python_path}

    def words(self, name: str, replaced: Mapping[str, str]) -> list[str]:
        """A command of the page, on loopback and on ports that are free here."""
        words = []
        for word in self.commands[name]:
            for port, free in self.ports.items():
                for host in (ADDRESS, "127.0.0.1"):
                    word = word.replace(f"{host}:{port}", f"127.0.0.1:{free}")
            if word.startswith("keys/"):
                word = str(self.folder / word)
            for there, here in replaced.items():
                word = word.replace(there, here)
            words.append(word)
        return words

    def start(self, machine: str, words: list[str], log: str) -> subprocess.Popen:
        self.logs[log] = self.folder / f"{log}.log"
        with self.logs[log].open("wb") as file:
            process = subprocess.Popen(
                words, stdout=file, stderr=file, cwd=ROOT, env=self.environment(machine), start_new_session=True
            )
        self.processes.append(process)
        return process

    def said(self, log: str) -> str:
        return self.logs[log].read_text(encoding="utf-8", errors="replace")

    def wait_until(self, log: str, pattern: str) -> None:
        """Until a process has said so."""
        self.wait_for(lambda: re.search(pattern, self.said(log)), log)

    def wait_for(self, is_there: Callable[[], object], log: str) -> None:
        """Until something is so; `log` is shown if that takes too long."""
        give_up = time.monotonic() + PATIENCE_S
        while not is_there():
            assert time.monotonic() < give_up, self.said(log)
            time.sleep(0.05)

    def start_superlink(self) -> None:
        self.start("superlink", self.words("flower-superlink", {}), "superlink")
        self.wait_until("superlink", "Starting Fleet API")
        config = self.folder / "superlink" / "flower" / "config.toml"
        config.parent.mkdir(exist_ok=True)
        ours = connection(PAGE, self.ports["9093"], self.keys / "ca.crt")
        config.write_text(ours + ours.replace("superlink.tls", "superlink.others").replace("/keys/", "/others/"))

    def flwr(self, words: list[str], log: str) -> subprocess.Popen:
        return self.start("superlink", words, log)

    def register(self, *names: str) -> None:
        calls = [
            self.flwr(self.words("flwr supernode register", {"berlin": name}), f"register-{name}") for name in names
        ]
        codes = [call.wait(PATIENCE_S) for call in calls]
        assert codes == [0] * len(calls), [self.said(f"register-{name}") for name in names]

    def start_node(self, name: str, replaced: Mapping[str, str] | None = None, without: str = "") -> subprocess.Popen:
        """A SuperNode with its own copy of the text.

        Args:
            name: of the machine, and of the key.
            replaced: what else the command of the page has in the place of what.
            without: a flag that is left out, with its value.
        """
        (port,) = free_ports(1)
        copy = self.folder / name / "copy.jsonl"
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(self.text, copy)
        usual = {
            "nodes/berlin": f"nodes/{name}",
            "127.0.0.1:9094": f"127.0.0.1:{port}",
            "/data/messages.jsonl": str(copy),
        }
        words = self.words("flower-supernode", {**usual, **(replaced or {})})
        if without:
            at = words.index(without)
            del words[at : at + 2]
        return self.start(name, words, name)

    def tree(self) -> list[psutil.Process]:
        """All processes of the deployment that run now."""
        found = []
        for process in self.processes:
            try:
                parent = psutil.Process(process.pid)
                found += [parent, *parent.children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
        return found

    def listening(self) -> set[IPv4Address | IPv6Address]:
        """Addresses that a process of the deployment listens at, as the kernel lists them."""
        found = set()
        for process in self.tree():
            try:
                connections = process.net_connections("inet")
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            addresses = [ip_address(c.laddr.ip) for c in connections if c.status == psutil.CONN_LISTEN]
            found |= {getattr(address, "ipv4_mapped", None) or address for address in addresses}
        return found

    def close(self) -> None:
        everybody = self.tree()
        for process in everybody:
            with suppress(psutil.NoSuchProcess):  # it may end by itself meanwhile
                process.kill()
        for process in self.processes:
            process.wait(PATIENCE_S)
        _, left = psutil.wait_procs(everybody, timeout=PATIENCE_S)
        assert not left, left


def connection(page: str, port: str, authority: Path) -> str:
    """What Flower's configuration file says of a SuperLink, in the form that the documentation gives."""
    (block,) = re.findall(r"^```toml\n(\[superlink.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return block.replace(":9093", f":{port}").replace("/srv/typefleet/keys/ca.crt", str(authority))
