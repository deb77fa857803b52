//! An introduction with nothing unusual in it: the one that a fleet sends ten thousand times.
//!
//! What is read here is read as policy reads it (`messages/inbound.py`), of the fields that the scan has found. Whatever
//! could be read in two ways, or is to be refused with a sentence, is not plain: policy reads it.

use std::borrow::Cow;
use std::sync::Arc;

use super::fields::Field;
use super::{Kind, Scanned};
use crate::json;

const MAX_TOKEN: usize = 1024;
/// Bytes of any other text.
const MAX_TEXT: usize = 256;
/// Bytes of JSON.
const MAX_CONFIG: usize = 65_536;
/// Of a config: far less than what any writer of JSON refuses.
const MAX_DEPTH: usize = 32;
/// A number of so many digits is the same to every reader.
const MAX_DIGITS: usize = 15;

/// What introduces an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainIntroduction {
    /// Whose. Shared by all that keep it: the reactor for its messages, the table of agents for itself.
    pub agent_id: Arc<str>,
    /// The message that does it.
    pub by: IntroducedBy,
}

/// The message that introduces an agent, with what only it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntroducedBy {
    /// app_ready.
    AppReady {
        /// Whether the agent has been here before.
        reconnection: bool,
        /// Its settings, a JSON object without white space; `None` when empty.
        config: Option<Box<[u8]>>,
    },
    /// heartbeat.
    Heartbeat {
        /// The address that the agent says of itself, if it does.
        ip_address: Option<Box<str>>,
    },
    /// reconnection_success.
    ReconnectionSuccess,
}

impl Scanned<'_> {
    /// A plain introduction of this kind. `None`: it is not.
    pub fn plain_introduction(&self) -> Option<PlainIntroduction> {
        let by = match self.kind {
            Kind::AppReady => self.app_ready()?,
            Kind::Heartbeat => self.heartbeat()?,
            Kind::ReconnectionSuccess => IntroducedBy::ReconnectionSuccess,
            _ => return None,
        };
        match self.agent_id() {
            Ok(Cow::Borrowed(agent_id)) if !self.fields.are_mended => Some(PlainIntroduction {
                agent_id: agent_id.into(),
                by,
            }),
            _ => None,
        }
    }

    fn app_ready(&self) -> Option<IntroducedBy> {
        let reconnection = match self.given(Field::Reconnection) {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return None,
        };
        if let Some(code) = self.given(Field::LastCloseCode) {
            code.parse::<u16>().ok()?;
        }
        if let Some(token) = self.given(Field::Token) {
            plain_text(token).filter(|token| token.len() <= MAX_TOKEN)?;
        }
        let config = self
            .given(Field::Config)
            .map_or(Some(Vec::new()), compact)?;
        Some(IntroducedBy::AppReady {
            reconnection,
            config: (!config.is_empty()).then(|| config.into()),
        })
    }

    fn heartbeat(&self) -> Option<IntroducedBy> {
        let ip_address = match self.given(Field::IpAddress) {
            None => "",
            Some(json) => plain_text(json).filter(|ip| ip.len() <= MAX_TEXT)?,
        };
        let has_moment = self.given(Field::Timestamp).is_none_or(is_moment);
        has_moment.then(|| IntroducedBy::Heartbeat {
            ip_address: (!ip_address.is_empty()).then(|| ip_address.into()),
        })
    }

    /// The JSON of a field that may be left out, or be `null`.
    fn given(&self, field: Field) -> Option<&str> {
        self.fields.get(field).filter(|json| *json != "null")
    }
}

/// What a JSON string without escapes says.
fn plain_text(json: &str) -> Option<&str> {
    match json::string(json)? {
        Cow::Borrowed(text) => Some(text),
        Cow::Owned(_) => None,
    }
}

