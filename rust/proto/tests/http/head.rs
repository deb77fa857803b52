//! Request heads: what passes, what is refused and why, and that no split of the bytes matters.

use dscore_proto::http::{BodyKind, Head, HttpError, MAX_HEADERS, parse_head};
use proptest::prelude::*;

const LIMIT: usize = 16_384;

/// Parses and hands the outcome on, since the head cannot outlive its slots.
fn with_head<T>(
    bytes: &[u8],
    limit: usize,
    take: impl FnOnce(Option<(Head<'_>, usize)>) -> T,
) -> Result<T, HttpError> {
    let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
    parse_head(bytes, &mut slots, limit).map(take)
}

fn error_of(bytes: &[u8]) -> Option<HttpError> {
    with_head(bytes, LIMIT, |_| ()).err()
}

/// Of a complete request, what `ask` says of its head.
fn ask<T>(bytes: impl AsRef<[u8]>, ask: impl FnOnce(Head<'_>) -> T) -> T {
    let found = with_head(bytes.as_ref(), LIMIT, |found| {
        found.map(|(head, _)| ask(head))
    });
    found.unwrap().unwrap()
}

/// A request of HTTP/1.1 with these extra lines.
fn get(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n")
}

#[test]
fn reads_method_target_version_and_fields_in_order() {
    let bytes = b"POST /a%2Fb?q=%00 HTTP/1.1\r\nhOsT: h:80\r\nX-One:  padded \t\r\nX-One:\r\nX-Obs: \xe9\t!\r\n\r\n";
    ask(bytes, |head| {
        assert_eq!(
            (head.method, head.target, head.version),
            ("POST", "/a%2Fb?q=%00", 1)
        );
        assert_eq!(head.path(), "/a%2Fb");
        let fields: Vec<_> = head
            .headers
            .iter()
            .map(|field| (field.name, field.value))
            .collect();
        assert_eq!(
            fields,
            [
                ("hOsT", &b"h:80"[..]),
                ("X-One", b"padded"),
                ("X-One", b""),
                ("X-Obs", b"\xe9\t!"),
            ]
        );
        assert_eq!(head.header("x-one"), Some(&b"padded"[..]));
        assert_eq!(head.header_all("X-ONE").count(), 2);
        assert_eq!(head.header("x-two"), None);
    });
}

#[test]
fn leaves_what_follows_the_head_alone() {
    let bytes = b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\n\0GET /2";
    let len = with_head(bytes, LIMIT, |found| found.unwrap().1).unwrap();
    assert_eq!(&bytes[len..], b"\0GET /2");
}

#[test]
fn skips_one_empty_line_before_the_request() {
    let bytes = b"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(
        with_head(bytes, LIMIT, |found| found.unwrap().1),
        Ok(bytes.len())
    );
    assert_eq!(error_of(b"\r\n\r\n"), Some(HttpError::Malformed));
}

#[test]
fn says_nothing_before_the_last_byte_of_a_good_head() {
    let bytes = get("Content-Length: 3\r\nX: y\r\n");
    for end in 0..bytes.len() {
        assert_eq!(
            with_head(&bytes.as_bytes()[..end], LIMIT, |found| found.is_none()),
            Ok(true)
        );
    }
    assert_eq!(
        with_head(bytes.as_bytes(), LIMIT, |found| found.unwrap().1),
        Ok(bytes.len())
    );
}

const REFUSED: &[(&[u8], HttpError)] = &[
    // Line ends other than CRLF, and control bytes.
    (b"GET / HTTP/1.1\nHost: h\n\n", HttpError::Malformed),
    (b"GET / HTTP/1.1\r\nHost: h\n\r\n", HttpError::Malformed),
    (b"GET / HTTP/1.1\r\nHost: h\r\n\n", HttpError::Malformed),
    (
        b"GET / HTTP/1.1\r\nHost: h\r\nA: b\rC: d\r\n\r\n",
        HttpError::Malformed,
    ),
    (b"GET / HTTP/1.1\r\nHost: h\r\r\n\r\n", HttpError::Malformed),
    (
        b"GET / HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n",
        HttpError::Malformed,
    ),
    (
        b"GET / HTTP/1.1\r\nHost: h\r\nA: b\x7fc\r\n\r\n",
        HttpError::Malformed,
    ),
    (
        b"GET / HTTP/1.1\r\nHost: h\r\nA: b\x0bc\r\n\r\n",
        HttpError::Malformed,
    ),
    (b"GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n", HttpError::Malformed),
    (b"\x16\x03\x01\x02\x00\x01", HttpError::Malformed),
    // The request line.
    (
        b"\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        HttpError::Malformed,
    ),
    (b" GET / HTTP/1.1\r\nHost: h\r\n\r\n", HttpError::Malformed),
    (b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", HttpError::Malformed),
    (b"GET /  HTTP/1.1\r\nHost: h\r\n\r\n", HttpError::Malformed),
    (
        b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
        HttpError::Malformed,
    ),
    (b"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", HttpError::Malformed),
    (b"GET\t/\tHTTP/1.1\r\nHost: h\r\n\r\n", HttpError::Malformed),
    (b"GET /\r\nHost: h\r\n\r\n", HttpError::Malformed),
    (b"GET /\r\n\r\n", HttpError::Malformed),
    (b"G(T / HTTP/1.1\r\nHost: h\r\n\r\n", HttpError::Malformed),
    (
        b"G\xc3\xa9T / HTTP/1.1\r\nHost: h\r\n\r\n",
        HttpError::Malformed,
    ),
    (b"GET / http/1.1\r\nHost: h\r\n\r\n", HttpError::Malformed),
    (b"GET / HTTP/1.11\r\nHost: h\r\n\r\n", HttpError::Malformed),
    (b"GET / HTTP/11\r\nHost: h\r\n\r\n", HttpError::Malformed),
    (b"GET / FTP/1.1\r\nHost: h\r\n\r\n", HttpError::Malformed),
    (b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", HttpError::Version),
    (b"GET / HTTP/0.9\r\nHost: h\r\n\r\n", HttpError::Version),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HttpError::Version),
    // The target.
    (b"GET a HTTP/1.1\r\nHost: h\r\n\r\n", HttpError::Target),
    (b"GET * HTTP/1.1\r\nHost: h\r\n\r\n", HttpError::Target),
    (b"GET h:80 HTTP/1.1\r\nHost: h\r\n\r\n", HttpError::Target),
    (
        b"GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
        HttpError::Target,
    ),
    (b"GET /#top HTTP/1.1\r\nHost: h\r\n\r\n", HttpError::Target),
    (
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n",
        HttpError::Target,
    ),
    (
        b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n",
        HttpError::Malformed,
    ),
    (
        b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n",
        HttpError::Connect,
    ),
    // Field lines.
    (b"GET / HTTP/1.1\r\n Host: h\r\n\r\n", HttpError::Malformed),
    (
        b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n",
        HttpError::Malformed,
    ),
    (
        b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\tc\r\n\r\n",
        HttpError::Malformed,
    ),
    (
        b"GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n",
        HttpError::Malformed,
    ),
    (
        b"GET / HTTP/1.1\r\nHost: h\r\nA\t: b\r\n\r\n",
        HttpError::Malformed,
    ),
    (
        b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n",
        HttpError::Malformed,
    ),
    (
        b"GET / HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n",
        HttpError::Malformed,
    ),
    (
        b"GET / HTTP/1.1\r\nHost: h\r\nA\r\n\r\n",
        HttpError::Malformed,
    ),
    (
        b"GET / HTTP/1.1\r\nHost: h\r\nA(: b\r\n\r\n",
        HttpError::Malformed,
    ),
    (
        b"GET / HTTP/1.1\r\nHost: h\r\n\xc3\xa9: b\r\n\r\n",
        HttpError::Malformed,
    ),
    // Host.
    (b"GET / HTTP/1.1\r\n\r\n", HttpError::Host),
    (
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        HttpError::Host,
    ),
    (
        b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
        HttpError::Host,
    ),
    (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", HttpError::Host),
    (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", HttpError::Host),
    (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", HttpError::Host),
    (b"GET / HTTP/1.1\r\nHost: \xe9\r\n\r\n", HttpError::Host),
    (b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", HttpError::Host),
    (b"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", HttpError::Host),
    (b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", HttpError::Host),
    (b"GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", HttpError::Host),
    (b"GET / HTTP/1.1\r\nHost: %g0\r\n\r\n", HttpError::Host),
    (
        b"GET / HTTP/1.1\r\nHost: h\r\nAuthorization: a\r\nAuthorization: a\r\n\r\n",
        HttpError::Authorization,
    ),
    (
        b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        HttpError::Host,
    ),
    (
        b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n",
        HttpError::Host,
    ),
    // Expect.
    (
        b"GET / HTTP/1.1\r\nHost: h\r\nExpect: the-spanish-inquisition\r\n\r\n",
        HttpError::Expectation,
    ),
    (
        b"GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nExpect: x\r\n\r\n",
        HttpError::Expectation,
    ),
];

#[test]
fn refuses_what_two_readers_could_read_differently() {
    for (bytes, error) in REFUSED {
        assert_eq!(error_of(bytes), Some(*error), "{}", bytes.escape_ascii());
    }
}

#[test]
fn never_takes_a_part_of_a_refused_request_for_a_good_one() {
    for (bytes, error) in REFUSED {
        for end in 0..bytes.len() {
            let outcome = with_head(&bytes[..end], LIMIT, |found| found.is_none());
            let waits_or_refuses = outcome == Ok(true) || outcome == Err(*error);
            assert!(
                waits_or_refuses,
                "{} at {end}: {outcome:?}",
                bytes.escape_ascii()
            );
        }
    }
}

#[test]
fn refuses_a_control_byte_before_the_head_is_complete() {
    for early in [
        &b"GET / HT\0"[..],
        b"GET /\x7f",
        b"GET /\n",
        b"\x16\x03",
        b"GET / HTTP/1.1\r\nA: \x1b",
    ] {
        assert_eq!(
            error_of(early),
            Some(HttpError::Malformed),
            "{}",
            early.escape_ascii()
        );
    }
}

#[test]
fn takes_http_1_0_without_host() {
    ask(b"GET /livez HTTP/1.0\r\n\r\n", |head| {
        assert_eq!(
            (head.version, head.path(), head.keep_alive()),
            (0, "/livez", false)
        );
    });
}

#[test]
fn takes_hosts_of_every_form() {
    for host in ["", "h", "h:8765", "127.0.0.1:80", "[::1]:80", "a-b.c_d~e"] {
        ask(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), |head| {
            assert_eq!(head.header("host"), Some(host.as_bytes()));
        });
    }
}

#[test]
fn takes_targets_of_every_form() {
    let cases = [
        ("GET", "/", "/"),
        ("GET", "/a/b?c=/d?e", "/a/b"),
        ("GET", "/?", "/"),
        ("GET", "//x", "//x"),
        ("GET", "/a://b", "/a://b"),
        ("GET", "/%zz%00", "/%zz%00"),
        ("OPTIONS", "*", "*"),
        ("GET", "http://h", "/"),
        ("GET", "HTTP://H?q", "/"),
        ("GET", "https://h/a?q", "/a"),
    ];
    for (method, target, path) in cases {
        ask(
            format!("{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n"),
            |head| {
                assert_eq!((head.target, head.path()), (target, path));
            },
        );
    }
}

#[test]
fn ends_connections_as_the_version_and_the_field_say() {
    let cases = [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: Upgrade, CLOSE\r\n", false),
        ("1.1", "Connection: x\r\nConnection: close\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ];
    for (version, line, keep) in cases {
        ask(
            format!("GET / HTTP/{version}\r\nHost: h\r\n{line}\r\n"),
            |head| {
                assert_eq!(head.keep_alive(), keep, "{version} {line}");
            },
        );
    }
}

#[test]
fn frames_bodies() {
    let cases: [(&str, Result<BodyKind, HttpError>); 24] = [
        ("", Ok(BodyKind::None)),
        ("Content-Length: 0\r\n", Ok(BodyKind::Length(0))),
        ("Content-Length: 007\r\n", Ok(BodyKind::Length(7))),
        (
            "content-length:18446744073709551615\r\n",
            Ok(BodyKind::Length(u64::MAX)),
        ),
        ("Transfer-Encoding: Chunked\r\n", Ok(BodyKind::Chunked)),
        ("Content-Length:\r\n", Err(HttpError::ContentLength)),
        ("Content-Length: +5\r\n", Err(HttpError::ContentLength)),
        ("Content-Length: -5\r\n", Err(HttpError::ContentLength)),
        ("Content-Length: 0x5\r\n", Err(HttpError::ContentLength)),
        ("Content-Length: 5 5\r\n", Err(HttpError::ContentLength)),
        ("Content-Length: 5, 5\r\n", Err(HttpError::ContentLength)),
        (
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            Err(HttpError::ContentLength),
        ),
        (
            "Content-Length: 5\r\ncontent-length: 6\r\n",
            Err(HttpError::ContentLength),
        ),
        (
            "Content-Length: 18446744073709551616\r\n",
            Err(HttpError::ContentLength),
        ),
        ("Content-Length: \u{665}\r\n", Err(HttpError::ContentLength)),
        (
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            Err(HttpError::Framing),
        ),
        (
            "Transfer-Encoding: identity\r\nContent-Length: 5\r\n",
            Err(HttpError::Framing),
        ),
        (
            "Transfer-Encoding: gzip, chunked\r\n",
            Err(HttpError::TransferEncoding),
        ),
        (
            "Transfer-Encoding: chunked, chunked\r\n",
            Err(HttpError::Framing),
        ),
        (
            "Transfer-Encoding: chunked, gzip\r\n",
            Err(HttpError::Framing),
        ),
        ("Transfer-Encoding: xchunked\r\n", Err(HttpError::Framing)),
        ("Transfer-Encoding:\r\n", Err(HttpError::Framing)),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            Err(HttpError::Framing),
        ),
        ("Transfer-Encoding: , chunked,\r\n", Ok(BodyKind::Chunked)),
    ];
    for (lines, body) in cases {
        ask(get(lines), |head| assert_eq!(head.body(), body, "{lines}"));
    }
}

#[test]
fn refuses_transfer_encoding_in_http_1_0() {
    ask(
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        |head| {
            assert_eq!(head.body(), Err(HttpError::Framing));
        },
    );
}

#[test]
fn expects_continue_only_where_there_is_a_body_to_wait_for() {
    let cases = [
        ("1.1", "Expect: 100-Continue\r\nContent-Length: 1\r\n", true),
        (
            "1.1",
            "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n",
            true,
        ),
        (
            "1.1",
            "Expect: 100-continue\r\nContent-Length: 0\r\n",
            false,
        ),
        ("1.1", "Expect: 100-continue\r\n", false),
        ("1.1", "Content-Length: 1\r\n", false),
        (
            "1.0",
            "Expect: 100-continue\r\nContent-Length: 1\r\n",
            false,
        ),
        (
            "1.0",
            "Expect: something else\r\nContent-Length: 1\r\n",
            false,
        ),
    ];
    for (version, lines, expects) in cases {
        ask(
            format!("PUT / HTTP/{version}\r\nHost: h\r\n{lines}\r\n"),
            |head| {
                assert_eq!(head.expects_continue(), expects, "{version} {lines}");
            },
        );
    }
}

#[test]
fn refuses_a_head_that_cannot_end_within_the_limit() {
    let bytes = get("X: y\r\n");
    let bytes = bytes.as_bytes();
    let limit = bytes.len();
    assert_eq!(with_head(bytes, limit, |found| found.is_some()), Ok(true));
    assert_eq!(
        with_head(bytes, limit - 1, |_| ()),
        Err(HttpError::HeadTooLarge)
    );
    // A body behind a head that fits is not counted.
    let with_body = [bytes, &[b'x'; 100]].concat();
    assert_eq!(
        with_head(&with_body, limit, |found| found.is_some()),
        Ok(true)
    );
    // As soon as it is certain, and not a byte earlier.
    assert_eq!(
        with_head(&[b'a'; 99], 100, |found| found.is_none()),
        Ok(true)
    );
    assert_eq!(
        with_head(&[b'a'; 100], 100, |_| ()),
        Err(HttpError::HeadTooLarge)
    );
    assert_eq!(with_head(b"\r\n", 2, |_| ()), Err(HttpError::HeadTooLarge));
    assert_eq!(with_head(b"", 0, |_| ()), Err(HttpError::HeadTooLarge));
}

#[test]
fn takes_a_hundred_fields_and_not_one_more() {
    let fields = |count: usize| get(&"X: y\r\n".repeat(count));
    assert_eq!(
        ask(fields(MAX_HEADERS - 1), |head| head.headers.len()),
        MAX_HEADERS
    );
    assert_eq!(
        error_of(fields(MAX_HEADERS).as_bytes()),
        Some(HttpError::TooManyHeaders)
    );
}

#[test]
fn sees_the_wish_for_a_websocket() {
    let cases = [
        ("Upgrade: websocket\r\n", true),
        ("Upgrade: h2c, WebSocket\r\n", true),
        ("Upgrade: h2c\r\nUpgrade: websocket\r\n", true),
        ("Upgrade: websockets\r\n", false),
        ("Connection: upgrade\r\n", false),
    ];
    for (lines, wants) in cases {
        ask(get(lines), |head| {
            assert_eq!(head.wants_upgrade(), wants, "{lines}")
        });
    }
}

#[test]
fn answers_every_error_with_its_status() {
    let cases = [
        (HttpError::Malformed, 400),
        (HttpError::Target, 400),
        (HttpError::Host, 400),
        (HttpError::ContentLength, 400),
        (HttpError::Framing, 400),
        (HttpError::Chunk, 400),
        (HttpError::ChunkExtensions, 400),
        (HttpError::BodyTooLarge, 413),
        (HttpError::Expectation, 417),
        (HttpError::HeadTooLarge, 431),
        (HttpError::TooManyHeaders, 431),
        (HttpError::TrailersTooLarge, 431),
        (HttpError::Connect, 501),
        (HttpError::TransferEncoding, 501),
        (HttpError::Version, 505),
    ];
    for (error, status) in cases {
        assert_eq!(error.status(), status, "{error}");
    }
}

/// Pieces of requests, good and bad, so that random ones come near the grammar.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&'static [u8]> = vec![
        b"GET",
        b"POST",
        b" ",
        b"/",
        b"*",
        b"http://h",
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"\r\n",
        b"\r",
        b"\n",
        b"\0",
        b"\t",
        b":",
        b": ",
        b",",
        b"Host: h",
        b"Host",
        b"Content-Length: 5",
        b"5",
        b"Transfer-Encoding: chunked",
        b"chunked",
        b"Expect: 100-continue",
        b"Connection: close",
        b"\xff",
        b"\xc3\xa9",
        b"#",
        b"GET / HTTP/1.1\r\nHost: h\r\n",
        b"\r\n\r\n",
    ];
    prop_oneof![
        9 => proptest::sample::select(words).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 1..4),
    ]
}

proptest! {
    #[test]
    fn whatever_passes_keeps_the_promises_of_head(pieces in proptest::collection::vec(piece(), 0..24)) {
        let bytes = pieces.concat();
        let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
        if let Ok(Some((head, len))) = parse_head(&bytes, &mut slots, LIMIT) {
            prop_assert!(bytes[..len].ends_with(b"\r\n\r\n"));
            prop_assert!(head.target.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert!(head.path().starts_with('/') || head.path() == "*");
            prop_assert!(!head.path().contains('?'));
            for field in head.headers {
                prop_assert!(!field.name.is_empty() && field.name.is_ascii());
                prop_assert!(!field.value.iter().any(|byte| b"\r\n\0".contains(byte)));
                prop_assert_eq!(field.value.trim_ascii(), field.value);
            }
            // What passed passes with anything behind it, and not a byte earlier.
            for end in 0..len {
                prop_assert_eq!(with_head(&bytes[..end], LIMIT, |found| found.is_none()), Ok(true));
            }
            let longer = [&bytes[..len], b"\0\xff"].concat();
            prop_assert_eq!(with_head(&longer, LIMIT, |found| found.map(|found| found.1)), Ok(Some(len)));
        }
    }

    #[test]
    fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), limit in 0..400usize) {
        let _ = with_head(&bytes, limit, |_| ());
    }
}
