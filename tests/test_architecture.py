"""The rooms import one way, scripts are thin doors, and the seams between rooms are typed and told."""

import ast
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ArrayRecord

from client_model.metrics.table import metric_table
from server_strategy import protocol, protocol_of_sums
from tests.syntax_trees import nodes_of_file, tree_of_file

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "client_model": {"client_model"},
    "server_strategy": {"server_strategy"},
    "simulation": {"simulation", "server_strategy", "client_model"},
    "benchmarks": {"benchmarks", "simulation", "server_strategy", "client_model"},
    "scripts": {"benchmarks", "simulation", "server_strategy", "client_model"},
    "docs_site": {"docs_site", "simulation", "server_strategy", "client_model"},
}
OURS = {*MAY_IMPORT, "tests"}
MODULES = [p for package in MAY_IMPORT for p in sorted((ROOT / package).glob("**/*.py"))]
C_FILES = sorted(str(p.relative_to(ROOT)) for package in MAY_IMPORT for p in (ROOT / package).glob("**/*.[ch]"))
PACKAGES = ("typefleet", *MAY_IMPORT)
FILES = {
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).glob("**/*.py"))
}
each_module = pytest.mark.parametrize("module", FILES)


def tree_of(module: str) -> ast.Module:
    return tree_of_file(FILES[module])


def imported_packages(path: Path) -> set[str]:
    names: set[str] = set()
    for node in nodes_of_file(path):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(str(node.module).split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            names.add("a relative import")
    return names


def test_there_are_modules_to_check():
    assert len(MODULES) > 30


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path):
    package = path.relative_to(ROOT).parts[0]
    assert imported_packages(path) & (OURS | {"a relative import"}) <= MAY_IMPORT[package]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_public_parts_of_flower_are_used(path):
    source = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "flwr":
            public = {"flwr.app", "flwr.clientapp", "flwr.serverapp", "flwr.serverapp.strategy", "flwr.simulation"}
            # Nothing public keeps Flower from describing the machine, or says how many messages are under way.
            vce = "flwr.server.superlink.fleet.vce"
            besides = {"flower_reports": {"flwr.common"}, "flower_threads": {vce}, "waiting_workers": {vce}}
            besides["flower_backend"] = {f"{vce}.backend", f"{vce}.backend.raybackend"}
            assert node.module in public | besides.get(path.stem, set())


def test_tensorflow_privacy_is_imported_in_one_module():
    users = [p.name for p in MODULES if "tensorflow_privacy" in imported_packages(p)]
    assert users == ["noise.py"]


# Rooms ------------------------------------------------------------------------------------------------

