//! Sans-I/O codecs and state machines of dscore: no sockets, threads, clocks, logging or Python.
//!
//! Bytes go in, events come out, and every rule of a protocol can be tested without a socket. A
//! connection passes through these modules in this order:
//!
//! 1. [`http`] reads the request head; a plain request gets its response from there too. Whose
//!    request a proxy passed on, [`forwarded`] knows.
//! 2. [`handshake`] judges an upgrade and writes the 101, or says with which status to refuse.
//! 3. [`connection`] is the state machine from then on: frames in, [`Event`]s and replies out.
//!    Below it, [`frame`] reads and writes headers, [`mask`] unmasks payloads, [`message`] gathers
//!    fragments within their [`Limits`], [`utf8`] checks text across them, [`close`] knows which
//!    codes may be sent.
//! 4. [`agent`] scans a text message for what the core acts on itself.
//!
//! Messages of the socketio dialect pass through [`engineio`] and [`socketio`] on their way to
//! [`agent`], from WebSocket messages or from the bodies of polls.
//!
//! Faults of the peer ([`ProtocolError`]) and of the caller ([`UsageError`]) are separate types.
//! Nothing the peer sends can panic or cost more memory than the limits say.

pub mod agent;
pub mod close;
pub mod connection;
pub mod engineio;
pub mod error;
pub mod forwarded;
pub mod frame;
pub mod handshake;
pub mod http;
mod json;
pub mod mask;
pub mod message;
pub mod origin;
pub mod proxy;
pub mod socketio;
pub mod utf8;

pub use close::CloseCode;
pub use connection::{Connection, Event, Limits, Role, State};
pub use error::{ProtocolError, UsageError};
