//! The opening handshake, the server's side against literal requests and both sides against each other.
#![allow(
    clippy::unwrap_used,
    reason = "a test that panics has failed as it should"
)]

use dscore_proto::handshake::{
    HandshakeError, UpgradeRules, accept, check_response, client_request, offer,
};
use dscore_proto::http::{MAX_HEADERS, parse_head};
use dscore_proto::origin::{OriginRefusal, OriginRules};
use proptest::prelude::*;

/// RFC 6455 §1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const PROOF: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const GOOD: &str = "GET /deepstream/ws HTTP/1.1\r\n\
    Host: server.example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

/// The response to a request, or why there is none.
fn answer(
    request: &str,
    origins: &[&str],
    subprotocols: &[&str],
) -> Result<String, HandshakeError> {
    let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let (head, _) = parse_head(request.as_bytes(), &mut slots, 16_384)
        .unwrap()
        .unwrap();
    let (origins, subprotocols) = (strings(origins), strings(subprotocols));
    let rules = UpgradeRules {
        origins: &OriginRules::new(&origins, &[]).unwrap(),
        local: "127.0.0.1:80".parse().unwrap(),
        check_host: false,
        subprotocols: &subprotocols,
    };
    let mut out = Vec::new();
    accept(&head, &rules)?.encode(&mut out);
    Ok(String::from_utf8(out).unwrap())
}

fn judge(request: &str) -> Result<(), HandshakeError> {
    answer(request, &["*"], &[]).map(|_| ())
}

/// The good request with one line changed, or dropped if it becomes empty.
fn with(line: &str, changed: &str) -> String {
    let line = format!("{line}\r\n");
    assert!(GOOD.contains(&line));
    let changed = if changed.is_empty() {
        String::new()
    } else {
        format!("{changed}\r\n")
    };
    GOOD.replacen(&line, &changed, 1)
}

/// The good request with one more line.
fn plus(line: &str) -> String {
    with(
        "Upgrade: websocket",
        &format!("Upgrade: websocket\r\n{line}"),
    )
}

#[test]
fn proves_the_sample_key_of_the_rfc() {
    assert_eq!(
        answer(GOOD, &["*"], &[]).unwrap(),
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {PROOF}\r\n\r\n"
        )
    );
}

#[test]
fn takes_what_browsers_and_libraries_send() {
    let variants = [
        ("Upgrade: websocket", "upgrade: WebSocket"),
        ("Upgrade: websocket", "Upgrade: h2c, websocket"),
        ("Connection: Upgrade", "connection: keep-alive, Upgrade"),
        (
            "Connection: Upgrade",
            "Connection: keep-alive\r\nConnection: upgrade",
        ),
        (
            "Connection: Upgrade",
            "Connection: Upgrade\r\nContent-Length: 0",
        ),
        (
            "Connection: Upgrade",
            "Connection: Upgrade\r\nSec-WebSocket-Extensions: permessage-deflate",
        ),
        // 22 digits with bits to spare: still 16 bytes.
        (
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==",
        ),
    ];
    for (line, changed) in variants {
        let response = answer(&with(line, changed), &["*"], &[]).unwrap();
        assert!(
            !response.contains("Extensions"),
            "no extension is negotiated"
        );
    }
}

#[test]
fn refuses_each_breach_of_section_4_2_1() {
    use HandshakeError as E;
    let get = "GET /deepstream/ws HTTP/1.1";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let version = "Sec-WebSocket-Version: 13";
    let cases = [
        (get, "POST /deepstream/ws HTTP/1.1", E::Method, 405),
        (get, "get /deepstream/ws HTTP/1.1", E::Method, 405),
        (get, "GET /deepstream/ws HTTP/1.0", E::Version, 400),
        ("Upgrade: websocket", "", E::Upgrade, 426),
        ("Upgrade: websocket", "Upgrade: websockets", E::Upgrade, 426),
        ("Upgrade: websocket", "Upgrade: h2c", E::Upgrade, 426),
        ("Connection: Upgrade", "", E::Connection, 400),
        (
            "Connection: Upgrade",
            "Connection: keep-alive",
            E::Connection,
            400,
        ),
        (
            "Connection: Upgrade",
            "Connection: Upgraded",
            E::Connection,
            400,
        ),
        (version, "", E::WebSocketVersion, 426),
        (
            version,
            "Sec-WebSocket-Version: 8",
            E::WebSocketVersion,
            426,
        ),
        (
            version,
            "Sec-WebSocket-Version: 013",
            E::WebSocketVersion,
            426,
        ),
        (
            version,
            "Sec-WebSocket-Version: 13, 8",
            E::WebSocketVersion,
            426,
        ),
        (
            version,
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13",
            E::WebSocketVersion,
            426,
        ),
        (key, "", E::Key, 400),
        (key, "Sec-WebSocket-Key:", E::Key, 400),
        (
            key,
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ",
            E::Key,
            400,
        ),
        (
            key,
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=",
            E::Key,
            400,
        ),
        (
            key,
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=x",
            E::Key,
            400,
        ),
        (
            key,
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ===",
            E::Key,
            400,
        ),
        (
            key,
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAA",
            E::Key,
            400,
        ),
        (
            key,
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAAAA==",
            E::Key,
            400,
        ),
        (
            key,
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub2 jZQ==",
            E::Key,
            400,
        ),
        (
            key,
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub2-jZQ==",
            E::Key,
            400,
        ),
        (
            key,
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            E::Key,
            400,
        ),
    ];
    for (line, changed, error, status) in cases {
        assert_eq!(judge(&with(line, changed)), Err(error), "{changed:?}");
        assert_eq!(error.status(), status);
    }
}

