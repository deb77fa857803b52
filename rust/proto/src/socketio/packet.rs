//! One packet (Socket.IO protocol, section "Packet encoding"):
//! `<kind>[<attachments>-][<namespace>,][<id>][<JSON>]`.

use std::io::Write;

use serde::de::IgnoredAny;
use thiserror::Error;

use crate::agent::encode_string;
use crate::engineio::Revision;

/// Binary attachments of one packet.
pub const MAX_ATTACHMENTS: usize = 256;

/// Bytes of a namespace.
pub const MAX_NAMESPACE: usize = 128;

/// JavaScript's integers end here; past it an ack would match another event.
const MAX_ID: u64 = 1 << 53;

/// What a packet is. Binary events and acks are those with attachments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `0`: joins a namespace.
    Connect,
    /// `1`: leaves a namespace.
    Disconnect,
    /// `2`, `5` with attachments.
    Event,
    /// `3`, `6` with attachments: answers the event of the same id.
    Ack,
    /// `4`: a namespace was not joined. Only a server says so.
    ConnectError,
}

/// A packet, its JSON not looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What it is.
    pub kind: Kind,
    /// Begins with `/`; without the query that clients of `EIO=3` may put behind it.
    pub namespace: &'a str,
    /// Of an event: an ack is wanted. Of an ack: the event; without it, it matches none.
    pub id: Option<u64>,
    /// Binary messages that follow and belong to this packet, at most [`MAX_ATTACHMENTS`].
    pub attachments: usize,
    /// JSON, or empty.
    pub data: &'a str,
}

/// The peer sent what is no packet, or none that a client may send.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PacketError {
    /// Empty, or no digit from 0 to 6 in front.
    #[error("a Socket.IO packet is of no known kind")]
    UnknownKind,
    /// Only a server sends it.
    #[error("a client must not send a Socket.IO CONNECT_ERROR")]
    ConnectError,
    /// A binary event or ack without the number of its attachments.
    #[error("a binary Socket.IO packet needs the number of its attachments")]
    Attachments,
    /// More than [`MAX_ATTACHMENTS`].
    #[error("a Socket.IO packet has more than {MAX_ATTACHMENTS} attachments")]
    TooManyAttachments,
    /// Longer than [`MAX_NAMESPACE`], or with control characters.
    #[error("a Socket.IO namespace is too long or holds control characters")]
    Namespace,
    /// An id that JavaScript could not count to.
    #[error("a Socket.IO packet has no valid id")]
    Id,
    /// Data of another shape than the kind has.
    #[error("the data of a Socket.IO packet does not fit its kind")]
    Data,
}

/// Reads the structure of a packet that a client sent.
///
/// Of the JSON only its first character is checked, and that of a CONNECT as a whole: [`event`] and
/// [`is_array`] judge the rest, whose faults do not end the connection.
///
/// # Errors
/// The text is no packet, or breaks a bound.
///
/// # Example
/// ```
/// use dscore_proto::socketio::{Kind, decode};
///
/// let packet = decode(r#"2/fleet,12["heartbeat",{}]"#)?;
/// assert_eq!((packet.kind, packet.namespace, packet.id), (Kind::Event, "/fleet", Some(12)));
/// assert_eq!(packet.data, r#"["heartbeat",{}]"#);
/// # Ok::<(), dscore_proto::socketio::PacketError>(())
/// ```
///
/// [`event`]: super::event()
/// [`is_array`]: super::is_array
pub fn decode(text: &str) -> Result<Packet<'_>, PacketError> {
    let mut rest = text.get(1..).unwrap_or_default();
    let (kind, is_binary) = match text.as_bytes().first() {
        Some(b'0') => (Kind::Connect, false),
        Some(b'1') => (Kind::Disconnect, false),
        Some(b'2') => (Kind::Event, false),
        Some(b'3') => (Kind::Ack, false),
        Some(b'4') => return Err(PacketError::ConnectError),
        Some(b'5') => (Kind::Event, true),
        Some(b'6') => (Kind::Ack, true),
        _ => return Err(PacketError::UnknownKind),
    };
    let attachments = if is_binary {
        take_attachments(&mut rest)?
    } else {
        0
    };
    let packet = Packet {
        kind,
        attachments,
        namespace: take_namespace(&mut rest)?,
        id: take_id(&mut rest)?,
        data: rest,
    };
    check(&packet)?;
    Ok(packet)
}

