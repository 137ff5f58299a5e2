"""`python -m lattice_lock` is the `lattice-lock` command."""

from lattice_lock.cli.main import main

if __name__ == "__main__":
    main()
