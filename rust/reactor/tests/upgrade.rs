//! Sockets that change hands: between reactors, and from HTTP to a session; and who is let in meanwhile.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::time::Instant;

use dscore_reactor::settings::Settings;
use dscore_traffic::close::Initiator;
use dscore_traffic::command::{ReactorCommand, ServingState};
use dscore_traffic::event::Event;
use support::engine_io::{Caller, Http, Session};
use support::{Client, PATIENCE, Server, settings};

const PATH: &str = "/engine.io/";
const HANDSHAKE: &str = "/engine.io/?EIO=4&transport=polling";

#[test]
fn any_connection_of_any_reactor_serves_a_session() {
    let mut server = Server::with(settings(), 2, 1_024);
    let address = server.address();
    let mut sessions: Vec<_> = (0..4).map(|_| Session::open(address, PATH)).collect();
    let conns: Vec<_> = sessions.iter().map(|_| server.opened().0).collect();
    let reactors = |number| conns.iter().any(|conn| conn.reactor() == number);
    assert!(reactors(0) && reactors(1), "{conns:?}");
    // Each of these goes from session to session, and so from reactor to reactor.
    let mut one_for_all: Vec<_> = (0..2).map(|_| Http::open(address)).collect();
    for round in 0..3 {
        for session in &sessions {
            for http in &mut one_for_all {
                let body = format!("4{round}");
                http.ask("POST", &session.target(), "", body.as_bytes());
                assert_eq!(http.answer().text(), "ok");
                assert_eq!(server.message().1, &body.as_bytes()[1..]);
            }
        }
    }
    // Those who wait for their session wait where it is.
    for conn in &conns {
        server.send(*conn, &conn.to_u64().to_string());
    }
    let mut heard: Vec<u64> = sessions
        .iter()
        .map(|session| {
            one_for_all[0].get(&session.target()).text()[1..]
                .parse()
                .unwrap()
        })
        .collect();
    heard.sort_unstable();
    let mut expected: Vec<u64> = conns.iter().map(|conn| conn.to_u64()).collect();
    expected.sort_unstable();
    assert_eq!(heard, expected);
    for session in &mut sessions {
        assert_eq!(session.push("1").text(), "ok");
    }
    drop((sessions, one_for_all));
    server.rest();
}

#[test]
fn a_websocket_takes_over_with_all_that_was_sent_behind_the_upgrade() {
    for reactors in [1, 2] {
        let mut server = Server::with(settings(), reactors, 1_024);
        let mut websockets = Vec::new();
        for _ in 0..4 {
            let mut session = Session::open(server.address(), PATH);
            let (conn, _) = server.opened();
            let mut websocket = session.websocket();
            session.begin_poll();
            websocket.send("2probe");
            assert_eq!(websocket.text(), "3probe");
            assert_eq!(session.polls.answer().text(), "6", "it need not wait");
            assert_eq!(session.poll().text(), "6", "nor does another");
            server.send(conn, "said meanwhile");
            websocket.send_together(&["5", "4behind", "4it"]);
            for expected in ["behind", "it"] {
                let (whose, data) = server.wait("message", |event| match event {
                    Event::Message(message) => Some((message.conn, message.data.to_vec())),
                    _ => None,
                });
                assert_eq!((whose, &*data), (conn, expected.as_bytes()));
            }
            assert_eq!(websocket.text(), "4said meanwhile");
            server.send(conn, "and now");
            assert_eq!(websocket.text(), "4and now");
            assert_eq!(session.poll().refusal(), (400, Some(3)), "it polls no more");
            websockets.push(websocket);
        }
        let stats = server.stats_when("conversations", |stats| stats.http_connections == 0);
        assert_eq!(stats.connections, 4);
        for websocket in &mut websockets {
            websocket.close(1000, "done");
            assert_eq!(websocket.close_frame().0, 1000);
            let (_, ended) = server.closed();
            assert_eq!((&*ended.reason, ended.initiator), ("done", Initiator::Peer));
        }
        server.rest();
    }
}

#[test]
fn what_is_closed_in_the_middle_of_an_upgrade_is_closed_when_it_is_made() {
    let mut server = Server::start(settings());
    let session = Session::open(server.address(), PATH);
    let (conn, _) = server.opened();
    let mut websocket = session.websocket();
    websocket.send("2probe");
    assert_eq!(websocket.text(), "3probe");
    server.send(conn, "the last");
    server.close(conn, 4409, "taken over");
    // The client polls no more, and says that the upgrade is made; the close is known by then.
    server
        .pool
        .command_all(|| ReactorCommand::ReadLastSeen {
            number: 0,
            conns: None,
        })
        .unwrap();
    server.wait("the answer to what came after the close", |event| {
        matches!(event, Event::LastSeen(_)).then_some(())
    });
    websocket.send("5");
    assert_eq!(websocket.text(), "4the last");
    assert_eq!(websocket.text(), "1");
    assert_eq!(websocket.close_frame(), (4409, "taken over".to_owned()));
    let (_, ended) = server.closed();
    assert_eq!((ended.code, ended.initiator), (4409, Initiator::Server));
    drop(session);
    server.rest();
}

