//! The record layer of an established connection, both directions: 216 bytes of plain data.
//!
//! | what comes | what it does |
//! |---|---|
//! | data | is given out; of none at all, only so many in a row are taken |
//! | KeyUpdate | the key of what comes changes, if it does not do so all the time; ours as well, if the peer asks for it |
//! | close_notify | the peer has ended: all that follows is ignored |
//! | user_canceled | nothing |
//! | any other alert | the connection is over |
//! | all else, and what does not open | an alert is to be sent, and the connection is over |
//!
//! A number of a record is used once: the state is not `Clone`, and a number is spent before its record is sealed.

use std::fmt;
use std::io::{self, IoSlice, Write};

use crate::messages::{Begun, CLOSE_NOTIFY, FATAL, Notice, WARNING, read_alert};
use crate::partial::record_length;
use crate::record::{ALERT, DATA, HANDSHAKE, MAX_SEALED, Opened, RecordError, open, seal};
use crate::secrets::{Key, Suite, TrafficSecret};

/// Records sealed with one key. AES-GCM is good for 2^24.5 (RFC 8446 §5.5).
const MAX_RECORDS: u64 = 1 << 23;
/// Records in a row that bring no data: empty ones, and changes of the key.
const MAX_USELESS: u8 = 32;
/// Changes of the peer's key that come sooner than [`EARLY`] records after the one before, in all: each costs as much as
/// ten records.
const MAX_EARLY_UPDATES: u8 = 32;
const EARLY: u64 = 64;
/// A KeyUpdate that asks for none in return (RFC 8446 §4.6.3).
const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];

/// A traffic secret, and how many records were sent under it.
#[derive(Clone, Copy)]
pub struct Secret<'a> {
    /// As long as a hash of its suite.
    pub bytes: &'a [u8],
    /// Records so far.
    pub sequence: u64,
}

/// Opens what came and seals what is to go. What every record needs lies in front, in as few lines of a cache as it fits in:
/// with ten thousand connections each of them is cold.
#[repr(C)]
pub struct RecordLayer {
    /// What the socket has not taken yet: nothing, nearly always.
    unwritten: Option<Box<Unwritten>>,
    receiving: Key,
    sending: Key,
    suite: Suite,
    begun: Begun,
    useless: u8,
    early_updates: u8,
    /// The peer has asked for another key of ours.
    owes_update: bool,
    /// Why the connection is over, if it is.
    over: Option<RecordError>,
    receiving_secret: TrafficSecret,
    sending_secret: TrafficSecret,
}

/// Whole records, in front of which so much is written.
struct Unwritten {
    records: Vec<u8>,
    written: usize,
}

/// What became of one record of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Plaintext in it.
    pub length: usize,
    /// Bytes of it, sealed, that the socket has taken; the rest waits.
    pub written: usize,
}

