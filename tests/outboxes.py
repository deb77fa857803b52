"""What waits in an outbox of a store, for tests."""

from collections.abc import Sequence

from dscore.store import Store


def taken(store: Store, agent_id: str) -> Sequence[bytes]:
    """All messages of an outbox, which is empty after that."""
    texts = store.lend(agent_id, max_bytes=1 << 62)
    store.settle(agent_id)
    return texts
