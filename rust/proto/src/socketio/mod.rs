//! Socket.IO: namespaces, events and acknowledgements in the messages of Engine.IO (Socket.IO
//! protocol v5, and v4 over `EIO=3`).
//!
//! A packet is read by its structure only; its JSON is checked where it is asked for. Here is also
//! the way between an event and a *canonical message*, the one form that both dialects share: the
//! event's name is the object's `type`, the first argument is the rest of the object.
//!
//! No texts here have the Engine.IO type digit in front. No connections, no attachments: who waits
//! for what is a reactor's.

mod event;
mod object;
mod packet;

pub use event::{Event, EventError, canonical, encode_event, event, has_token, is_array};
pub use packet::{
    Kind, MAX_ATTACHMENTS, MAX_NAMESPACE, Packet, PacketError, decode, encode_connect_error,
    encode_connected, encode_head,
};
