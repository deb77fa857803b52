#!/bin/sh
# A server for a fleet, with nothing to write. Settings come from flags, from DSCORE_* in the
# environment and from a file (--config); `python -m dscore config check` says which won.
#
#     examples/serve_as_is.sh --port 8765
#     curl http://127.0.0.1:8765/deepstream/health
#     python -m dscore agents
#     python -m dscore drain --yes
#
# Ctrl-C, or SIGTERM, asks every agent to stop, waits for the answers and ends.
python="$(dirname "$0")/../.venv/bin/python" # Once: make setup
[ -x "$python" ] || python=python
exec "${PYTHON:-$python}" -m dscore serve "$@"
