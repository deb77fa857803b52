#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;

use dscore_proto::connection::Connection;
use dscore_traffic::command::Response;
use dscore_traffic::event::Ends;

use super::*;
use crate::http::HttpPeer;
use crate::stream::Stream;
use crate::sys::Socket;
use crate::testing::{Bench, CONN};
use crate::watch::WatchChange;

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
const REQUEST: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const INTRODUCTION: &[u8] =
    br#"{"type":"app_ready","instance_id":"0b0e5c2e-7d0c-4a0e-9f5e-0123456789ab"}"#;

/// A peer, the other end of its socket, and how often epoll was told something.
struct Watched {
    bench: Bench,
    peer: Peer,
    far: UnixStream,
    client: Connection,
    begin: WatchedBy,
    calls: usize,
}

impl Watched {
    fn beginning_with(begin: WatchedBy) -> Self {
        let mut bench = Bench::new();
        let (near, far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let ends = Ends::plain(address, address);
        let http = HttpPeer::new(ends, false, &mut bench.cx);
        let peer = Peer::new(
            Stream::plain(Socket::new(near.into())),
            http,
            bench.cx.now_ms,
        );
        let mut watched = Self {
            bench,
            peer,
            far,
            client: Connection::client(7),
            begin,
            calls: 0,
        };
        watched.settle();
        watched
    }

    /// As the reactor does it.
    fn settle(&mut self) {
        self.peer.transmit(&mut self.bench.cx);
        let plan = self.peer.plan_watch(self.begin);
        self.calls += match plan.change_from(self.peer.watch()) {
            None => 0,
            Some(WatchChange::Add | WatchChange::Modify) => 1,
            Some(WatchChange::Move(_)) => 2,
        };
        self.peer.stream.as_mut().unwrap().watch = Some(plan);
    }

    /// Something comes in; the reactor reads it if it is to be read.
    fn hears(&mut self, input: &[u8]) {
        self.far.write_all(input).unwrap();
        if self.peer.wants_read() {
            let buffer = &mut [0; 4096];
            self.peer.on_readable(CONN, buffer, &mut self.bench.cx);
        } else {
            self.peer.set_unread(true);
        }
        self.settle();
    }

    fn hears_message(&mut self, text: &[u8]) {
        let mut frame = Vec::new();
        self.client.send_text(text, &mut frame).unwrap();
        self.hears(&frame);
    }

    /// The introduction that waits is answered: refused, which lets it be read again as well as any answer.
    fn is_answered(&mut self) {
        let Stage::Conversation(conversation) = &mut self.peer.stage else {
            panic!("no conversation");
        };
        conversation.identity.stay_unauthenticated();
        self.settle();
    }

    fn has(&self, by: WatchedBy, read: bool) -> bool {
        let interest = Interest { read, write: false };
        self.peer.watch() == Some(Watch { by, interest })
    }
}

#[test]
fn an_introduction_costs_one_call() {
    let mut agent = Watched::beginning_with(WatchedBy::Peers);
    agent.hears(UPGRADE.as_bytes());
    agent.hears_message(INTRODUCTION);
    assert!(
        !agent.peer.wants_read(),
        "it is held back while it is judged"
    );
    agent.is_answered();
    assert!(agent.peer.wants_read());
    assert_eq!(agent.calls, 1);
    assert!(agent.has(WatchedBy::Peers, true));
}

#[test]
fn read_interest_ends_when_input_comes_that_is_held_back() {
    let mut agent = Watched::beginning_with(WatchedBy::Peers);
    agent.hears(UPGRADE.as_bytes());
    agent.hears_message(INTRODUCTION);
    agent.hears_message(b"more");
    assert!(
        agent.has(WatchedBy::Peers, false),
        "it would be ready for ever"
    );
    agent.hears_message(b"and more");
    assert_eq!(agent.calls, 2);
    agent.is_answered();
    assert!(agent.has(WatchedBy::Peers, true));
    assert_eq!(agent.calls, 3);
}

#[test]
fn http_that_goes_on_moves_to_the_control_poller_and_a_single_request_does_not() {
    let response = Response {
        status: 200,
        headers: vec![],
        body: vec![],
        more: false,
        notify: false,
    };
    for (request, goes_on) in [
        (REQUEST.to_owned(), true),
        (REQUEST.replace("Host", "Connection: close\r\nHost"), false),
    ] {
        let mut browser = Watched::beginning_with(WatchedBy::Peers);
        browser.hears(request.as_bytes());
        let Stage::Http(http) = &mut browser.peer.stage else {
            panic!("no HTTP");
        };
        http.respond(&response, &mut browser.bench.cx);
        browser.settle();
        let by = if goes_on {
            WatchedBy::Control
        } else {
            WatchedBy::Peers
        };
        assert!(browser.has(by, true), "{request}");
        assert_eq!(browser.calls, if goes_on { 3 } else { 1 }, "{request}");
    }
}

#[test]
fn a_body_that_is_coming_moves_to_the_control_poller() {
    let mut uploader = Watched::beginning_with(WatchedBy::Peers);
    uploader.hears(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n");
    assert!(uploader.has(WatchedBy::Control, true));
}

#[test]
fn what_begins_in_the_control_poller_leaves_it_as_a_websocket() {
    let mut agent = Watched::beginning_with(WatchedBy::Control);
    assert!(agent.has(WatchedBy::Control, true));
    agent.hears(UPGRADE.as_bytes());
    assert!(agent.has(WatchedBy::Peers, true));
    assert_eq!(agent.calls, 3);
}
