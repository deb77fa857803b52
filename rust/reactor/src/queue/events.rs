//! The queue of events, from a reactor to the owner.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dscore_traffic::ConnId;
use dscore_traffic::event::Event;
use rtrb::{Consumer, Producer, PushError};

use super::sleeper::Sleeper;

/// Room for events kept back that stays after a burst of them.
const KEPT_ROOM: usize = 1024;
/// Bytes of events taken in one go: what is taken costs its owner as much once more.
const MAX_TAKEN_BYTES: u64 = 4 << 20;

/// What lies in an event queue.
#[derive(Debug)]
pub(crate) enum Entry {
    /// For the owner.
    Event(Event),
    /// A place in the order of events: the reactor wants to know when the owner is done with all before it.
    Fence(ConnId),
}

impl Entry {
    fn bytes(&self) -> u64 {
        match self {
            Self::Event(event) => event.bytes() as u64,
            Self::Fence(_) => 0,
        }
    }
}

/// The reactor's end of its event queue.
#[derive(Debug)]
pub(crate) struct EventSender {
    ring: Producer<Entry>,
    /// Events that found the ring full, in order. Bounded by what one turn makes once reading has stopped, and by one
    /// ending for each peer: endings are never dropped.
    kept_back: VecDeque<Entry>,
    reader: Arc<Sleeper>,
    news: bool,
    /// Outcomes are no news yet.
    holds_outcomes: bool,
    /// Bytes pushed so far, and those that the owner has taken so far: they wrap together.
    pushed_bytes: u64,
    taken_bytes: Arc<AtomicU64>,
    /// How many may wait.
    max_bytes: u64,
}

impl EventSender {
    /// `taken_bytes` is shared with the [`EventRing`] of the same ring.
    pub(crate) fn new(
        ring: Producer<Entry>,
        reader: Arc<Sleeper>,
        taken_bytes: Arc<AtomicU64>,
    ) -> Self {
        Self {
            ring,
            kept_back: VecDeque::new(),
            reader,
            news: false,
            holds_outcomes: false,
            pushed_bytes: 0,
            taken_bytes,
            max_bytes: u64::MAX,
        }
    }

    /// How many bytes of peers may wait for the owner, of all connections together.
    pub(crate) fn bound_bytes(&mut self, most: u64) {
        self.max_bytes = most;
    }

    /// While a fleet is being told to end, the owner need not be woken for what becomes of it: it would take the time
    /// of the processor from those who are still to hear.
    pub(crate) fn hold_outcomes(&mut self, hold: bool) {
        self.news |= self.holds_outcomes && !hold;
        self.holds_outcomes = hold;
    }

    pub(crate) fn push(&mut self, event: Event) {
        self.push_entry(Entry::Event(event));
    }

    pub(crate) fn push_fence(&mut self, conn: ConnId) {
        self.push_entry(Entry::Fence(conn));
    }

    fn push_entry(&mut self, entry: Entry) {
        let is_held = self.holds_outcomes && matches!(entry, Entry::Event(Event::Outcome(_)));
        self.pushed_bytes = self.pushed_bytes.wrapping_add(entry.bytes());
        self.news |= !is_held;
        if self.kept_back.is_empty() {
            if let Err(PushError::Full(entry)) = self.ring.push(entry) {
                self.kept_back.push_back(entry);
            }
        } else {
            self.kept_back.push_back(entry);
        }
    }

    /// Whether the owner is so far behind that nothing more should be read.
    pub(crate) fn is_full(&self) -> bool {
        !self.kept_back.is_empty() || self.bytes() > self.max_bytes
    }

