//! The state machine of one WebSocket connection (RFC 6455 §4 to §8), after the handshake.
//!
//! Bytes in, events out; no socket, no clock. The caller owns the read buffer and the write buffer:
//! it hands new bytes to [`Connection::poll_event`] until that returns `None`, keeps what was not
//! consumed (a started header or control frame, never more than [`MAX_LEFTOVER`] bytes) in front of
//! the next read, and sends what was put into `out`.
//!
//! What leads where is a table: `machine.rs`.
//!
//! A message that is discarded is not kept either: once we have closed, a peer costs no memory but a frame's header,
//! whatever it goes on to send.
//!
//! A close frame is always the last frame we write, so a ping that comes after it gets no pong: RFC
//! 6455 §5.5.2 would allow one, but §1.4 lets its sender stop reading.

mod close_payload;
mod machine;
mod receive;

pub use self::machine::State;
use self::machine::{Action, Input, transition};
use self::receive::Received;
use crate::close::CloseCode;
use crate::error::{ProtocolError, UsageError};
use crate::frame::{MAX_CONTROL_PAYLOAD, MAX_HEADER, Opcode, encode_header};
use crate::mask::apply_mask;
pub use crate::message::Limits;
use crate::message::{Message, Payload};

/// The most bytes [`Connection::poll_event`] ever leaves for later: a control frame (two bytes, a
/// masking key, the payload) that lacks its last byte.
pub const MAX_LEFTOVER: usize = 2 + 4 + MAX_CONTROL_PAYLOAD - 1;

/// Which end we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sends unmasked frames, insists on masked ones.
    Server,
    /// Sends masked frames, insists on unmasked ones.
    Client {
        /// Where the masking keys start; take it from a random source, a new one for each
        /// connection.
        seed: u64,
    },
}

