//! Engine.IO sessions over real sockets: requests, payloads, limits, ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::io::Write;
use std::sync::Arc;

use dscore_proto::origin::OriginRules;
use dscore_reactor::settings::Settings;
use dscore_traffic::close::Initiator;
use dscore_traffic::event::TransportKind;
use support::engine_io::{Caller, Http, Session};
use support::rows::table_rows;
use support::{Client, Heard, Server, connect, settings};

const PATH: &str = "/engine.io/";
const HANDSHAKE: &str = "/engine.io/?EIO=4&transport=polling";

/// More messages than one may be ahead of the owner.
fn flood() -> String {
    vec!["4x"; 200].join("\x1e")
}

/// The same connection, but not its secret.
fn made_up(target: &str) -> String {
    let (rest, last) = target.split_at(target.len() - 1);
    format!("{rest}{}", if last == "A" { "B" } else { "A" })
}

/// A row of the documented table, tried.
fn try_request(request: &str, with: &str) -> &'static str {
    let mut server = Server::start(settings());
    let mut session = Session::open(server.address(), PATH);
    let (conn, _) = server.opened();
    let mut other = Http::open(server.address());
    match (request, with) {
        ("GET", "no sid") => {
            let target = "/plain.io/?EIO=3&transport=polling";
            let answer = other.get(target);
            let text = answer.text();
            assert!(text.contains(r#":0{"sid":""#) && text.ends_with("2:40"));
            assert_eq!(server.opened().1, TransportKind::Polling);
            "a session, whose first packets are the answer"
        }
        ("GET", "a sid") => {
            session.begin_poll();
            assert_eq!(session.push("4x").text(), "ok");
            assert!(session.polls.is_silent(), "there is nothing to tell");
            server.send(conn, "news");
            assert_eq!(session.polls.answer().text(), "4news");
            "waits until there are packets"
        }
        ("GET", "a sid whose last GET still waits") => {
            session.begin_poll();
            assert_eq!(session.push("4x").text(), "ok");
            assert_eq!(other.get(&session.target()).refusal(), (400, Some(3)));
            assert_eq!(session.polls.answer().text(), "1");
            assert_eq!(server.closed().0, conn);
            "the end of the session"
        }
        ("POST", "a sid") => {
            session.begin_push(flood().as_bytes());
            // A round trip on another connection proves that the reactor went on.
            assert_eq!(other.get("/engine.io/").status, 400);
            assert!(session.posts.is_silent(), "not all was dealt with");
            for _ in 0..200 {
                assert_eq!(server.message().1, b"x");
            }
            assert_eq!(session.posts.answer().text(), "ok");
            "its packets; answered when all were dealt with"
        }
        ("POST", "a sid whose last POST still waits") => {
            session.begin_push(flood().as_bytes());
            assert_eq!(other.get("/engine.io/").status, 400);
            other.ask("POST", &session.target(), "", b"4x");
            assert_eq!(other.answer().status, 400);
            assert_eq!(session.posts.answer().status, 200, "it is not left waiting");
            assert_eq!(server.closed().0, conn);
            "the end of the session"
        }
        ("upgrade", "a sid") => {
            let mut websocket = session.websocket();
            websocket.send("2probe");
            assert_eq!(websocket.text(), "3probe");
            "a probe: see [`crate::probe`]"
        }
        ("OPTIONS", "anything") => {
            for target in [session.target(), HANDSHAKE.into(), PATH.into()] {
                let page = "Origin: https://a\r\nAccess-Control-Request-Method: POST\r\n";
                other.ask("OPTIONS", &target, page, b"");
                let answer = other.answer();
                assert_eq!(answer.status, 204, "{target}");
                let head = answer.head.to_ascii_lowercase();
                assert!(
                    head.contains("access-control-allow-origin: *\r\n"),
                    "{head}"
                );
                assert!(head.contains("access-control-allow-methods: get, post\r\n"));
            }
            "what pages of other origins may do"
        }
        ("anything else", "400") => {
            for (method, target, code) in [
                ("PUT", session.target(), 3),
                ("DELETE", session.target(), 3),
                ("HEAD", HANDSHAKE.into(), 2),
                ("POST", HANDSHAKE.into(), 2),
                ("GET", PATH.into(), 0),
                ("GET", "/engine.io/?EIO=4&transport=webtransport".into(), 0),
                ("GET", "/engine.io/?EIO=4&transport=websocket".into(), 3),
                ("GET", "/engine.io/?EIO=5&transport=polling".into(), 5),
                ("GET", format!("{HANDSHAKE}&sid=unknown"), 1),
                ("GET", made_up(&session.target()), 1),
                ("GET", format!("{HANDSHAKE}&j=0"), 3),
                ("GET", session.target().replace("EIO=4", "EIO=3"), 3),
                ("GET", session.target().replace(PATH, "/plain.io/"), 1),
            ] {
                let mut http = Http::open(server.address());
                http.ask(method, &target, "Connection: close\r\n", b"");
                if method == "HEAD" {
                    continue;
                }
                assert_eq!(
                    http.answer().refusal(),
                    (400, Some(code)),
                    "{method} {target}"
                );
            }
            assert_eq!(session.push("4x").text(), "ok", "the session lives on");
            "400"
        }
        other => panic!("it is unknown what {other:?} leads to"),
    }
}

#[test]
fn requests_lead_where_the_documented_table_says() {
    let rows = table_rows(include_str!("../src/reactor/engineio_requests.rs"));
    assert_eq!(rows.len(), 8);
    for row in rows {
        assert_eq!(try_request(row[0], row[1]), *row.last().unwrap(), "{row:?}");
    }
}

#[test]
fn a_batch_of_packets_is_a_batch_of_messages() {
    let mut server = Server::start(settings());
    let mut session = Session::open(server.address(), PATH);
    let (conn, transport) = server.opened();
    assert_eq!(transport, TransportKind::Polling);
    let expected = r#"","upgrades":["websocket"],"pingInterval":60000,"pingTimeout":60000,"maxPayload":100000}"#;
    assert_eq!(
        session.open,
        format!(r#"0{{"sid":"{}{expected}"#, session.sid)
    );
    assert_eq!(session.push("4one\x1ebAQI=\x1e4three").text(), "ok");
    for expected in [&b"one"[..], b"\x01\x02", b"three"] {
        assert_eq!(server.message(), (String::new(), expected.to_vec()));
    }
    server.send(conn, "one");
    server.send(conn, "two");
    let answer = session.poll();
    assert_eq!(answer.text(), "4one\x1e4two");
    let head = answer.head.to_ascii_lowercase();
    assert!(head.contains("cache-control: no-store\r\n"), "{head}");
    assert!(
        head.contains("content-type: text/plain; charset=utf-8\r\n"),
        "{head}"
    );
    server.close(conn, 1000, "");
    assert_eq!(session.hear(), "1");
    drop(session);
    server.rest();
}

#[test]
fn an_answer_has_at_most_sixteen_packets_and_the_end_goes_alone() {
    let mut server = Server::start(settings());
    let mut session = Session::open(server.address(), PATH);
    let (conn, _) = server.opened();
    for _ in 0..20 {
        server.send(conn, "x");
    }
    server.close(conn, 1000, "");
    server.stats_when("messages sent", |stats| stats.messages_sent_total == 20);
    for packets in [&["4x"; 16][..], &["4x"; 4], &["1"]] {
        assert_eq!(session.poll().text(), packets.join("\x1e"));
    }
    drop(session);
    server.rest();
}

#[test]
fn clients_of_revision_3_ping_and_have_their_own_payloads() {
    let mut server = Server::start(settings());
    let mut session = Session::open_v3(server.address(), PATH, "EIO=3&b64=1");
    let (conn, _) = server.opened();
    assert_eq!(session.push("6:2probe2:4x10:b4AQIDBA==").text(), "ok");
    assert_eq!(session.hear(), "3probe");
    assert_eq!(server.message().1, b"x");
    assert_eq!(server.message().1, b"\x01\x02\x03\x04");
    let frame: Arc<[u8]> = b"\x82\x02\x01\x02"[..].into();
    server.pool.send_many(&[conn], &frame).unwrap();
    assert_eq!(session.hear(), "b4AQI=");

    let mut binary = Session::open_v3(server.address(), PATH, "EIO=3");
    let (conn, _) = server.opened();
    let target = binary.target();
    let octets = "Content-Type: application/octet-stream\r\n";
    binary
        .posts
        .ask("POST", &target, octets, b"\0\x02\xff4x\x01\x02\xff\x04\x07");
    assert_eq!(binary.posts.answer().text(), "ok");
    assert_eq!(server.message().1, b"x");
    assert_eq!(server.message().1, b"\x07");
    server.pool.send_many(&[conn], &frame).unwrap();
    let answer = binary.poll();
    assert_eq!(answer.body, b"\x01\x03\xff\x04\x01\x02");
    assert!(answer.head.contains("application/octet-stream"));
    let mut websocket = binary.upgrade();
    server.pool.send_many(&[conn], &frame).unwrap();
    assert_eq!(websocket.hear(), Heard::Binary(b"\x04\x01\x02".into()));
    websocket.send("2");
    assert_eq!(websocket.text(), "3");
    drop((session, binary, websocket));
    server.pool.close();
    server.rest();
}

#[test]
fn clients_of_revision_3_stay_out_where_they_are_not_let_in() {
    let server = Server::start(Settings {
        allow_eio3: false,
        ..settings()
    });
    let mut http = Http::open(server.address());
    let answer = http.get("/engine.io/?EIO=3&transport=polling");
    assert_eq!(answer.refusal(), (400, Some(5)));
}

#[test]
fn refused_requests_are_counted_by_what_their_clients_were_told() {
    let server = Server::start(Settings {
        origins: OriginRules::new(&["https://a".to_owned()], &[]).unwrap(),
        ..settings()
    });
    let mut http = Http::open(server.address());
    for (method, target, fields) in [
        ("GET", "/engine.io/?EIO=4", ""),
        ("GET", "/engine.io/?EIO=4&transport=polling&sid=x", ""),
        ("POST", HANDSHAKE, ""),
        ("GET", "/engine.io/?EIO=4&transport=websocket", ""),
        ("GET", HANDSHAKE, "Origin: https://b\r\n"),
        ("GET", "/engine.io/?EIO=5&transport=polling", ""),
    ] {
        http.ask(method, target, fields, b"");
        assert!(http.answer().status >= 400, "{target}");
    }
    let upgrade = "/engine.io/?EIO=5&transport=websocket";
    let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    http.ask("GET", upgrade, fields, b"");
    assert_eq!(http.answer().status, 400);
    let stats = server.stats_when("refusals", |stats| {
        stats.engineio_refused_unsupported_version_total == 2
    });
    assert_eq!(
        [
            stats.engineio_refused_unknown_transport_total,
            stats.engineio_refused_unknown_sid_total,
            stats.engineio_refused_bad_method_total,
            stats.engineio_refused_bad_request_total,
            stats.engineio_refused_forbidden_total,
        ],
        [1; 5]
    );
}

#[test]
fn transports_that_are_switched_off_are_unknown() {
    let server = Server::start(Settings {
        websocket: false,
        ..settings()
    });
    let session = Session::open(server.address(), PATH);
    assert!(session.open.contains(r#""upgrades":[]"#));
    let server = Server::start(Settings {
        polling: false,
        ..settings()
    });
    let mut http = Http::open(server.address());
    assert_eq!(http.get(HANDSHAKE).refusal(), (400, Some(0)));
    let mut client = Client::open(server.address(), "/engine.io/?EIO=4&transport=websocket");
    assert!(client.text().contains(r#""upgrades":[]"#));
}

#[test]
fn one_who_does_not_poll_is_a_slow_consumer() {
    let mut server = Server::start(settings());
    let mut session = Session::open(server.address(), PATH);
    let (conn, _) = server.opened();
    for _ in 0..8 {
        server.send(conn, &"x".repeat(16 * 1_024));
    }
    server.stats_when("slow consumer", |stats| stats.slow_consumers_total == 1);
    assert_eq!(session.poll().text(), "1", "what waited is dropped");
    let (_, ended) = server.closed();
    assert_eq!((ended.code, &*ended.reason), (1013, "slow consumer"));
    assert_eq!(ended.cause, "slow_consumer");
    drop(session);
    server.rest();
}

#[test]
fn a_session_keeps_the_ping_times_that_it_was_told() {
    let short = Settings {
        ping_interval: 50,
        ping_timeout: 300,
        ..settings()
    };
    let mut server = Server::start(short);
    let [mut polling, mut websocket] = Caller::both(server.address(), PATH);
    server.pool.configure(settings()).unwrap();
    let later = Session::open(server.address(), PATH);
    assert!(
        later
            .open
            .contains(r#""pingInterval":60000,"pingTimeout":60000"#)
    );
    for caller in [&mut polling, &mut websocket] {
        for _ in 0..2 {
            assert_eq!(caller.hear(), "2");
            caller.say("3");
        }
    }
    for _ in 0..2 {
        let (_, ended) = server.closed();
        assert_eq!((ended.code, &*ended.cause), (1011, "ping_timeout"));
    }
    server.stats_when("who came later and was told other times", |stats| {
        (stats.ping_timeouts_total, stats.connections) == (2, 1)
    });
}

#[test]
fn a_poll_whose_client_goes_away_ends_the_session() {
    let mut server = Server::start(settings());
    let mut session = Session::open(server.address(), PATH);
    let (conn, _) = server.opened();
    session.begin_poll();
    assert_eq!(session.push("4x").text(), "ok");
    session.polls = Http::open(server.address());
    let (whose, ended) = server.closed();
    assert_eq!(
        (whose, ended.code, ended.initiator),
        (conn, 1006, Initiator::Network)
    );
    assert_eq!(session.poll().refusal(), (400, Some(1)));
    drop(session);
    server.rest();
}

#[test]
fn a_body_that_is_too_large_ends_the_session() {
    let mut server = Server::start(settings());
    let mut session = Session::open(server.address(), PATH);
    session.begin_poll();
    assert_eq!(session.push(&"4".repeat(100_001)).status, 413);
    assert_eq!(session.polls.answer().text(), "1");
    let (_, ended) = server.closed();
    assert_eq!((ended.code, &*ended.cause), (1009, "protocol_error"));
    drop(session);
    server.rest();
}

#[test]
fn packets_are_never_taken_from_two_requests_at_once() {
    let mut server = Server::start(settings());
    let mut session = Session::open(server.address(), PATH);
    session.begin_poll();
    let mut slow = connect(server.address());
    let target = session.target();
    let half = format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n4");
    slow.write_all(half.as_bytes()).unwrap();
    server.stats_when("half a request", |stats| stats.input_bytes > 0);
    assert_eq!(session.push("4x").status, 400);
    assert_eq!(session.polls.answer().text(), "1");
    let (_, ended) = server.closed();
    assert_eq!((ended.code, &*ended.cause), (1002, "protocol_error"));
    drop((session, slow));
    server.rest();
}

#[test]
fn what_is_no_payload_is_answered_400_and_ends_the_session() {
    let mut server = Server::start(settings());
    for body in ["", "9", "4x\x1e", "b?", "2", "0", "5", "4x\x1e\x1e4y"] {
        let mut session = Session::open(server.address(), PATH);
        session.begin_poll();
        assert_eq!(session.push(body).refusal(), (400, Some(3)), "{body:?}");
        assert_eq!(session.polls.answer().text(), "1", "{body:?}");
        let (_, ended) = server.closed();
        assert_eq!((ended.code, &*ended.cause), (1002, "protocol_error"));
    }
    server.rest();
}

#[test]
fn sessions_without_sockets_count_towards_the_limit() {
    let mut server = Server::start(Settings {
        max_connections: 3,
        ..settings()
    });
    let mut http = Http::open(server.address());
    for _ in 0..3 {
        assert_eq!(http.get(HANDSHAKE).status, 200);
    }
    assert_eq!(http.get(HANDSHAKE).status, 503);
    let (conn, _) = server.opened();
    server.close(conn, 1000, "");
    assert_eq!(
        server.closed().0,
        conn,
        "it is not polled, and given up in time"
    );
    assert_eq!(http.get(HANDSHAKE).status, 200);
}