/// Whether JSON is a text, or a number that every reader of JSON takes.
fn is_moment(json: &str) -> bool {
    match json.as_bytes() {
        [b'"', text @ .., b'"'] => text.len() <= MAX_TEXT && !text.contains(&b'\\'),
        number => {
            number.len() <= MAX_DIGITS + 1
                && number
                    .iter()
                    .all(|byte| byte.is_ascii_digit() || *byte == b'.')
        }
    }
}

/// An object without its white space; empty for one that is empty.
fn compact(json: &str) -> Option<Vec<u8>> {
    // Of a name that is there twice the last counts; only the labels are looked for by name.
    if !json.starts_with('{') || json.matches("\"labels\"").count() > 1 {
        return None;
    }
    let mut out = Vec::with_capacity(json.len());
    let (mut is_text, mut depth, mut digits) = (false, 0, 0);
    for byte in json.bytes() {
        match byte {
            b'\\' => return None,
            b'"' => is_text = !is_text,
            _ if is_text => {}
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            // A number that is written in another way than it was read.
            b'.' | b'E' | b'+' | b'-' => return None,
            _ => {}
        }
        digits = if byte.is_ascii_digit() && !is_text {
            digits + 1
        } else {
            0
        };
        // The `e` of true and false stands behind a letter.
        let is_exponent = byte == b'e' && !is_text && out.last().is_some_and(u8::is_ascii_digit);
        if depth > MAX_DEPTH || digits > MAX_DIGITS || is_exponent {
            return None;
        }
        out.push(byte);
    }
    if out == b"{}" {
        out.clear();
    }
    (out.len() <= MAX_CONFIG).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{MAX_AGENT_ID, scan};

    fn read(fields: &str) -> Option<PlainIntroduction> {
        introduction("app_ready", fields)
    }

    fn introduction(kind: &str, fields: &str) -> Option<PlainIntroduction> {
        scan(&format!(r#"{{"type":"{kind}"{fields}}}"#))
            .ok()?
            .plain_introduction()
    }

    fn ready(agent_id: &str, reconnection: bool, config: Option<&str>) -> PlainIntroduction {
        PlainIntroduction {
            agent_id: agent_id.into(),
            by: IntroducedBy::AppReady {
                reconnection,
                config: config.map(|config| config.as_bytes().into()),
            },
        }
    }

    fn config(json: &str) -> Option<String> {
        let read = read(&format!(r#","instance_id":"a","config":{json}"#))?;
        let IntroducedBy::AppReady { config, .. } = read.by else {
            return None;
        };
        Some(config.map_or_else(String::new, |config| {
            String::from_utf8_lossy(&config).into_owned()
        }))
    }

    #[test]
    fn reads_what_a_fleet_says() {
        let said = r#", "instance_id": " edge-7 ", "reconnection": true, "last_close_code": 1006,
            "more": {"x": 1.5}, "token": null,
            "config": {"fps": 25, "labels": {"site": "a b"}, "on": [true, false, null]}"#;
        let settings = r#"{"fps":25,"labels":{"site":"a b"},"on":[true,false,null]}"#;
        assert_eq!(read(said), Some(ready("edge-7", true, Some(settings))));
        let least = ready("a", false, None);
        assert_eq!(read(r#","instance_id":"a""#), Some(least.clone()));
        assert_eq!(
            read(r#","instance_id":"a","config":{ }"#),
            Some(least.clone())
        );
        let nulls =
            r#","instance_id":"a","config":null,"reconnection":null,"last_close_code":null"#;
        assert_eq!(read(nulls), Some(least));
    }

    #[test]
    fn reads_what_software_of_the_socketio_contract_says() {
        let by = |fields: &str| Some(introduction("heartbeat", fields)?.by);
        let beat = |ip: Option<&str>| {
            let ip_address = ip.map(Into::into);
            Some(IntroducedBy::Heartbeat { ip_address })
        };
        for moment in [
            "1700000000.125",
            "0",
            "null",
            r#""2026-01-31T12:00:00Z""#,
            r#""""#,
        ] {
            let fields = format!(
                r#","clientName":"a","ip_address":"10.0.0.7","timestamp":{moment},"more":[]"#
            );
            assert_eq!(by(&fields), beat(Some("10.0.0.7")), "{moment}");
        }
        assert_eq!(by(r#","clientName":"a","ip_address":"""#), beat(None));
        // The last of a name counts, as it does for policy.
        assert_eq!(by(r#","clientName":7,"clientName":"a""#), beat(None));
        let long = "1".repeat(MAX_TEXT + 1);
        for fields in [
            r#""clientName":"#.to_owned() + "7",
            r#""clientName":" ""#.to_owned(),
            r#""clientName":"a","ip_address":7"#.to_owned(),
            format!(r#""clientName":"a","ip_address":"{long}""#),
            r#""clientName":"a","timestamp":true"#.to_owned(),
            r#""clientName":"a","timestamp":{}"#.to_owned(),
            r#""clientName":"a","timestamp":-1"#.to_owned(),
            r#""clientName":"a","timestamp":1e3"#.to_owned(),
            r#""clientName":"a","timestamp":"\n""#.to_owned(),
            format!(r#""clientName":"a","timestamp":{long}"#),
            format!(r#""clientName":"a","timestamp":"{long}""#),
        ] {
            assert_eq!(by(&format!(",{fields}")), None, "{fields}");
        }
        let back = introduction("reconnection_success", r#","clientName":" a ""#);
        let known = PlainIntroduction {
            agent_id: "a".into(),
            by: IntroducedBy::ReconnectionSuccess,
        };
        assert_eq!(back, Some(known));
        for kind in ["watch", "connection_check_response", "another"] {
            let fields = r#","clientName":"a","client_name":"a","instance_id":"a""#;
            assert_eq!(introduction(kind, fields), None);
        }
    }

    #[test]
    fn leaves_what_is_to_be_refused_or_read_with_care() {
        let long = "x".repeat(MAX_AGENT_ID + 1);
        let token = "x".repeat(MAX_TOKEN + 1);
        for fields in [
            "",
            r#","instance_id":"""#,
            r#","instance_id":" ""#,
            r#","instance_id":7"#,
            r#","instance_id":null"#,
            r#","instance_id":"a\u0062""#,
            ",\"instance_id\":\"a\u{85}b\"",
            &format!(r#","instance_id":"{long}""#),
            r#","instance_id":"a","instance_id":7"#,
            r#","instance_id":"a","instance_i\u0064":"b\u0063""#,
            r#","instance_id":"a","\ud800":1"#,
            r#","instance_id":"a","reconnection":1"#,
            r#","instance_id":"a","last_close_code":65536"#,
            r#","instance_id":"a","last_close_code":-1"#,
            r#","instance_id":"a","last_close_code":1.0"#,
            r#","instance_id":"a","token":7"#,
            &format!(r#","instance_id":"a","token":"{token}""#),
        ] {
            assert_eq!(read(fields), None, "{fields}");
        }
    }

    #[test]
    fn keeps_a_config_only_as_every_reader_would_write_it() {
        for plain in ["[1]", "7", "\"{}\"", "true"] {
            assert_eq!(config(plain), None, "{plain} is no object");
        }
        for one in [
            "1.0",
            "1e3",
            "1E3",
            "-0",
            "-7",
            "1234567890123456",
            r#""\n""#,
            r#""\u00e9""#,
        ] {
            assert_eq!(config(&format!(r#"{{"x":{one}}}"#)), None, "{one}");
        }
        assert_eq!(config(r#"{"labels":{"a":"1"},"labels":{}}"#), None);
        let deep = format!("{{\"x\":{}1{}}}", "[".repeat(40), "]".repeat(40));
        assert_eq!(config(&deep), None);
        let large = format!(r#"{{"x":"{}"}}"#, "x".repeat(MAX_CONFIG));
        assert_eq!(config(&large), None);
        let texts = r#"{"x - y":"1.5e3 [é] {","n":123456789012345}"#;
        assert_eq!(config(texts).as_deref(), Some(texts));
    }
}
