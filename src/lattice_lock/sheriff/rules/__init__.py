"""The rules, one module each; adding a module adds a rule."""
