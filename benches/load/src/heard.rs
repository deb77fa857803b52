//! What an agent hears, as JSON text. Stricter than an agent need be: this is the judge of the server.

use std::borrow::Cow;

use serde::Deserialize;

/// The text form of a UUID, as it must be sent back.
pub(crate) type RequestId = [u8; 36];

/// A message of the server, checked.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    Acknowledged,
    Heartbeat,
    HeartbeatFailed,
    ConnectionCheck,
    Terminate(RequestId),
    Shutdown {
        /// `reconnectAfter`, ms.
        reconnect_after: u64,
    },
    Refused(String),
    Unknown(String),
    /// The rest is of the socketio dialect alone: the handshake of Engine.IO, a CONNECT that was answered, a ping, a
    /// DISCONNECT, a packet that asks for nothing.
    Opened,
    Connected,
    Pinged,
    Disconnected,
    Nothing,
}

#[derive(Deserialize)]
struct Fields<'a> {
    /// In an event it is the name before the object.
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
    session_restored: Option<bool>,
    #[serde(borrow)]
    server_status: Option<Cow<'a, str>>,
    #[serde(rename = "nextHeartbeatIn")]
    next_heartbeat_in: Option<u64>,
    #[serde(borrow)]
    timestamp: Option<Cow<'a, str>>,
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow)]
    client_name: Option<Cow<'a, str>>,
    expect_response_within: Option<u64>,
    #[serde(borrow)]
    request_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
    #[serde(rename = "reconnectAfter")]
    reconnect_after: Option<u64>,
    #[serde(borrow)]
    code: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Event<'a>(#[serde(borrow)] Cow<'a, str>, #[serde(borrow)] Fields<'a>);

/// Reads one text message.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Heard, String> {
    let mut fields: Fields<'_> =
        serde_json::from_str(text).map_err(|e| format!("{e} in {text:.200}"))?;
    let kind = fields.kind.take().unwrap_or_default();
    fields
        .check(&kind)
        .ok_or_else(|| format!("a field is missing or wrong in {text:.200}"))
}

/// Reads the content of one event: its name and its one object.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub(crate) fn parse_event(text: &str) -> Result<Heard, String> {
    let Event(kind, fields) =
        serde_json::from_str(text).map_err(|e| format!("{e} in {text:.200}"))?;
    fields
        .check(&kind)
        .ok_or_else(|| format!("a field is missing or wrong in {text:.200}"))
}

impl Fields<'_> {
    fn check(self, kind: &str) -> Option<Heard> {
        let ok = self.status.as_deref() == Some("ok");
        match kind {
            "" => None,
            "app_ready_ack" => {
                self.session_restored?;
                self.next_heartbeat_in?;
                (ok && self.server_status? == "running").then_some(Heard::Acknowledged)
            }
            "reconnection_ack" => {
                self.session_restored?;
                (ok && self.server_status? == "running").then_some(Heard::Acknowledged)
            }
            "heartbeat_response" => {
                self.message?;
                is_timestamp(&self.timestamp?).then_some(())?;
                match self.next_heartbeat_in {
                    Some(_) if ok => Some(Heard::Heartbeat),
                    _ => (self.status? == "error").then_some(Heard::HeartbeatFailed),
                }
            }
            "connection_check" => {
                self.client_name?;
                self.expect_response_within?;
                is_timestamp(&self.timestamp?).then_some(Heard::ConnectionCheck)
            }
            "terminate_app" => {
                self.reason?;
                request_id(&self.request_id?).map(Heard::Terminate)
            }
            "server_shutdown" => {
                self.message?;
                is_timestamp(&self.timestamp?).then_some(())?;
                let reconnect_after = self.reconnect_after?;
                Some(Heard::Shutdown { reconnect_after })
            }
            "error" => {
                self.message?;
                Some(Heard::Refused(self.code?.into_owned()))
            }
            other => Some(Heard::Unknown(other.to_owned())),
        }
    }
}

/// `2025-01-31T23:59:59.999Z`.
fn is_timestamp(text: &str) -> bool {
    matches_shape(text, "0000-00-00T00:00:00.000Z", |b| b.is_ascii_digit())
}

/// RFC 9562 §4: 8-4-4-4-12 hexadecimal digits.
fn request_id(text: &str) -> Option<RequestId> {
    const SHAPE: &str = "00000000-0000-0000-0000-000000000000";
    let fits = matches_shape(text, SHAPE, |b| b.is_ascii_hexdigit());
    fits.then(|| text.as_bytes().try_into().ok()).flatten()
}

/// Whether each `0` of the shape is a digit, and all else is itself.
fn matches_shape(text: &str, shape: &str, is_digit: impl Fn(u8) -> bool) -> bool {
    text.len() == shape.len()
        && text
            .bytes()
            .zip(shape.bytes())
            .all(|(b, want)| if want == b'0' { is_digit(b) } else { b == want })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0b0e5c2e-7d0c-4a0e-9f5e-0123456789ab";

    #[test]
    fn takes_each_message_of_the_contract() {
        let id: RequestId = *b"0b0e5c2e-7d0c-4a0e-9f5e-0123456789ab";
        let cases = [
            (
                r#"{"type":"app_ready_ack","status":"ok","session_restored":false,"server_status":"running","nextHeartbeatIn":30000}"#.to_owned(),
                Heard::Acknowledged,
            ),
            (
                r#"{"type":"heartbeat_response","status":"ok","timestamp":"2025-01-31T23:59:59.999Z","message":"m","nextHeartbeatIn":1}"#.to_owned(),
                Heard::Heartbeat,
            ),
            (
                r#"{"type":"server_shutdown","message":"m","timestamp":"2025-01-31T23:59:59.999Z","reconnectAfter":5000}"#.to_owned(),
                Heard::Shutdown { reconnect_after: 5000 },
            ),
            (
                format!(r#"{{"type":"terminate_app","request_id":"{ID}","reason":"Server shutting down"}}"#),
                Heard::Terminate(id),
            ),
            (r#"{"type":"news"}"#.to_owned(), Heard::Unknown("news".to_owned())),
        ];
        for (text, heard) in cases {
            assert_eq!(parse(&text), Ok(heard), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for text in [
            "{",
            r#"{"status":"ok"}"#,
            r#"{"type":"app_ready_ack","status":"ok","server_status":"running"}"#,
            r#"{"type":"terminate_app","request_id":"4711","reason":"r"}"#,
            r#"{"type":"heartbeat_response","status":"ok","timestamp":"now","message":"m","nextHeartbeatIn":1}"#,
        ] {
            assert!(
                parse(text).is_err_and(|sentence| sentence.contains(text)),
                "{text}"
            );
        }
    }
}
