//! An app_ready with nothing unusual in it: the one that a fleet sends ten thousand times.
//!
//! What is read here is read as policy reads it (`messages/inbound.py`). Whatever could be read in two ways, or is to be
//! refused with a sentence, is not plain: policy reads it.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::MAX_AGENT_ID;

const MAX_TOKEN: usize = 1024;
/// Bytes of JSON.
const MAX_CONFIG: usize = 65_536;
/// Of a config: far less than what any writer of JSON refuses.
const MAX_DEPTH: usize = 32;
/// A number of so many digits is the same to every reader.
const MAX_DIGITS: usize = 15;

/// What introduces an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppReady {
    /// Whose.
    pub agent_id: Box<str>,
    /// Whether it has been here before.
    pub reconnection: bool,
    /// Its settings, a JSON object without white space; `None` when empty.
    pub config: Option<Box<[u8]>>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    instance_id: &'a str,
    #[serde(default)]
    reconnection: Option<bool>,
    #[serde(default, rename = "last_close_code")]
    _last_close_code: Option<u16>,
    #[serde(borrow, default)]
    config: Option<&'a RawValue>,
    #[serde(borrow, default)]
    token: Option<&'a str>,
}

/// Reads a plain one. `None`: it is not.
pub fn plain_app_ready(text: &str) -> Option<AppReady> {
    // A field that is there twice, an escape or another type: not plain.
    let fields: Fields<'_> = serde_json::from_str(text).ok()?;
    let agent_id = fields.instance_id.trim();
    let is_plain = !agent_id.is_empty()
        && agent_id.len() <= MAX_AGENT_ID
        && !agent_id.contains(char::is_control)
        && fields.token.is_none_or(|token| token.len() <= MAX_TOKEN);
    let config = match fields.config {
        Some(config) => compact(config.get())?,
        None => Vec::new(),
    };
    is_plain.then(|| AppReady {
        agent_id: agent_id.into(),
        reconnection: fields.reconnection.unwrap_or(false),
        config: (!config.is_empty()).then(|| config.into()),
    })
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

    fn read(fields: &str) -> Option<AppReady> {
        plain_app_ready(&format!(r#"{{"type":"app_ready"{fields}}}"#))
    }

    fn config(json: &str) -> Option<String> {
        let config = read(&format!(r#","instance_id":"a","config":{json}"#))?.config;
        Some(config.map_or_else(String::new, |config| {
            String::from_utf8_lossy(&config).into_owned()
        }))
    }

    #[test]
    fn reads_what_a_fleet_says() {
        let ready = AppReady {
            agent_id: "edge-7".into(),
            reconnection: true,
            config: Some(
                br#"{"fps":25,"labels":{"site":"a b"},"on":[true,false,null]}"#[..].into(),
            ),
        };
        let said = r#", "instance_id": " edge-7 ", "reconnection": true, "last_close_code": 1006,
            "more": {"x": 1.5}, "token": null,
            "config": {"fps": 25, "labels": {"site": "a b"}, "on": [true, false, null]}"#;
        assert_eq!(read(said), Some(ready));
        let least = AppReady {
            agent_id: "a".into(),
            reconnection: false,
            config: None,
        };
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
            "\"instance_id\":\"a\u{85}b\"",
            &format!(r#","instance_id":"{long}""#),
            r#","instance_id":"a","instance_id":"b""#,
            r#","instance_id":"a","instance_i\u0064":"b""#,
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