# Modules below all rooms of their package, and the packages themselves.
BASE = {
    *("client_model", "client_model.keyed_random", "client_model.public_start", "client_model.quiet"),
    "client_model.text.formats.columns",
    "simulation.plots",
    *("server_strategy", "server_strategy.state", "server_strategy.update_sum", "server_strategy.record_reader"),
    *(
        "simulation",
        "simulation.audit_trail",
        "simulation.settings",
        "simulation.files",
        "simulation.clock",
        "simulation.early_signals",
        "simulation.parser_messages",
        "simulation.help_pages",
        "simulation.named_settings",
        "simulation.processes",
        "simulation.run_arguments",
        "simulation.run_door",
        "simulation.signals",
        "simulation.start_up",
        "simulation.subcommands",
        "simulation.steps",
        "simulation.tables",
    ),
}
# What starts a run; beside each other and above the rooms of `simulation`.
ENTRANCES = {f"simulation.{name}" for name in ("runner", "server_app", "start", "api", "trial_process")}
GROUND = {"ground", "base"}
SMALL = {*GROUND, "doors", "settings"}
PHONE = {f"client_model.{room}" for room in ("text", "metrics", "suggestions", "learning", "tflite")}
SERVER = {"server_strategy", "server_strategy.privacy", "server_strategy.aggregation", "server_strategy.robust"}
ARROWS = {
    "ground": set(),
    "base": {"ground"},
    "doors": {"ground"},
    "settings": {"doors", "base", "ground"},
    "client_model.text": SMALL,
    "client_model.metrics": {*SMALL, "client_model.text"},
    "client_model.suggestions": {*SMALL, "client_model.text", "client_model.metrics"},
    "client_model.learning": {*SMALL, "client_model.text", "client_model.metrics"},
    "client_model.tflite": {*SMALL, "client_model.text", "client_model.metrics", "client_model.learning"},
    "server_strategy.privacy": SMALL,
    "server_strategy.optimizers": SMALL,
    "server_strategy.aggregation": {*SMALL, "server_strategy.privacy"},
    "server_strategy.robust": SMALL,
    "server_strategy": {
        *(*SMALL, "server_strategy.privacy", "server_strategy.optimizers", "server_strategy.aggregation"),
        "server_strategy.robust",
    },
    "simulation.unused": {*SMALL, "server_strategy.privacy"},
    "simulation.config": {*SMALL, "server_strategy.privacy", "simulation.unused"},
    "simulation.config_files": {*SMALL, "server_strategy.privacy", "simulation.config"},
    "simulation.flags": {
        *(*SMALL, "server_strategy.privacy", "simulation.unused"),
        *("simulation.config", "simulation.config_files"),
    },
    "simulation.parts": {*SMALL, "server_strategy.privacy"},
    "simulation.storage": {*SMALL, "server_strategy.privacy"},
    "simulation.world.traces": {*SMALL},
    "simulation.world.consent": {*SMALL, "client_model.text", "simulation.world.traces"},
    "simulation.world": {*SMALL, *SERVER, *PHONE, "simulation.world.consent", "simulation.world.traces"},
    "simulation.engine": {*SMALL, *SERVER, *PHONE},
    "simulation.run": {
        *(SMALL | SERVER | PHONE),
        *("simulation.world", "simulation.world.consent", "simulation.world.traces", "simulation.engine"),
        "simulation.storage",
        *("simulation.config", "simulation.flags", "simulation.parts"),
    },
}
ARROWS["simulation.device"] = {*ARROWS["simulation.run"], "simulation.run"}
ARROWS["simulation.report"] = {*ARROWS["simulation.device"], "simulation.device"}
ARROWS["simulation.studies"] = {*ARROWS["simulation.report"], "simulation.report", "server_strategy.optimizers"}
ARROWS["simulation.deployment"] = {"base", "ground"}
ARROWS["entrances"] = ARROWS["simulation.studies"]
ARROWS["benchmarks"] = {*ARROWS["entrances"], "simulation.studies", "entrances"}
ARROWS["simulation.commands"] = {*ARROWS["benchmarks"], "simulation.deployment"}
ARROWS["simulation.__main__"] = ARROWS["docs_site"] = {*ARROWS["simulation.commands"], "simulation.commands"}
ARROWS["scripts"] = {*ARROWS["simulation.__main__"], "benchmarks"}
# Of types only: everything is imported when it is asked for.
ARROWS["face"] = set(ARROWS) - {"scripts", "benchmarks", "docs_site"}


def room_of(module: str) -> str:
    """A door's module and a module of settings are rooms of their own: every room may name them."""
    package, *inner = module.split(".")
    if package in ("scripts", "benchmarks", "docs_site"):
        return package
    if package == "typefleet":
        return "ground" if inner and inner not in (["studies"], ["__main__"]) else "face"
    if module in BASE:
        return "base"
    if module in ENTRANCES:
        return "entrances"
    if inner[0] != "privacy":  # whose settings and door know its parts
        if inner[-1] == "door" or module == "server_strategy.policies":
            return "doors"
        if inner[-1] == "config" and len(inner) + (package != "simulation") > 1:
            return "settings"
    if inner[:2] in (["world", "consent"], ["world", "traces"]):  # rooms within a room, which know nothing of it
        return ".".join(module.split(".")[:3])
    is_room = FILES[f"{package}.{inner[0]}"].name == "__init__.py"
    return f"{package}.{inner[0]}" if is_room or package == "simulation" else package


def imports_of(module: str) -> Iterator[str]:
    """Our modules that it imports, anywhere in it but for types alone."""
    tree = tree_of(module)
    for_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and getattr(block.test, "id", None) == "TYPE_CHECKING"
        for statement in block.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and id(node) not in for_types:
            yield from (alias.name for alias in node.names if alias.name in FILES)
        elif isinstance(node, ast.ImportFrom) and id(node) not in for_types:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield from (name for name in ([inner] if inner in FILES else [str(node.module)]) if name in FILES)


@each_module
def test_every_arrow_between_rooms_is_allowed(module):
    here = room_of(module)
    for imported in imports_of(module):
        there = room_of(imported)
        assert there == here or there in ARROWS[here], f"{module} imports {imported}: {here} -> {there}"


