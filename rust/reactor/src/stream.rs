//! What lies between a socket and what speaks on it.
//!
//! The one place that a peer's bytes come in and go out by. A read says beside its bytes how the socket stands then:
//! epoll says nothing of what a stream holds itself, so all of it is given out with the read that brought it.
//!
//! With TLS the outbox stays plaintext. A record is sealed when the socket is to take it, and its plaintext counts as sent
//! when the socket has it whole: what it does not take stays sealed here, and in front of the outbox.

use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, BorrowedFd};

use dscore_tls::{MAX_OPENED_BEYOND, Tls};
use rustix::io::Errno;

use crate::sys::{Received, Sent, Socket};
use crate::watch::Watch;

/// A connection's bytes, in both directions.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: Socket,
    /// What epoll was last told of the socket, if anything.
    pub(crate) watch: Option<Watch>,
    unread: Unread,
    tls: Option<Box<Tls>>,
}

/// A stream on its way to the thread that will have it. What idles for days is to lie in that one's memory: what the porter
/// gives out lies between handshakes, whose memory it would keep from being given back.
#[derive(Debug)]
pub(crate) struct Moving {
    stream: Stream,
    tls: Option<Tls>,
}

impl Moving {
    /// Bytes as they are, or of an established TLS connection.
    pub(crate) fn new(socket: Socket, tls: Option<Tls>) -> Self {
        let stream = Stream::plain(socket);
        Self { stream, tls }
    }

    /// In the thread that has it from here on.
    pub(crate) fn unpack(mut self) -> Stream {
        self.stream.tls = self.tls.map(Box::new);
        self.stream
    }
}

/// What may be left in the socket, though it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unread {
    Nothing,
    Input,
    /// The last input, for the socket was cut. It stays: an end is readable for ever.
    Last,
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
    /// It ended without saying so in its dialect of TLS (RFC 8446 §6.1): what came may be cut short.
    Truncated,
    /// A record was touched on its way, or breaks the protocol.
    Invalid,
    /// The connection is broken.
    Broken,
}

impl Stream {
    /// Bytes as they are.
    pub(crate) fn plain(socket: Socket) -> Self {
        Self {
            socket,
            watch: None,
            unread: Unread::Nothing,
            tls: None,
        }
    }

    /// To be given to another thread.
    pub(crate) fn pack(mut self) -> Moving {
        let tls = self.tls.take().map(|tls| *tls);
        Moving { stream: self, tls }
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// The peer has said that it sends no more, and no read will tell.
    pub(crate) fn has_ended(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.has_ended())
    }

    /// Reads once into `buffer`.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Read {
        if let Some(tls) = &mut self.tls {
            return receive_sealed(&self.socket, tls, buffer);
        }
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
        match &mut self.tls {
            None => self.socket.send(bytes),
            Some(tls) => send_sealed(&self.socket, tls, &mut [IoSlice::new(bytes)]),
        }
    }

    /// Writes many pieces.
    pub(crate) fn send_pieces(&mut self, pieces: &mut [IoSlice<'_>]) -> Sent {
        match &mut self.tls {
            None => self.socket.send_pieces(pieces),
            Some(tls) => send_sealed(&self.socket, tls, pieces),
        }
    }

    /// Of what is to be sent next, so much is sealed already: it cannot be taken back.
    pub(crate) fn on_its_way(&self) -> usize {
        self.tls.as_ref().map_or(0, |tls| tls.on_its_way())
    }

    /// Bytes that are held of a record that has not come whole.
    pub(crate) fn held(&self) -> usize {
        self.tls.as_ref().map_or(0, |tls| tls.held())
    }

    /// Says that nothing more will be sent; reading goes on.
    pub(crate) fn finish_sending(&mut self) {
        self.say_goodbye();
        self.socket.finish_sending();
    }

    /// Input may be left in the socket, though it was looked at.
    pub(crate) fn has_unread(&self) -> bool {
        self.unread != Unread::Nothing
    }

    /// Says whether input may be left.
    pub(crate) fn set_unread(&mut self, has_unread: bool) {
        self.unread = match (self.unread, has_unread) {
            (Unread::Last, _) => Unread::Last,
            (_, true) => Unread::Input,
            (_, false) => Unread::Nothing,
        };
    }

    /// Takes no more bytes, and gives those that have come, then an end: whatever went wrong with it.
    pub(crate) fn cut(&mut self) {
        self.unread = Unread::Last;
        self.socket.finish();
    }

    /// Whether it takes no more bytes.
    pub(crate) fn is_cut(&self) -> bool {
        self.unread == Unread::Last
    }

    /// Says in TLS that the end which follows is ours (RFC 8446 §6.1), as far as the socket takes it.
    pub(crate) fn say_goodbye(&mut self) {
        if let Some(tls) = &mut self.tls {
            let _broken_already = tls.finish(&mut Writer(&self.socket));
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Of the buffer, a half is for what comes, the other for what is in it.
fn receive_sealed(socket: &Socket, tls: &mut Tls, buffer: &mut [u8]) -> Read {
    let read = |count, then| Read { count, then };
    if tls.has_ended() {
        return read(0, Then::End);
    }
    let (plain, sealed) = buffer.split_at_mut(buffer.len().div_ceil(2));
    let room = plain.len().saturating_sub(MAX_OPENED_BEYOND).max(1);
    let room = room.min(sealed.len());
    let Some(sealed) = sealed.get_mut(..room) else {
        return read(0, Then::Broken);
    };
    let count = match socket.receive(sealed) {
        Received::Bytes(count) => count,
        Received::Nothing => return read(0, Then::Nothing),
        Received::End if tls.has_finished() => return read(0, Then::End),
        Received::End => return read(0, Then::Truncated),
        Received::Broken(_) => return read(0, Then::Broken),
    };
    let opened = tls.open(sealed.get_mut(..count).unwrap_or_default(), plain);
    if opened.is_err() || opened.is_ok_and(|opened| opened.has_answer) {
        // The alert that says what is wrong, or a key of ours that was asked for.
        let _broken_already = tls.send(&mut [], &mut Writer(socket));
    }
    match opened {
        Ok(opened) if opened.has_ended => read(opened.count, Then::End),
        Ok(opened) if count == room => read(opened.count, Then::More),
        Ok(opened) => read(opened.count, Then::Nothing),
        Err(_) => read(0, Then::Invalid),
    }
}

fn send_sealed(socket: &Socket, tls: &mut Tls, pieces: &mut [IoSlice<'_>]) -> Sent {
    match tls.send(pieces, &mut Writer(socket)) {
        Ok(count) => Sent::Bytes(count),
        Err(error) => Sent::Broken(
            error
                .raw_os_error()
                .map_or(Errno::IO, Errno::from_raw_os_error),
        ),
    }
}

/// A socket for what writes through `std::io`.
pub(crate) struct Writer<'a>(pub(crate) &'a Socket);

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        taken(self.0.send(bytes))
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match pieces {
            [piece] => self.write(piece),
            _ => taken(self.0.send_pieces(pieces)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn taken(sent: Sent) -> io::Result<usize> {
    match sent {
        Sent::Bytes(0) => Err(io::ErrorKind::WouldBlock.into()),
        Sent::Bytes(count) => Ok(count),
        Sent::Broken(error) => Err(error.into()),
    }
}
