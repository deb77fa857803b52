//! What a client of Socket.IO v5 hears over Engine.IO v4 on a WebSocket, by the public protocols and with a judge's eye. It
//! shares nothing with the server's codec: an error made once must not hide twice.

use serde::Deserialize;

use crate::heard::{self, Heard};

/// The query of the upgrade.
pub(crate) const QUERY: &str = "EIO=4&transport=websocket";
/// Engine.IO `message` 4, and in it Socket.IO `CONNECT` 0 and `EVENT` 2 of the namespace `/`.
pub(crate) const CONNECT: &str = "40";
pub(crate) const EVENT: &str = "42";
/// Engine.IO.
pub(crate) const PONG: &str = "3";

/// The handshake of Engine.IO.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Open<'a> {
    sid: &'a str,
    upgrades: Vec<String>,
    ping_interval: u64,
    ping_timeout: u64,
    max_payload: u64,
}

impl Open<'_> {
    fn is_well(&self) -> bool {
        // A WebSocket has nothing to upgrade to.
        !self.sid.is_empty()
            && self.upgrades.is_empty()
            && [self.ping_interval, self.ping_timeout, self.max_payload]
                .iter()
                .all(|n| *n > 0)
    }
}

#[derive(Deserialize)]
struct Connected<'a> {
    sid: &'a str,
}

/// Reads one packet.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Heard, String> {
    let wrong = |why: &str| format!("{why} in {text:.200}");
    // ASCII first, so that the rest begins at a border of characters.
    let packet = text.get(..2).unwrap_or(text);
    let content = text.get(2..).unwrap_or_default();
    match packet {
        "2" => Ok(Heard::Pinged),
        // Of Engine.IO: a WebSocket that carries it is about to be closed as well.
        "1" | "6" => Ok(Heard::Nothing),
        "41" if content.is_empty() => Ok(Heard::Disconnected),
        "42" => heard::parse_event(content),
        "40" => match serde_json::from_str::<Connected<'_>>(content) {
            Ok(connected) if !connected.sid.is_empty() => Ok(Heard::Connected),
            Ok(_) => Err(wrong("no sid")),
            Err(error) => Err(wrong(&error.to_string())),
        },
        _ if text.starts_with('0') => match serde_json::from_str::<Open<'_>>(&text[1..]) {
            Ok(open) if open.is_well() => Ok(Heard::Opened),
            Ok(_) => Err(wrong("a member is wrong")),
            Err(error) => Err(wrong(&error.to_string())),
        },
        _ => Err(wrong("an unexpected packet")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: &str =
        r#"0{"sid":"a","upgrades":[],"pingInterval":30000,"pingTimeout":120000,"maxPayload":1}"#;

    #[test]
    fn takes_each_packet_of_a_conversation() {
        for (text, heard) in [
            (OPEN, Heard::Opened),
            (r#"40{"sid":"b"}"#, Heard::Connected),
            ("2", Heard::Pinged),
            ("6", Heard::Nothing),
            ("41", Heard::Disconnected),
            (r#"42["news",{}]"#, Heard::Unknown("news".to_owned())),
            (
                r#"42["heartbeat_response",{"status":"ok","timestamp":"2025-01-31T23:59:59.999Z","message":"m","nextHeartbeatIn":1}]"#,
                Heard::Heartbeat,
            ),
        ] {
            assert_eq!(parse(text), Ok(heard), "{text}");
        }
    }

    #[test]
    fn accuses_what_no_server_may_send() {
        for text in [
            "",
            "4",
            "é",
            "0",
            r#"0{"sid":"a","upgrades":["websocket"],"pingInterval":1,"pingTimeout":1,"maxPayload":1}"#,
            r#"0{"sid":"a","upgrades":[],"pingInterval":1,"pingTimeout":1}"#,
            "40",
            r#"40{"sid":""}"#,
            r#"44{"message":"Invalid namespace"}"#,
            "43[]",
            r#"42"news""#,
            r#"42["news"]"#,
            r#"42["news",{},1]"#,
            r#"42["heartbeat_response",{"status":"ok"}]"#,
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
