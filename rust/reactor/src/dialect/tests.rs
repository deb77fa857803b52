#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::*;
use crate::testing::{Bench, table_rows};

const MESSAGE: &[u8] = br#"{"type":"x","a":1}"#;

/// What a dialect's text message looks like that holds [`MESSAGE`], and where plain messages are bare.
fn spoken(dialect: &str) -> (Endpoint, &'static str) {
    match dialect {
        "raw" => (Endpoint::Plain, r#"{"type":"x","a":1}"#),
        "Engine.IO" => (Endpoint::PlainEngineIo, r#"4{"type":"x","a":1}"#),
        "Socket.IO" => (Endpoint::PlainSocketIo, r#"42["x",{"a":1}]"#),
        _ => panic!("no dialect is called {dialect}"),
    }
}

#[test]
fn messages_lie_in_each_dialect_as_the_documented_table_says() {
    let rows = table_rows(include_str!("mod.rs"));
    assert_eq!(rows.len(), 3);
    for row in rows {
        let mut bench = Bench::new();
        let (endpoint, words) = spoken(row[0]);
        let (settings, out) = (&bench.cx.settings, &mut bench.cx.out);
        let mut dialect = Dialect::new(endpoint, Revision::V4, 0, settings);
        if endpoint.speaks_socket_io() {
            let joined = dialect.hear_text("40", settings, out).unwrap();
            assert!(matches!(joined, Heard::Joined { .. }), "{joined:?}");
            out.clear();
        }
        match dialect.hear_text(words, settings, out).unwrap() {
            Heard::Text(text) => assert_eq!(text.as_bytes(), MESSAGE),
            Heard::Event(event) => assert_eq!(event.data.as_str(), r#"["x",{"a":1}]"#),
            other => panic!("{other:?}"),
        }
        dialect.form().encode_text(MESSAGE, out);
        let said = bench.said();
        let goes_out_as = match (&*said[0], said.len()) {
            (r#"{"type":"x","a":1}"#, 1) => "itself",
            (r#"4{"type":"x","a":1}"#, 1) => "a message packet",
            (r#"42["x",{"a":1}]"#, 1) => "an event named as its `type`",
            other => panic!("{other:?}"),
        };
        assert_eq!(goes_out_as, row[2], "{}", row[0]);
    }
}
