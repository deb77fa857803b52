"""`dscore bench`: what a shutdown takes on the user's own machine.

    python -m dscore serve (a process)  ◀── loopback ──  fleet.py (some processes)  ◀── rounds.py

`frames.py` is the little of RFC 6455 that an agent needs, `fleet.py` plays agents, `rounds.py`
starts both sides and turns what they saw into figures. The command itself is `dscore.cli.bench`.
The project's own suite, with a fleet in Rust and other servers beside it, is in its `benches/`.
"""
