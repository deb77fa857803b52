//! Two connections joined by queues, and one connection fed in any portions.

use dscore_proto::connection::MAX_LEFTOVER;
use dscore_proto::{Connection, Event, Limits, ProtocolError, Role, State};

pub(crate) const LIMITS: Limits = Limits {
    max_message_size: 1 << 20,
    max_fragments: 64,
};

/// An event that outlives the read buffer, or the error in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    Failed(ProtocolError),
}

impl Seen {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.to_owned()),
            Event::Binary(data) => Self::Binary(data.to_vec()),
            Event::Ping(payload) => Self::Ping(payload.to_vec()),
            Event::Pong(payload) => Self::Pong(payload.to_vec()),
            Event::Close { code, reason } => {
                Self::Close(code.map(dscore_proto::CloseCode::value), reason.to_owned())
            }
        }
    }
}

/// A connection with its buffers; it holds the promises about memory to every read.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) connection: Connection,
    limits: Limits,
    pub(crate) seen: Vec<Seen>,
    /// What it wrote and the other end has not read yet.
    pub(crate) out: Vec<u8>,
    leftover: Vec<u8>,
}

impl Endpoint {
    pub(crate) fn new(role: Role) -> Self {
        Self {
            connection: Connection::new(role),
            limits: LIMITS,
            seen: Vec::new(),
            out: Vec::new(),
            leftover: Vec::new(),
        }
    }

    pub(crate) fn server() -> Self {
        Self::new(Role::Server)
    }

    pub(crate) fn server_within(max_message_size: usize, max_fragments: u32) -> Self {
        let mut server = Self::server();
        server.limits = Limits {
            max_message_size,
            max_fragments,
        };
        server
    }

    pub(crate) fn client() -> Self {
        Self::new(Role::Client { seed: 7 })
    }

    /// One read of `bytes`.
    pub(crate) fn read(&mut self, bytes: &[u8]) {
        self.leftover.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            let event = self.connection.poll_event(
                &mut self.leftover,
                &mut at,
                &self.limits,
                &mut self.out,
            );
            match event {
                Ok(Some(event)) => self.seen.push(event.into()),
                Ok(None) => break,
                Err(error) => self.seen.push(Seen::Failed(error)),
            }
        }
        self.leftover.drain(..at);
        assert!(self.leftover.len() <= MAX_LEFTOVER);
        assert!(self.connection.buffered() <= self.limits.max_message_size);
        if self.connection.state() != State::Open {
            assert_eq!(self.connection.buffered(), 0);
        }
        if self.connection.is_closed() {
            assert!(self.leftover.is_empty() && self.connection.buffered() == 0);
        }
    }

    pub(crate) fn take_seen(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.seen)
    }

    pub(crate) fn take_out(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// All there is to compare.
    pub(crate) fn outcome(self) -> (Vec<Seen>, Vec<u8>, State) {
        (self.seen, self.out, self.connection.state())
    }
}

/// Reads `stream` at once, byte by byte and cut in two at every offset; the results must agree.
pub(crate) fn read_every_way(
    endpoint: impl Fn() -> Endpoint,
    stream: &[u8],
) -> (Vec<Seen>, Vec<u8>, State) {
    let read = |parts: &mut dyn Iterator<Item = &[u8]>| {
        let mut endpoint = endpoint();
        parts.for_each(|part| endpoint.read(part));
        endpoint.outcome()
    };
    let whole = read(&mut [stream].into_iter());
    assert_eq!(read(&mut stream.chunks(1)), whole, "byte by byte");
    for cut in 1..stream.len() {
        let (head, tail) = stream.split_at(cut);
        assert_eq!(read(&mut [head, tail].into_iter()), whole, "cut at {cut}");
    }
    whole
}

/// A client and a server joined by queues.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) client: Endpoint,
    pub(crate) server: Endpoint,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self {
            client: Endpoint::client(),
            server: Endpoint::server(),
        }
    }

    /// Carries bytes both ways, at most `portion` a read, until both queues are empty.
    pub(crate) fn exchange(&mut self, portion: usize) {
        while !(self.client.out.is_empty() && self.server.out.is_empty()) {
            for part in self.client.take_out().chunks(portion) {
                self.server.read(part);
            }
            for part in self.server.take_out().chunks(portion) {
                self.client.read(part);
            }
        }
    }
}
