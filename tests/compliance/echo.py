"""The server under test: sends every message back as it came.

A bare pool of reactors, without any policy. Run as a program it prints its port on a line of its
own and serves until SIGTERM.
"""

import select
import signal
import sys

from dscore.core import CoreConfig, Message, ReactorPool

# Autobahn's largest message is 16 MiB, its most shredded one has 65,536 fragments; the echo of the
# largest must fit the outbox with room to spare.
CONFIG = CoreConfig(
    endpoints={"/": "plain"},
    max_message_size=32 << 20,
    max_fragments=1 << 17,
    outbox_bytes=64 << 20,
)


def answer(pool: ReactorPool) -> None:
    """Sends back what has come in so far."""
    while events := pool.take():
        for event in events:
            if not isinstance(event, Message):
                continue
            if event.binary:
                pool.send_binary(event.conn, event.data)
            else:
                pool.send(event.conn, event.data)


def main() -> None:
    """Serves until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    pool = ReactorPool(CONFIG)
    try:
        pool.start()
        print(pool.address()[1], flush=True)
        waiting = select.poll()
        waiting.register(pool.fileno(), select.POLLIN)
        while True:
            waiting.poll()
            answer(pool)
    finally:
        pool.close()


if __name__ == "__main__":
    main()