def test_the_table_of_rooms_has_no_circle():
    placed: set[str] = set()
    while left := set(ARROWS) - placed:
        free = {room for room in left if ARROWS[room] <= placed}
        assert free, f"a circle among {sorted(left)}"
        placed |= free


@each_module
def test_nobody_inside_imports_the_public_face(module):
    assert module == "typefleet" or "typefleet" not in imports_of(module)


# Scripts, calls, docstrings ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").glob("*.py")), ids=lambda p: p.name)
def test_a_script_is_a_door(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 60


@cache
def own_names() -> set[str]:
    """Of our functions and classes; when it is asked for, since to read all modules takes seconds."""
    return {
        node.name
        for path in FILES.values()
        for node in nodes_of_file(path)
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }


@each_module
def test_a_call_of_ours_has_at_most_five_positional_arguments(module):
    for node in nodes_of_file(FILES[module]):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", None))
            positional = [argument for argument in node.args if not isinstance(argument, ast.Starred)]
            assert name not in own_names() or len(positional) <= 5, f"{module}:{node.lineno}: {name}"


def public_functions(module: str) -> Iterator[ast.FunctionDef]:
    """Of the module, and of its public classes."""
    tree = tree_of(module)
    classes = [c for c in ast.walk(tree) if isinstance(c, ast.ClassDef) and not c.name.startswith("_")]
    for owner in (tree, *classes):
        yield from (f for f in owner.body if isinstance(f, ast.FunctionDef) and not f.name.startswith("_"))


@each_module
def test_a_public_function_has_types_and_says_more_than_its_name(module):
    for function in public_functions(module):
        where = f"{module}:{function.lineno}: {function.name}"
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        untyped = [a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls")]
        assert function.returns is not None and not untyped, where
        said = (ast.get_docstring(function) or "").split("\n\n")[0]
        words = [word.strip(".,:;`()").lower() for word in said.split()]
        assert len(words) >= 3 and set(words) - {*function.name.split("_"), "the", "a", "an", "of"}, f"{where}: {said}"


# The wire --------------------------------------------------------------------------------------------------

NOBODY = np.zeros(0, np.int64)
SPOKEN = (
    protocol.TrainRequest(
        arrays=ArrayRecord(),
        phones=NOBODY,
        server_round=1,
        clip_norm=1.0,
        clip_scope="layer",
        aggregation="arithmetic",
        briefing=protocol.Briefing("a task", True),
    ),
    protocol.TrainReply(
        update_sum=NOBODY,
        phones=NOBODY,
        norms=np.zeros(0),
        loss_sums=np.zeros(0),
        tokens=NOBODY,
        profile=protocol.HostProfile(
            decode_s=0, read_s=0, train_s=0, clip_and_sum_s=0, message_s=0, cpu_s=0, peak_rss_bytes=0, worker=0
        ),
    ),
    protocol_of_sums.SummedReply(total=NOBODY, phones=NOBODY, vectors_digest=bytes(32)),
    protocol.EvaluateRequest(arrays=ArrayRecord(), phones=NOBODY, unit_sizes=NOBODY),
    protocol.EvaluateReply(phones=NOBODY, counts=dict.fromkeys(metric_table().counters, NOBODY)),
)
WIRE_KEYS = {
    key
    for said in SPOKEN
    for name, record in said.to_content().items()
    for key in (name, *(() if isinstance(record, ArrayRecord) else record))
}


def test_the_keys_are_those_of_real_messages():
    some = {"phone-ids", "host-task", "update-sum", "rejected-ids", "causes", "peak-rss-bytes", "top1-hits"}
    assert some <= WIRE_KEYS


@pytest.mark.parametrize("module", [m for m in FILES if m.startswith(("server_strategy", "simulation"))])
def test_a_word_of_the_wire_is_spelled_in_the_protocol_only(module):
    """A key with a hyphen nowhere else; one that is a plain word, such as tokens, not where Flower is spoken."""
    if module in ("server_strategy.protocol", "server_strategy.protocol_of_sums", "server_strategy.shard_reply"):
        return
    plain_too = "flwr" in imported_packages(FILES[module])
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Constant) and node.value in WIRE_KEYS:
            assert "-" not in node.value and not plain_too, f"{module}:{node.lineno}: {node.value!r}"


@pytest.mark.parametrize("path", C_FILES)
def test_lines_of_c_are_no_longer_than_those_of_python(path):
    most = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["line-length"]
    assert [i for i, line in enumerate((ROOT / path).read_text().splitlines(), 1) if len(line) > most] == []
