"""What editors speak: diagnostics, quick fixes and contracts while typing."""
