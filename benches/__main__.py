"""`python -m benches [--quick] [pytest options]`: runs every bench of this folder."""

import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    sys.exit(pytest.main([str(Path(__file__).parent), *sys.argv[1:]]))
