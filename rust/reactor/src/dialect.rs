//! How messages lie in what a transport carries.
//!
//! | dialect | a text message is | a message of ours goes out as |
//! |---|---|---|
//! | raw | one JSON object with `type`, or on a plain endpoint anything | itself |
//! | Engine.IO | a packet; see [`crate::engine_io`] | a message packet |
//! | Socket.IO | a packet in such a packet; see [`crate::socket_io`] | an event named as its `type` |
//!
//! Whatever the dialect, everybody behind this file hears and says the same JSON objects.

use std::sync::Arc;

use dscore_proto::engineio::{Packet, Revision};
use dscore_proto::frame::{self, Opcode};
use dscore_proto::socketio;
use dscore_traffic::{ConnId, Endpoint};

use crate::agents;
use crate::context::Context;
use crate::engine_io::{self, EngineIo};
use crate::session::{Session, Verdict, Who};
use crate::settings::{PingTimes, Settings};

/// What is spoken on a connection, and how far it has come.
#[derive(Debug)]
pub(crate) enum Dialect {
    /// Messages as they are.
    Raw,
    /// Engine.IO, with or without Socket.IO in it.
    EngineIo(Box<EngineIo>),
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
            Self::EngineIo(Box::new(EngineIo::new(
                endpoint, revision, now_ms, settings,
            )))
        } else {
            Self::Raw
        }
    }

    /// How messages of ours go out.
    pub(crate) fn form(&self) -> Form {
        match self {
            Self::Raw => Form::Bare,
            Self::EngineIo(engine) => engine.form(),
        }
    }

    /// Whether the other side can make sense of messages yet.
    pub(crate) fn is_ready(&self) -> bool {
        match self {
            Self::Raw => true,
            Self::EngineIo(engine) => engine.is_ready(),
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

    /// True the first time, if the first word is ours and was not said: whoever asks is to see to it.
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
            Self::EngineIo(engine) => engine.connect_by,
        }
    }

    /// That comes so much later.
    pub(crate) fn postpone(&mut self, ms: u64) {
        match self {
            Self::Raw => {}
            Self::EngineIo(engine) => engine.connect_by = engine.connect_by.saturating_add(ms),
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
        if let Self::EngineIo(engine) = self {
            engine.drop_input();
        }
    }
}

/// One text message of a WebSocket.
pub(crate) fn on_text(
    session: &mut Session,
    conn: ConnId,
    text: &str,
    cx: &mut Context,
) -> Verdict {
    match (&session.dialect, &session.who) {
        (Dialect::EngineIo(engine), _) => match Packet::from_text(text, engine.revision) {
            Ok(packet) => engine_io::on_packet(session, conn, &packet, cx),
            Err(error) => Verdict::violation(&error),
        },
        (Dialect::Raw, Who::Plain) => session.hand_over(conn, text.as_bytes(), false, cx),
        (Dialect::Raw, _) => agents::on_text(session, conn, text, &mut None, cx),
    }
}

/// One binary message of a WebSocket.
pub(crate) fn on_binary(
    session: &mut Session,
    conn: ConnId,
    data: &[u8],
    cx: &mut Context,
) -> Verdict {
    match (&session.dialect, &session.who) {
        (Dialect::EngineIo(engine), _) => match Packet::from_binary(data, engine.revision) {
            Ok(packet) => engine_io::on_packet(session, conn, &packet, cx),
            Err(error) => Verdict::violation(&error),
        },
        (Dialect::Raw, Who::Plain) => session.hand_over(conn, data, true, cx),
        (Dialect::Raw, _) => agents::on_binary(),
    }
}

/// The form that a message of ours takes on its way to one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    Bare,
    /// In an Engine.IO packet.
    Packet(Revision),
    /// As a Socket.IO event, in an Engine.IO packet.
    Event,
}

impl Form {
    /// Appends one frame with a text message.
    pub fn encode_text(self, text: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Bare => frame::encode_message(Opcode::Text, text, out),
            Self::Packet(_) => engine_io::encode_text(text, out),
            Self::Event => {
                let mut packet = Vec::with_capacity(text.len() + 1);
                socketio::encode_head(socketio::Kind::Event, "/", None, 0, &mut packet);
                // What is no object with a `type` has no name to go by; our owner checks what it sends.
                if std::str::from_utf8(text)
                    .is_ok_and(|text| socketio::encode_event(text, &mut packet).is_ok())
                {
                    engine_io::encode_text(&packet, out);
                }
            }
        }
    }

    /// Appends one frame with a binary message. An event is no binary message: nothing is sent.
    pub fn encode_binary(self, data: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Bare => frame::encode_message(Opcode::Binary, data, out),
            Self::Packet(revision) => engine_io::encode_binary(data, revision, out),
            Self::Event => {}
        }
    }

    /// Appends what a frame without a mask holds, in this form.
    pub(crate) fn reframe(self, framed: &[u8], out: &mut Vec<u8>) {
        let Ok(Some((header, at))) = frame::decode_header(framed) else {
            return;
        };
        let payload = framed.get(at..).unwrap_or_default();
        match header.opcode {
            Opcode::Text => self.encode_text(payload, out),
            _ => self.encode_binary(payload, out),
        }
    }
}

/// A message that many get: framed once for each form it is needed in.
#[derive(Debug)]
pub(crate) struct SharedFrame {
    bare: Arc<[u8]>,
    event: Option<Arc<[u8]>>,
    packet: Option<(Revision, Arc<[u8]>)>,
}

impl SharedFrame {
    /// Of a message that is framed as it is.
    pub(crate) fn new(bare: Arc<[u8]>) -> Self {
        Self {
            bare,
            event: None,
            packet: None,
        }
    }

    pub(crate) fn in_form(&mut self, form: Form) -> &Arc<[u8]> {
        match form {
            Form::Bare => &self.bare,
            Form::Event => self.event.get_or_insert_with(|| reframed(&self.bare, form)),
            Form::Packet(revision) => {
                if self.packet.as_ref().is_none_or(|(of, _)| *of != revision) {
                    self.packet = None;
                }
                let packet = || (revision, reframed(&self.bare, form));
                &self.packet.get_or_insert_with(packet).1
            }
        }
    }
}

fn reframed(bare: &[u8], form: Form) -> Arc<[u8]> {
    let mut frame = Vec::with_capacity(bare.len() + 8);
    form.reframe(bare, &mut frame);
    frame.into()
}

#[cfg(test)]
mod tests;
