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

mod commands;
mod events;
mod sleeper;

pub use commands::Stopped;
pub(crate) use commands::{AcceptedSocket, CommandQueue, Order};
#[cfg(test)]
pub(crate) use events::Entry;
pub(crate) use events::{EventReceiver, EventRing, EventSender};
pub(crate) use sleeper::Sleeper;
