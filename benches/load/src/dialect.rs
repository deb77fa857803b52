//! The two ways of saying the same messages (PROTOCOL.md §1): a JSON object with its `type`, or an event of Socket.IO by that
//! name.

use std::fmt::Arguments;

use serde_json::{Map, Value};

use crate::heard::{self, Heard};
use crate::socketio;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dialect {
    #[default]
    Raw,
    Socketio,
}

impl Dialect {
    /// Reads one text message.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub(crate) fn hear(self, text: &str) -> Result<Heard, String> {
        match self {
            Self::Raw => heard::parse(text),
            Self::Socketio => socketio::parse(text),
        }
    }

    /// The text of a message whose members are those.
    pub(crate) fn text(self, kind: &str, members: Arguments<'_>) -> String {
        match self {
            Self::Raw => format!(r#"{{"type":"{kind}",{members}}}"#),
            Self::Socketio => format!(r#"{}["{kind}",{{{members}}}]"#, socketio::EVENT),
        }
    }

    /// The text of a message that is written as the raw dialect has it.
    pub(crate) fn translate(self, message: &Map<String, Value>) -> String {
        match self {
            Self::Raw => Value::from(message.clone()).to_string(),
            Self::Socketio => {
                let mut message = message.clone();
                let kind = message.remove("type").unwrap_or_default();
                let event = Value::from(vec![kind, message.into()]);
                format!("{}{event}", socketio::EVENT)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn says_one_message_in_two_ways() {
        let members = || -> String { Dialect::Raw.text("x", format_args!(r#""a":1"#)) };
        assert_eq!(members(), r#"{"type":"x","a":1}"#);
        let event = Dialect::Socketio.text("x", format_args!(r#""a":1"#));
        assert_eq!(event, r#"42["x",{"a":1}]"#);
        let message = serde_json::from_str(&members()).unwrap();
        assert_eq!(Dialect::Socketio.translate(&message), event);
        let again: Value = serde_json::from_str(&Dialect::Raw.translate(&message)).unwrap();
        assert_eq!(again, Value::from(message));
    }
}
