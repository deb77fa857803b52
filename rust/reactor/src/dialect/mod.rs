//! How messages lie in what a transport carries: bytes to what was heard, and back.
//!
//! | dialect | a text message is | a message of ours goes out as |
//! |---|---|---|
//! | raw | one JSON object with `type`, or on a plain endpoint anything | itself |
//! | Engine.IO | a packet; see [`engine_io`] | a message packet |
//! | Socket.IO | a packet in such a packet; see [`socket_io`] | an event named as its `type` |
//!
//! A dialect answers by itself what concerns nothing above it, a ping or a CONNECT. It knows no identity: what a message
//! means, and from whom it is taken, is decided with what it returns.

mod early;
pub(crate) mod engine_io;
pub(crate) mod heard;
pub(crate) mod sid;
pub(crate) mod socket_io;

use std::borrow::Cow;

use dscore_proto::engineio::{Packet, Revision};
use dscore_traffic::close::CloseFrame;
use dscore_traffic::command::OutgoingPacket;
use dscore_traffic::{ConnId, Endpoint};

use crate::form::Form;
use crate::settings::{PingTimes, Settings};
use engine_io::EngineSession;
use heard::Heard;
use socket_io::SocketIo;

/// What is spoken on a connection, and how far it has come.
#[derive(Debug)]
pub(crate) enum Dialect {
    /// Messages as they are.
    Raw,
    /// Engine.IO, with or without Socket.IO in it.
    EngineIo(Box<EngineSession>),
}

impl Dialect {
    /// What is spoken on this endpoint from `now_ms` on; `revision` is that of its Engine.IO.
    pub(crate) fn new(
        endpoint: Endpoint,
        revision: Revision,
        now_ms: u64,
        settings: &Settings,
    ) -> Self {
        if endpoint.speaks_engine_io() {
            let session = EngineSession::new(endpoint, revision, now_ms, settings);
            Self::EngineIo(Box::new(session))
        } else {
            Self::Raw
        }
    }

    /// One text message of a WebSocket.
    ///
    /// # Errors
    /// The close frame for a peer that broke the rules.
    #[inline]
    pub(crate) fn hear_text<'a>(
        &mut self,
        text: &'a str,
        settings: &Settings,
        out: &mut Vec<u8>,
    ) -> Result<Heard<'a>, CloseFrame> {
        match self {
            Self::Raw => Ok(Heard::Text(text)),
            Self::EngineIo(engine) => engine.hear_text(text, settings, out),
        }
    }

    /// One binary message of a WebSocket.
    ///
    /// # Errors
    /// The close frame for a peer that broke the rules.
    pub(crate) fn hear_binary<'a>(
        &mut self,
        data: &'a [u8],
        settings: &Settings,
        out: &mut Vec<u8>,
    ) -> Result<Heard<'a>, CloseFrame> {
        match self {
            Self::Raw => Ok(Heard::Binary(Cow::Borrowed(data))),
            Self::EngineIo(engine) => match Packet::from_binary(data, engine.revision) {
                Ok(packet) => engine.hear(packet, settings, out),
                Err(error) => Err(CloseFrame::violation(&error)),
            },
        }
    }

    /// One packet of a session that polls.
    ///
    /// # Errors
    /// The close frame for a peer that broke the rules.
    pub(crate) fn hear_packet<'a>(
        &mut self,
        packet: Packet<'a>,
        settings: &Settings,
        out: &mut Vec<u8>,
    ) -> Result<Heard<'a>, CloseFrame> {
        match self {
            Self::Raw => Ok(Heard::Nothing),
            Self::EngineIo(engine) => engine.hear(packet, settings, out),
        }
    }

    /// Appends what must be said before anything else, once.
    pub(crate) fn greet(
        &mut self,
        conn: ConnId,
        is_polling: bool,
        settings: &Settings,
        out: &mut Vec<u8>,
    ) -> Heard<'static> {
        match self {
            Self::Raw => Heard::Nothing,
            Self::EngineIo(engine) => engine.greet(conn, is_polling, settings, out),
        }
    }

    /// Appends a Socket.IO packet. False where that is not spoken, or its namespace was not joined.
    pub(crate) fn encode_packet(&self, packet: &OutgoingPacket, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Raw => false,
            Self::EngineIo(engine) => engine.encode_packet(packet, out),
        }
    }

    /// Appends what must be said before a close that the client is not to come back from by itself.
    pub(crate) fn say_goodbye(&self, out: &mut Vec<u8>) {
        if let Self::EngineIo(engine) = self {
            engine.say_goodbye(out);
        }
    }

    /// How messages of ours go out.
    pub(crate) fn form(&self) -> Form {
        match self {
            Self::Raw => Form::Bare,
            Self::EngineIo(engine) => engine.form(),
        }
    }

    /// What is known of a Socket.IO client.
    pub(crate) fn socket_io(&mut self) -> Option<&mut SocketIo> {
        match self {
            Self::Raw => None,
            Self::EngineIo(engine) => engine.socket_io.as_mut(),
        }
    }

    /// Whether the other side can make sense of messages yet.
    pub(crate) fn is_ready(&self) -> bool {
        match self {
            Self::Raw => true,
            Self::EngineIo(engine) => engine.is_ready(),
        }
    }

    /// Whether binary data belongs to what was said before.
    pub(crate) fn expects_binary(&self) -> bool {
        match self {
            Self::Raw => false,
            Self::EngineIo(engine) => engine.expects_binary(),
        }
    }

    /// How the conversation is kept alive: an Engine.IO session as it was told when it began.
    pub(crate) fn ping_times(&self, settings: &Settings) -> PingTimes {
        match self {
            Self::Raw => settings.ping_times(),
            Self::EngineIo(engine) => engine.ping_times,
        }
    }

    /// Whether the first word is ours.
    pub(crate) fn speaks_first(&self) -> bool {
        matches!(self, Self::EngineIo(_))
    }

    /// Whether it is, and was not said.
    pub(crate) fn is_to_greet(&self) -> bool {
        matches!(self, Self::EngineIo(engine) if !engine.has_greeted())
    }

    /// True the first time, if the first word is ours and was not said: the caller is to see to it.
    pub(crate) fn plan_greeting(&mut self) -> bool {
        match self {
            Self::Raw => false,
            Self::EngineIo(engine) => engine.plan_greeting(),
        }
    }

    /// When the other side must have said how it goes on; `u64::MAX` for never.
    pub(crate) fn deadline(&self) -> u64 {
        match self {
            Self::Raw => u64::MAX,
            Self::EngineIo(engine) => engine.deadline(),
        }
    }

    /// That comes so much later.
    pub(crate) fn postpone(&mut self, ms: u64) {
        if let Some(socket_io) = self.socket_io() {
            socket_io.postpone(ms);
        }
    }

    /// Whether a token came with its Socket.IO CONNECT.
    pub(crate) fn has_token(&self) -> bool {
        match self {
            Self::Raw => false,
            Self::EngineIo(engine) => engine.has_token(),
        }
    }

    /// Bytes held of a message that has not come whole, or waits for an introduction.
    pub(crate) fn held_input(&self) -> usize {
        match self {
            Self::Raw => 0,
            Self::EngineIo(engine) => engine.held_input(),
        }
    }

    /// Forgets it: nothing of it will be heard.
    pub(crate) fn drop_input(&mut self) {
        if let Some(socket_io) = self.socket_io() {
            socket_io.drop_input();
        }
    }
}

#[cfg(test)]
mod tests;
