"""Lattice Lock: governance-first framework for AI-assisted software development."""

__version__ = "0.1.0"

__all__ = ["__version__"]
