//! The two bounded queues between a reactor and its owner, each with a waker that is written only when the other side
//! sleeps.
//!
//! | queue | from → to | when full |
//! |---|---|---|
//! | events | reactor → owner | kept back in the reactor, which stops reading from its sockets |
//! | bytes of events | reactor → owner | the same; near to it, a peer with anything ahead of the owner waits for it |
//! | commands | owner → reactor | the owner waits: a reactor always makes room, it never waits |
//!
//! Going to sleep takes three steps in this order, on either side: say that you sleep, look once more, wait. The
//! other side pushes first and looks at the flag second, so one of the two always sees the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use dscore_traffic::ConnId;
use dscore_traffic::command::{Command, ReactorCommand};
use dscore_traffic::event::{Ends, Event};
use rtrb::{Consumer, Producer, PushError};

use crate::claim::Claim;
use crate::settings::Settings;
use crate::sys::{Socket, Waker};

/// Room for events kept back that stays after a burst of them.
const KEPT_ROOM: usize = 1024;
/// Bytes of events taken in one go: what is taken costs its owner as much once more.
const MAX_TAKEN_BYTES: u64 = 4 << 20;

/// Whether one side sleeps, and how to end that.
#[derive(Debug)]
pub(crate) struct Sleeper {
    asleep: AtomicBool,
    pub(crate) waker: Waker,
}

impl Sleeper {
    pub(crate) fn new(asleep: bool) -> std::io::Result<Self> {
        Ok(Self {
            asleep: AtomicBool::new(asleep),
            waker: Waker::new()?,
        })
    }

    /// Announces sleep; the caller looks at its queue once more before it waits.
    pub(crate) fn lie_down(&self) {
        self.asleep.store(true, Ordering::SeqCst);
    }

