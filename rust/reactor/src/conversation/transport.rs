//! What brings a conversation's messages: a WebSocket, or HTTP requests one after the other.
//!
//! Either way what goes out is written as frames of a WebSocket. A poll is answered with the packets in those that wait.

use dscore_proto::UsageError;
use dscore_proto::close::CloseCode;
use dscore_proto::connection::{Connection, State};
use dscore_proto::engineio::{Part, PayloadFormat, PayloadWriter, Revision};
use dscore_proto::frame::{self, Opcode};
use dscore_traffic::ConnId;

use crate::engineio_request::Fields;
use crate::form::{CLOSE_PACKET, encode_close_packet};

/// What brings the messages.
#[derive(Debug)]
pub(crate) enum Transport {
    WebSocket(Connection),
    Polling(Box<Polling>),
}

/// An Engine.IO session without a socket of its own.
#[derive(Debug)]
pub(crate) struct Polling {
    /// The session's own: the last answers are written when the session is there no more.
    pub(crate) revision: Revision,
    /// Whether binary data must go as text.
    pub(crate) wants_base64: bool,
    state: State,
    /// The request that waits for something to be told.
    pub(crate) poll: Option<Waiting>,
    /// Where a request with packets is still coming in.
    pub(crate) coming: Option<ConnId>,
    /// The session ended before it was there: its body is not kept.
    pub(crate) is_late: bool,
    /// The request whose packets are not all dealt with.
    pub(crate) post: Option<PostBody>,
    /// The WebSocket that wants to take over.
    pub(crate) probe: Option<ConnId>,
    /// It is about to: polls are not kept waiting meanwhile.
    pub(crate) is_upgrading: bool,
    /// When the poll is to be answered, if packets wait for it.
    pub(crate) answer_at: Option<u64>,
}

/// A request with packets. It waits for its answer until all of them were dealt with, so that no client is ahead of us by
/// more than one.
#[derive(Debug)]
pub(crate) struct PostBody {
    pub(crate) waiting: Waiting,
    pub(crate) body: Vec<u8>,
    /// How packets lie in it.
    pub(crate) format: PayloadFormat,
    /// Up to where they were read.
    pub(crate) at: usize,
    /// They were no packets, or such as end the session.
    pub(crate) is_bad: bool,
}

impl PostBody {
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
                encode_close_packet(out);
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
            Self::Polling(polling) => match &polling.post {
                Some(post) => post.body.capacity(),
                None => 0,
            },
        }
    }

    /// Whether it polls, and nothing that it was sent is on its way, or was not dealt with.
    pub(crate) fn is_at_rest(&self) -> bool {
        match self {
            Self::WebSocket(_) => false,
            Self::Polling(polling) => polling.coming.is_none() && !self.has_unread(),
        }
    }

    /// Whether there is input that was read and not looked at.
    pub(crate) fn has_unread(&self) -> bool {
        match self {
            Self::WebSocket(_) => false,
            Self::Polling(polling) => polling.post.as_ref().is_some_and(|post| !post.is_done()),
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
            is_late: false,
            post: None,
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
const MAX_PACKETS: usize = 16;

/// How many bytes of these frames go into one answer. A part of a frame does not.
///
/// A close packet goes alone. Socket.IO's own client deals with messages a moment after it has read them, and with the
/// end of the session at once: it would lose them.
pub(crate) fn fit_one_poll(frames: &[u8]) -> usize {
    let mut rest = Frames(frames);
    let mut fitting = 0;
    for count in 0..MAX_PACKETS {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::encode_packet_binary;

    fn framed(packets: &[&str]) -> Vec<u8> {
        let mut frames = Vec::new();
        for packet in packets {
            frame::encode_message(Opcode::Text, packet.as_bytes(), &mut frames);
        }
        frames
    }

    #[test]
    fn one_poll_fits_sixteen_packets() {
        for count in [0, 1, 15, 16] {
            let frames = framed(&vec!["4x"; count]);
            assert_eq!(fit_one_poll(&frames), frames.len(), "{count}");
        }
        let frames = framed(&["4x"; 17]);
        assert_eq!(fit_one_poll(&frames), frames.len() / 17 * 16);
    }

    #[test]
    fn a_part_of_a_frame_does_not_fit() {
        let (first, second) = (framed(&["4first"]), framed(&["4second"]));
        let frames = [first.clone(), second].concat();
        for length in 0..frames.len() {
            let expected = if length < first.len() { 0 } else { first.len() };
            assert_eq!(fit_one_poll(&frames[..length]), expected, "{length} bytes");
        }
    }

    #[test]
    fn the_packet_that_ends_a_session_goes_alone() {
        let frames = framed(&["41", "1"]);
        assert_eq!(fit_one_poll(&frames), framed(&["41"]).len());
        assert_eq!(fit_one_poll(&framed(&["1"])), framed(&["1"]).len());
        // A message that begins like it is none.
        let frames = framed(&["4x", "12"]);
        assert_eq!(fit_one_poll(&frames), frames.len());
    }

    #[test]
    fn packets_lie_in_an_answer_as_its_revision_has_them() {
        let (mut v3, mut v4) = (framed(&["4é€"]), framed(&["4é€"]));
        encode_packet_binary(b"\x01\x02", Revision::V3, &mut v3);
        encode_packet_binary(b"\x01\x02", Revision::V4, &mut v4);
        let text = "text/plain; charset=UTF-8";
        assert_eq!(
            payload(Revision::V4, false, &v4),
            (text, "4é€\u{1e}bAQI=".into())
        );
        assert_eq!(
            payload(Revision::V3, true, &v3),
            (text, "3:4é€6:b4AQI=".into())
        );
        let binary = b"\x00\x06\xff4\xc3\xa9\xe2\x82\xac\x01\x03\xff\x04\x01\x02";
        assert_eq!(
            payload(Revision::V3, false, &v3),
            ("application/octet-stream", binary.to_vec())
        );
        // Only what is binary needs the form that is.
        assert_eq!(
            payload(Revision::V3, false, &framed(&["4é€"])),
            (text, "3:4é€".into())
        );
    }

    #[test]
    fn a_poll_that_is_freed_without_news_gets_a_noop() {
        assert_eq!(payload(Revision::V4, false, b"").1, b"6");
        assert_eq!(payload(Revision::V3, false, b"").1, b"1:6");
    }

    #[test]
    fn a_session_that_polls_is_closed_once_and_has_left_at_once() {
        let waiting = Waiting {
            http: ConnId::from_u64(2),
            headers: vec![],
        };
        let polling = Polling::new(Revision::V4, false, waiting);
        let mut transport = Transport::Polling(Box::new(polling));
        let mut out = Vec::new();
        assert_eq!(transport.close(CloseCode::NORMAL, "", &mut out), Ok(()));
        assert_eq!(
            (transport.state(), &*out),
            (State::Closed, &*framed(&["1"]))
        );
        let again = transport.close(CloseCode::NORMAL, "", &mut out);
        assert_eq!(again, Err(UsageError::AlreadyClosing));
        transport.leave(&mut out);
        assert_eq!(out, framed(&["1"]), "nothing more is said");
    }
}
