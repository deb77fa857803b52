//! Answers to a handshake, to the byte.

use dscore_proto::engineio::{HandshakeError, Open};
use dscore_proto::origin::OriginRefusal;

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn writes_the_open_packet() {
    let open = Open {
        sid: "lv_VI97HAXpY6yYWAAAC",
        upgrades: true,
        ping_interval: 30_000,
        ping_timeout: 120_000,
        max_payload: 1_000_000,
    };
    assert_eq!(
        written(|out| open.encode(out)),
        concat!(
            r#"0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"#,
            r#""pingInterval":30000,"pingTimeout":120000,"maxPayload":1000000}"#,
        )
    );
    let open = Open {
        sid: "\"",
        upgrades: false,
        ..open
    };
    let text = written(|out| open.encode(out));
    assert!(text.starts_with(r#"0{"sid":"\"","upgrades":[],"pingInterval":30000,"#));
}

#[test]
fn refuses_in_the_words_of_the_reference_server() {
    let cases = [
        (
            HandshakeError::UnknownTransport,
            400,
            r#"{"code":0,"message":"Transport unknown"}"#,
        ),
        (
            HandshakeError::UnknownSid,
            400,
            r#"{"code":1,"message":"Session ID unknown"}"#,
        ),
        (
            HandshakeError::BadMethod,
            400,
            r#"{"code":2,"message":"Bad handshake method"}"#,
        ),
        (
            HandshakeError::BadRequest,
            400,
            r#"{"code":3,"message":"Bad request"}"#,
        ),
        (
            HandshakeError::Forbidden(OriginRefusal::Foreign),
            403,
            r#"{"code":4,"message":"Forbidden: pages of this origin are not let in: name it in socket.cors_origins"}"#,
        ),
        (
            HandshakeError::UnsupportedVersion,
            400,
            r#"{"code":5,"message":"Unsupported protocol version"}"#,
        ),
    ];
    for (error, status, body) in cases {
        assert_eq!(error.status(), status);
        assert_eq!(written(|out| error.encode(out)), body);
    }
}
