//! What brings a conversation's messages: a WebSocket, or HTTP requests one after the other.
//!
//! Either way what goes out is written as frames of a WebSocket. A poll is answered with the packets in those that wait.

use dscore_proto::UsageError;
use dscore_proto::close::CloseCode;
use dscore_proto::connection::{Connection, State};
use dscore_proto::engineio::{Part, PayloadFormat, PayloadWriter, Revision};
use dscore_proto::frame::{self, Opcode};

use crate::engine_io::{self, CLOSE_PACKET};
use crate::session_request::Fields;
use crate::table::ConnId;

/// What brings the messages.
#[derive(Debug)]
pub(crate) enum Transport {
    WebSocket(Connection),
    Polling(Box<Polling>),
}

/// An Engine.IO session without a socket of its own.
#[derive(Debug)]
pub(crate) struct Polling {
    pub(crate) revision: Revision,
    /// Whether binary data must go as text.
    pub(crate) wants_base64: bool,
    state: State,
    /// The request that waits for something to be told.
    pub(crate) poll: Option<Waiting>,
    /// Where a request with packets is still coming in.
    pub(crate) coming: Option<ConnId>,
    /// The request whose packets are not all dealt with.
    pub(crate) push: Option<Push>,
    /// The WebSocket that wants to take over.
    pub(crate) probe: Option<ConnId>,
    /// It is about to: polls are not kept waiting meanwhile.
    pub(crate) is_upgrading: bool,
    /// When the poll is to be answered, if packets wait for it.
    pub(crate) answer_at: Option<u64>,
}

/// A request with packets. It waits for its answer until all of them were dealt with, so that nobody is ahead of us by
/// more than one.
#[derive(Debug)]
pub(crate) struct Push {
    pub(crate) waiting: Waiting,
    pub(crate) body: Vec<u8>,
    /// How packets lie in it.
    pub(crate) format: PayloadFormat,
    /// Up to where they were read.
    pub(crate) at: usize,
    /// They were no packets, or such as end the session.
    pub(crate) is_bad: bool,
}

impl Push {
    pub(crate) fn is_done(&self) -> bool {
        self.at >= self.body.len()
    }
}

/// A request that waits for its answer.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) http: ConnId,
    /// What its answer says about pages of other origins.
    pub(crate) headers: Fields,
}

impl Transport {
    pub(crate) fn state(&self) -> State {
        match self {
            Self::WebSocket(connection) => connection.state(),
            Self::Polling(polling) => polling.state,
        }
    }

    /// Begins the end.
    ///
    /// # Errors
    /// It has begun already.
    pub(crate) fn close(
        &mut self,
        code: CloseCode,
        reason: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), UsageError> {
        match self {
            Self::WebSocket(connection) => connection.send_close(code, reason, out),
            Self::Polling(polling) if polling.state == State::Open => {
                polling.state = State::Closed;
                engine_io::end_session(out);
                Ok(())
            }
            Self::Polling(_) => Err(UsageError::AlreadyClosing),
        }
    }

    /// The peer has said, in its dialect, that it ends the session. A WebSocket is closed for it.
    pub(crate) fn leave(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::WebSocket(connection) => {
                let _closing_already = connection.send_close(CloseCode::NORMAL, "", out);
            }
            Self::Polling(polling) => polling.state = State::Closed,
        }
    }

    /// Bytes of input held of a message that has not come whole.
    pub(crate) fn buffered(&self) -> usize {
        match self {
            Self::WebSocket(connection) => connection.buffered(),
            Self::Polling(polling) => match &polling.push {
                Some(push) => push.body.capacity(),
                None => 0,
            },
        }
    }

    /// Whether there is input that was read and not looked at.
    pub(crate) fn has_unread(&self) -> bool {
        match self {
            Self::WebSocket(_) => false,
            Self::Polling(polling) => polling.push.as_ref().is_some_and(|push| !push.is_done()),
        }
    }

    /// From here on messages come by this WebSocket. Returns what was known of a session that polled.
    pub(crate) fn become_websocket(&mut self, connection: Connection) -> Option<Box<Polling>> {
        match std::mem::replace(self, Self::WebSocket(connection)) {
            Self::WebSocket(_) => None,
            Self::Polling(polling) => Some(polling),
        }
    }

    pub(crate) fn polling(&mut self) -> Option<&mut Polling> {
        match self {
            Self::WebSocket(_) => None,
            Self::Polling(polling) => Some(polling),
        }
    }
}

impl Polling {
    /// A session that begins with this poll.
    pub(crate) fn new(revision: Revision, wants_base64: bool, poll: Waiting) -> Self {
        Self {
            revision,
            wants_base64,
            state: State::Open,
            poll: Some(poll),
            coming: None,
            push: None,
            probe: None,
            is_upgrading: false,
            answer_at: None,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Open
    }
}

/// Packets in one answer: some clients refuse more (python-engineio, `max_decode_packets`).
const MOST_PACKETS: usize = 16;

/// How many bytes of these frames go into one answer. A part of a frame does not.
///
/// A close packet goes alone. Socket.IO's own client deals with messages a moment after it has read them, and with the
/// end of the session at once: it would lose them.
pub(crate) fn fit_one_poll(frames: &[u8]) -> usize {
    let mut rest = Frames(frames);
    let mut fitting = 0;
    for count in 0..MOST_PACKETS {
        match rest.next() {
            Some((_, CLOSE_PACKET)) if count > 0 => break,
            Some(_) => fitting = frames.len() - rest.0.len(),
            None => break,
        }
    }
    fitting
}

/// The answer to a poll: the packets in these frames, or a NOOP if there are none.
pub(crate) fn payload(
    revision: Revision,
    wants_base64: bool,
    frames: &[u8],
) -> (&'static str, Vec<u8>) {
    let is_binary = |(opcode, _): (Opcode, _)| opcode == Opcode::Binary;
    let format = match revision {
        Revision::V4 => PayloadFormat::V4,
        Revision::V3 if !wants_base64 && Frames(frames).any(is_binary) => PayloadFormat::V3Binary,
        Revision::V3 => PayloadFormat::V3Text,
    };
    let mut body = Vec::with_capacity(frames.len() + 16);
    let mut writer = PayloadWriter::new(format, &mut body);
    if frames.is_empty() {
        writer.push(Part::Text("6"));
    }
    for (opcode, data) in Frames(frames) {
        match (opcode, revision, std::str::from_utf8(data)) {
            (Opcode::Text, _, Ok(packet)) => writer.push(Part::Text(packet)),
            // Its type is written otherwise here than on a WebSocket.
            (_, Revision::V3, _) => writer.push(Part::Binary(data.get(1..).unwrap_or_default())),
            (_, Revision::V4, _) => writer.push(Part::Binary(data)),
        }
    }
    let content_type = match format {
        PayloadFormat::V3Binary => "application/octet-stream",
        PayloadFormat::V4 | PayloadFormat::V3Text => "text/plain; charset=UTF-8",
    };
    (content_type, body)
}

/// Frames of ours, one after the other: what each is, and what it holds.
struct Frames<'a>(&'a [u8]);

impl<'a> Iterator for Frames<'a> {
    type Item = (Opcode, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (header, at) = frame::decode_header(self.0).ok()??;
        let (data, rest) = self
            .0
            .get(at..)?
            .split_at_checked(usize::try_from(header.len).ok()?)?;
        self.0 = rest;
        Some((header.opcode, data))
    }
}
