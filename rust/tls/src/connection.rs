//! An established connection: opens what came, seals what is to go. Its socket is its owner's.
//!
//! Nothing that was opened stays here: [`Tls::open`] gives out all of it, with whether the peer has ended. Sealed at a time
//! is one record: what waits stays plaintext with the owner, and counts as sent when the socket has taken its record.

use std::io::{self, IoSlice, Write};

use rustls::{Error, ServerConnection};

use crate::records::{MAX_RECORD, Partial};

/// Of a record of ours: what a socket does not take of it is held sealed beside the plaintext.
const MAX_SEALED: usize = 4096;
/// How many bytes more than it is given [`Tls::open`] may give out: of a record that had begun before.
pub const MAX_OPENED_BEYOND: usize = MAX_RECORD;

/// One established connection.
#[derive(Debug)]
pub struct Tls {
    connection: ServerConnection,
    partial: Partial,
    /// Plaintext in the record that the socket has not taken whole yet.
    sealed: usize,
    /// How much of that was told to be sent already.
    credited: usize,
    has_ended: bool,
    has_finished: bool,
}

/// What came of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Bytes of the peer's.
    pub count: usize,
    /// It has said that it sends no more (close_notify).
    pub has_ended: bool,
}

impl Tls {
    pub(crate) fn new(connection: ServerConnection, partial: Partial, has_ended: bool) -> Self {
        Self {
            connection,
            partial,
            sealed: 0,
            credited: 0,
            has_ended,
            has_finished: false,
        }
    }

    /// Opens what came, into `plain`, which has room for that and [`MAX_OPENED_BEYOND`].
    ///
    /// # Errors
    /// The peer broke the protocol, or a record was touched: the connection is over, and an alert is to be sent.
    pub fn open(&mut self, input: &[u8], plain: &mut [u8]) -> Result<Opened, Error> {
        let (connection, mut count, mut has_ended) = (&mut self.connection, 0, self.has_ended);
        self.partial.push(input, |records| {
            has_ended |= open_records(connection, records, |opened| {
                let room = plain.get_mut(count..).unwrap_or_default();
                count += io::Read::read(opened, room)?;
                Ok(())
            })?;
            Ok::<(), Error>(())
        })?;
        self.has_ended = has_ended;
        Ok(Opened { count, has_ended })
    }

    /// Whether the peer has said that it sends no more.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether that was said to the peer. What comes afterwards may be cut short: we have left.
    pub fn has_finished(&self) -> bool {
        self.has_finished
    }

    /// Bytes held of a record that has not come whole.
    pub fn held(&self) -> usize {
        self.partial.len()
    }

    /// How much of what is to be sent next is on its way already, sealed: it must be sent next.
    pub fn on_its_way(&self) -> usize {
        self.sealed - self.credited
    }

    /// Seals and writes as much of `pieces` as `socket` takes; returns how much that is. What this says was not sent must be
    /// given again, in front.
    ///
    /// # Errors
    /// The socket's; one that takes nothing now says so with `WouldBlock`, which is none.
    pub fn send(
        &mut self,
        pieces: &mut [IoSlice<'_>],
        socket: &mut dyn Write,
    ) -> io::Result<usize> {
        let (mut rest, mut sent) = (pieces, 0);
        // What is sealed already is in front of them.
        loop {
            let credit = self.flush(socket)?;
            sent += credit;
            IoSlice::advance_slices(&mut rest, credit);
            if self.connection.wants_write() || rest.is_empty() {
                return Ok(sent);
            }
            self.sealed = seal(&mut self.connection, rest)?;
        }
    }

    /// Says that nothing more will be sent (close_notify), if the socket takes it.
    ///
    /// # Errors
    /// As `send`.
    pub fn finish(&mut self, socket: &mut dyn Write) -> io::Result<()> {
        self.has_finished = true;
        self.connection.send_close_notify();
        self.flush(socket).map(drop)
    }

    /// Writes what is sealed, alerts among it. Returns how many bytes more of the plaintext count as sent: all but one
    /// until all are.
    fn flush(&mut self, socket: &mut dyn Write) -> io::Result<usize> {
        let mut written = 0;
        while self.connection.wants_write() {
            match self.connection.write_tls(socket) {
                Ok(0) => break,
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let left = self.on_its_way();
        if self.connection.wants_write() {
            let credit = written.min(left.saturating_sub(1));
            self.credited += credit;
            return Ok(credit);
        }
        (self.sealed, self.credited) = (0, 0);
        Ok(left)
    }
}

/// Feeds whole records; `take` gets a reader of what was in them. Whether the peer has ended.
pub(crate) fn open_records(
    connection: &mut ServerConnection,
    mut records: &[u8],
    mut take: impl FnMut(&mut rustls::Reader<'_>) -> io::Result<()>,
) -> Result<bool, Error> {
    let mut has_ended = false;
    while !records.is_empty() && !has_ended {
        let read = connection.read_tls(&mut records);
        if read.map_err(|error| Error::General(error.to_string()))? == 0 {
            break;
        }
        let state = connection.process_new_packets()?;
        has_ended = state.peer_has_closed();
        if state.plaintext_bytes_to_read() > 0 {
            take(&mut connection.reader()).map_err(|error| Error::General(error.to_string()))?;
        }
    }
    Ok(has_ended)
}

/// Seals one record of what is in front; how much that is.
fn seal(connection: &mut ServerConnection, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    let mut writer = connection.writer();
    match pieces.first() {
        Some(first) if first.len() >= MAX_SEALED => writer.write(&first[..MAX_SEALED]),
        Some(first) if pieces.len() == 1 => writer.write(first),
        _ => {
            let mut room = MAX_SEALED;
            let mut record = Vec::with_capacity(MAX_SEALED);
            for piece in pieces {
                let part = piece.get(..room).unwrap_or(piece);
                record.extend_from_slice(part);
                room -= part.len();
            }
            writer.write(&record)
        }
    }
}
