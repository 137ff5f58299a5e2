"""Emitters: each turns a lattice into the text of one kind of file."""
