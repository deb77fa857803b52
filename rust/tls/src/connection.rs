//! An established connection: opens what came, seals what is to go. Its socket is its owner's.
//!
//! Nothing that was opened stays here: [`Tls::open`] gives out all of it, with whether the peer has ended. Sealed at a time
//! is one record: what waits stays plaintext with the owner, and counts as sent when the socket has taken its record.

use std::io::{self, IoSlice, Write};

use rustls::ServerConnection;

use crate::buffered;
use crate::failure::{Failure, failure_of};
use crate::layer::{RecordLayer, Sealed, taken};
use crate::partial::{MAX_RECORD, Partial};
use crate::record::{Opened, RecordError};

/// How many bytes more than it is given [`Tls::open`] may give out: of a record that had begun before.
pub const MAX_OPENED_BEYOND: usize = MAX_RECORD;

/// One established connection. It goes on from one record to the next, and is never two:
///
/// ```compile_fail
/// fn twice<T: Clone>() {}
/// twice::<dscore_tls::Tls>();
/// ```
#[derive(Debug)]
#[repr(C)]
pub struct Tls {
    partial: Partial,
    /// Plaintext in the record that the socket has not taken whole yet.
    sealed: u16,
    /// How much of that was told to be sent already.
    credited: u16,
    has_ended: bool,
    has_finished: bool,
    /// Last: its own front is the keys, which the fields above are then beside.
    form: Form,
}

/// Which record layer it has.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "the large one is what there are ten thousands of, and it is a tenth of what the other points to"
)]
enum Form {
    Buffered(Box<ServerConnection>),
    Own(RecordLayer),
}

impl Tls {
    pub(crate) fn buffered(connection: ServerConnection) -> Self {
        Self::with(Form::Buffered(Box::new(connection)))
    }

    /// With a record layer of our own.
    pub fn own(layer: RecordLayer) -> Self {
        Self::with(Form::Own(layer))
    }

    fn with(form: Form) -> Self {
        Self {
            partial: Partial::default(),
            sealed: 0,
            credited: 0,
            has_ended: false,
            has_finished: false,
            form,
        }
    }

    /// A record that had begun when the handshake ended.
    pub(crate) fn begin_with(&mut self, partial: Partial) {
        self.partial = partial;
    }

    /// Opens what came, into `plain`, which has room for that and [`MAX_OPENED_BEYOND`]. It may be opened where it lies.
    ///
    /// # Errors
    /// The peer broke the protocol, or a record was touched: the connection is over, and an alert is to be sent.
    pub fn open(&mut self, input: &mut [u8], plain: &mut [u8]) -> Result<Opened, Failure> {
        let (form, mut all) = (&mut self.form, Opened::default());
        all.has_ended = self.has_ended;
        self.partial.push(input, |records| {
            // RFC 8446 §6.1: what follows a close_notify is ignored.
            if all.has_ended {
                return Ok(());
            }
            let opened = form.open(records, plain.get_mut(all.count..).unwrap_or_default())?;
            all.count += opened.count;
            all.has_ended = opened.has_ended;
            all.has_answer |= opened.has_answer;
            Ok(())
        })?;
        self.has_ended = all.has_ended;
        Ok(all)
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
        (self.sealed - self.credited).into()
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
        // What is sealed already is in front of them.
        let mut credit = self.flush(socket)?;
        let (mut rest, mut sent) = (pieces, 0);
        loop {
            sent += credit;
            IoSlice::advance_slices(&mut rest, credit);
            if rest.is_empty() || self.form.wants_write() {
                return Ok(sent);
            }
            let sealed = self.form.send(rest, socket)?;
            self.sealed = sealed.length as u16;
            credit = self.credit(sealed.written);
        }
    }

    /// Says that nothing more will be sent (close_notify), if the socket takes it.
    ///
    /// # Errors
    /// As `send`.
    pub fn finish(&mut self, socket: &mut dyn Write) -> io::Result<()> {
        if !self.has_finished {
            self.has_finished = true;
            self.form.close()?;
        }
        self.flush(socket).map(drop)
    }

    /// Writes what is sealed, alerts among it. Returns how many bytes more of the plaintext count as sent: all but one
    /// until all are.
    fn flush(&mut self, socket: &mut dyn Write) -> io::Result<usize> {
        let written = self.form.write(socket)?;
        Ok(self.credit(written))
    }

    /// How much plaintext more counts as sent, after so many sealed bytes were written.
    fn credit(&mut self, written: usize) -> usize {
        let left = self.on_its_way();
        if self.form.wants_write() {
            let credit = written.min(left.saturating_sub(1));
            self.credited += credit as u16;
            return credit;
        }
        (self.sealed, self.credited) = (0, 0);
        left
    }
}

impl Form {
    fn open(&mut self, records: &mut [u8], plain: &mut [u8]) -> Result<Opened, Failure> {
        match self {
            Self::Buffered(connection) => {
                buffered::open(connection, records, plain).map_err(|error| failure_of(&error))
            }
            Self::Own(layer) => layer.open(records, plain).map_err(|error| match error {
                RecordError::Alert(_) => Failure::Refused,
                _ => Failure::Invalid,
            }),
        }
    }

    /// Seals one record of what is in front, and writes what the socket takes.
    fn send(&mut self, pieces: &[IoSlice<'_>], socket: &mut dyn Write) -> io::Result<Sealed> {
        match self {
            Self::Buffered(connection) => {
                let length = buffered::seal(connection, pieces)?;
                let written = self.write(socket)?;
                Ok(Sealed { length, written })
            }
            Self::Own(layer) => layer.send(pieces, socket),
        }
    }

    fn close(&mut self) -> io::Result<()> {
        match self {
            Self::Buffered(connection) => {
                connection.send_close_notify();
                Ok(())
            }
            Self::Own(layer) => layer.close().map_err(io::Error::other),
        }
    }

    fn wants_write(&self) -> bool {
        match self {
            Self::Buffered(connection) => connection.wants_write(),
            Self::Own(layer) => layer.wants_write(),
        }
    }

    /// Writes what waits until the socket takes no more.
    fn write(&mut self, socket: &mut dyn Write) -> io::Result<usize> {
        let mut all = 0;
        while self.wants_write() {
            let written = taken(match self {
                Self::Buffered(connection) => connection.write_tls(&mut &mut *socket),
                Self::Own(layer) => layer.write(socket),
            })?;
            if written == 0 {
                break;
            }
            all += written;
        }
        Ok(all)
    }
}