#[test]
fn a_poll_that_waits_is_freed_when_the_websocket_does_not_wait_for_it() {
    let mut server = Server::start(settings());
    let mut session = Session::open(server.address(), PATH);
    let mut websocket = session.websocket();
    session.begin_poll();
    assert_eq!(session.push("4x").text(), "ok");
    websocket.send_together(&["2probe", "5", "4y"]);
    assert_eq!(websocket.text(), "3probe");
    assert_eq!(session.polls.answer().text(), "6");
    assert_eq!(server.message().1, b"x");
    assert_eq!(server.message().1, b"y");
    drop((session, websocket));
    assert_eq!(server.closed().1.initiator, Initiator::Network);
    server.rest();
}

#[test]
fn a_session_polls_on_when_its_upgrade_comes_to_nothing() {
    let mut server = Server::start(settings());
    let mut session = Session::open(server.address(), PATH);
    let (conn, _) = server.opened();
    for words in [
        &["2probe", "4x"][..],
        &["5"],
        &["2probe", "1"],
        &["nonsense"],
    ] {
        let mut websocket = session.websocket();
        websocket.send_together(words);
        assert_eq!(
            websocket.close_frame(),
            (1002, "no upgrade".into()),
            "{words:?}"
        );
    }
    let mut gone = session.websocket();
    gone.send("2probe");
    assert_eq!(gone.text(), "3probe");
    // One at a time: a session that is about to have a WebSocket needs no other.
    assert_eq!(
        session.websocket().close_frame(),
        (1002, "no upgrade".into())
    );
    drop(gone);
    server.stats_when("one conversation", |stats| stats.connections == 1);
    // Polls are kept waiting again as soon as it is known that the WebSocket has gone.
    let deadline = Instant::now() + PATIENCE;
    session.begin_poll();
    assert_eq!(session.push("4x").text(), "ok");
    while !session.polls.is_silent() {
        assert_eq!(session.polls.answer().text(), "6");
        assert!(Instant::now() < deadline, "no poll is kept waiting");
        session.begin_poll();
        assert_eq!(session.push("4x").text(), "ok");
    }
    server.send(conn, "still here");
    assert_eq!(session.polls.answer().text(), "4still here");
    session.upgrade();
    assert_eq!(server.closed().0, conn, "its WebSocket was dropped");
    drop(session);
    server.rest();
}

#[test]
fn a_session_that_has_moved_is_none_of_those_that_poll() {
    let mut server = Server::start(Settings {
        max_connections: 8,
        ..settings()
    });
    for _ in 0..9 {
        let websocket = Session::open(server.address(), PATH).upgrade();
        server.stats_when("one that has moved", |stats| {
            (stats.connections, stats.http_connections) == (1, 0)
        });
        drop(websocket);
        server.rest();
    }
}

#[test]
fn new_connections_find_the_door_shut_and_those_inside_go_on() {
    for (serving, reason) in [
        (ServingState::Draining, "Server shutting down"),
        (ServingState::Maintenance, "Server temporarily unavailable"),
    ] {
        let mut server = Server::start(settings());
        let mut session = Session::open(server.address(), PATH);
        let (conn, _) = server.opened();
        server
            .pool
            .command_all(|| ReactorCommand::SetServingState(serving))
            .unwrap();
        // Commands keep their order: when this was sent new connections are refused.
        server.send(conn, "shut");
        assert_eq!(session.hear(), "4shut");
        let answer = Http::open(server.address()).get(HANDSHAKE);
        assert_eq!(answer.status, 503);
        assert!(
            answer
                .head
                .to_ascii_lowercase()
                .contains("retry-after: 10\r\n")
        );
        let mut client = Client::open(server.address(), "/engine.io/?EIO=4&transport=websocket");
        assert_eq!(client.close_frame(), (1013, reason.into()));
        assert_eq!(session.push("4x").text(), "ok");
        let mut websocket = session.upgrade();
        websocket.send("4y");
        server.send(conn, "upgraded");
        assert_eq!(websocket.text(), "4upgraded");
        drop((session, client, websocket));
        server.rest();
    }
}

#[test]
fn whatever_is_still_there_when_the_pool_closes_is_told_of() {
    let mut server = Server::with(settings(), 2, 1_024);
    let callers = Caller::both(server.address(), PATH);
    let mut polled = Session::open(server.address(), PATH);
    polled.begin_poll();
    let upgraded = Session::open(server.address(), PATH).upgrade();
    for _ in 0..4 {
        server.opened();
    }
    server.pool.close();
    server.rest();
    drop((callers, polled, upgraded));
}
