//! Fragments to messages: the buffer of one unfinished message, its limits, its running UTF-8
//! check.
//!
//! A message that arrives whole in one frame never comes here. The buffer grows with the bytes that
//! have really arrived, never with what a header promises, and never beyond
//! [`Limits::max_message_size`].

use crate::error::ProtocolError;
use crate::frame::FrameHeader;
use crate::mask::apply_mask;
use crate::utf8::Utf8Decoder;

/// What one message may cost us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of payload over all fragments.
    pub max_message_size: usize,
    /// Frames of one message, empty ones included.
    pub max_fragments: u32,
}

impl Limits {
    /// Judges a message from its headers, before their payload is read.
    ///
    /// # Errors
    /// [`ProtocolError::TooManyFragments`] or [`ProtocolError::MessageTooBig`].
    #[inline]
    pub const fn check(&self, fragments: u32, size: u64) -> Result<(), ProtocolError> {
        if fragments > self.max_fragments {
            return Err(ProtocolError::TooManyFragments {
                limit: self.max_fragments,
            });
        }
        if size > self.max_message_size as u64 {
            return Err(ProtocolError::MessageTooBig {
                limit: self.max_message_size,
            });
        }
        Ok(())
    }
}

/// A finished message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// Of a text message.
    Text(&'a str),
    /// Of a binary message.
    Binary(&'a [u8]),
}

/// A message on its way in.
#[derive(Debug)]
pub struct Message {
    buffer: Buffer,
    /// The frame whose payload is being read.
    frame: Option<PartialFrame>,
    /// Frames begun.
    fragments: u32,
    /// Bytes promised by the headers of these frames.
    size: u64,
    finished: bool,
}

#[derive(Clone, Copy, Debug)]
struct PartialFrame {
    header: FrameHeader,
    /// Bytes of payload read; below `header.len`, unless the frame is empty.
    received: u64,
}

#[derive(Debug)]
enum Buffer {
    Text(String, Utf8Decoder),
    Binary(Vec<u8>),
    /// Of a message that is only counted.
    Discarded,
}

impl Message {
    /// An empty text message.
    #[must_use]
    pub fn text() -> Self {
        Self::new(Buffer::Text(String::new(), Utf8Decoder::default()))
    }

    /// An empty binary message.
    #[must_use]
    pub const fn binary() -> Self {
        Self::new(Buffer::Binary(Vec::new()))
    }

    /// An empty message of either kind whose payload is counted and not kept.
    #[must_use]
    pub const fn discarded() -> Self {
        Self::new(Buffer::Discarded)
    }

    /// Forgets what has arrived, and keeps nothing of what is still to come.
    pub fn discard(&mut self) {
        self.buffer = Buffer::Discarded;
    }

    const fn new(buffer: Buffer) -> Self {
        Self {
            buffer,
            frame: None,
            fragments: 0,
            size: 0,
            finished: false,
        }
    }

    /// Begins the next frame of the message; its header has been consumed.
    ///
    /// # Errors
    /// The message is over its limits with this frame.
    pub fn begin_frame(
        &mut self,
        header: FrameHeader,
        limits: &Limits,
    ) -> Result<(), ProtocolError> {
        self.fragments = self.fragments.saturating_add(1);
        self.size = self.size.saturating_add(header.len);
        limits.check(self.fragments, self.size)?;
        self.frame = Some(PartialFrame {
            header,
            received: 0,
        });
        Ok(())
    }

    /// True while payload of the frame begun last is missing.
    #[must_use]
    pub const fn in_frame(&self) -> bool {
        self.frame.is_some()
    }

    /// Consumes what `input` has of the frame's payload; the last byte of the last frame finishes
    /// the message.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidUtf8`] as soon as a text cannot become valid any more.
    pub fn read_payload(
        &mut self,
        input: &mut &mut [u8],
        limits: &Limits,
    ) -> Result<(), ProtocolError> {
        let Some(PartialFrame { header, received }) = self.frame else {
            return Ok(());
        };
        let missing = usize::try_from(header.len - received).unwrap_or(usize::MAX);
        let payload = input
            .split_off_mut(..missing.min(input.len()))
            .unwrap_or_default();
        if !matches!(self.buffer, Buffer::Discarded) {
            if let Some(key) = header.mask {
                apply_mask(payload, key, (received % 4) as usize);
            }
            self.buffer.push(payload, limits)?;
        }
        let received = received + payload.len() as u64;
        if received < header.len {
            self.frame = Some(PartialFrame { header, received });
            return Ok(());
        }
        self.frame = None;
        self.finished = header.fin;
        if self.finished {
            self.buffer.finish()
        } else {
            Ok(())
        }
    }

    /// True when the message is complete.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.finished
    }

    /// What has arrived; nothing, of a message that is not kept.
    #[must_use]
    pub fn payload(&self) -> Payload<'_> {
        match &self.buffer {
            Buffer::Text(text, _) => Payload::Text(text),
            Buffer::Binary(bytes) => Payload::Binary(bytes),
            Buffer::Discarded => Payload::Binary(&[]),
        }
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn capacity(&self) -> usize {
        match &self.buffer {
            Buffer::Text(text, _) => text.capacity(),
            Buffer::Binary(bytes) => bytes.capacity(),
            Buffer::Discarded => 0,
        }
    }
}

impl Buffer {
    fn push(&mut self, payload: &[u8], limits: &Limits) -> Result<(), ProtocolError> {
        match self {
            Self::Text(text, decoder) => {
                let more = decoder.pending_len() + payload.len();
                text.reserve_exact(growth(text.len(), text.capacity(), more, limits));
                decoder
                    .decode(payload, text)
                    .map_err(|_| ProtocolError::InvalidUtf8)
            }
            Self::Binary(bytes) => {
                let more = payload.len();
                bytes.reserve_exact(growth(bytes.len(), bytes.capacity(), more, limits));
                bytes.extend_from_slice(payload);
                Ok(())
            }
            Self::Discarded => Ok(()),
        }
    }

    fn finish(&self) -> Result<(), ProtocolError> {
        match self {
            Self::Text(_, decoder) if decoder.pending_len() > 0 => Err(ProtocolError::InvalidUtf8),
            Self::Text(..) | Self::Binary(_) | Self::Discarded => Ok(()),
        }
    }
}

/// What to reserve beyond `len` so that `more` bytes fit.
///
/// Doubling keeps many small fragments linear; the limit keeps the last doubling from overshooting
/// it.
fn growth(len: usize, capacity: usize, more: usize, limits: &Limits) -> usize {
    let needed = len + more;
    if needed <= capacity {
        return 0;
    }
    let capacity = (capacity * 2).max(needed).min(limits.max_message_size);
    capacity.saturating_sub(len)
}
