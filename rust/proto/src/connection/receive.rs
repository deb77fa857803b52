//! From bytes to what they mean: the order of frames, whole messages borrowed, others gathered.
//!
//! Nothing here looks at the state or writes a reply; that is the table's business.

use super::close_payload;
use super::machine::{Input, State};
use super::{Connection, Limits};
use crate::close::CloseCode;
use crate::error::ProtocolError;
use crate::frame::{FrameHeader, Opcode, decode_header};
use crate::mask::apply_mask;
use crate::message::Message;

/// What [`Connection::receive`] found.
pub(super) enum Received<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
    Assembled(Box<Message>),
    Ping(&'a [u8]),
    Pong(&'a [u8]),
    Close(Option<CloseCode>, &'a str),
    Violation(ProtocolError),
}

impl Received<'_> {
    pub(super) const fn input(&self) -> Input {
        match self {
            Self::Text(_) | Self::Binary(_) | Self::Assembled(_) => Input::Message,
            Self::Ping(_) => Input::Ping,
            Self::Pong(_) => Input::Pong,
            Self::Close(..) => Input::Close,
            Self::Violation(_) => Input::Violation,
        }
    }
}

impl Connection {
    /// Consumes bytes up to the end of the next message or control frame; `None` when more are
    /// needed.
    pub(super) fn receive<'r>(
        &mut self,
        rest: &mut &'r mut [u8],
        limits: &Limits,
    ) -> Result<Option<Received<'r>>, ProtocolError> {
        loop {
            if let Some(message) = &mut self.message
                && message.in_frame()
            {
                message.read_payload(rest, limits)?;
                if message.in_frame() {
                    return Ok(None);
                }
                if message.is_finished() {
                    return Ok(self.message.take().map(Received::Assembled));
                }
            }
            let Some((header, header_len)) = decode_header(rest)? else {
                return Ok(None);
            };
            self.check_mask(&header)?;
            if header.opcode.is_control() {
                return take_frame(rest, &header, header_len)
                    .map(|payload| read_control(header.opcode, payload))
                    .transpose();
            }
            if header.fin && header.opcode != Opcode::Continuation && self.message.is_none() {
                limits.check(1, header.len)?;
                if let Some(payload) = take_frame(rest, &header, header_len) {
                    // Nothing is delivered after our close frame, so nothing of it is read.
                    return match self.state {
                        State::Open => read_whole(header.opcode, payload).map(Some),
                        State::Closing | State::Closed => Ok(Some(Received::Binary(&[]))),
                    };
                }
            }
            self.begin_frame(header, limits)?;
            let (_, payload) = std::mem::take(rest).split_at_mut(header_len);
            *rest = payload;
        }
    }

    /// RFC 6455 §5.1: a client masks every frame, a server none.
    fn check_mask(&self, header: &FrameHeader) -> Result<(), ProtocolError> {
        let is_client = self.keys.is_some();
        match header.mask {
            None if !is_client => Err(ProtocolError::UnmaskedFrame),
            Some(_) if is_client => Err(ProtocolError::MaskedFrame),
            _ => Ok(()),
        }
    }

    /// RFC 6455 §5.4: a message begins with its type, goes on with continuations, and the next one
    /// waits for its end.
    fn begin_frame(&mut self, header: FrameHeader, limits: &Limits) -> Result<(), ProtocolError> {
        // After our close frame only the order and length of fragments count, to find the peer's own.
        let keeps = self.state == State::Open;
        let message = match (header.opcode, &mut self.message) {
            (Opcode::Continuation, Some(message)) => message,
            (Opcode::Continuation, None) => return Err(ProtocolError::UnexpectedContinuation),
            (_, Some(_)) => return Err(ProtocolError::ExpectedContinuation),
            (_, none) if !keeps => none.insert(Box::new(Message::discarded())),
            (Opcode::Text, none) => none.insert(Box::new(Message::text())),
            (_, none) => none.insert(Box::new(Message::binary())),
        };
        message.begin_frame(header, limits)
    }
}

/// Consumes a frame that has arrived whole and unmasks its payload.
fn take_frame<'r>(
    rest: &mut &'r mut [u8],
    header: &FrameHeader,
    header_len: usize,
) -> Option<&'r mut [u8]> {
    let len = usize::try_from(header.len).ok()?;
    let frame = rest.split_off_mut(..header_len.checked_add(len)?)?;
    let payload = &mut frame[header_len..];
    if let Some(key) = header.mask {
        apply_mask(payload, key, 0);
    }
    Some(payload)
}

fn read_whole(opcode: Opcode, payload: &[u8]) -> Result<Received<'_>, ProtocolError> {
    if opcode == Opcode::Text {
        let text = simdutf8::basic::from_utf8(payload).map_err(|_| ProtocolError::InvalidUtf8)?;
        return Ok(Received::Text(text));
    }
    Ok(Received::Binary(payload))
}

fn read_control(opcode: Opcode, payload: &[u8]) -> Result<Received<'_>, ProtocolError> {
    Ok(match opcode {
        Opcode::Ping => Received::Ping(payload),
        Opcode::Pong => Received::Pong(payload),
        _ => {
            let (code, reason) = close_payload::decode(payload)?;
            Received::Close(code, reason)
        }
    })
}