impl RecordLayer {
    /// Goes on from a handshake. None if a secret is none of this suite.
    pub fn new(suite: Suite, receiving: Secret<'_>, sending: Secret<'_>) -> Option<Self> {
        let keyed = |from: Secret<'_>| {
            let secret = TrafficSecret::new(suite, from.bytes)?;
            Some((secret.key(suite, from.sequence)?, secret))
        };
        Some(Self::with(suite, keyed(receiving)?, keyed(sending)?))
    }

    pub(crate) fn with(
        suite: Suite,
        (receiving, receiving_secret): (Key, TrafficSecret),
        (sending, sending_secret): (Key, TrafficSecret),
    ) -> Self {
        Self {
            unwritten: None,
            receiving,
            sending,
            suite,
            begun: Begun::default(),
            useless: 0,
            early_updates: 0,
            owes_update: false,
            over: None,
            receiving_secret,
            sending_secret,
        }
    }

    /// Opens whole records, one behind the other, into `plain`, which has room for them. They are opened where they lie.
    ///
    /// # Errors
    /// The connection is over; an alert may be among what is to be written.
    pub fn open(&mut self, records: &mut [u8], plain: &mut [u8]) -> Result<Opened, RecordError> {
        let opened = match self.over {
            Some(error) => return Err(error),
            None => self.open_all(records, plain),
        };
        match opened {
            Ok(mut opened) => {
                // One answer serves many requests. What the socket does not take is not added to.
                if self.owes_update && !self.wants_write() {
                    let mut record = Vec::new();
                    self.update_sending(&mut record)?;
                    self.keep(record, 0);
                    opened.has_answer = true;
                }
                Ok(opened)
            }
            Err(error) => {
                self.over = Some(error);
                if let Some(alert) = error.alert() {
                    self.say(ALERT, &[FATAL, alert])?;
                }
                Err(error)
            }
        }
    }

    fn open_all(
        &mut self,
        mut records: &mut [u8],
        plain: &mut [u8],
    ) -> Result<Opened, RecordError> {
        let mut opened = Opened::default();
        let mut cipher = self
            .receiving
            .cipher(self.suite)
            .ok_or(RecordError::Internal)?;
        while !records.is_empty() && !opened.has_ended {
            let length = record_length(records).unwrap_or(records.len());
            let (record, rest) = records.split_at_mut(length.min(records.len()));
            records = rest;
            let (kind, content) = open(&mut self.receiving, &cipher, record)?;
            if kind == DATA && !content.is_empty() && !self.begun.is_some() {
                let room = plain.get_mut(opened.count..opened.count + content.len());
                room.ok_or(RecordError::Internal)?.copy_from_slice(content);
                opened.count += content.len();
                self.useless = 0;
                continue;
            }
            self.useless += 1;
            if self.useless > MAX_USELESS {
                return Err(RecordError::Unexpected);
            }
            match kind {
                HANDSHAKE => {
                    if let Some(is_asked) = self.begun.push(content)? {
                        self.update_receiving()?;
                        cipher = self
                            .receiving
                            .cipher(self.suite)
                            .ok_or(RecordError::Internal)?;
                        self.owes_update |= is_asked;
                    }
                }
                _ if self.begun.is_some() => return Err(RecordError::Unexpected),
                DATA => {}
                ALERT => opened.has_ended = read_alert(content)? == Notice::Closed,
                _ => return Err(RecordError::Unexpected),
            }
        }
        Ok(opened)
    }

    /// Seals one record of the front of `pieces`, and writes of it what `socket` takes at once. Behind what waits it waits.
    ///
    /// # Errors
    /// The connection is over, or the socket's.
    pub fn send(&mut self, pieces: &[IoSlice<'_>], socket: &mut dyn Write) -> io::Result<Sealed> {
        let mut record = Vec::new();
        let length = self
            .seal_data(pieces, &mut record)
            .map_err(io::Error::other)?;
        let written = match self.unwritten {
            Some(_) => 0,
            None => taken(socket.write(&record))?,
        };
        if written < record.len() {
            self.keep(record, written);
        }
        Ok(Sealed { length, written })
    }

    fn seal_data(
        &mut self,
        pieces: &[IoSlice<'_>],
        record: &mut Vec<u8>,
    ) -> Result<usize, RecordError> {
        if let Some(error) = self.over {
            return Err(error);
        }
        if self.owes_update || self.sending.sequence() >= MAX_RECORDS {
            self.update_sending(record)?;
        }
        let all: usize = pieces.iter().map(|piece| piece.len()).sum();
        let length = all.min(MAX_SEALED);
        let pieces = pieces.iter().map(|piece| &**piece);
        self.seal(DATA, pieces, length, record)?;
        Ok(length)
    }

    /// Says that nothing more will be sent. One that is over has said why already.
    ///
    /// # Errors
    /// There is no number left for it.
    pub fn close(&mut self) -> Result<(), RecordError> {
        match self.over {
            Some(_) => Ok(()),
            None => self.say(ALERT, &[WARNING, CLOSE_NOTIFY]),
        }
    }

    /// Whether something is to be written.
    pub fn wants_write(&self) -> bool {
        self.unwritten.is_some()
    }

    /// Writes of it what `socket` takes at once.
    ///
    /// # Errors
    /// The socket's.
    pub fn write(&mut self, socket: &mut dyn Write) -> io::Result<usize> {
        let Some(unwritten) = &mut self.unwritten else {
            return Ok(0);
        };
        let rest = unwritten.records.get(unwritten.written..);
        let count = socket.write(rest.unwrap_or_default())?;
        unwritten.written += count;
        if unwritten.written >= unwritten.records.len() {
            self.unwritten = None;
        }
        Ok(count)
    }

    fn update_receiving(&mut self) -> Result<(), RecordError> {
        if self.receiving.sequence() < EARLY {
            self.early_updates += 1;
            if self.early_updates > MAX_EARLY_UPDATES {
                return Err(RecordError::Unexpected);
            }
        }
        let key = self.receiving_secret.update(self.suite);
        self.receiving = key.ok_or(RecordError::Internal)?;
        Ok(())
    }

    /// RFC 8446 §4.6.3: said with the old key, true of all that follows.
    fn update_sending(&mut self, record: &mut Vec<u8>) -> Result<(), RecordError> {
        let said = std::iter::once(&KEY_UPDATE[..]);
        self.seal(HANDSHAKE, said, KEY_UPDATE.len(), record)?;
        let key = self.sending_secret.update(self.suite);
        self.sending = key.ok_or(RecordError::Internal)?;
        self.owes_update = false;
        Ok(())
    }

    /// Seals a record, to be written next.
    fn say(&mut self, kind: u8, content: &[u8]) -> Result<(), RecordError> {
        let mut record = Vec::new();
        let pieces = std::iter::once(content);
        self.seal(kind, pieces, content.len(), &mut record)?;
        self.keep(record, 0);
        Ok(())
    }

    fn seal<'a>(
        &mut self,
        kind: u8,
        pieces: impl Iterator<Item = &'a [u8]>,
        length: usize,
        record: &mut Vec<u8>,
    ) -> Result<(), RecordError> {
        let cipher = self.sending.cipher(self.suite);
        let cipher = cipher.ok_or(RecordError::Internal)?;
        seal(&mut self.sending, &cipher, kind, pieces, length, record)
    }

    /// What is not written waits, behind what does already.
    fn keep(&mut self, record: Vec<u8>, written: usize) {
        match &mut self.unwritten {
            Some(unwritten) => unwritten.records.extend_from_slice(&record),
            None => {
                self.unwritten = Some(Box::new(Unwritten {
                    records: record,
                    written,
                }));
            }
        }
    }
}

/// Of a write: a socket that takes nothing now has taken none.
pub(crate) fn taken(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        written => written,
    }
}

impl fmt::Debug for RecordLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordLayer")
            .field("suite", &self.suite)
            .field("received", &self.receiving.sequence())
            .field("sent", &self.sending.sequence())
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}
