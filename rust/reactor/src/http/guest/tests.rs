use std::net::SocketAddr;
use std::sync::Arc;

use dscore_traffic::ConnId;
use dscore_traffic::command::{AcceptUpgrade, Response, ServingState};
use dscore_traffic::event::{Ends, Event};

use super::super::peer::{Became, HttpPeer};
use crate::pacer::Turn;
use crate::settings::GuestSettings;
use crate::testing::{Bench, CONN};

const UPGRADE: &str = "GET /guest HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
     Sec-WebSocket-Protocol: one, two\r\n\r\n";

fn bench() -> Bench {
    let mut bench = Bench::new();
    Arc::make_mut(&mut bench.cx.settings).guest = GuestSettings {
        is_there: true,
        ..GuestSettings::default()
    };
    bench
}

fn peer(bench: &mut Bench) -> HttpPeer {
    let local = SocketAddr::from(([127, 0, 0, 1], 80));
    HttpPeer::new(Ends::plain(local, local), false, &mut bench.cx)
}

fn hears(peer: &mut HttpPeer, input: &str, bench: &mut Bench) -> Option<Became> {
    peer.on_data(CONN, input.as_bytes(), &mut bench.cx)
}

/// One whose app was asked.
fn asked(bench: &mut Bench) -> HttpPeer {
    let mut peer = peer(bench);
    assert!(hears(&mut peer, UPGRADE, bench).is_none());
    let told = bench.told();
    let [Event::HttpRequest(request)] = &told[..] else {
        panic!("{told:?}");
    };
    let offers = request.upgrade.as_deref().unwrap_or_default();
    assert_eq!(offers, ["one", "two"]);
    assert_eq!(bench.written(), "");
    peer
}

fn accept(subprotocol: Option<&str>, headers: &[(&str, &str)]) -> AcceptUpgrade {
    let field = |(name, value): &(&str, &str)| (name.as_bytes().into(), value.as_bytes().into());
    AcceptUpgrade {
        subprotocol: subprotocol.map(str::to_owned),
        headers: headers.iter().map(field).collect(),
    }
}

fn is_gone(bench: &mut Bench) -> bool {
    matches!(&bench.told()[..], [Event::HttpGone(CONN)])
}

#[test]
fn an_acceptance_makes_a_conversation_of_its_own_and_keeps_what_came() {
    let mut bench = bench();
    let mut peer = asked(&mut bench);
    assert!(hears(&mut peer, "frames", &mut bench).is_none());
    let became = peer.accept_upgrade(CONN, &accept(Some("two"), &[("x", "y")]), &mut bench.cx);
    let Some(Became::WebSocket(conversation, input, None)) = became else {
        panic!("{became:?}");
    };
    assert!(conversation.identity.is_guest() && conversation.identity.is_plain());
    assert_eq!(input, b"frames");
    let written = bench.written();
    assert!(written.starts_with("HTTP/1.1 101 "), "{written}");
    assert!(
        written.ends_with("\r\nSec-WebSocket-Protocol: two\r\nx: y\r\n\r\n"),
        "{written}"
    );
    let stats = &bench.cx.stats;
    assert_eq!((stats.connections, stats.guest_websockets), (0, 1));
    assert!(conversation.conclude(CONN, &mut bench.cx).is_none());
    assert_eq!(bench.cx.stats.guest_websockets, 0);
    let told = bench.told();
    assert!(
        matches!(&told[..], [Event::GuestClosed(closed)] if closed.conn == CONN),
        "{told:?}"
    );
}

#[test]
fn a_response_refuses_it_and_an_acceptance_comes_too_late_then() {
    let mut bench = bench();
    let mut peer = asked(&mut bench);
    let response = Response {
        status: 403,
        headers: vec![],
        body: vec![],
        more: false,
        notify: false,
    };
    peer.respond(&response, &mut bench.cx);
    assert!(bench.written().starts_with("HTTP/1.1 403 "));
    assert!(peer.is_idle(), "the connection goes on");
    assert!(
        peer.accept_upgrade(CONN, &accept(None, &[]), &mut bench.cx)
            .is_none()
    );
    assert_eq!(bench.written(), "");
    assert!(bench.told().is_empty());
}

