"""A shim for tools that ask for it; all metadata are in pyproject.toml."""

from setuptools import setup

setup()
