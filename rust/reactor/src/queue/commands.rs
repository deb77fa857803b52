//! The queue of commands, from the owner and from other reactors to a reactor.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use dscore_traffic::ConnId;
use dscore_traffic::command::{Command, ReactorCommand};
use dscore_traffic::event::Ends;

use super::sleeper::Sleeper;
use crate::claim::Claim;
use crate::settings::Settings;
use crate::stream::Moving;

/// What lies in a command queue.
#[derive(Debug)]
pub(crate) enum Order {
    /// For one connection.
    Peer(ConnId, Command),
    /// For the reactor.
    Reactor(ReactorCommand),
    /// New limits and times.
    Configure(Arc<Settings>),
    /// The same messages for each of these connections: whole frames.
    SendMany(Vec<ConnId>, Arc<[u8]>),
    /// The owner is done with all it was told before this fence.
    Settled(ConnId),
    /// Another reactor has a socket for this one.
    Adopt(Box<AcceptedSocket>),
    /// A connection that is idle is to give up its place, or its descriptor.
    Yield(Claim),
    /// End the thread.
    Stop,
}

/// A socket that was just accepted, or that asks for a session of this reactor's.
#[derive(Debug)]
pub(crate) struct AcceptedSocket {
    pub(crate) stream: Moving,
    pub(crate) ends: Ends,
    /// Of the client's certificate, if it showed one.
    pub(crate) certificate_names: Option<Arc<[String]>>,
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
