"""The kernel in C, where a C compiler is there; all else about the package is in pyproject.toml.

Without a compiler, or if compiling fails, the package is installed without it, and TensorFlow's kernel does its work.
In a checkout: python setup.py build_ext --inplace
"""

from pathlib import Path

from setuptools import Extension, setup

_KERNEL = Path("client_model/learning/native")

setup(
    ext_modules=[
        Extension(
            "client_model.learning.native.kernel",
            sources=[path.as_posix() for path in sorted(_KERNEL.glob("*.c"))],
            depends=[path.as_posix() for path in sorted(_KERNEL.glob("*.h"))],
            # A fused multiply-add only where the code has one: a compiler's own choices would differ between variants.
            extra_compile_args=["-std=c11", "-O3", "-ffp-contract=off"],
            libraries=["m"],
            py_limited_api=True,
            optional=True,
        ),
        Extension(
            "server_strategy.fixed_point",
            sources=["server_strategy/fixed_point.c"],
            # Rounded after each operation, as numpy does it, which has the same bits.
            extra_compile_args=["-std=c11", "-O3", "-ffp-contract=off"],
            py_limited_api=True,
            optional=True,
        ),
    ]
)
