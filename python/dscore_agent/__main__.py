"""`python -m dscore_agent`: the command."""

from dscore_agent.cli import main

if __name__ == "__main__":
    main()
