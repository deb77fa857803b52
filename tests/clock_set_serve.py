"""`dscore serve` on a wall clock that a test sets: `python clock_set_serve.py FILE serve …`.

The seconds in FILE are what the clock is ahead of the machine's, which is left alone.
"""

import sys
import time
from pathlib import Path
from types import SimpleNamespace

from dscore import clock
from dscore.cli import main

if __name__ == "__main__":
    ahead = Path(sys.argv.pop(1))
    clock.time = SimpleNamespace(  # type: ignore[assignment]
        **{**vars(time), "time": lambda: time.time() + float(ahead.read_text())}
    )
    main()
