"""What Ray's raylet starts in the place of a worker process: asks the fork server for one, and ends.

python -I -S fork_client.py SOCKET COMMAND..., the command being the one that would start a worker in the ordinary way;
it is carried out if the fork server is gone. It imports nothing of ours, since it should take milliseconds.

The worker gets whatever the raylet hands to a process: environment, folder, and all descriptors. Among them is a pipe,
by whose other end the raylet sees a worker process end.
"""

import json
import os
import socket
import sys

_OWN_ENVIRONMENT = "--serialized-runtime-env-context"  # of the worker, which then is made by the command
_PATIENCE_S = 30.0  # with a server that imports, or that nobody lets run
READY, GO, ANSWER = b"?", b"!", b"+"  # the server has heard all; the client still waits; the worker is there
OOM_SCORE = "/proc/self/oom_score_adj"  # the raylet sets it for each process that it starts


def _inherited() -> list[int]:
    """Standard input, output and error, and whatever else this process was given."""
    found = sorted(int(name) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208  pathlib takes milliseconds, too
    return [one for one in found if os.path.exists(f"/proc/self/fd/{one}")]  # noqa: PTH110  not what listed them


def ask(path: str, command: list[str]) -> bool:
    """Ask for a worker process; returns whether there is one.

    Args:
        path: of the fork server's socket.
        command: what starts a worker in the ordinary way.

    Raises:
        OSError: nobody is there to be asked.
    """
    with open(OOM_SCORE) as score:  # noqa: PTH123
        wanted = {"command": command, "environment": dict(os.environ), "oom_score": score.read()}
    wanted["folder"] = os.getcwd()  # noqa: PTH109
    told = json.dumps(wanted).encode()
    descriptors = _inherited()
    with socket.socket(socket.AF_UNIX) as server:
        server.settimeout(_PATIENCE_S)
        server.connect(path)
        socket.send_fds(server, [len(told).to_bytes(8, "big")], descriptors)
        server.sendall(told)
        if server.recv(1) != READY:
            return False
        server.sendall(GO)  # from here on it is the server that starts the worker, and nobody else
        server.settimeout(None)
        return server.recv(1) == ANSWER


def main(path: str, command: list[str]) -> None:
    """Ask for a worker process, or else become one."""
    try:
        found = "no answer"
        if any(word.startswith(_OWN_ENVIRONMENT) for word in command):
            found = "a worker with an environment of its own"
        elif ask(path, command):
            return
    except OSError as error:
        found = (error.strerror or "no answer in time").lower()  # it stands within a line
    print(f"a worker process is started, not forked: {found}", file=sys.stderr, flush=True)  # in raylet.err
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
