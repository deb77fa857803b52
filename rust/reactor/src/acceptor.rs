//! Taking connections from the backlog: in bounded batches, and calm when descriptors run out. Never at a pace: what is
//! paced is what they ask for (see [`crate::pacer`]), or probes would wait behind a storm.

use std::net::SocketAddr;

use dscore_proto::http::{self, Particulars};

use crate::sys::{Accepted, Listener, Socket};

/// Sockets taken in one turn: more would make those that are in wait.
const MAX_BATCH: usize = 64;
/// After want of memory or descriptors the backlog keeps what comes that long: the listener stays readable, and a loop
/// that looked at once would spin.
const PAUSE_MS: u64 = 100;
/// The same while connections that yield give theirs back: their reactor takes a turn for it.
const YIELD_MS: u64 = 1;
/// The same while as many handshakes are under way as may be.
const HANDSHAKES_MS: u64 = 10;
/// When those may come again for which no descriptor was left.
const RETRY_AFTER_S: u32 = 10;

/// The listening socket of a pool, owned by its first reactor.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listener: Listener,
    /// A descriptor kept free for the moment when there is none: it is given up to accept one connection, which can then
    /// be told, and taken again.
    reserve: Option<Socket>,
    /// What comes first on what it accepts.
    pub(crate) entrance: Entrance,
    /// Not before, after a pause.
    pub(crate) resume_ms: Option<u64>,
    /// Whether it is watched; it is not while connections are to wait in the backlog.
    pub(crate) is_watched: bool,
}

/// What is spoken on a listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// HTTP.
    Plain,
    /// TLS.
    Tls,
    /// As the first byte tells.
    Either,
}

/// What a batch brought, beside the sockets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// There was no descriptor for the next.
    pub(crate) lacks_descriptor: bool,
    /// Accepts that failed.
    pub(crate) errors: u64,
}

impl Acceptor {
    pub(crate) fn new(listener: Listener, entrance: Entrance) -> Self {
        let reserve = spare();
        Self {
            listener,
            reserve,
            entrance,
            resume_ms: None,
            is_watched: true,
        }
    }

    pub(crate) fn listener(&self) -> &Listener {
        &self.listener
    }

    /// The address and port that a connection came in on: its own, where the listener has all.
    pub(crate) fn local_address(&self, socket: &Socket) -> SocketAddr {
        let address = self.listener.address();
        if !address.ip().is_unspecified() {
            return address;
        }
        socket.local_address().unwrap_or(address)
    }

    /// Takes what waits, at most a batch; `admit` gets each, and ends the batch with false. Sets `resume_ms` when the
    /// listener is better left alone until then.
    pub(crate) fn accept(
        &mut self,
        now_ms: u64,
        mut admit: impl FnMut(Socket, SocketAddr) -> bool,
    ) -> Tally {
        let mut tally = Tally::default();
        self.resume_ms = None;
        for _ in 0..MAX_BATCH {
            match self.listener.accept() {
                Accepted::Connection(socket, peer) => {
                    if !admit(socket, peer) {
                        break;
                    }
                }
                Accepted::Nothing => break,
                Accepted::Gone => tally.errors += 1,
                Accepted::NoDescriptor => {
                    tally.errors += 1;
                    tally.lacks_descriptor = true;
                    break;
                }
                Accepted::NoMemory => {
                    tally.errors += 1;
                    self.resume_ms = Some(now_ms + PAUSE_MS);
                    break;
                }
            }
        }
        tally
    }

    /// The listener is left alone until descriptors that others yield have come back.
    pub(crate) fn wait_for_descriptors(&mut self, now_ms: u64) {
        self.resume_ms = Some(now_ms + YIELD_MS);
    }

    /// The listener is left alone until there is room for handshakes.
    pub(crate) fn wait_for_handshakes(&mut self, now_ms: u64) {
        self.resume_ms = Some(now_ms + HANDSHAKES_MS);
    }

    /// Tells those that wait, at most a batch, that there is no room, where no connection yields its descriptor. How many.
    pub(crate) fn turn_waiting_away(&mut self, now_ms: u64) -> u64 {
        for told in 0..MAX_BATCH {
            if !self.turn_one_away() {
                self.resume_ms = Some(now_ms + PAUSE_MS);
                return told as u64;
            }
        }
        MAX_BATCH as u64
    }

    fn turn_one_away(&mut self) -> bool {
        if self.reserve.take().is_none() {
            self.reserve = spare();
            return false;
        }
        let told = if let Accepted::Connection(socket, _) = self.listener.accept() {
            // What speaks TLS would not understand it.
            if self.entrance == Entrance::Plain {
                turn_away(&socket);
            }
            true
        } else {
            false
        };
        self.reserve = spare();
        told
    }
}

/// Tells a connection that there is no room for it.
pub(crate) fn turn_away(socket: &Socket) {
    refuse(socket, 503, "too many connections", Some(RETRY_AFTER_S));
}

/// Tells a connection that it must speak TLS here.
pub(crate) fn ask_for_tls(socket: &Socket) {
    let detail = "only TLS is spoken beyond this machine: use https:// or wss://";
    refuse(socket, 403, detail, None);
}

fn refuse(socket: &Socket, status: u16, detail: &str, retry_after: Option<u32>) {
    let mut refusal = Vec::new();
    let beside = Particulars {
        retry_after,
        ..Particulars::default()
    };
    http::error_response(status, detail, beside, &mut refusal);
    socket.send(&refusal);
    socket.finish_sending();
}

fn spare() -> Option<Socket> {
    Socket::unconnected().ok()
}
