use std::net::SocketAddr;
use std::sync::Arc;

use dscore_traffic::command::Response;
use dscore_traffic::event::{Ends, Event};

use super::super::body::MAX_PART;
use super::super::peer::HttpPeer;
use crate::settings::GuestSettings;
use crate::testing::{Bench, CONN, table_rows};

const POST: &str = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n";

fn bench() -> Bench {
    let mut bench = Bench::new();
    Arc::make_mut(&mut bench.cx.settings).guest = GuestSettings {
        is_there: true,
        whole_bodies: vec![],
        max_upload_size: 1 << 20,
    };
    bench
}

/// A request whose head has come.
fn uploading(fields: &str, bench: &mut Bench) -> HttpPeer {
    let local = SocketAddr::from(([127, 0, 0, 1], 80));
    let mut peer = HttpPeer::new(Ends::plain(local, local), false, &mut bench.cx);
    hears(&mut peer, &format!("{POST}{fields}\r\n"), bench);
    assert!(matches!(&bench.told()[..], [Event::HttpRequest(request)] if request.more));
    peer
}

fn hears(peer: &mut HttpPeer, input: &str, bench: &mut Bench) {
    assert!(
        peer.on_data(CONN, input.as_bytes(), &mut bench.cx)
            .is_none()
    );
}

fn in_state(state: &str, bench: &mut Bench) -> HttpPeer {
    let mut peer = uploading("", bench);
    match state {
        "filling" => hears(&mut peer, "1\r\nx\r\n", bench),
        "waiting" => peer.read_body(CONN, &mut bench.cx),
        "whole" => hears(&mut peer, "1\r\nx\r\n0\r\n\r\n", bench),
        _ => {}
    }
    peer
}

fn state(peer: &HttpPeer, bench: &mut Bench) -> &'static str {
    if bench
        .told()
        .iter()
        .any(|event| matches!(event, Event::HttpGone(CONN)))
    {
        return "lost";
    }
    match &peer.upload {
        None => "over",
        Some(upload) if upload.reader.done() => "whole",
        Some(upload) if upload.is_asked => "waiting",
        Some(upload) if upload.part.is_empty() => "empty",
        Some(_) => "filling",
    }
}

fn next(from: &str, column: usize) -> &'static str {
    let mut bench = bench();
    let mut peer = in_state(from, &mut bench);
    assert_eq!(state(&peer, &mut bench), from);
    match column {
        1 => peer.read_body(CONN, &mut bench.cx),
        2 => hears(&mut peer, "1\r\ny\r\n", &mut bench),
        3 => hears(&mut peer, "1\r\ny\r\n0\r\n\r\n", &mut bench),
        4 => hears(&mut peer, "nonsense\r\n", &mut bench),
        5 if peer.deadline() == u64::MAX => return "—",
        5 => {
            bench.pass(peer.deadline() - bench.cx.now_ms);
            assert!(!peer.on_timer(CONN, &mut bench.cx));
            assert!(bench.written().starts_with("HTTP/1.1 408 "));
        }
        _ => {
            peer.on_end(CONN, &mut bench.cx);
            hears(&mut peer, "", &mut bench);
        }
    }
    state(&peer, &mut bench)
}

#[test]
fn an_upload_goes_on_as_the_documented_table_says() {
    let rows = table_rows(include_str!("../upload.rs"));
    assert_eq!(rows.len(), 4);
    for row in rows {
        for (column, expected) in row.iter().enumerate().skip(1) {
            assert_eq!(next(row[0], column), *expected, "{row:?}, column {column}");
        }
    }
}

#[test]
fn the_clients_time_counts_only_while_it_is_waited_for() {
    let mut bench = bench();
    let patience = bench.cx.settings.keep_alive_timeout;
    let mut peer = uploading("", &mut bench);
    let part = "x".repeat(MAX_PART);
    let chunk = format!("{MAX_PART:x}\r\n{part}\r\n");
    hears(&mut peer, &chunk, &mut bench);
    assert!(
        !peer.wants_read(false),
        "what is not asked for stays in the socket"
    );
    assert_eq!(peer.deadline(), u64::MAX);
    assert!(peer.held_input() >= MAX_PART);
    for _ in 0..3 {
        bench.pass(patience * 10);
        peer.read_body(CONN, &mut bench.cx);
        let told = bench.told();
        assert!(
            matches!(&told[..], [Event::BodyPart(part)] if part.more),
            "{told:?}"
        );
        assert!(peer.wants_read(false));
        assert_eq!(peer.deadline(), bench.cx.now_ms + patience);
        hears(&mut peer, &chunk, &mut bench);
    }
}

