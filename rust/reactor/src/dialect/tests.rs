use dscore_traffic::event::Event;

use super::*;
use crate::testing::{Bench, CONN, table_rows};

const MESSAGE: &[u8] = br#"{"type":"x","a":1}"#;

/// What a dialect's text message looks like that holds [`MESSAGE`], and where plain messages are bare.
fn spoken(dialect: &str) -> (Endpoint, &'static str) {
    match dialect {
        "raw" => (Endpoint::Plain, r#"{"type":"x","a":1}"#),
        "Engine.IO" => (Endpoint::PlainEngineIo, r#"4{"type":"x","a":1}"#),
        "Socket.IO" => (Endpoint::PlainSocketIo, r#"42["x",{"a":1}]"#),
        _ => panic!("nobody speaks {dialect}"),
    }
}

fn session(endpoint: Endpoint, bench: &mut Bench) -> Session {
    let dialect = Dialect::new(endpoint, Revision::V4, 0, &bench.cx.settings);
    let mut session = Session::new(endpoint, dialect, 0);
    if endpoint.speaks_socket_io() {
        assert_eq!(
            on_text(&mut session, CONN, "40", &mut bench.cx),
            Verdict::Go
        );
        bench.told();
        bench.said();
    }
    session
}

#[test]
fn messages_lie_in_each_dialect_as_the_documented_table_says() {
    let rows = table_rows(include_str!("../dialect.rs"));
    assert_eq!(rows.len(), 3);
    for row in rows {
        let mut bench = Bench::new();
        let (endpoint, words) = spoken(row[0]);
        let mut session = session(endpoint, &mut bench);
        assert_eq!(
            on_text(&mut session, CONN, words, &mut bench.cx),
            Verdict::Go
        );
        let told = bench.told();
        let [Event::Message(message)] = &*told else {
            panic!("{told:?}");
        };
        let (kind, data) = (&message.kind, &message.data);
        match row[0] {
            "Socket.IO" => assert_eq!((&**kind, &**data), ("x", &br#"["x",{"a":1}]"#[..])),
            _ => assert_eq!((&**kind, &**data), ("", MESSAGE)),
        }
        session
            .dialect
            .form()
            .encode_text(MESSAGE, &mut bench.cx.out);
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

#[test]
fn agents_hear_and_say_the_same_in_either_dialect() {
    for (endpoint, words) in [
        (Endpoint::Raw, r#"{"a":1,"type":"client_status_request"}"#),
        (Endpoint::SocketIo, r#"42["client_status_request",{"a":1}]"#),
    ] {
        let mut bench = Bench::new();
        let mut session = session(endpoint, &mut bench);
        assert_eq!(
            on_text(&mut session, CONN, words, &mut bench.cx),
            Verdict::Go
        );
        let told = bench.told();
        let [Event::Message(message)] = &*told else {
            panic!("{told:?}");
        };
        let (kind, data) = (&message.kind, &message.data);
        assert_eq!(&**kind, "client_status_request");
        assert_eq!(&**data, br#"{"a":1,"type":"client_status_request"}"#);
    }
}

#[test]
fn binary_data_goes_out_where_messages_are_bare() {
    for (form, expected) in [
        (Form::Bare, &b"\x82\x01\xff"[..]),
        (Form::Packet(Revision::V4), b"\x82\x01\xff"),
        (Form::Packet(Revision::V3), b"\x82\x02\x04\xff"),
        (Form::Event, b""),
    ] {
        let (mut direct, mut again) = (Vec::new(), Vec::new());
        form.encode_binary(b"\xff", &mut direct);
        form.reframe(b"\x82\x01\xff", &mut again);
        assert_eq!((&*direct, &*again), (expected, expected), "{form:?}");
    }
}

#[test]
fn what_has_no_type_is_no_event() {
    for text in ["", "[]", "{}", r#"{"type":1}"#, "\u{1}", "nonsense"] {
        let mut out = Vec::new();
        Form::Event.encode_text(text.as_bytes(), &mut out);
        assert_eq!(out, b"", "{text}");
    }
    let mut out = Vec::new();
    Form::Event.encode_text(b"\xff", &mut out);
    assert_eq!(out, b"", "no text at all");
}

#[test]
fn a_shared_message_is_framed_once_for_each_form() {
    let mut bare = Vec::new();
    Form::Bare.encode_text(MESSAGE, &mut bare);
    let bare: Arc<[u8]> = bare.into();
    let mut shared = SharedFrame::new(bare.clone());
    let forms = [
        Form::Bare,
        Form::Event,
        Form::Packet(Revision::V4),
        Form::Packet(Revision::V3),
    ];
    for form in forms {
        let mut expected = Vec::new();
        form.encode_text(MESSAGE, &mut expected);
        let first = shared.in_form(form).clone();
        assert_eq!(*first, *expected, "{form:?}");
        assert!(Arc::ptr_eq(&first, shared.in_form(form)), "{form:?}");
    }
    assert!(Arc::ptr_eq(&bare, shared.in_form(Form::Bare)));
    let mut of_bytes = SharedFrame::new(b"\x82\x01\xff"[..].into());
    assert_eq!(
        **of_bytes.in_form(Form::Packet(Revision::V3)),
        *b"\x82\x02\x04\xff"
    );
    assert_eq!(
        **of_bytes.in_form(Form::Packet(Revision::V4)),
        *b"\x82\x01\xff"
    );
}