fn take_attachments(rest: &mut &str) -> Result<usize, PacketError> {
    let number = take_number(rest).ok_or(PacketError::Attachments)?;
    *rest = rest.strip_prefix('-').ok_or(PacketError::Attachments)?;
    match usize::try_from(number) {
        Ok(number @ ..=MAX_ATTACHMENTS) => Ok(number),
        _ => Err(PacketError::TooManyAttachments),
    }
}

/// The comma may be missing where nothing follows, as the reference parser has it.
fn take_namespace<'a>(rest: &mut &'a str) -> Result<&'a str, PacketError> {
    if !rest.starts_with('/') {
        return Ok("/");
    }
    let (whole, behind) = rest.split_once(',').unwrap_or((rest, ""));
    *rest = behind;
    let (namespace, _query) = whole.split_once('?').unwrap_or((whole, ""));
    // A control character could end a packet of the payload that it is repeated in.
    if namespace.len() > MAX_NAMESPACE || namespace.contains(|c: char| c.is_ascii_control()) {
        return Err(PacketError::Namespace);
    }
    Ok(namespace)
}

fn take_id(rest: &mut &str) -> Result<Option<u64>, PacketError> {
    match take_number(rest) {
        Some(id) if id > MAX_ID => Err(PacketError::Id),
        id => Ok(id),
    }
}

/// Takes the digits in front; a number past all bounds is the largest one.
fn take_number(rest: &mut &str) -> Option<u64> {
    let end = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, behind) = rest.split_at(end);
    *rest = behind;
    (!digits.is_empty()).then(|| digits.parse().unwrap_or(u64::MAX))
}

fn check(packet: &Packet<'_>) -> Result<(), PacketError> {
    let data = packet.data;
    let fits = match packet.kind {
        Kind::Connect => data.is_empty() || data.starts_with('{') && is_json(data),
        Kind::Disconnect => data.is_empty(),
        Kind::Event | Kind::Ack => data.starts_with('['),
        Kind::ConnectError => false,
    };
    if fits { Ok(()) } else { Err(PacketError::Data) }
}

pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Appends a packet up to its data.
pub fn encode_head(
    kind: Kind,
    namespace: &str,
    id: Option<u64>,
    attachments: usize,
    out: &mut Vec<u8>,
) {
    let digit = match kind {
        Kind::Connect => b'0',
        Kind::Disconnect => b'1',
        Kind::Event if attachments == 0 => b'2',
        Kind::Ack if attachments == 0 => b'3',
        Kind::ConnectError => b'4',
        Kind::Event => b'5',
        Kind::Ack => b'6',
    };
    out.push(digit);
    // Writing to a Vec has no way to fail.
    if matches!(digit, b'5' | b'6') {
        let _ = write!(out, "{attachments}-");
    }
    if namespace != "/" {
        let _ = write!(out, "{namespace},");
    }
    if let Some(id) = id {
        let _ = write!(out, "{id}");
    }
}

/// Appends the answer to a CONNECT: v4 of Engine.IO carries the id of the Socket.IO session, v3
/// none.
pub fn encode_connected(namespace: &str, sid: &str, revision: Revision, out: &mut Vec<u8>) {
    encode_head(Kind::Connect, namespace, None, 0, out);
    if revision == Revision::V4 {
        encode_wrapped("sid", sid, out);
    }
}

/// Appends the answer to a CONNECT that is refused: an object in v4 of Engine.IO, the bare message
/// in v3.
pub fn encode_connect_error(namespace: &str, message: &str, revision: Revision, out: &mut Vec<u8>) {
    encode_head(Kind::ConnectError, namespace, None, 0, out);
    match revision {
        Revision::V3 => encode_string(message, out),
        Revision::V4 => encode_wrapped("message", message, out),
    }
}

/// Appends an object of one member.
fn encode_wrapped(name: &str, value: &str, out: &mut Vec<u8>) {
    out.push(b'{');
    encode_string(name, out);
    out.push(b':');
    encode_string(value, out);
    out.push(b'}');
}
