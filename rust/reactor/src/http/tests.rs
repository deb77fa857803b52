use std::net::SocketAddr;
use std::sync::Arc;

use dscore_traffic::command::Response;
use dscore_traffic::event::Ends;
use dscore_traffic::{ConnId, Endpoint};

use super::peer::{Became, HttpPeer, State};
use crate::dialect::sid::Sid;
use crate::engineio_request::EngineIoRequest;
use crate::pacer::Turn;
use crate::testing::{Bench, CONN, table_rows};

/// What the app answers, and what an Engine.IO session does.
const TARGETS: [&str; 2] = ["/", "/engine.io/?EIO=4&transport=polling"];

const OTHER: ConnId = ConnId::from_u64(2);

fn ends() -> Ends {
    Ends::plain(
        SocketAddr::from(([127, 0, 0, 1], 1)),
        SocketAddr::from(([127, 0, 0, 1], 80)),
    )
}

fn request(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
}

fn post(target: &str, length: usize) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n")
}

fn in_state(state: &str, target: &str, bench: &mut Bench) -> HttpPeer {
    let address = ends();
    let mut peer = HttpPeer::new(address, false, &mut bench.cx);
    match state {
        "reading" => hears(&mut peer, &format!("GET {target} HTTP"), bench),
        "reading body" => hears(&mut peer, &post(target, 1), bench),
        "closing" => hears(&mut peer, "nonsense\r\n\r\n", bench),
        "queued" => {
            // The one turn that there is has gone to another.
            Arc::make_mut(&mut bench.cx.settings).accept_rate = 0.1;
            assert_eq!(bench.cx.ask_for_turn(OTHER), Turn::Go);
            hears(&mut peer, &request(TARGETS[1]), bench);
        }
        _ => {
            hears(&mut peer, &request(target), bench);
            if state != "asked" {
                peer.respond(&response(state == "answering"), &mut bench.cx);
            }
        }
    }
    peer
}

fn hears(peer: &mut HttpPeer, input: &str, bench: &mut Bench) {
    let upgraded = peer.on_data(CONN, input.as_bytes(), &mut bench.cx);
    assert!(upgraded.is_none());
}

fn response(more: bool) -> Response {
    Response {
        status: 200,
        headers: vec![],
        body: b"x".to_vec(),
        more,
        notify: false,
    }
}

fn state(peer: &HttpPeer) -> &'static str {
    match peer.state {
        State::Reading if peer.is_idle() => "idle",
        State::Reading => "reading",
        State::ReadingBody(_) => "reading body",
        State::Asked(..) => "asked",
        State::Answering(_) => "answering",
        State::Closing { .. } => "closing",
        State::Queued { .. } => "queued",
    }
}

/// Where the event of this column leads, in the words of the table.
fn next(from: &str, target: &str, column: usize) -> &'static str {
    let mut bench = Bench::new();
    let mut peer = in_state(from, target, &mut bench);
    assert_eq!(state(&peer), from);
    match column {
        1 => {
            let rest = match from {
                "reading" => "/1.1\r\nHost: x\r\n\r\n",
                "reading body" => "x",
                _ => &request(target),
            };
            hears(&mut peer, rest, &mut bench);
        }
        2 => peer.respond(&response(true), &mut bench.cx),
        3 => peer.respond(&response(false), &mut bench.cx),
        4 => peer.respond_more(b"x", true, &mut bench.cx),
        5 => peer.respond_more(b"x", false, &mut bench.cx),
        7 => {
            peer.on_end(CONN, &mut bench.cx);
            hears(&mut peer, "", &mut bench);
            if peer.is_exhausted() && state(&peer) == from {
                return "given up";
            }
        }
        _ if peer.deadline() == u64::MAX => return "—",
        _ => {
            bench.pass(peer.deadline() - bench.cx.now_ms);
            if peer.on_timer(CONN, &mut bench.cx) {
                return "given up";
            }
        }
    }
    state(&peer)
}

#[test]
fn states_follow_each_other_as_the_documented_table_says() {
    let rows = table_rows(include_str!("peer.rs"));
    assert_eq!(rows.len(), 7);
    for row in rows {
        for (column, expected) in row.iter().enumerate().skip(1) {
            for target in TARGETS {
                let next = next(row[0], target, column);
                assert_eq!(next, *expected, "{row:?}, column {column}, {target}");
            }
        }
    }
}

#[test]
fn a_client_that_sends_no_more_has_gone_when_the_app_was_silent_for_too_long() {
    let mut bench = Bench::new();
    let patience = bench.cx.settings.keep_alive_timeout;
    let mut peer = in_state("answering", "/", &mut bench);
    peer.on_end(CONN, &mut bench.cx);
    assert!(!peer.wants_read(false), "the end would be ready for ever");
    for _ in 0..3 {
        bench.pass(patience - 1);
        assert!(!peer.on_timer(CONN, &mut bench.cx));
        peer.respond_more(b"x", true, &mut bench.cx);
    }
    bench.pass(patience);
    assert!(peer.on_timer(CONN, &mut bench.cx));
}