/// Sends `chunk` every `every_ms` until it is late or `for_ms` are over; returns how long it was not.
fn trickled(every_ms: u64, chunk: &str, for_ms: u64) -> u64 {
    let mut bench = bench();
    let mut peer = uploading("", &mut bench);
    let begun = bench.cx.now_ms;
    while bench.cx.now_ms - begun < for_ms {
        peer.read_body(CONN, &mut bench.cx);
        let next = bench.cx.now_ms + every_ms;
        if peer.deadline() < next {
            bench.pass(peer.deadline() - bench.cx.now_ms);
            assert!(!peer.on_timer(CONN, &mut bench.cx));
            assert!(bench.written().starts_with("HTTP/1.1 408 "));
            assert_eq!(state(&peer, &mut bench), "lost");
            break;
        }
        bench.pass(every_ms);
        hears(&mut peer, chunk, &mut bench);
    }
    bench.cx.now_ms - begun
}

#[test]
fn a_body_that_trickles_is_late_and_one_that_is_slow_is_not() {
    let patience = bench().cx.settings.keep_alive_timeout;
    let every_ms = patience / 10;
    // Data, framing, an extension: each byte is worth the same.
    let extension = format!("1;{}\r\nx\r\n", "e".repeat(4));
    for chunk in ["1\r\nx\r\n", &extension] {
        let lasted = trickled(every_ms, chunk, patience * 100);
        let worth = patience * chunk.len() as u64 * 2 / every_ms;
        assert!(
            (patience..=patience + 2 * worth).contains(&lasted),
            "{lasted}"
        );
    }
    let slow = format!(
        "{:x}\r\n{:x>2$}\r\n",
        every_ms / 2,
        "",
        every_ms as usize / 2
    );
    assert_eq!(trickled(every_ms, &slow, patience * 100), patience * 100);
}

#[test]
fn much_at_once_buys_no_more_time_than_there_was() {
    let mut bench = bench();
    let patience = bench.cx.settings.keep_alive_timeout;
    let mut peer = uploading("", &mut bench);
    for _ in 0..3 {
        peer.read_body(CONN, &mut bench.cx);
        let size = MAX_PART / 2;
        let chunk = format!("{size:x}\r\n{}\r\n", "x".repeat(size));
        hears(&mut peer, &chunk, &mut bench);
        assert_eq!(peer.deadline(), bench.cx.now_ms + patience);
    }
}

#[test]
fn time_that_was_spent_stays_spent_while_the_app_is_waited_for() {
    let mut bench = bench();
    let patience = bench.cx.settings.keep_alive_timeout;
    let mut peer = uploading("Expect: 100-continue\r\n", &mut bench);
    bench.pass(patience * 10);
    peer.read_body(CONN, &mut bench.cx);
    bench.pass(patience / 2);
    // Asking again buys nothing.
    peer.read_body(CONN, &mut bench.cx);
    assert_eq!(peer.deadline(), bench.cx.now_ms + patience / 2);
}

#[test]
fn a_client_that_waits_for_100_is_not_late_before_it_has_it() {
    let mut bench = bench();
    let mut peer = uploading("Expect: 100-continue\r\n", &mut bench);
    assert_eq!((peer.deadline(), &*bench.written()), (u64::MAX, ""));
    peer.read_body(CONN, &mut bench.cx);
    assert_eq!(bench.written(), "HTTP/1.1 100 Continue\r\n\r\n");
    assert_ne!(peer.deadline(), u64::MAX);
    peer.read_body(CONN, &mut bench.cx);
    assert_eq!(bench.written(), "", "once");
}

#[test]
fn no_100_follows_what_has_come_or_an_answer_that_has_begun() {
    for has_answer in [false, true] {
        let mut bench = bench();
        let mut peer = uploading("Expect: 100-continue\r\n", &mut bench);
        if has_answer {
            let response = Response {
                status: 200,
                headers: vec![],
                body: vec![],
                more: true,
                notify: false,
            };
            peer.respond(&response, &mut bench.cx);
            assert!(bench.written().contains("Connection: close"));
        } else {
            hears(&mut peer, "1\r\nx\r\n", &mut bench);
        }
        peer.read_body(CONN, &mut bench.cx);
        assert_eq!(bench.written(), "");
    }
}

#[test]
fn an_upload_is_given_up_where_all_peers_hold_too_much() {
    for state in ["empty", "filling", "waiting", "whole"] {
        let mut bench = bench();
        let mut peer = in_state(state, &mut bench);
        peer.turn_away(CONN, &mut bench.cx);
        assert!(bench.written().starts_with("HTTP/1.1 503 "), "{state}");
        assert!(matches!(bench.told().last(), Some(Event::HttpGone(CONN))));
        assert_eq!(peer.held_input(), 0);
    }
}

#[test]
fn paths_of_ours_and_those_of_a_server_without_an_app_wait_for_their_bodies() {
    let mut bench = bench();
    let settings = Arc::make_mut(&mut bench.cx.settings);
    settings.guest.whole_bodies = vec!["/api/{id}/message".into()];
    for (path, expected) in [
        ("/", true),
        ("/api/a/message", false),
        ("/api/a%2Fb/message", false),
        ("/api//message", true),
        ("/api/a/b/message", true),
        ("/api/a/message/", true),
        ("/api/a", true),
    ] {
        assert_eq!(settings.is_streamed(path), expected, "{path}");
    }
    settings.guest.is_there = false;
    assert!(!settings.is_streamed("/"));
}
