use dscore_proto::connection::{Connection, Role};
use dscore_proto::engineio::Revision;

use super::*;
use crate::conversation::transport::{Polling, Waiting};
use crate::testing::{Bench, CONN, table_rows};

const CLOSE: &[u8] = b"\x88\x80\0\0\0\0";
const UNKNOWN_OPCODE: &[u8] = b"\x83\x80\0\0\0\0";

fn close_frame() -> CloseFrame {
    CloseFrame::new(CloseCode::NORMAL, "", "")
}

fn hears(peer: &mut Conversation, frame: &[u8], bench: &mut Bench) {
    peer.on_data(CONN, &mut frame.to_vec(), &mut bench.cx);
}

fn in_phase(phase: &str, endpoint: Endpoint, bench: &mut Bench) -> Conversation {
    let transport = Transport::WebSocket(Connection::new(Role::Server));
    let mut peer = Conversation::new(endpoint, transport, Dialect::Raw, &mut bench.cx);
    match phase {
        "open" => {}
        "closing" => peer.close(&close_frame(), &mut bench.cx),
        _ => hears(&mut peer, UNKNOWN_OPCODE, bench),
    }
    if phase == "failed" {
        peer.release(&mut bench.cx);
    }
    peer
}

fn phase(peer: &Conversation) -> &'static str {
    match (peer.withholds_close(), peer.is_failed(), peer.is_closed()) {
        (true, false, false) => "withholding",
        (false, true, false) => "failed",
        (false, false, true) => "closed",
        (false, false, false) if peer.is_open() => "open",
        (false, false, false) => "closing",
        both => panic!("two phases at once: {both:?}"),
    }
}

/// Where the event of this column leads, in the words of the table.
fn next(from: &str, column: usize, endpoint: Endpoint) -> &'static str {
    let mut bench = Bench::new();
    let mut peer = in_phase(from, endpoint, &mut bench);
    assert_eq!(phase(&peer), from);
    match column {
        1 => peer.close(&close_frame(), &mut bench.cx),
        2 => hears(&mut peer, CLOSE, &mut bench),
        3 => hears(&mut peer, UNKNOWN_OPCODE, &mut bench),
        4 => peer.release(&mut bench.cx),
        _ => {
            let seen = bench.cx.now_ms;
            bench.pass(peer.next_deadline(seen, &bench.cx.settings) - seen);
            // Silence for the whole time that is allowed: a ping that is due is not the end of it.
            if from == "open" {
                bench.pass(bench.cx.settings.ping_times().silence_limit());
            }
            if peer.on_timer(CONN, seen, &mut bench.cx) {
                return "given up";
            }
        }
    }
    phase(&peer)
}

#[test]
fn phases_follow_each_other_as_the_documented_table_says() {
    let rows = table_rows(include_str!("mod.rs"));
    assert_eq!(rows.len(), 4);
    for row in rows {
        for (column, expected) in row.iter().enumerate().skip(1) {
            for endpoint in [Endpoint::Raw, Endpoint::Plain] {
                let expected = match *expected {
                    "failed, or withholding" if endpoint == Endpoint::Plain => "withholding",
                    "failed, or withholding" => "failed",
                    always => always,
                };
                if row[0] != "withholding" || endpoint == Endpoint::Plain {
                    let next = next(row[0], column, endpoint);
                    assert_eq!(next, expected, "{row:?}, column {column}, {endpoint:?}");
                }
            }
        }
    }
}

#[test]
fn one_given_up_for_not_reading_is_a_slow_consumer_counted_once() {
    for (from, counted) in [("open", 1), ("closing", 0)] {
        let mut bench = Bench::new();
        let mut peer = in_phase(from, Endpoint::Raw, &mut bench);
        peer.give_up_slow_consumer(&mut bench.cx);
        peer.give_up_slow_consumer(&mut bench.cx);
        assert_eq!(bench.cx.stats.slow_consumers_total, counted, "{from}");
    }
}

fn polling(bench: &mut Bench) -> Conversation {
    let endpoint = Endpoint::PlainEngineIo;
    let poll = Waiting {
        http: CONN,
        headers: vec![],
    };
    let transport = Transport::Polling(Box::new(Polling::new(Revision::V4, false, poll)));
    let dialect = Dialect::new(endpoint, Revision::V4, 0, &bench.cx.settings);
    Conversation::new(endpoint, transport, dialect, &mut bench.cx)
}

