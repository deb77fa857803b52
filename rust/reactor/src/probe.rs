//! A WebSocket that is about to take over a polling session (Engine.IO protocol, "Upgrade").
//!
//! | phase | `2probe` | `5` | anything else | too late |
//! |---|---|---|---|---|
//! | silent | probed | refused | refused | refused |
//! | probed | probed | upgraded | refused | refused |
//!
//! A probe is answered `3probe`. Upgraded, its socket becomes the session's, and so does all input behind the `5`.

use dscore_proto::close::CloseCode;
use dscore_proto::connection::{Connection, Event as Incoming, Role};
use dscore_proto::frame::{self, Opcode};

use crate::context::Context;
use crate::table::ConnId;

/// A WebSocket that wants to be a session's.
#[derive(Debug)]
pub(crate) struct Probe {
    /// Whose.
    pub(crate) session: ConnId,
    pub(crate) phase: Phase,
    pub(crate) connection: Connection,
    /// Input that was not looked at yet.
    pub(crate) kept: Vec<u8>,
    pub(crate) deadline: u64,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Silent,
    Probed,
    Upgraded,
    Refused,
}

impl Probe {
    pub(crate) fn new(session: ConnId, cx: &Context) -> Self {
        Self {
            session,
            phase: Phase::Silent,
            connection: Connection::new(Role::Server),
            kept: Vec::new(),
            deadline: cx.now_ms + cx.settings.handshake_timeout,
        }
    }

    /// Acts on `input`; the caller looks at the phase.
    pub(crate) fn on_data(&mut self, input: &mut [u8], cx: &mut Context) {
        let mut bytes = std::mem::take(&mut self.kept);
        bytes.extend_from_slice(input);
        let mut at = 0;
        // What comes behind the upgrade is for the session.
        while self.phase != Phase::Upgraded {
            let limits = cx.settings.messages;
            let polled = self
                .connection
                .poll_event(&mut bytes, &mut at, &limits, &mut cx.out);
            let next = match (self.phase, polled) {
                (_, Ok(None)) => break,
                (Phase::Refused, _) => Phase::Refused,
                (phase, Ok(Some(Incoming::Ping(_) | Incoming::Pong(_)))) => phase,
                (_, Ok(Some(Incoming::Text("2probe")))) => {
                    frame::encode_message(Opcode::Text, b"3probe", &mut cx.out);
                    Phase::Probed
                }
                (Phase::Probed, Ok(Some(Incoming::Text("5")))) => Phase::Upgraded,
                _ => Phase::Refused,
            };
            if next == Phase::Refused && self.phase != Phase::Refused {
                self.refuse(cx);
            }
            self.phase = next;
        }
        bytes.drain(..at);
        self.kept = bytes;
    }

    pub(crate) fn held_input(&self) -> usize {
        self.connection.buffered() + self.kept.capacity()
    }

    /// Nothing is left to do once output is sent.
    pub(crate) fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }

    /// There is no session for it, or it does not behave.
    pub(crate) fn refuse(&mut self, cx: &mut Context) {
        self.phase = Phase::Refused;
        self.deadline = cx.now_ms + cx.settings.close_timeout;
        let _closed_by_itself =
            self.connection
                .send_close(CloseCode::PROTOCOL_ERROR, "no upgrade", &mut cx.out);
    }

    /// Does what is due. True if the socket is to be given up.
    pub(crate) fn on_timer(&mut self, cx: &mut Context) -> bool {
        if self.deadline > cx.now_ms {
            return false;
        }
        let given_up = self.phase == Phase::Refused;
        self.refuse(cx);
        given_up
    }
}
