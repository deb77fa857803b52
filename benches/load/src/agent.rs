//! One simulated agent: bytes in, bytes and decisions out. It has no socket and reads no clock.
//!
//! | phase       | input                  | next        | action                                    |
//! |-------------|------------------------|-------------|-------------------------------------------|
//! | Connecting  | connected              | Upgrading   | send the handshake                        |
//! | Connecting  | connected, no further  | Arriving    | nothing                                   |
//! | Upgrading   | 101, no further        | Arriving    | nothing                                   |
//! | Arriving    | TLS is done            | Holding     | counted as introduced                     |
//! | Upgrading   | 101, raw               | Introducing | send app_ready                            |
//! | Upgrading   | 101, socketio          | Opening     | wait for the handshake of Engine.IO       |
//! | Opening     | its open packet        | Joining     | send CONNECT                              |
//! | Joining     | CONNECT                | Introducing | send app_ready                            |
//! | Introducing | app_ready_ack          | Open        | counted as introduced                     |
//! | Open        | terminate_app          | Open        | answer, be silent or vanish, by role      |
//! | Open        | heartbeat_response, …  | Open        | check and count                           |
//! | any of them | close, violation       | Closing     | echo, wait for the server to end TCP      |
//! | any         | end of the connection  | Gone        | counted, perhaps to come back             |

mod conversation;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dscore_proto::connection::{Connection, Event};
use dscore_proto::handshake;
use dscore_proto::message::Limits;

use crate::dialect::Dialect;
use crate::heard::RequestId;
use crate::options::{Options, Role, Step};
use crate::tally::Tally;

const LIMITS: Limits = Limits {
    max_message_size: 1 << 20,
    max_fragments: 64,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Connecting,
    /// It has no more to say (`--until`); TLS may have.
    Arriving,
    Upgrading,
    Opening,
    Joining,
    Introducing,
    Open,
    /// As far as it is to come.
    Holding,
    Closing,
    Gone,
}

/// What the fleet must do for an agent after it was fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Nothing,
    /// It has just been introduced.
    Introduced,
    /// Call `answer` after the answer delay.
    AnswerLater,
    /// The closing handshake is done on our side: wait for the end of TCP, but not forever.
    AwaitEnd,
    /// Cut the connection without a word.
    Cut,
}

pub(crate) struct Agent {
    /// Its place in the whole fleet.
    pub(crate) index: usize,
    pub(crate) role: Role,
    pub(crate) phase: Phase,
    /// Which of its connections this is; timers of earlier ones miss by it.
    pub(crate) attempt: u32,
    connection: Connection,
    /// Whether any connection of it was introduced, and whether this one was.
    ever_introduced: bool,
    introduced: bool,
    told: u8,
    /// Whether it had a DISCONNECT, after which a client of Socket.IO does not come back by itself.
    disconnected: bool,
    /// The terminate_app that waits for its answer.
    asked: Option<RequestId>,
    /// Intended times of the heartbeats that wait for their answers, oldest first.
    beats: VecDeque<u64>,
    /// The code of the last close, for the next app_ready; 1006 if there was no close frame.
    pub(crate) last_close: u16,
    /// What the server said about coming back, ms.
    pub(crate) reconnect_after: Option<u64>,
    /// Whether the server's close allows coming back (PROTOCOL.md §7).
    pub(crate) may_return: bool,
}

impl Agent {
    pub(crate) fn new(index: usize, role: Role) -> Self {
        Self {
            index,
            role,
            phase: Phase::Gone,
            attempt: 0,
            connection: Connection::client(0),
            ever_introduced: false,
            introduced: false,
            told: 0,
            disconnected: false,
            asked: None,
            beats: VecDeque::new(),
            last_close: 0,
            reconnect_after: None,
            may_return: true,
        }
    }

    /// Begins a new connection.
    pub(crate) fn begin(&mut self) {
        self.phase = Phase::Connecting;
        self.attempt += 1;
        self.connection = Connection::client(self.seed());
        self.introduced = false;
        self.told = 0;
        self.disconnected = false;
        self.asked = None;
        self.beats.clear();
        self.reconnect_after = None;
        self.may_return = true;
    }

    pub(crate) fn id(&self, options: &Options) -> String {
        format!("{}{}", options.prefix, self.index)
    }