#[test]
fn a_session_that_polls_is_closed_as_soon_as_we_have_closed_it() {
    let mut bench = Bench::new();
    let mut peer = polling(&mut bench);
    assert_eq!(phase(&peer), "open");
    peer.close(&close_frame(), &mut bench.cx);
    assert_eq!(
        (phase(&peer), &*bench.said()),
        ("closed", &["1".to_owned()][..])
    );
    let mut peer = polling(&mut bench);
    peer.leave(&mut bench.cx);
    assert_eq!((phase(&peer), bench.said().len()), ("closed", 0));
}

#[test]
fn a_session_that_polls_is_given_up_in_silence_unless_a_poll_waits_for_the_news() {
    for is_asked in [true, false] {
        let mut bench = Bench::new();
        let mut peer = polling(&mut bench);
        if let Some(polling) = peer.transport.polling().filter(|_| !is_asked) {
            polling.poll = None;
        }
        let seen = bench.cx.now_ms;
        bench.pass(bench.cx.settings.ping_times().silence_limit());
        let given_up = peer.on_timer(CONN, seen, &mut bench.cx);
        assert_eq!(given_up, !is_asked);
    }
}

#[test]
fn a_session_keeps_the_ping_times_that_it_was_told() {
    let mut bench = Bench::new();
    let mut peer = polling(&mut bench);
    let (seen, told) = (bench.cx.now_ms, bench.cx.settings.ping_times());
    let mut settings = Settings::clone(&bench.cx.settings);
    (settings.ping_interval, settings.ping_timeout) = (1, 1);
    bench.cx.configure(std::sync::Arc::new(settings));
    assert_eq!(
        peer.next_deadline(seen, &bench.cx.settings),
        seen + told.interval
    );
    bench.pass(told.interval);
    assert!(!peer.on_timer(CONN, seen, &mut bench.cx));
    assert_eq!(bench.said(), ["2"]);
    assert_eq!(
        peer.next_deadline(seen, &bench.cx.settings),
        seen + told.silence_limit()
    );
}

#[test]
fn one_is_told_not_to_come_back_where_it_is_not_to() {
    for (code, reason, is_told) in [
        (CloseCode::NORMAL, "", true),
        (CloseCode::TAKEN_OVER, "", true),
        (CloseCode::POLICY, "authentication failed", true),
        (CloseCode::POLICY, "removed by an operator", true),
        (CloseCode::POLICY, "authentication timeout", false),
        (CloseCode::POLICY, "too many errors", false),
        (CloseCode::POLICY, "too many messages", false),
        (CloseCode::POLICY, "", false),
        (CloseCode::GOING_AWAY, "", false),
        (CloseCode::INTERNAL, "", false),
        (CloseCode::TRY_AGAIN_LATER, "", false),
    ] {
        let mut bench = Bench::new();
        let endpoint = Endpoint::SocketIo;
        let transport = Transport::WebSocket(Connection::new(Role::Server));
        let dialect = Dialect::new(endpoint, Revision::V4, 0, &bench.cx.settings);
        let mut peer = Conversation::new(endpoint, transport, dialect, &mut bench.cx);
        hears(&mut peer, b"\x81\x82\0\0\0\x0040", &mut bench);
        bench.said();
        peer.close(&CloseFrame::new(code, reason, ""), &mut bench.cx);
        let said = bench.said();
        assert_eq!(said[0] == "41", is_told, "{code:?} {reason}: {said:?}");
    }
}

#[test]
fn what_an_app_has_not_received_is_held_input() {
    let mut bench = Bench::new();
    let mut peer = in_phase("open", Endpoint::Guest, &mut bench);
    let message = [&[0x82, 0xfe, 3, 0, 0, 0, 0, 0][..], &[0; 768]].concat();
    hears(&mut peer, &message, &mut bench);
    assert_eq!(peer.held_input(), 0, "the app may have it by now");
    let mut fill = |peer: &mut Conversation| {
        while peer.wants_read() {
            hears(peer, &message, &mut bench);
        }
        peer.held_input()
    };
    assert!(fill(&mut peer) >= 64 * 1024);
    peer.read_on();
    assert_eq!(peer.held_input(), 0);
    assert!(fill(&mut peer) >= 64 * 1024);
    // Or others would be turned away in its place.
    peer.turn_away(&mut bench.cx);
    assert_eq!(peer.held_input(), 0);
}
