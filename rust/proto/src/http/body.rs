//! The request body: bytes in as they come, content out, the framing taken off.

use super::HttpError;
use super::token::is_token;

/// Bytes of chunk extensions in one body. They mean nothing to us; unbounded, a peer could send
/// nothing else for hours.
pub const MAX_CHUNK_EXTENSIONS: u32 = 4096;

/// Bytes of trailer fields after one body. They are checked and dropped.
pub const MAX_TRAILERS: u32 = 4096;

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// There is none.
    None,
    /// As many bytes as Content-Length says.
    Length(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
}

/// Where in the body the next byte falls.
///
/// | state | byte | next |
/// |---|---|---|
/// | Fixed | content | Fixed, Done after the last one |
/// | SizeStart | hex digit | Size |
/// | Size | hex digit | Size |
/// | Size | `;` | Extension |
/// | Size, SizeSpace | space, tab | SizeSpace |
/// | SizeSpace | `;` | Extension |
/// | Size, Extension | CR | SizeLf |
/// | Extension | no control byte but tab | Extension |
/// | SizeLf | LF | Data, Trailer after a size of 0 |
/// | Data | content | Data, DataCr after the last one |
/// | DataCr | CR | DataLf |
/// | DataLf | LF | SizeStart |
/// | Trailer | CR | EndLf |
/// | Trailer, TrailerName | token byte | TrailerName |
/// | TrailerName | `:` | TrailerValue |
/// | TrailerValue | no control byte but tab | TrailerValue |
/// | TrailerValue | CR | TrailerLf |
/// | TrailerLf | LF | Trailer |
/// | EndLf | LF | Done |
///
/// Any other byte is [`HttpError::Chunk`]. White space stands behind a size only before an extension
/// (RFC 9112 §7.1.1: bad, and to be read all the same).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fixed,
    SizeStart,
    Size,
    SizeSpace,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
}

/// Takes the framing off one body, however its bytes are split.
#[derive(Clone, Debug)]
pub struct BodyReader {
    state: State,
    /// Content bytes left of the body (Fixed) or of the chunk.
    left: u64,
    /// Content bytes that may still be announced.
    allowed: u64,
    extensions: u32,
    trailers: u32,
}

impl BodyReader {
    /// A reader for one body of at most `max_bytes` of content.
    ///
    /// # Errors
    /// [`HttpError::BodyTooLarge`] if the Content-Length alone says so: nothing has to be read to
    /// refuse it.
    pub fn new(kind: BodyKind, max_bytes: usize) -> Result<Self, HttpError> {
        let max_bytes = max_bytes as u64;
        let (state, left) = match kind {
            BodyKind::None | BodyKind::Length(0) => (State::Done, 0),
            BodyKind::Length(length) if length > max_bytes => return Err(HttpError::BodyTooLarge),
            BodyKind::Length(length) => (State::Fixed, length),
            BodyKind::Chunked => (State::SizeStart, 0),
        };
        Ok(Self {
            state,
            left,
            allowed: max_bytes,
            extensions: MAX_CHUNK_EXTENSIONS,
            trailers: MAX_TRAILERS,
        })
    }

    /// Whether the body is complete; what follows belongs to the next request.
    pub fn done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes from the front of `input` what belongs to this body, appends its content to `out`, and
    /// says how many bytes of `input` that was: all of them, unless the body is done.
    ///
    /// # Errors
    /// The request is to be answered with [`HttpError::status`] and the connection closed.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, HttpError> {
        let mut at = 0;
        while at < input.len() && !self.done() {
            if matches!(self.state, State::Fixed | State::Data) {
                at += self.take_content(&input[at..], out);
            } else {
                self.state = self.step(input[at])?;
                at += 1;
            }
        }
        Ok(at)
    }

    fn take_content(&mut self, input: &[u8], out: &mut Vec<u8>) -> usize {
        let len = usize::try_from(self.left).map_or(input.len(), |left| left.min(input.len()));
        out.extend_from_slice(&input[..len]);
        self.left -= len as u64;
        if self.left == 0 {
            self.state = match self.state {
                State::Fixed => State::Done,
                _ => State::DataCr,
            };
        }
        len
    }

    /// The table of [`State`] for one byte of framing.
    fn step(&mut self, byte: u8) -> Result<State, HttpError> {
        let is_text = byte >= b' ' && byte != 0x7f || byte == b'\t';
        match (self.state, byte) {
            (State::SizeStart | State::Size, _) if byte.is_ascii_hexdigit() => self.size(byte),
            (State::Size | State::SizeSpace, b';') => Ok(State::Extension),
            (State::Size | State::SizeSpace, b' ' | b'\t') => {
                spend(&mut self.extensions, HttpError::ChunkExtensions)?;
                Ok(State::SizeSpace)
            }
            (State::Size | State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Extension, _) if is_text => {
                spend(&mut self.extensions, HttpError::ChunkExtensions)?;
                Ok(State::Extension)
            }
            (State::SizeLf, b'\n') if self.left == 0 => Ok(State::Trailer),
            (State::SizeLf, b'\n') => {
                self.allowed -= self.left;
                Ok(State::Data)
            }
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::SizeStart),
            (State::Trailer, b'\r') => Ok(State::EndLf),
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::Trailer | State::TrailerName, _) if is_token(&[byte]) => {
                spend(&mut self.trailers, HttpError::TrailersTooLarge)?;
                Ok(State::TrailerName)
            }
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, _) if is_text => {
                spend(&mut self.trailers, HttpError::TrailersTooLarge)?;
                Ok(State::TrailerValue)
            }
            (State::TrailerLf, b'\n') => Ok(State::Trailer),
            (State::EndLf, b'\n') => Ok(State::Done),
            _ => Err(HttpError::Chunk),
        }
    }

    /// One digit of a chunk size. The limit is checked as the digits come, so the number never
    /// overflows; zeros in front are not counted against it and so are bounded like extensions.
    fn size(&mut self, digit: u8) -> Result<State, HttpError> {
        if self.state == State::SizeStart {
            self.left = 0;
        } else if self.left == 0 {
            spend(&mut self.extensions, HttpError::Chunk)?;
        }
        let digit = char::from(digit).to_digit(16).map_or(0, u64::from);
        let size = self
            .left
            .checked_mul(16)
            .and_then(|size| size.checked_add(digit));
        match size {
            Some(size) if size <= self.allowed => {
                self.left = size;
                Ok(State::Size)
            }
            _ => Err(HttpError::BodyTooLarge),
        }
    }
}

/// Counts one byte against a budget.
fn spend(budget: &mut u32, error: HttpError) -> Result<(), HttpError> {
    *budget = budget.checked_sub(1).ok_or(error)?;
    Ok(())
}