#[test]
fn refuses_a_handshake_with_content() {
    for line in [
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
        "Content-Length: x",
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
    ] {
        assert_eq!(judge(&plus(line)), Err(HandshakeError::Content), "{line}");
    }
}

#[test]
fn lets_in_only_pages_of_listed_origins() {
    let origins = ["https://fleet.example", "http://localhost:3000"];
    let judge = |request: &str| answer(request, &origins, &[]).map(|_| ());
    assert_eq!(judge(GOOD), Ok(()), "no browser, no origin");
    for good in [
        "https://fleet.example",
        "HTTPS://Fleet.Example",
        "http://localhost:3000",
    ] {
        assert_eq!(judge(&plus(&format!("Origin: {good}"))), Ok(()));
    }
    for bad in [
        "http://fleet.example",
        "https://fleet.example.evil",
        "https://fleet.example:444",
        "https://evil",
        "null",
        "*",
        "",
        "https://fleet.example\r\nOrigin: https://evil",
    ] {
        let outcome = judge(&plus(&format!("Origin: {bad}")));
        assert!(matches!(outcome, Err(HandshakeError::Origin(_))), "{bad}");
        assert_eq!(outcome.unwrap_err().status(), 403);
    }
}

#[test]
fn a_star_lets_in_every_page_and_an_empty_list_none() {
    let request = plus("Origin: https://anywhere");
    assert!(answer(&request, &["*"], &[]).is_ok());
    assert_eq!(
        answer(&request, &[], &[]).err(),
        Some(HandshakeError::Origin(OriginRefusal::Foreign))
    );
}

#[test]
fn picks_the_subprotocol_the_server_likes_best() {
    let cases: [(&[&str], &str, Option<&str>); 8] = [
        (&["b", "a"], "a, b", Some("b")),
        (&["b", "a"], "c,a", Some("a")),
        (&["b", "a"], "a\r\nSec-WebSocket-Protocol: b", Some("b")),
        (&["a"], "A", None),
        (&["a"], "aa", None),
        // None is spoken here: any is, and the client's first is as good as another.
        (&[], "b, a", Some("b")),
        (&[], "b\r\nSec-WebSocket-Protocol: a", Some("b")),
        (&[], "graphql-ws", Some("graphql-ws")),
    ];
    for (spoken, offered, chosen) in cases {
        let request = plus(&format!("Sec-WebSocket-Protocol: {offered}"));
        let response = answer(&request, &["*"], spoken).unwrap();
        let line = chosen.map(|name| format!("\r\nSec-WebSocket-Protocol: {name}\r\n\r\n"));
        match line {
            Some(line) => assert!(response.ends_with(&line), "{offered}: {response}"),
            None => assert!(!response.contains("Protocol:"), "{offered}: {response}"),
        }
    }
}

#[test]
fn refuses_an_offer_of_subprotocols_that_is_no_list_of_different_tokens() {
    for offered in [
        "",
        ",",
        "a,",
        "a,,b",
        "a b",
        "a;q=1",
        "\"a\"",
        "a\u{e9}",
        "a, b, a",
        "a\r\nSec-WebSocket-Protocol: a",
        "a\r\nSec-WebSocket-Protocol:",
    ] {
        let request = plus(&format!("Sec-WebSocket-Protocol: {offered}"));
        for spoken in [&[][..], &["a"]] {
            let refused = answer(&request, &["*"], spoken);
            assert_eq!(refused, Err(HandshakeError::Subprotocol), "{offered:?}");
        }
        assert_eq!(HandshakeError::Subprotocol.status(), 400);
    }
    // As many as a head has room for: found out without comparing each with each.
    let many: Vec<String> = (0..2000).map(|number| format!("p{number}")).collect();
    let request = plus(&format!("Sec-WebSocket-Protocol: {}", many.join(",")));
    assert!(
        answer(&request, &["*"], &["p1999"])
            .unwrap()
            .contains("p1999")
    );
}

