"""Gauntlet: contract tests against untrusted code, with a verdict that it cannot forge."""
