//! Taking newcomers from the backlog: paced, in bounded batches, and calm when descriptors run out.

use std::net::SocketAddr;

use dscore_proto::http;

use crate::sys::{Accepted, Listener, Socket};

/// Newcomers taken in one turn: more would make those who are in wait.
const BATCH: usize = 64;
/// After want of memory or descriptors the backlog keeps newcomers that long: the listener stays readable, and a loop
/// that looked at once would spin.
const PAUSE_MS: u64 = 100;
/// When newcomers may come again for whom no descriptor was left.
const RETRY_AFTER_S: u32 = 10;

/// The listening socket of a pool, owned by its first reactor.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listener: Listener,
    /// A descriptor kept free for the moment when there is none: it is given up to accept one newcomer, who can then
    /// be told, and taken again.
    reserve: Option<Socket>,
    /// Newcomers that may be taken now, where a rate is set. Never below 0.
    tokens: f64,
    refilled_ms: u64,
    /// Not before: the pace, or a pause.
    pub(crate) resume_ms: Option<u64>,
}

/// What a batch brought, beside the newcomers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Newcomers told that there is no room.
    pub(crate) turned_away: u64,
    /// Accepts that failed.
    pub(crate) errors: u64,
}

impl Acceptor {
    pub(crate) fn new(listener: Listener) -> Self {
        let reserve = spare();
        Self {
            listener,
            reserve,
            tokens: 1.0,
            refilled_ms: 0,
            resume_ms: None,
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

    /// Takes what waits, at most a batch and at most what `rate` (a second; 0: any) allows; `admit` gets each.
    /// Sets `resume_ms` when the listener is better left alone until then.
    pub(crate) fn accept(
        &mut self,
        now_ms: u64,
        rate: f64,
        mut admit: impl FnMut(Socket, SocketAddr),
    ) -> Tally {
        let mut tally = Tally::default();
        self.resume_ms = None;
        self.refill(now_ms, rate);
        for _ in 0..BATCH {
            if rate > 0.0 && self.tokens < 1.0 {
                self.resume_ms =
                    Some(now_ms + ((1.0 - self.tokens) * 1_000.0 / rate).ceil() as u64);
                break;
            }
            match self.listener.accept() {
                Accepted::Connection(socket, peer) => {
                    // Where no rate is set nothing is spent: one that is set later must not begin in debt.
                    self.tokens = (self.tokens - 1.0).max(0.0);
                    admit(socket, peer);
                }
                Accepted::Nothing => break,
                Accepted::Gone => tally.errors += 1,
                Accepted::NoDescriptor => {
                    tally.errors += 1;
                    if !self.turn_one_away() {
                        self.resume_ms = Some(now_ms + PAUSE_MS);
                        break;
                    }
                    tally.turned_away += 1;
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

    fn refill(&mut self, now_ms: u64, rate: f64) {
        let elapsed = now_ms.saturating_sub(self.refilled_ms) as f64 / 1_000.0;
        self.refilled_ms = now_ms;
        // One turn's batch may be taken at once after a quiet time, never a backlog of missed seconds.
        self.tokens = (self.tokens + elapsed * rate).min(rate.clamp(1.0, BATCH as f64));
    }

    fn turn_one_away(&mut self) -> bool {
        if self.reserve.take().is_none() {
            self.reserve = spare();
            return false;
        }
        let told = if let Accepted::Connection(socket, _) = self.listener.accept() {
            let mut refusal = Vec::new();
            let detail = "too many connections";
            http::error_response(503, detail, Some(RETRY_AFTER_S), &mut refusal);
            socket.send(&refusal);
            socket.finish_sending();
            true
        } else {
            false
        };
        self.reserve = spare();
        told
    }
}

fn spare() -> Option<Socket> {
    Socket::unconnected().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_rate_set_after_a_storm_does_not_count_the_storm() {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), 64).unwrap();
        let address = listener.address();
        let mut acceptor = Acceptor::new(listener);
        let mut accept = |now_ms, rate, expected| {
            let clients: Vec<_> = (0..expected)
                .map(|_| TcpStream::connect(address).unwrap())
                .collect();
            let mut taken = 0;
            acceptor.accept(now_ms, rate, |_, _| taken += 1);
            drop(clients);
            assert_eq!(taken, expected);
            acceptor.resume_ms
        };
        assert_eq!(accept(0, 0.0, 40), None);
        // A tenth of a second pays for one of those that come at ten a second.
        assert_eq!(accept(100, 10.0, 1), Some(200));
    }
}
