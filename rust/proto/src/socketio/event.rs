//! Events and the canonical messages they stand for.

use std::borrow::Cow;

use thiserror::Error;

use super::object::{elements, members};
use super::packet::is_json;
use crate::agent::encode_string;
use crate::json::string;

/// Names that mean something to the client libraries themselves. An event must not bear them.
const RESERVED: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// The peer's JSON is not what it should be; the packet around it was sound.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum EventError {
    /// Not a JSON array, or not a JSON object where one is due.
    #[error("the event is not valid JSON")]
    NotJson,
    /// No string in front, or a name that is reserved.
    #[error("the event needs a name that is a string and not reserved")]
    BadName,
    /// The argument is something else.
    #[error("the event's argument is not a JSON object")]
    NotObject,
}

/// The array of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// What happened: borrowed, unless it holds escapes.
    pub name: Cow<'a, str>,
    /// The JSON of the first argument.
    pub first: Option<&'a str>,
    /// Arguments after the first.
    pub further: usize,
}

/// Reads the array of an event.
///
/// # Errors
/// [`EventError::NotJson`] if it is not one JSON array and nothing else, [`EventError::BadName`] if
/// that does not begin with a string, or with a reserved name.
///
/// # Example
/// ```
/// use dscore_proto::socketio::{canonical, event};
///
/// let event = event(r#"["heartbeat",{"clientName":"edge-7"}]"#)?;
/// let mut message = Vec::new();
/// canonical(&event, &mut message)?;
/// assert_eq!(message, br#"{"clientName":"edge-7","type":"heartbeat"}"#);
/// # Ok::<(), dscore_proto::socketio::EventError>(())
/// ```
pub fn event(data: &str) -> Result<Event<'_>, EventError> {
    let ([name, first], count) = elements(data).map_err(|_| EventError::NotJson)?;
    let name = name
        .and_then(string)
        .filter(|name| !RESERVED.contains(&&**name))
        .ok_or(EventError::BadName)?;
    Ok(Event {
        name,
        first,
        further: count.saturating_sub(2),
    })
}

/// Whether the data of an ack is one JSON array and nothing else.
#[must_use]
pub fn is_array(data: &str) -> bool {
    data.starts_with('[') && is_json(data)
}

/// Appends the canonical message of an event: its first argument, and its name as `type`. That
/// stands last, so that it wins over a `type` within the argument.
///
/// # Errors
/// [`EventError::NotObject`] if the first argument is no object; nothing is written then.
pub fn canonical(event: &Event<'_>, out: &mut Vec<u8>) -> Result<(), EventError> {
    let inner = event
        .first
        .unwrap_or("{}")
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .ok_or(EventError::NotObject)?
        .trim_ascii_end();
    out.push(b'{');
    if !inner.is_empty() {
        out.extend_from_slice(inner.as_bytes());
        out.push(b',');
    }
    out.extend_from_slice(br#""type":"#);
    encode_string(&event.name, out);
    out.push(b'}');
    Ok(())
}

/// Appends the array of the event that a canonical message stands for.
///
/// A message with `type` in front, and no second one, is not parsed: its writer is trusted that it
/// is JSON.
///
/// # Errors
/// The text is no JSON object with a string `type`; nothing is written then.
pub fn encode_event(canonical: &str, out: &mut Vec<u8>) -> Result<(), EventError> {
    if let Some((name, rest)) = split_type(canonical) {
        push_event(name, rest.as_bytes(), out);
        return Ok(());
    }
    let (mut name, mut rest) = (None, Vec::with_capacity(canonical.len()));
    members(canonical, |member, value| {
        // A name given twice counts as its last value, as it does for most readers.
        if string(member).is_some_and(|member| member == "type") {
            name = Some(value);
            return;
        }
        if !rest.is_empty() {
            rest.push(b',');
        }
        rest.extend_from_slice(member.as_bytes());
        rest.push(b':');
        rest.extend_from_slice(value.as_bytes());
    })
    .map_err(|_| EventError::NotJson)?;
    let name = name
        .filter(|name| string(name).is_some())
        .ok_or(EventError::BadName)?;
    push_event(name, &rest, out);
    Ok(())
}

/// The JSON of the name and the other members, where that needs no parser: `type` stands first,
/// holds no escapes, and can be nowhere else.
fn split_type(canonical: &str) -> Option<(&str, &str)> {
    let from_name = canonical.strip_prefix(r#"{"type":"#)?;
    let quoted = from_name.strip_prefix('"')?;
    let end = quoted.find(['"', '\\'])?;
    let (name, rest) = from_name.split_at(end + 2);
    let rest = rest.strip_suffix('}')?;
    let rest = match rest.strip_prefix(',') {
        Some(rest) if !rest.is_empty() => rest,
        None if rest.is_empty() => rest,
        _ => return None,
    };
    // An escape could spell `type` in another way.
    let is_alone = !rest.contains(r#""type""#) && !rest.contains(r"\u");
    (is_alone && name.ends_with('"')).then_some((name, rest))
}

fn push_event(name: &str, members: &[u8], out: &mut Vec<u8>) {
    out.push(b'[');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b",{");
    out.extend_from_slice(members);
    out.extend_from_slice(b"}]");
}

/// Whether the JSON object of a CONNECT has a string member `token`; an empty one is a wrong one, and none the less given.
#[must_use]
pub fn has_token(auth: &str) -> bool {
    let mut has_token = false;
    let read = members(auth, |member, value| {
        if string(member).is_some_and(|member| member == "token") {
            has_token = string(value).is_some();
        }
    });
    read.is_ok() && has_token
}
