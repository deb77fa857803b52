//! What a dialect makes of the bytes that come in.

use std::borrow::Cow;

use dscore_traffic::event::EventParts;

/// What a message of a transport turns out to be.
#[derive(Debug)]
pub(crate) enum Heard<'a> {
    /// Nothing that concerns anything above the dialect.
    Nothing,
    /// A bare message.
    Text(&'a str),
    /// A bare message of bytes.
    Binary(Cow<'a, [u8]>),
    /// A Socket.IO event.
    Event(HeardEvent<'a>),
    /// A namespace was joined, and that was answered.
    Joined {
        namespace: &'a str,
        /// A JSON object, or empty.
        auth: &'a str,
    },
    /// A namespace was left.
    Left {
        namespace: &'a str,
        /// No other one is joined.
        is_last: bool,
    },
    /// An event of ours was acknowledged.
    Ack(HeardAck<'a>),
    /// A ping of ours was answered.
    Pong { sent_us: u64 },
    /// A CONNECT to a namespace that there is not: answered so, and an error that counts.
    Refused,
    /// The end, in words of the dialect.
    End,
}

/// A Socket.IO event, its array not read yet.
#[derive(Debug)]
pub(crate) struct HeardEvent<'a> {
    pub(crate) data: Data<'a>,
    pub(crate) parts: EventParts,
}

/// An acknowledgement of the event of this id.
#[derive(Debug)]
pub(crate) struct HeardAck<'a> {
    pub(crate) id: u64,
    pub(crate) data: Data<'a>,
    pub(crate) parts: EventParts,
}

/// The array of a packet: the rest of a text, which is not copied for it.
#[derive(Debug)]
pub(crate) struct Data<'a> {
    text: Cow<'a, str>,
    at: usize,
}

impl<'a> Data<'a> {
    /// All of `text` from `at` on.
    pub(super) fn new(text: impl Into<Cow<'a, str>>, at: usize) -> Self {
        let text = text.into();
        Self { text, at }
    }
}

impl Data<'_> {
    pub(crate) fn as_str(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }
}
