"""`python -m dscore`: the command line."""

from dscore.cli import main

if __name__ == "__main__":
    main()
