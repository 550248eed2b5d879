"""Processes and their sockets, as Linux tells of them under /proc."""

import os
import signal
from collections import defaultdict
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")
_LISTEN = "0A"  # the state of a TCP socket that waits for others
_WORD = 8  # hexadecimal digits of 32 bits, which are in the machine's order


def below(process: int) -> list[int]:
    """Ids of all processes that a process has started, directly or not, and that still run; parents come first."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for status in _PROC.glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            state, parent = status.read_bytes().rpartition(b")")[2].split()[:2]
            if state != b"Z":
                children[int(parent)].append(int(status.parent.name))
    found = [process]
    for one in found:  # it grows meanwhile
        found += children[one]
    return found[1:]


def kill(processes: list[int]) -> None:
    """End processes at once; one that has ended already is none."""
    for one in processes:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


class Listener(NamedTuple):
    """A TCP socket that waits for connections."""

    address: IPv4Address | IPv6Address
    port: int

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect to it."""
        mapped = getattr(self.address, "ipv4_mapped", None)
        return (mapped or self.address).is_loopback


def listeners(processes: list[int]) -> list[Listener]:
    """What some processes listen on; one that has ended, or is another user's, listens on nothing."""
    inodes = set[str]()
    for one in processes:
        with suppress(OSError):
            for descriptor in (_PROC / str(one) / "fd").iterdir():
                with suppress(OSError):  # it was closed meanwhile
                    inodes.add(str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]"))
    found = []
    for table in ("tcp", "tcp6"):
        path = _PROC / "self" / "net" / table
        for line in path.read_text().splitlines()[1:] if path.exists() else []:
            columns = line.split()
            if columns[3] == _LISTEN and columns[9] in inodes:
                address, port = columns[1].split(":")
                found.append(Listener(_address(address), int(port, 16)))
    return found


def _address(digits: str) -> IPv4Address | IPv6Address:
    words = [digits[at : at + _WORD] for at in range(0, len(digits), _WORD)]
    return ip_address(b"".join(bytes.fromhex(word)[::-1] for word in words))