    /// Different for each connection, the same in every run.
    fn seed(&self) -> u64 {
        ((self.index as u64) << 32 | u64::from(self.attempt)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    /// RFC 6455 §4.1: 16 bytes in base64. They need not be random here: there is no proxy to fool on loopback.
    fn key(&self) -> String {
        STANDARD.encode([self.seed().to_be_bytes(), self.seed().to_le_bytes()].concat())
    }

    /// TCP is connected.
    pub(crate) fn connected(&mut self, options: &Options, out: &mut Vec<u8>) {
        if options.until == Step::Handshake {
            self.phase = Phase::Arriving;
            return;
        }
        self.phase = Phase::Upgrading;
        handshake::client_request(&options.host, &options.path, &self.key(), &[], out);
    }

    /// It has come as far as it is to come.
    pub(crate) fn hold(&mut self, now: u64, tally: &mut Tally) -> Next {
        self.introduce(now, tally);
        self.phase = Phase::Holding;
        Next::Introduced
    }

    /// Takes what was received; returns how much of it, and what to do. The rest is to come again, in front of more.
    pub(crate) fn receive(
        &mut self,
        input: &mut [u8],
        now: u64,
        options: &Options,
        tally: &mut Tally,
        out: &mut Vec<u8>,
    ) -> (usize, Next) {
        let mut at = 0;
        if self.phase == Phase::Upgrading {
            match self.upgraded(input, options, out) {
                Ok(Some(len)) => at = len,
                Ok(None) => return (0, Next::Nothing),
                Err(sentence) => {
                    tally.fault(sentence);
                    return (input.len(), Next::Cut);
                }
            }
        }
        let mut next = Next::Nothing;
        loop {
            let heard = match self.connection.poll_event(input, &mut at, &LIMITS, out) {
                Ok(None) => return (at, next),
                Ok(Some(Event::Text(text))) => options.dialect.hear(text),
                Ok(Some(Event::Binary(_))) => Err("a binary message".to_owned()),
                Ok(Some(Event::Ping(_) | Event::Pong(_))) => continue,
                Ok(Some(Event::Close { code, reason })) => {
                    let code = code.map_or(1005, |code| code.value());
                    let for_good = self.disconnected || is_final(code, reason);
                    tally.closed(code, Some(reason), now);
                    return (input.len(), self.close(code, !for_good));
                }
                Err(error) => {
                    tally.fault(format!("{}: {error}", self.id(options)));
                    let code = error.close_code().value();
                    tally.closed(code, None, now);
                    return (input.len(), self.close(code, true));
                }
            };
            match heard.and_then(|heard| self.obey(heard, now, options, tally, out)) {
                Ok(Next::Nothing) => {}
                Ok(Next::Cut) => return (input.len(), Next::Cut),
                Ok(new) => next = new,
                Err(sentence) => tally.fault(format!("{}: {sentence}", self.id(options))),
            }
        }
    }

    /// The length of the response to the upgrade; `None` while it has not come whole.
    fn upgraded(
        &mut self,
        input: &[u8],
        options: &Options,
        out: &mut Vec<u8>,
    ) -> Result<Option<usize>, String> {
        let len = handshake::check_response(input, &self.key())
            .map_err(|error| format!("{}: handshake: {error}", self.id(options)))?;
        if len.is_some() {
            match options.dialect {
                _ if options.until == Step::Upgrade => self.phase = Phase::Arriving,
                Dialect::Raw => self.present(options, out),
                Dialect::Socketio => self.phase = Phase::Opening,
            }
        }
        Ok(len)
    }

    fn close(&mut self, code: u16, may_return: bool) -> Next {
        self.phase = Phase::Closing;
        self.last_close = code;
        self.may_return = may_return;
        Next::AwaitEnd
    }

    /// The connection has ended, from either side; `cut` if from ours.
    pub(crate) fn end(&mut self, now: u64, cut: bool, tally: &mut Tally) {
        if !matches!(self.phase, Phase::Closing | Phase::Gone) {
            self.last_close = 1006;
            if !cut {
                tally.closed(1006, None, now);
            }
        }
        if self.introduced {
            tally.told[usize::from(self.told.min(2))] += 1;
            self.introduced = false;
        }
        self.phase = Phase::Gone;
    }
}

/// A close after which an agent does not come back (PROTOCOL.md §7).
fn is_final(code: u16, reason: &str) -> bool {
    matches!(
        (code, reason),
        (1000 | 4409, _) | (1008, "authentication failed")
    )
}