    /// Whether peers should be ahead of the owner by one message at most.
    pub(crate) fn is_crowded(&self) -> bool {
        self.bytes() > self.max_bytes / 2
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> u64 {
        let taken = self.taken_bytes.load(Ordering::Relaxed);
        self.pushed_bytes.wrapping_sub(taken)
    }

    pub(crate) fn queued(&self) -> usize {
        self.ring.buffer().capacity() - self.ring.slots() + self.kept_back.len()
    }

    /// Moves what was kept back into the ring, and wakes the owner if there is anything new: once a turn.
    pub(crate) fn flush(&mut self) {
        if self.kept_back.is_empty() && self.kept_back.capacity() > KEPT_ROOM {
            self.kept_back = VecDeque::new();
        }
        while let Some(entry) = self.kept_back.pop_front() {
            self.news = true;
            if let Err(PushError::Full(entry)) = self.ring.push(entry) {
                self.kept_back.push_front(entry);
                break;
            }
        }
        if std::mem::take(&mut self.news) {
            self.reader.wake();
        }
    }
}

/// The owner's end of one event queue.
#[derive(Debug)]
pub(crate) struct EventRing {
    entries: Consumer<Entry>,
    taken_bytes: Arc<AtomicU64>,
}

impl EventRing {
    pub(crate) fn new(entries: Consumer<Entry>, taken_bytes: Arc<AtomicU64>) -> Self {
        Self {
            entries,
            taken_bytes,
        }
    }
}

/// The owner's end of all event queues.
#[derive(Debug)]
pub(crate) struct EventReceiver {
    rings: Vec<EventRing>,
    /// Fences that the last batch passed: the owner is done with that batch when it comes for the next.
    fences: Vec<ConnId>,
    /// The ring to begin with, so that a busy reactor cannot starve the others.
    next: usize,
    /// Bytes of peers in the last batch.
    last_bytes: u64,
}

impl EventReceiver {
    pub(crate) fn new(rings: Vec<EventRing>) -> Self {
        Self {
            rings,
            fences: Vec::new(),
            next: 0,
            last_bytes: 0,
        }
    }

    /// Bytes of peers in the last batch.
    pub(crate) fn last_bytes(&self) -> u64 {
        self.last_bytes
    }

    /// The fences that the last batch passed, once.
    pub(crate) fn take_fences(&mut self) -> Vec<ConnId> {
        std::mem::take(&mut self.fences)
    }

    pub(crate) fn has_fences(&self) -> bool {
        !self.fences.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rings.iter().all(|ring| ring.entries.is_empty())
    }

    /// Appends at most `limit` events to `batch`, and no further one once they hold `MAX_TAKEN_BYTES` bytes. True if more
    /// may be there.
    pub(crate) fn take(&mut self, limit: usize, batch: &mut Vec<Event>) -> bool {
        let count = self.rings.len();
        let mut bytes = 0;
        for step in 0..count {
            let Some(ring) = self.rings.get_mut((self.next + step) % count) else {
                continue;
            };
            let before = bytes;
            while batch.len() < limit && bytes < MAX_TAKEN_BYTES {
                let Ok(entry) = ring.entries.pop() else { break };
                bytes += entry.bytes();
                match entry {
                    Entry::Event(event) => batch.push(event),
                    Entry::Fence(conn) => self.fences.push(conn),
                }
            }
            ring.taken_bytes
                .fetch_add(bytes - before, Ordering::Relaxed);
        }
        self.next = (self.next + 1) % count.max(1);
        self.last_bytes = bytes;
        batch.len() >= limit || bytes >= MAX_TAKEN_BYTES
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use dscore_traffic::event::{Outcome, OutcomeKind};
    use rtrb::RingBuffer;
    use uuid::Uuid;

    use super::*;
    use crate::testing::CONN;

    fn outcome() -> Event {
        Event::Outcome(Box::new(Outcome {
            conn: CONN,
            request: Uuid::nil(),
            kind: OutcomeKind::Acked,
            incomplete: false,
            latency_us: 0,
            message: String::new(),
            drain: true,
        }))
    }

    #[test]
    fn outcomes_wake_no_owner_while_they_are_held_and_are_news_afterwards() {
        let (ring, mut events) = RingBuffer::new(4);
        let owner = Arc::new(Sleeper::new(true).unwrap());
        let mut sender = EventSender::new(ring, owner.clone(), Arc::default());
        let mut wakes = |hold, event: Option<Event>| {
            owner.park();
            sender.hold_outcomes(hold);
            event.into_iter().for_each(|event| sender.push(event));
            sender.flush();
            !owner.asleep.load(Ordering::SeqCst)
        };
        assert!(!wakes(true, Some(outcome())));
        assert!(events.pop().is_ok(), "it is there to be taken");
        assert!(wakes(true, Some(Event::Drained(CONN))), "others are news");
        assert!(!wakes(true, Some(outcome())));
        assert!(wakes(false, None));
        assert!(!wakes(false, None));
        assert!(wakes(false, Some(outcome())));
    }

    #[test]
    fn what_lies_in_an_event_queue_is_small() {
        // Of a thousand events that a fleet makes, each leaves its place in the ring behind in memory.
        assert!(size_of::<Entry>() <= 16, "{} bytes", size_of::<Entry>());
    }
}
