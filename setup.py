"""What is written in C, where a C compiler is there; all else about the package is in pyproject.toml.

Without a compiler, or if compiling fails, the package is installed without it, and TensorFlow and numpy do its work.
In a checkout: python setup.py build_ext --inplace
"""

from pathlib import Path

from setuptools import Extension, setup

_KERNEL = Path("client_model/learning/native")


def in_c(name: str, *sources: Path, depends: tuple[Path, ...] = ()) -> Extension:
    """A module that is left out where it cannot be compiled."""
    return Extension(
        name,
        sources=[path.as_posix() for path in sources],
        depends=[path.as_posix() for path in depends],
        # A fused multiply-add only where the code has one: a compiler's own choices would differ between variants.
        # No notes for debuggers, which Python's own flags ask for: they make the kernel six times as large.
        extra_compile_args=["-std=c11", "-O3", "-ffp-contract=off", "-g0"],
        libraries=["m"],
        py_limited_api=True,
        optional=True,
    )


setup(
    ext_modules=[
        in_c(
            "client_model.learning.native.kernel",
            *sorted(_KERNEL.glob("*.c")),
            depends=tuple(sorted(_KERNEL.glob("*.h"))),
        ),
        in_c("server_strategy.fixed_point", Path("server_strategy/fixed_point.c")),
    ]
)