    pub(crate) fn get_up(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Called after a push.
    pub(crate) fn wake(&self) {
        if self.asleep.swap(false, Ordering::SeqCst) {
            self.waker.wake();
        }
    }
}

/// What lies in an event queue.
#[derive(Debug)]
pub(crate) enum Entry {
    /// For the owner.
    Event(Event),
    /// A place in the order of events: the reactor wants to know when the owner is done with all before it.
    Mark(ConnId),
}

impl Entry {
    fn bytes(&self) -> u64 {
        match self {
            Self::Event(event) => event.bytes() as u64,
            Self::Mark(_) => 0,
        }
    }
}

/// The reactor's end of its event queue.
#[derive(Debug)]
pub(crate) struct Outlet {
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
    most_bytes: u64,
}

impl Outlet {
    /// `taken_bytes` is shared with the [`Source`] of the same ring.
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
            most_bytes: u64::MAX,
        }
    }

    /// How many bytes of peers may wait for the owner, of all connections together.
    pub(crate) fn bound_bytes(&mut self, most: u64) {
        self.most_bytes = most;
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

    pub(crate) fn push_mark(&mut self, conn: ConnId) {
        self.push_entry(Entry::Mark(conn));
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
        !self.kept_back.is_empty() || self.bytes() > self.most_bytes
    }

    /// Whether peers should be ahead of the owner by one message at most.
    pub(crate) fn is_crowded(&self) -> bool {
        self.bytes() > self.most_bytes / 2
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
    pub(crate) fn hand_over(&mut self) {
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
pub(crate) struct Source {
    ring: Consumer<Entry>,
    taken_bytes: Arc<AtomicU64>,
}

impl Source {
    pub(crate) fn new(ring: Consumer<Entry>, taken_bytes: Arc<AtomicU64>) -> Self {
        Self { ring, taken_bytes }
    }
}

/// The owner's end of all event queues.
#[derive(Debug)]
pub(crate) struct Inlet {
    sources: Vec<Source>,
    /// Marks that the last batch passed: the owner is done with that batch when it comes for the next.
    marks: Vec<ConnId>,
    /// The ring to begin with, so that a busy reactor cannot starve the others.
    next: usize,
    /// Bytes of peers in the last batch.
    last_bytes: u64,
}

impl Inlet {
    pub(crate) fn new(sources: Vec<Source>) -> Self {
        Self {
            sources,
            marks: Vec::new(),
            next: 0,
            last_bytes: 0,
        }
    }

    /// Bytes of peers in the last batch.
    pub(crate) fn last_bytes(&self) -> u64 {
        self.last_bytes
    }

    /// The marks that the last batch passed, once.
    pub(crate) fn take_marks(&mut self) -> Vec<ConnId> {
        std::mem::take(&mut self.marks)
    }

    pub(crate) fn has_marks(&self) -> bool {
        !self.marks.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sources.iter().all(|source| source.ring.is_empty())
    }

    /// Appends at most `limit` events to `batch`, and no further one once they hold `MAX_TAKEN_BYTES` bytes. True if more
    /// may be there.
    pub(crate) fn take(&mut self, limit: usize, batch: &mut Vec<Event>) -> bool {
        let count = self.sources.len();
        let mut bytes = 0;
        for step in 0..count {
            let Some(source) = self.sources.get_mut((self.next + step) % count) else {
                continue;
            };
            let before = bytes;
            while batch.len() < limit && bytes < MAX_TAKEN_BYTES {
                let Ok(entry) = source.ring.pop() else { break };
                bytes += entry.bytes();
                match entry {
                    Entry::Event(event) => batch.push(event),
                    Entry::Mark(conn) => self.marks.push(conn),
                }
            }
            source
                .taken_bytes
                .fetch_add(bytes - before, Ordering::Relaxed);
        }
        self.next = (self.next + 1) % count.max(1);
        self.last_bytes = bytes;
        batch.len() >= limit || bytes >= MAX_TAKEN_BYTES
    }
}

/// What lies in a command queue.
#[derive(Debug)]
pub(crate) enum Order {
    /// For one connection.
    Peer(ConnId, Command),
    /// For the reactor.
    Reactor(ReactorCommand),
    /// New limits and times.
    Configure(Arc<Settings>),
    /// The same message for each of these connections.
    SendMany(Vec<ConnId>, Arc<[u8]>),
    /// The owner is done with all it was told before this mark.
    Settled(ConnId),
    /// Another reactor has a socket for this one.
    Adopt(AcceptedSocket),
    /// A connection that is idle is to give up its place, or its descriptor.
    Yield(Claim),
    /// End the thread.
    Stop,
}

/// A socket that was just accepted, or that asks for a session of this reactor's.
#[derive(Debug)]
pub(crate) struct AcceptedSocket {
    pub(crate) socket: Socket,
    pub(crate) ends: Ends,
    /// It came when all places were taken: see [`crate::places`].
    pub(crate) is_extra: bool,
    /// What another reactor has read of it already.
    pub(crate) input: Vec<u8>,
}

/// The owner's end of one reactor's command queue; shared by every thread that gives commands.
#[derive(Debug)]
pub(crate) struct CommandQueue {
    queue: ArrayQueue<Order>,
    pub(crate) reactor: Sleeper,
    /// The reactor's thread has ended: nothing will take commands any more.
    stopped: AtomicBool,
}

/// The reactor has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

impl CommandQueue {
    pub(crate) fn new(capacity: usize) -> std::io::Result<Self> {
        Ok(Self {
            queue: ArrayQueue::new(capacity),
            reactor: Sleeper::new(false)?,
            stopped: AtomicBool::new(false),
        })
    }

    /// Queues without waiting; a full queue gives the order back.
    pub(crate) fn try_push(&self, order: Order) -> Result<(), Order> {
        if self.stopped.load(Ordering::Acquire) {
            return Err(order);
        }
        self.queue.push(order)?;
        self.reactor.wake();
        Ok(())
    }

    /// Queues, waiting for room if there is none: never long, since a reactor never waits.
    pub(crate) fn push(&self, mut order: Order) -> Result<(), Stopped> {
        const PAUSE: Duration = Duration::from_micros(50);
        loop {
            match self.try_push(order) {
                Ok(()) => return Ok(()),
                Err(_) if self.stopped.load(Ordering::Acquire) => return Err(Stopped),
                Err(back) => {
                    order = back;
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }

    pub(crate) fn pop(&self) -> Option<Order> {
        self.queue.pop()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn set_stopped(&self) {
        self.stopped.store(true, Ordering::Release);
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
        let mut outlet = Outlet::new(ring, owner.clone(), Arc::default());
        let mut wakes = |hold, event: Option<Event>| {
            owner.lie_down();
            outlet.hold_outcomes(hold);
            event.into_iter().for_each(|event| outlet.push(event));
            outlet.hand_over();
            !owner.asleep.load(Ordering::SeqCst)
        };
        assert!(!wakes(true, Some(outcome())));
        assert!(events.pop().is_ok(), "it is there for an owner that looks");
        assert!(wakes(true, Some(Event::Drained(CONN))), "others are news");
        assert!(!wakes(true, Some(outcome())));
        assert!(wakes(false, None));
        assert!(!wakes(false, None));
        assert!(wakes(false, Some(outcome())));
    }

    #[test]
    fn what_lies_in_an_event_queue_is_small() {
        // Of a thousand events that a fleet makes, each leaves its place in the ring behind in memory.
        assert!(size_of::<Entry>() <= 24, "{} bytes", size_of::<Entry>());
    }
}
