"""The labels that the fleet's table takes from a config."""

from dscore.labels import Labels
from dscore.policy.liveness import new_fleet


def read_labels(config: bytes | None) -> Labels:
    fleet = new_fleet()
    fleet.open(1, "10.0.0.1")
    introduced = fleet.introduce(1, "a-1", "app_ready", 0)
    assert introduced is not None
    fleet.set_config(introduced.agent, config)
    return introduced.agent.labels
