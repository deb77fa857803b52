//! What it costs to keep bytes for a socket that takes no more, and to get rid of them again.
//!
//! Next to a system call, which takes a microsecond, an outbox should not be seen.

use std::hint::black_box;
use std::io::IoSlice;
use std::sync::Arc;

use dscore_benches::{ask, per_item, timed};
use dscore_reactor::outbox::Outbox;

/// A fleet's worth.
const PEERS: usize = 18_000;

/// Frames that wait in each outbox, and slices of a send.
const FRAMES: usize = 16;
const SLICES: usize = 16;

fn main() {
    ask("With 18,000 outboxes, what does it cost to queue a frame of 120 B in each?");
    let shared: Arc<[u8]> = Arc::from([b'x'; 120]);
    let push_shared = |outbox: &mut Outbox| outbox.push_shared(shared.clone());
    let push_slice = |outbox: &mut Outbox| outbox.push_slice(&[b'x'; 120]);
    queue("the same for all, first in line", 0, push_shared);
    queue("its own, first in line", 0, push_slice);
    queue(
        "the same for all, behind 15 others",
        FRAMES - 1,
        push_shared,
    );
    queue("its own, behind 15 others", FRAMES - 1, push_slice);

    ask("What does it cost to send what 18,000 outboxes hold, the system calls left out?");
    drain("16 frames, the same for all", push_shared);
    drain("16 frames, its own", push_slice);
}

/// Pushes once into each outbox, after `before` pushes of the same kind.
fn queue(label: &str, before: usize, push: impl Fn(&mut Outbox)) {
    per_item(label, PEERS, || {
        let mut outboxes = outboxes(before, &push);
        timed(|| outboxes.iter_mut().for_each(&push))
    });
}

/// Points slices at all that waits and consumes it, in sends that take all they are given.
fn drain(label: &str, push: impl Fn(&mut Outbox)) {
    per_item(label, PEERS, || {
        let mut outboxes = outboxes(FRAMES, &push);
        timed(|| outboxes.iter_mut().for_each(send_all))
    });
}

fn outboxes(frames: usize, push: impl Fn(&mut Outbox)) -> Vec<Outbox> {
    let mut outboxes: Vec<Outbox> = (0..PEERS).map(|_| Outbox::new()).collect();
    for _ in 0..frames {
        outboxes.iter_mut().for_each(&push);
    }
    outboxes
}

fn send_all(outbox: &mut Outbox) {
    while !outbox.is_empty() {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let filled = outbox.io_slices(&mut slices);
        let sent = black_box(&slices[..filled])
            .iter()
            .map(|slice| slice.len())
            .sum();
        outbox.consume(sent);
    }
}
