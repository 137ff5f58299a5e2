"""Governance core: the lattice, its expression language and the compiler. Synchronous by design."""
