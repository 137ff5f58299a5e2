"""Drafts a lattice from what a project already has: models, tables, schemas, APIs."""