#[test]
fn client_and_server_understand_each_other() {
    let mut request = Vec::new();
    client_request(
        "h:1",
        "/ws?a=b",
        KEY,
        &[("Origin", "x"), ("X-A", "b")],
        &mut request,
    );
    let request = String::from_utf8(request).unwrap();
    assert_eq!(
        request,
        "GET /ws?a=b HTTP/1.1\r\nHost: h:1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Origin: x\r\nX-A: b\r\n\r\n"
    );
    let response = answer(&request, &["*"], &[]).unwrap();
    for end in 0..response.len() {
        assert_eq!(check_response(&response.as_bytes()[..end], KEY), Ok(None));
    }
    let with_frame = [response.as_bytes(), b"\x81\x00"].concat();
    assert_eq!(check_response(&with_frame, KEY), Ok(Some(response.len())));
}

#[test]
fn client_takes_no_other_answer() {
    let good = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {PROOF}\r\n\r\n"
    );
    assert_eq!(check_response(good.as_bytes(), KEY), Ok(Some(good.len())));
    let cases = [
        (good.replace("101", "503"), HandshakeError::Refused(503)),
        (good.replace("101", "200"), HandshakeError::Refused(200)),
        (
            good.replace("Upgrade: websocket\r\n", ""),
            HandshakeError::Response,
        ),
        (
            good.replace("Connection: Upgrade", "Connection: close"),
            HandshakeError::Response,
        ),
        (good.replace("s3pP", "S3pP"), HandshakeError::Response),
        (
            good.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: x\r\n\r\n"),
            HandshakeError::Response,
        ),
        (good.replace("HTTP", "SMTP"), HandshakeError::Response),
        ("x".repeat(20_000), HandshakeError::Response),
        ("\n".to_owned(), HandshakeError::Response),
    ];
    for (response, error) in cases {
        assert_eq!(
            check_response(response.as_bytes(), KEY),
            Err(error),
            "{response}"
        );
    }
    assert_eq!(HandshakeError::Refused(503).status(), 503);
    assert_eq!(HandshakeError::Response.status(), 502);
}

proptest! {
    #[test]
    fn a_key_passes_if_and_only_if_it_is_16_bytes_in_base64(key in "[A-Za-z0-9+/]{20,24}={0,3}") {
        let line = format!("Sec-WebSocket-Key: {key}");
        let passes = judge(&with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", &line)).is_ok();
        prop_assert_eq!(passes, key.len() == 24 && key.find('=') == Some(22));
    }

    #[test]
    fn noise_from_a_server_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = check_response(&noise, KEY);
        let _ = check_response(&[b"HTTP/1.1 101 ", &noise[..], b"\r\n\r\n"].concat(), KEY);
    }
}

#[test]
fn an_offer_is_answered_with_what_a_program_chooses() {
    let request = with(
        "Host: server.example.com",
        "Host: server.example.com\r\nOrigin: https://elsewhere\r\nSec-WebSocket-Protocol: one, two",
    );
    let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let (head, _) = parse_head(request.as_bytes(), &mut slots, 16_384)
        .unwrap()
        .unwrap();
    let offer = offer(&head).unwrap();
    assert_eq!(offer.subprotocols, ["one", "two"]);
    let field = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    let mut out = Vec::new();
    let headers = [field("X-Served-By", "app"), field("set-cookie", "a=b")];
    offer.encode(Some("two"), &headers, &mut out).unwrap();
    let answer = String::from_utf8(out).unwrap();
    assert_eq!(
        check_response(answer.as_bytes(), KEY),
        Ok(Some(answer.len()))
    );
    assert!(answer.contains(&format!("Sec-WebSocket-Accept: {PROOF}\r\n")));
    assert!(answer.ends_with("Protocol: two\r\nX-Served-By: app\r\nset-cookie: a=b\r\n\r\n"));
    let mut out = Vec::new();
    for (subprotocol, name, value) in [
        (Some("three"), "x", "y"),
        (Some("ONE"), "x", "y"),
        (None, "x", "a\r\nb: c"),
        (None, "a b", "c"),
        (None, "", "c"),
        (None, "CONNECTION", "close"),
        (None, "sec-websocket-anything", "x"),
        (None, "Content-Length", "1"),
    ] {
        let refused = offer.encode(subprotocol, &[field(name, value)], &mut out);
        assert!(refused.is_err(), "{subprotocol:?}, {name}: {value}");
        assert!(out.is_empty());
    }
}

#[test]
fn an_offer_of_a_bad_form_is_none() {
    for (line, changed, expected) in [
        ("Upgrade: websocket", "", HandshakeError::Upgrade),
        (
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Version: 8",
            HandshakeError::WebSocketVersion,
        ),
        (
            "Host: server.example.com",
            "Host: x\r\nSec-WebSocket-Protocol: a,,b",
            HandshakeError::Subprotocol,
        ),
    ] {
        let request = with(line, changed);
        let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let (head, _) = parse_head(request.as_bytes(), &mut slots, 16_384)
            .unwrap()
            .unwrap();
        assert_eq!(offer(&head), Err(expected), "{changed:?}");
    }
}
