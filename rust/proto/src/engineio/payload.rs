//! The packets of one HTTP body (Engine.IO protocol, section "Payload encoding").

use std::io::Write;

use base64::Engine as _;

use super::packet::BASE64;
use super::{Packet, PacketError, Revision};

/// Between the packets of a payload in v4.
const SEPARATOR: u8 = 0x1e;

/// In v3 the type of a packet stands before binary data as a number.
const V3_MESSAGE: u8 = 4;

/// Behind the length of a packet in a binary payload of v3.
const LENGTH_END: u8 = 0xff;

/// How the packets of a body are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PayloadFormat {
    /// Text packets with 0x1e between them.
    V4,
    /// `<length>:<packet>`, the length in UTF-16 code units.
    V3Text,
    /// 0 for text or 1 for binary, the digits of the length as bytes from 0 to 9, 0xff, the packet.
    /// The length is in bytes either way.
    V3Binary,
}

impl PayloadFormat {
    /// The format of a request's body, by its Content-Type; v4 knows no binary one.
    #[must_use]
    pub fn of(revision: Revision, content_type: Option<&[u8]>) -> Option<Self> {
        match (revision, content_type.is_some_and(is_octet_stream)) {
            (Revision::V4, true) => None,
            (Revision::V4, false) => Some(Self::V4),
            (Revision::V3, true) => Some(Self::V3Binary),
            (Revision::V3, false) => Some(Self::V3Text),
        }
    }
}

/// RFC 9110 §8.3.1: neither case nor parameters matter.
fn is_octet_stream(content_type: &[u8]) -> bool {
    let end = content_type.iter().position(|&byte| byte == b';');
    content_type[..end.unwrap_or(content_type.len())]
        .trim_ascii()
        .eq_ignore_ascii_case(b"application/octet-stream")
}

/// The next packet of a body, or `None` at its end. `at` is 0 for the first and moves past what was
/// read; each byte is looked at once, whatever the lengths claim.
///
/// # Errors
/// The body is empty, or no payload from here on; `at` means nothing then.
pub fn next_packet<'a>(
    body: &'a [u8],
    at: &mut usize,
    format: PayloadFormat,
) -> Result<Option<Packet<'a>>, PacketError> {
    let Some(rest) = body.get(*at..).filter(|rest| !rest.is_empty()) else {
        // No client posts nothing, and the reference parsers refuse it too.
        return if body.is_empty() {
            Err(PacketError::Empty)
        } else {
            Ok(None)
        };
    };
    let (packet, rest) = match format {
        // The separator is taken with the packet behind it: one at the end leaves a packet that is
        // empty.
        PayloadFormat::V4 if *at == 0 => separated(rest)?,
        PayloadFormat::V4 => separated(&rest[1..])?,
        PayloadFormat::V3Text => measured_text(rest)?,
        PayloadFormat::V3Binary => measured_bytes(rest)?,
    };
    *at = body.len() - rest.len();
    Ok(packet)
}

/// A packet, and what is left of the body after it.
type Taken<'a> = Result<(Option<Packet<'a>>, &'a [u8]), PacketError>;

fn separated(body: &[u8]) -> Taken<'_> {
    let end = body.iter().position(|&byte| byte == SEPARATOR);
    let (packet, rest) = body.split_at(end.unwrap_or(body.len()));
    Ok((Some(Packet::from_text(text(packet)?, Revision::V4)?), rest))
}

fn measured_text(mut body: &[u8]) -> Taken<'_> {
    loop {
        let end = body.iter().position(|byte| !byte.is_ascii_digit());
        let (digits, rest) = body.split_at(end.unwrap_or(body.len()));
        let rest = rest.strip_prefix(b":").ok_or(PacketError::BadLength)?;
        let units = number(digits.iter().map(|digit| digit - b'0'))?;
        let (packet, rest) = split_units(rest, units)?;
        if !packet.is_empty() {
            let packet = Packet::from_text(text(packet)?, Revision::V3)?;
            return Ok((Some(packet), rest));
        }
        // `0:` is how the reference encoder writes a payload of no packets.
        if rest.is_empty() {
            return Ok((None, rest));
        }
        body = rest;
    }
}

/// Splits after so many UTF-16 code units of UTF-8. Bytes that are not UTF-8 are counted somehow:
/// the packet is checked afterwards.
fn split_units(bytes: &[u8], units: usize) -> Result<(&[u8], &[u8]), PacketError> {
    // No character has more code units than bytes.
    let (ascii, _) = bytes
        .split_at_checked(units)
        .ok_or(PacketError::WrongLength)?;
    if ascii.is_ascii() {
        return Ok(bytes.split_at(units));
    }
    let (mut left, mut end) = (units, 0);
    while left > 0 {
        let (len, width) = match bytes.get(end) {
            None => return Err(PacketError::WrongLength),
            Some(..0x80) => (1, 1),
            Some(0x80..0xe0) => (2, 1),
            Some(0xe0..0xf0) => (3, 1),
            // Past the Basic Multilingual Plane: a surrogate pair.
            Some(0xf0..) => (4, 2),
        };
        left = left.checked_sub(width).ok_or(PacketError::WrongLength)?;
        end += len;
    }
    bytes.split_at_checked(end).ok_or(PacketError::WrongLength)
}