/// What the peer sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// A ping; its pong has been written.
    Ping(&'a [u8]),
    /// A pong, asked for or not.
    Pong(&'a [u8]),
    /// The peer's last frame; the answer has been written, unless ours was sent before.
    Close {
        /// The peer's code; it may leave it out.
        code: Option<CloseCode>,
        /// The peer's words; often none.
        reason: &'a str,
    },
}

/// The protocol state of one connection; small while no message is under way.
#[derive(Debug)]
pub struct Connection {
    /// Where a client's masking keys come from. A server, which has thousands of these, has none.
    keys: Option<Box<MaskingKeys>>,
    /// The message whose fragments are coming, or the one that the last event was borrowed from.
    message: Option<Box<Message>>,
    /// Whether it is the latter: the next call frees it.
    is_delivered: bool,
    state: State,
}

/// Masking keys to come: steps of SplitMix64 (RFC 6455 §5.3 asks for a new key each time; they protect caches on the way, not
/// our data).
#[derive(Debug)]
struct MaskingKeys {
    seed: u64,
}

impl MaskingKeys {
    fn next(&mut self) -> [u8; 4] {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let [a, b, c, d, ..] = (mixed ^ (mixed >> 31)).to_ne_bytes();
        [a, b, c, d]
    }
}

impl Connection {
    /// A connection whose handshake is done.
    #[must_use]
    pub fn new(role: Role) -> Self {
        let keys = match role {
            Role::Server => None,
            Role::Client { seed } => Some(Box::new(MaskingKeys { seed })),
        };
        Self {
            keys,
            message: None,
            is_delivered: false,
            state: State::Open,
        }
    }

    /// The client's end; see [`Role::Client`] for the seed.
    #[must_use]
    pub fn client(seed: u64) -> Self {
        Self::new(Role::Client { seed })
    }

    /// How far the connection is.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// True once close frames went both ways, or the connection failed and its close frame was
    /// written.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Bytes of memory held for a message under way; none between messages.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.message
            .as_ref()
            .map_or(0, |message| message.capacity())
    }

    /// Takes the next event out of `input[*at..]` and moves `at` past what was consumed; `None`
    /// asks for more bytes.
    ///
    /// Payloads are unmasked in place. A message that is whole in one frame is borrowed from
    /// `input`; one in parts is gathered in a buffer that the next call frees, so call until
    /// `None`. Pongs and close frames go to `out`.
    ///
    /// # Errors
    /// The peer broke the protocol or a limit. It is said once; the close frame with its code is in
    /// `out`, unless we had sent one before, and all further input is discarded.
    pub fn poll_event<'a>(
        &'a mut self,
        input: &'a mut [u8],
        at: &mut usize,
        limits: &Limits,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        self.forget_delivered();
        let end = input.len();
        let mut rest = input.get_mut(*at..).unwrap_or_default();
        while self.state != State::Closed {
            let received = self.receive(&mut rest, limits);
            *at = end - rest.len();
            let Some(received) = received.unwrap_or_else(|error| Some(Received::Violation(error)))
            else {
                return Ok(None);
            };
            let (next, action) = transition(self.state, received.input());
            self.state = next;
            if action == Action::Answer {
                self.answer(&received, out);
            }
            if next == State::Closed {
                *at = end;
                self.message = None;
            }
            if action != Action::Discard {
                return self.deliver(received);
            }
        }
        *at = end;
        Ok(None)
    }

    /// Appends a text message in one frame.
    ///
    /// # Errors
    /// [`UsageError::InvalidUtf8`], or [`UsageError::NotOpen`] after a close frame.
    pub fn send_text(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), UsageError> {
        if simdutf8::basic::from_utf8(text).is_err() {
            return Err(UsageError::InvalidUtf8);
        }
        self.begin_send(Input::Send)?;
        self.write_frame(Opcode::Text, text, out);
        Ok(())
    }

    /// Appends a binary message in one frame.
    ///
    /// # Errors
    /// [`UsageError::NotOpen`] after a close frame.
    pub fn send_binary(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), UsageError> {
        self.begin_send(Input::Send)?;
        self.write_frame(Opcode::Binary, data, out);
        Ok(())
    }

    /// Appends a ping.
    ///
    /// # Errors
    /// [`UsageError::ControlTooLong`] over 125 bytes, [`UsageError::NotOpen`] after a close frame.
    pub fn send_ping(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), UsageError> {
        if payload.len() > MAX_CONTROL_PAYLOAD {
            return Err(UsageError::ControlTooLong);
        }
        self.begin_send(Input::Send)?;
        self.write_frame(Opcode::Ping, payload, out);
        Ok(())
    }

    /// Appends our close frame and begins the closing handshake; a long reason is cut.
    ///
    /// # Errors
    /// [`UsageError::AlreadyClosing`] after a close frame of ours, be it this call's, an answer's
    /// or a failure's.
    pub fn send_close(
        &mut self,
        code: CloseCode,
        reason: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), UsageError> {
        self.begin_send(Input::SendClose)?;
        self.forget_delivered();
        if let Some(message) = &mut self.message {
            message.discard();
        }
        self.write_close(code, reason, out);
        Ok(())
    }

    /// Frees the message that the last event was borrowed from.
    fn forget_delivered(&mut self) {
        if std::mem::take(&mut self.is_delivered) {
            self.message = None;
        }
    }

    fn begin_send(&mut self, input: Input) -> Result<(), UsageError> {
        let (next, action) = transition(self.state, input);
        self.state = next;
        match action {
            Action::Refuse(error) => Err(error),
            _ => Ok(()),
        }
    }

    /// The frame the peer is due for what it sent.
    fn answer(&mut self, received: &Received<'_>, out: &mut Vec<u8>) {
        match received {
            Received::Ping(payload) => self.write_frame(Opcode::Pong, payload, out),
            // RFC 6455 §5.5.1: typically echoes the code it received; a frame without one is echoed
            // without.
            Received::Close(None, _) => self.write_frame(Opcode::Close, b"", out),
            Received::Close(Some(code), _) => self.write_close(*code, "", out),
            Received::Violation(error) => {
                self.write_close(error.close_code(), &error.to_string(), out);
            }
            Received::Text(_)
            | Received::Binary(_)
            | Received::Assembled(_)
            | Received::Pong(_) => {}
        }
    }

    fn deliver<'a>(
        &'a mut self,
        received: Received<'a>,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        Ok(Some(match received {
            Received::Text(text) => Event::Text(text),
            Received::Binary(data) => Event::Binary(data),
            Received::Assembled(message) => {
                self.is_delivered = true;
                match self.message.insert(message).payload() {
                    Payload::Text(text) => Event::Text(text),
                    Payload::Binary(data) => Event::Binary(data),
                }
            }
            Received::Ping(payload) => Event::Ping(payload),
            Received::Pong(payload) => Event::Pong(payload),
            Received::Close(code, reason) => Event::Close { code, reason },
            Received::Violation(error) => return Err(error),
        }))
    }

    fn write_close(&mut self, code: CloseCode, reason: &str, out: &mut Vec<u8>) {
        let mut payload = Vec::with_capacity(MAX_CONTROL_PAYLOAD);
        close_payload::encode(code, reason, &mut payload);
        self.write_frame(Opcode::Close, &payload, out);
    }

    fn write_frame(&mut self, opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
        let mask = self.keys.as_mut().map(|keys| keys.next());
        out.reserve(MAX_HEADER + payload.len());
        encode_header(opcode, true, payload.len() as u64, mask, out);
        let start = out.len();
        out.extend_from_slice(payload);
        if let Some(key) = mask {
            apply_mask(&mut out[start..], key, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        assert_eq!(size_of::<Connection>(), 24);
    }
}
