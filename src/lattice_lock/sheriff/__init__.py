"""Sheriff, the static checker: source files in, violations out.

Everything here is synchronous and pure computation over text; only `files` reads the disk.
"""