#[test]
fn a_refused_upgrade_keeps_nothing_of_what_came_with_it() {
    let mut bench = Bench::new();
    let mut peer = in_state("closing", "/", &mut bench);
    assert!(peer.input.is_empty());
    let address = ends();
    peer = HttpPeer::new(address, false, &mut bench.cx);
    hears(
        &mut peer,
        "GET /ws HTTP/1.1\r\nHost: x\r\n\r\nand much more",
        &mut bench,
    );
    assert_eq!((state(&peer), peer.input.len()), ("closing", 0));
}

#[test]
fn a_session_is_asked_when_its_request_is_complete_and_the_app_is_not() {
    let mut bench = Bench::new();
    let target = TARGETS[1];
    let mut peer = in_state("reading body", target, &mut bench);
    assert!(bench.cx.requests.is_empty());
    hears(&mut peer, "x", &mut bench);
    let asked = bench.cx.requests.pop_front();
    let Some(EngineIoRequest::Http(Endpoint::PlainEngineIo, request)) = asked else {
        panic!("{asked:?}");
    };
    // It names no session that could take its packets, so they are not kept.
    assert_eq!((&*request.target, &*request.body), (target, &b""[..]));
    assert!(bench.told().is_empty());
    assert!(!peer.is_asked(), "the app has nothing to abandon");
}

#[test]
fn a_sessions_body_that_is_too_large_is_the_sessions_to_refuse() {
    for too_large in [
        post(TARGETS[1], 1_001),
        format!(
            "POST {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{}",
            TARGETS[1],
            "x".repeat(1_001)
        ),
    ] {
        let mut bench = Bench::new();
        let mut peer = in_state("reading", TARGETS[1], &mut bench);
        peer.input.clear();
        hears(&mut peer, &too_large, &mut bench);
        assert_eq!(state(&peer), "asked");
        let asked = bench.cx.requests.pop_front();
        assert!(
            matches!(asked, Some(EngineIoRequest::TooBig(_))),
            "{asked:?}"
        );
        peer.respond(&response(false), &mut bench.cx);
        assert_eq!(state(&peer), "closing", "the body is not read");
    }
}

#[test]
fn a_session_hears_of_a_request_that_comes_and_of_its_breaking_off() {
    let sid = Sid {
        conn: CONN,
        secret: [7; 16],
    };
    let target = format!("{}&sid={sid}", TARGETS[1]);
    for way in ["gone", "too late", "nonsense"] {
        let mut bench = Bench::new();
        let mut peer = in_state("reading", &target, &mut bench);
        peer.input.clear();
        let head =
            format!("POST {target} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        hears(&mut peer, &head, &mut bench);
        let coming = bench.cx.requests.pop_front();
        assert!(
            matches!(coming, Some(EngineIoRequest::Coming { sid: whose, .. }) if whose == sid),
            "{coming:?}"
        );
        match way {
            "gone" => peer.release(CONN, &mut bench.cx),
            "too late" => {
                bench.pass(peer.deadline() - bench.cx.now_ms);
                assert!(!peer.on_timer(CONN, &mut bench.cx));
            }
            _ => hears(&mut peer, "no chunk\r\n", &mut bench),
        }
        let cut = bench.cx.requests.pop_front();
        assert!(
            matches!(cut, Some(EngineIoRequest::Cut(whose)) if whose == sid),
            "{way}: {cut:?}"
        );
    }
}

#[test]
fn a_request_for_another_reactors_session_leaves_with_all_that_came() {
    let mut bench = Bench::new();
    bench.cx.reactors = 2;
    let sid = Sid {
        conn: ConnId::new(1, 3, 1),
        secret: [7; 16],
    };
    let request = post(&format!("{}&sid={sid}", TARGETS[1]), 2) + "4x";
    for at in 0..request.len() {
        let address = ends();
        let mut peer = HttpPeer::new(address, true, &mut bench.cx);
        let (before, after) = request.as_bytes().split_at(at);
        let became = match peer.on_data(CONN, before, &mut bench.cx) {
            None => peer.on_data(CONN, after, &mut bench.cx),
            // The rest is read by the reactor that has the socket then.
            became => became,
        };
        assert!(matches!(became, Some(Became::Elsewhere(1))), "cut at {at}");
        assert!(request.as_bytes().starts_with(&peer.take_input()));
        assert_eq!(peer.origin(), (address, true));
        assert!(bench.cx.requests.is_empty() && bench.cx.out.is_empty());
    }
}

#[test]
fn a_websocket_for_a_session_waits_for_it_and_one_for_none_is_refused() {
    for (query, expected) in [
        ("EIO=4&transport=websocket&sid=x", "upgrade"),
        ("EIO=4&transport=polling", "Transport unknown"),
        ("EIO=5&transport=websocket", "Unsupported protocol version"),
    ] {
        let mut bench = Bench::new();
        let address = ends();
        let mut peer = HttpPeer::new(address, false, &mut bench.cx);
        let upgrade = format!(
            "GET /engine.io/?{query} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        hears(&mut peer, &upgrade, &mut bench);
        let asked = bench.cx.requests.pop_front();
        if expected == "upgrade" {
            assert_eq!((state(&peer), &*bench.written()), ("asked", ""));
            assert!(
                matches!(asked, Some(EngineIoRequest::Upgrade { sid: None, .. })),
                "{asked:?}"
            );
        } else {
            assert_eq!(state(&peer), "closing");
            assert!(bench.written().contains(expected));
        }
    }
}
