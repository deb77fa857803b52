//! Responses: the exact bytes, and what a caller cannot smuggle into them.

use dscore_proto::UsageError;
use dscore_proto::http::{
    Framing, Particulars, Standing, encode_chunk, encode_last_chunk, encode_response_head,
    error_response,
};
use proptest::prelude::*;

fn head(status: u16, headers: &[(&[u8], &[u8])], framing: Framing, keep_alive: bool) -> String {
    let mut out = Vec::new();
    encode_response_head(
        status,
        headers,
        framing,
        keep_alive,
        Standing::default(),
        &mut out,
    )
    .unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn writes_a_head_with_a_length() {
    assert_eq!(
        head(
            200,
            &[(b"content-type", b"text/plain"), (b"x", b"")],
            Framing::Length(5),
            true
        ),
        "HTTP/1.1 200 OK\r\nx-content-type-options: nosniff\r\ncontent-type: text/plain\r\nx: \r\nContent-Length: 5\r\n\
         Connection: keep-alive\r\n\r\n"
    );
}

#[test]
fn writes_the_date_unless_the_caller_has() {
    let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
    let standing = Standing { date, hsts_s: None };
    for (own, written) in [(None, "Date: Sun, 06"), (Some(&b"then"[..]), "dAtE: then")] {
        let fields: Vec<(&[u8], &[u8])> = own.iter().map(|own| (&b"dAtE"[..], *own)).collect();
        let mut out = Vec::new();
        encode_response_head(200, &fields, Framing::None, true, standing, &mut out).unwrap();
        let head = String::from_utf8(out).unwrap();
        assert!(head.contains(written), "{head}");
        assert_eq!(head.to_lowercase().matches("date: ").count(), 1, "{head}");
    }
    let mut out = Vec::new();
    let beside = Particulars {
        standing,
        head_only: true,
        ..Particulars::default()
    };
    error_response(400, "no", beside, &mut out);
    let head = String::from_utf8(out).unwrap();
    assert!(
        head.contains("\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
        "{head}"
    );
    assert!(head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn what_every_answer_says_is_said_once_and_as_the_caller_says_it() {
    let standing = Standing {
        date: None,
        hsts_s: Some(86_400),
    };
    let own: [(&[u8], &[u8]); 2] = [
        (b"Strict-Transport-Security", b"max-age=1"),
        (b"X-Content-Type-Options", b"none"),
    ];
    for (own, expected) in [
        (&own[..0], "max-age=86400, nosniff"),
        (&own[..1], "max-age=1, nosniff"),
        (&own[1..], "max-age=86400, none"),
        (&own[..], "max-age=1, none"),
    ] {
        let mut out = Vec::new();
        encode_response_head(200, own, Framing::None, true, standing, &mut out).unwrap();
        let head = String::from_utf8(out).unwrap().to_lowercase();
        let said = |name: &str| -> Vec<String> {
            let lines = head.split("\r\n");
            let values = lines.filter_map(|line| line.strip_prefix(name));
            values.map(|value| value[2..].to_owned()).collect()
        };
        let found = [
            said("strict-transport-security"),
            said("x-content-type-options"),
        ];
        assert_eq!(found.concat().join(", "), expected);
    }
    let mut out = Vec::new();
    let beside = Particulars {
        standing,
        ..Particulars::default()
    };
    error_response(404, "no", beside, &mut out);
    let head = String::from_utf8(out).unwrap();
    assert!(head.contains("\r\nstrict-transport-security: max-age=86400\r\n"));
}

#[test]
fn writes_a_head_with_chunks() {
    assert_eq!(
        head(503, &[], Framing::Chunked, false),
        "HTTP/1.1 503 Service Unavailable\r\nx-content-type-options: nosniff\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    );
}

#[test]
fn writes_no_framing_where_there_is_no_content() {
    let expected = "HTTP/1.1 204 No Content\r\nx-content-type-options: nosniff\r\nConnection: keep-alive\r\n\r\n";
    for framing in [Framing::None, Framing::Length(0), Framing::Chunked] {
        assert_eq!(head(204, &[], framing, true), expected);
    }
    assert_eq!(
        head(304, &[], Framing::None, true),
        "HTTP/1.1 304 Not Modified\r\nx-content-type-options: nosniff\r\nConnection: keep-alive\r\n\r\n"
    );
}

#[test]
fn writes_a_status_without_a_known_phrase() {
    assert!(head(299, &[], Framing::Length(0), true).starts_with("HTTP/1.1 299 \r\n"));
}

#[test]
fn leaves_out_the_callers_framing_and_connection() {
    let ours: [(&[u8], &[u8]); 5] = [
        (b"Content-Length", b"7"),
        (b"TRANSFER-ENCODING", b"chunked"),
        (b"connection", b"upgrade"),
        (b"Keep-Alive", b"timeout=5"),
        (b"Connections", b"stays"),
    ];
    assert_eq!(
        head(200, &ours, Framing::Length(1), true),
        "HTTP/1.1 200 OK\r\nx-content-type-options: nosniff\r\nConnections: stays\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n"
    );
}

#[test]
fn refuses_fields_that_would_break_the_head_and_writes_nothing() {
    let cases: [(&[u8], &[u8]); 10] = [
        (b"", b"v"),
        (b"a b", b"v"),
        (b"a:", b"v"),
        (b"a\r\n", b"v"),
        (b"\xc3\xa9", b"v"),
        (b"a", b"v\r\nSet-Cookie: x"),
        (b"a", b"v\n"),
        (b"a", b"v\r"),
        (b"a", b"v\0"),
        (b"a", b"\x1b[2J"),
    ];
    for field in cases {
        let mut out = b"before".to_vec();
        let fields = [(&b"good"[..], &b"v"[..]), field];
        let outcome = encode_response_head(
            200,
            &fields,
            Framing::None,
            true,
            Standing::default(),
            &mut out,
        );
        assert_eq!(outcome, Err(UsageError::InvalidHeader));
        assert_eq!(out, b"before");
    }
}

#[test]
fn refuses_statuses_that_end_no_request() {
    for status in [0, 99, 100, 101, 199, 600, 1000] {
        let outcome = encode_response_head(
            status,
            &[],
            Framing::None,
            true,
            Standing::default(),
            &mut Vec::new(),
        );
        assert_eq!(outcome, Err(UsageError::InvalidStatus(status)));
    }
}

#[test]
fn writes_chunks_in_hexadecimal_and_never_an_empty_one() {
    let mut out = Vec::new();
    encode_chunk(b"", &mut out);
    encode_chunk(&[b'x'; 26], &mut out);
    encode_last_chunk(&mut out);
    assert_eq!(out, b"1a\r\nxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n0\r\n\r\n");
}

#[test]
fn writes_a_problem_document_for_an_error() {
    let mut out = Vec::new();
    let beside = Particulars {
        retry_after: Some(5),
        ..Particulars::default()
    };
    error_response(503, "come \"back\" later\n", beside, &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "HTTP/1.1 503 Service Unavailable\r\nx-content-type-options: nosniff\r\nContent-Type: application/problem+json\r\nCache-Control: no-store\r\n\
         Content-Length: 98\r\nRetry-After: 5\r\nConnection: close\r\n\r\n\
         {\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\
         \"detail\":\"come \\\"back\\\" later\\n\"}"
    );
}

#[test]
fn names_what_would_be_allowed_instead() {
    let response = |status| {
        let mut out = Vec::new();
        error_response(status, "no", Particulars::default(), &mut out);
        String::from_utf8(out).unwrap()
    };
    assert!(response(405).contains("\r\nAllow: GET, HEAD, OPTIONS\r\n"));
    let upgrade =
        "\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nConnection: close, Upgrade\r\n";
    assert!(response(426).contains(upgrade));
    assert!(!response(400).contains("Upgrade"));
}

proptest! {
    #[test]
    fn a_head_that_is_written_reads_as_one_head(
        fields in proptest::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 0..5),
        names_are_good in any::<bool>(),
    ) {
        let fields: Vec<(&[u8], &[u8])> = fields
            .iter()
            .map(|(name, value)| (if names_are_good { &b"x-name"[..] } else { &name[..] }, &value[..]))
            .collect();
        let mut out = Vec::new();
        if encode_response_head(200, &fields, Framing::Length(0), true, Standing::default(), &mut out).is_ok() {
            let mut slots = [httparse::EMPTY_HEADER; 16];
            let mut response = httparse::Response::new(&mut slots);
            let parsed = response.parse(&out).unwrap();
            prop_assert_eq!(parsed, httparse::Status::Complete(out.len()));
            prop_assert_eq!(response.headers.len(), fields.len() + 3);
        }
    }
}
