//! Engine.IO: messages over WebSocket or long polling (Engine.IO protocol v4, and v3 for clients
//! that were never renewed).
//!
//! Packets and payloads, what a request's target says, and the answers of a handshake. No sessions,
//! no timers, no transports: those are a reactor's.
//!
//! The revisions differ in who pings and in the bytes around a message. A poll of v4 separates its
//! packets with 0x1e; one of v3 gives each its length, counted in UTF-16 code units because that is
//! what JavaScript counts.

mod open;
mod packet;
mod payload;
mod query;

pub use open::{HandshakeError, Open};
pub use packet::{Packet, PacketError};
pub use payload::{Part, PayloadFormat, PayloadWriter, next_packet};
pub use query::Query;

/// The revision of the protocol: what a client asks for with `EIO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Revision {
    /// `EIO=3`: carries Socket.IO protocol v4.
    V3,
    /// `EIO=4`: carries Socket.IO protocol v5.
    V4,
}