fn measured_bytes(body: &[u8]) -> Taken<'_> {
    let (&form, body) = body.split_first().ok_or(PacketError::Empty)?;
    let end = body.iter().position(|&byte| byte > 9);
    let (digits, rest) = body.split_at(end.unwrap_or(body.len()));
    let rest = rest
        .strip_prefix(&[LENGTH_END])
        .ok_or(PacketError::BadLength)?;
    let (packet, rest) = rest
        .split_at_checked(number(digits.iter().copied())?)
        .ok_or(PacketError::WrongLength)?;
    let packet = match form {
        0 => Packet::from_text(text(packet)?, Revision::V3)?,
        1 => Packet::from_binary(packet, Revision::V3)?,
        _ => return Err(PacketError::UnknownForm),
    };
    Ok((Some(packet), rest))
}

/// A number by its decimal digits. Leading zeros do no harm.
fn number(digits: impl ExactSizeIterator<Item = u8>) -> Result<usize, PacketError> {
    if digits.len() == 0 {
        return Err(PacketError::BadLength);
    }
    // Past any body it makes no difference by how much.
    Ok(digits.fold(0usize, |number, digit| {
        number.saturating_mul(10).saturating_add(digit.into())
    }))
}

fn text(bytes: &[u8]) -> Result<&str, PacketError> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| PacketError::InvalidUtf8)
}

/// A message on its way out through a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A whole text packet, type digit included.
    Text(&'a str),
    /// The data of a binary message.
    Binary(&'a [u8]),
}

/// Writes the body of a poll's answer. In text binary data goes as base64.
#[derive(Debug)]
pub struct PayloadWriter<'a> {
    format: PayloadFormat,
    out: &'a mut Vec<u8>,
    is_first: bool,
}

impl<'a> PayloadWriter<'a> {
    /// Appends to `out`, which may hold something else already.
    pub fn new(format: PayloadFormat, out: &'a mut Vec<u8>) -> Self {
        Self {
            format,
            out,
            is_first: true,
        }
    }

    /// Appends a packet.
    ///
    /// In v4 a text must not hold a 0x1e, which would end the packet: the protocol has no way to
    /// escape it. JSON never holds one.
    pub fn push(&mut self, part: Part<'_>) {
        let is_first = std::mem::replace(&mut self.is_first, false);
        match self.format {
            PayloadFormat::V4 if is_first => {}
            PayloadFormat::V4 => self.out.push(SEPARATOR),
            PayloadFormat::V3Text => self.push_length(part),
            PayloadFormat::V3Binary => self.push_binary_length(part),
        }
        let (data, in_base64) = match (part, self.format) {
            (Part::Text(text), _) => return self.out.extend_from_slice(text.as_bytes()),
            (Part::Binary(data), PayloadFormat::V4) => (data, "b"),
            (Part::Binary(data), PayloadFormat::V3Text) => (data, "b4"),
            (Part::Binary(data), PayloadFormat::V3Binary) => {
                self.out.push(V3_MESSAGE);
                return self.out.extend_from_slice(data);
            }
        };
        self.out.extend_from_slice(in_base64.as_bytes());
        self.push_base64(data);
    }

    fn push_binary_length(&mut self, part: Part<'_>) {
        let (form, len) = match part {
            Part::Text(text) => (0, text.len()),
            Part::Binary(data) => (1, 1 + data.len()),
        };
        self.out.push(form);
        let digits = len.to_string().into_bytes();
        self.out
            .extend(digits.into_iter().map(|digit| digit - b'0'));
        self.out.push(LENGTH_END);
    }

    fn push_length(&mut self, part: Part<'_>) {
        let units = match part {
            Part::Text(text) if text.is_ascii() => text.len(),
            Part::Text(text) => text.chars().map(char::len_utf16).sum(),
            Part::Binary(data) => 2 + base64_len(data),
        };
        // Writing to a Vec has no way to fail.
        let _ = write!(self.out, "{units}:");
    }

    fn push_base64(&mut self, data: &[u8]) {
        let start = self.out.len();
        self.out.resize(start + base64_len(data), 0);
        // The space is what the encoder needs, to the byte.
        let _ = BASE64.encode_slice(data, &mut self.out[start..]);
    }
}

/// Padded base64: four characters for three bytes, rounded up.
const fn base64_len(data: &[u8]) -> usize {
    data.len().div_ceil(3) * 4
}