#[test]
fn an_acceptance_that_cannot_be_written_is_a_500_and_told() {
    for wrong in [
        accept(Some("three"), &[]),
        accept(None, &[("x", "a\r\nb: c")]),
        accept(None, &[("SEC-WebSocket-Extensions", "permessage-deflate")]),
        accept(None, &[("transfer-encoding", "chunked")]),
    ] {
        let mut bench = bench();
        let mut peer = asked(&mut bench);
        assert!(peer.accept_upgrade(CONN, &wrong, &mut bench.cx).is_none());
        assert!(bench.written().starts_with("HTTP/1.1 500 "), "{wrong:?}");
        assert!(is_gone(&mut bench));
    }
}

#[test]
fn an_app_has_the_time_of_a_handshake() {
    let mut bench = bench();
    let mut peer = asked(&mut bench);
    bench.pass(bench.cx.settings.handshake_timeout - 1);
    assert!(!peer.on_timer(CONN, &mut bench.cx));
    assert_eq!(bench.written(), "");
    bench.pass(1);
    assert!(!peer.on_timer(CONN, &mut bench.cx));
    assert!(bench.written().starts_with("HTTP/1.1 504 "));
    assert!(is_gone(&mut bench));
    assert!(
        peer.accept_upgrade(CONN, &accept(None, &[]), &mut bench.cx)
            .is_none()
    );
}

#[test]
fn a_client_that_leaves_meanwhile_is_told_of_once() {
    let mut bench = bench();
    let mut peer = asked(&mut bench);
    peer.on_end(CONN, &mut bench.cx);
    assert!(hears(&mut peer, "", &mut bench).is_none());
    assert!(is_gone(&mut bench));
    peer.release(CONN, &mut bench.cx);
    assert!(bench.told().is_empty());
}

#[test]
fn in_a_drain_it_is_accepted_without_the_app_and_turned_away() {
    let mut bench = bench();
    bench.cx.serving = ServingState::Draining;
    let mut peer = peer(&mut bench);
    let became = hears(&mut peer, UPGRADE, &mut bench);
    let Some(Became::WebSocket(_, _, Some("Server shutting down"))) = became else {
        panic!("{became:?}");
    };
    assert!(bench.told().is_empty());
    assert!(
        bench
            .written()
            .contains("\r\nSec-WebSocket-Protocol: one\r\n")
    );
    // One that the app was asked about before the drain fares no better.
    bench.cx.serving = ServingState::Open;
    let mut peer = asked(&mut bench);
    bench.cx.serving = ServingState::Draining;
    let became = peer.accept_upgrade(CONN, &accept(None, &[]), &mut bench.cx);
    assert!(matches!(
        became,
        Some(Became::WebSocket(_, _, Some("Server shutting down")))
    ));
}

#[test]
fn maintenance_is_no_business_of_a_guest() {
    let mut bench = bench();
    bench.cx.serving = ServingState::Maintenance;
    let mut peer = asked(&mut bench);
    let became = peer.accept_upgrade(CONN, &accept(None, &[]), &mut bench.cx);
    assert!(matches!(became, Some(Became::WebSocket(_, _, None))));
}

#[test]
fn it_waits_for_its_turn_as_every_upgrade_does() {
    let mut bench = bench();
    Arc::make_mut(&mut bench.cx.settings).accept_rate = 0.1;
    assert_eq!(bench.cx.ask_for_turn(ConnId::from_u64(2)), Turn::Go);
    let mut peer = peer(&mut bench);
    assert!(hears(&mut peer, UPGRADE, &mut bench).is_none());
    assert!(bench.told().is_empty());
    peer.take_turn();
    assert!(hears(&mut peer, "", &mut bench).is_none());
    assert!(matches!(&bench.told()[..], [Event::HttpRequest(_)]));
}

#[test]
fn without_a_guest_and_for_other_protocols_it_is_a_request() {
    for (has_guest, head) in [
        (false, UPGRADE.to_owned()),
        (true, UPGRADE.replace("websocket\r\n", "h2c\r\n")),
    ] {
        let mut bench = bench();
        Arc::make_mut(&mut bench.cx.settings).guest.is_there = has_guest;
        let mut peer = peer(&mut bench);
        assert!(hears(&mut peer, &head, &mut bench).is_none());
        let told = bench.told();
        let is_plain = |request: &dscore_traffic::event::HttpRequest| request.upgrade.is_none();
        assert!(
            matches!(&told[..], [Event::HttpRequest(request)] if is_plain(request)),
            "{told:?}"
        );
    }
}
