//! What lies between a socket and what speaks on it.
//!
//! The one place that a peer's bytes come in and go out by. A read says beside its bytes how the socket stands then:
//! whatever the stream holds itself, epoll says nothing of, so all of it is given out with the read that brought it.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};

use crate::sys::{Received, Sent, Socket};

/// A connection's bytes, in both directions.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: Socket,
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    /// Bytes of the peer's, at the front of the buffer.
    pub(crate) count: usize,
    /// What is known of those behind them.
    pub(crate) then: Then,
}

/// How a socket stands after a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// There may be more to read.
    More,
    /// All that had come was read.
    Nothing,
    /// The peer sends no more.
    End,
    /// The connection is broken.
    Broken,
}

impl Stream {
    /// Bytes as they are.
    pub(crate) fn plain(socket: Socket) -> Self {
        Self { socket }
    }

    /// Reads once into `buffer`.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Read {
        let (count, then) = match self.socket.receive(buffer) {
            Received::Bytes(count) if count == buffer.len() => (count, Then::More),
            Received::Bytes(count) => (count, Then::Nothing),
            Received::Nothing => (0, Then::Nothing),
            Received::End => (0, Then::End),
            Received::Broken(_) => (0, Then::Broken),
        };
        Read { count, then }
    }

    /// Writes once.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Sent {
        self.socket.send(bytes)
    }

    /// Writes many pieces with one call.
    pub(crate) fn send_pieces(&mut self, pieces: &[IoSlice<'_>]) -> Sent {
        self.socket.send_pieces(pieces)
    }

    /// Says that nothing more will be sent; reading goes on.
    pub(crate) fn finish_sending(&mut self) {
        self.socket.finish_sending();
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
