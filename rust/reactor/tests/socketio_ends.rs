//! How Socket.IO connections end, over polling and WebSocket alike: drains, takeovers, deadlines, bad input.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod support;

use dscore_reactor::settings::Settings;
use dscore_traffic::close::Initiator;
use dscore_traffic::command::{ReactorCommand, TerminateAll};
use dscore_traffic::event::OutcomeKind;
use support::engine_io::Caller;
use support::socket_io::{AGENTS, agents, joined};
use support::{Server, settings};

fn terminate_all(server: &Server, timeout_ms: u64) {
    let order = TerminateAll {
        timeout_ms,
        notice_ms: timeout_ms,
        max_extension_ms: 0,
        reason: "Server shutting down".into(),
    };
    server
        .pool
        .command_all(|| ReactorCommand::TerminateAll(Box::new(order.clone())))
        .unwrap();
}

/// Waits for terminate_app and returns its id.
fn request_id(caller: &mut Caller) -> String {
    let packet = caller.hear();
    let rest = packet
        .strip_prefix(r#"42["terminate_app",{"request_id":""#)
        .expect(&packet);
    assert_eq!(&rest[36..], r#"","reason":"Server shutting down"}]"#);
    rest[..36].into()
}

#[test]
fn an_agent_that_disconnects_has_ended() {
    let mut server = Server::start(settings());
    for (mut caller, conn) in agents(&mut server) {
        caller.say("41");
        let (whose, ended) = server.closed();
        assert_eq!((whose, ended.initiator), (conn, Initiator::Peer));
        drop(caller);
    }
    server.rest();
}

#[test]
fn drain_3_every_agent_is_asked_in_its_dialect_and_ok_ends_it() {
    let mut server = Server::with(settings(), 2, 1_024);
    let callers = agents(&mut server);
    terminate_all(&server, 60_000);
    for (mut caller, conn) in callers {
        let id = request_id(&mut caller);
        caller.say(&format!(
            r#"42["app_terminated",{{"request_id":"{id}","status":"OK","message":"bye"}}]"#
        ));
        let outcome = server.outcome();
        assert_eq!((outcome.conn, outcome.kind), (conn, OutcomeKind::Acked));
        assert_eq!((&*outcome.message, outcome.drain), ("bye", true));
        // It is not to come back by itself.
        assert_eq!(caller.hear(), "41");
        caller.hears_end(1000, "Client terminated");
        let (_, ended) = server.closed();
        assert_eq!((ended.code, &*ended.cause), (1000, "terminated"));
    }
    server.rest();
}

#[test]
fn drain_5_the_mute_are_closed_at_their_deadline_and_may_come_back() {
    let mut server = Server::start(settings());
    let callers = agents(&mut server);
    terminate_all(&server, 50);
    for (mut caller, _) in callers {
        request_id(&mut caller);
        caller.hears_end(1001, "Server shutdown timeout");
        assert_eq!(server.outcome().kind, OutcomeKind::TimedOut);
        let (_, ended) = server.closed();
        assert_eq!((ended.code, &*ended.cause), (1001, "shutdown"));
    }
    server.rest();
}

#[test]
fn an_agent_that_polls_and_is_asked_to_terminate_may_move_before_it_answers() {
    let mut server = Server::start(settings());
    let [(polling, conn), _] = agents(&mut server);
    let Caller::Polling(mut session) = polling else {
        panic!("the first one polls");
    };
    terminate_all(&server, 60_000);
    let mut websocket = session.websocket();
    websocket.send_together(&["2probe", "5"]);
    assert_eq!(websocket.text(), "3probe");
    let mut caller = Caller::WebSocket(websocket);
    let id = request_id(&mut caller);
    caller.say(&format!(
        r#"42["app_terminated",{{"request_id":"{id}","status":"OK","message":""}}]"#
    ));
    assert_eq!(caller.hear(), "41");
    caller.hears_end(1000, "Client terminated");
    let outcome = loop {
        let outcome = server.outcome();
        if outcome.conn == conn {
            break outcome;
        }
    };
    assert_eq!(outcome.kind, OutcomeKind::Acked);
    assert_eq!(session.poll().refusal(), (400, Some(1)));
}

#[test]
fn liveness_7_takeover_closes_4409_over_either_transport() {
    let mut server = Server::start(settings());
    for (mut caller, conn) in agents(&mut server) {
        if let Caller::Polling(session) = &mut caller {
            // Most of the time there is one that waits.
            session.begin_poll();
            assert_eq!(session.push(r#"42["x"]"#).text(), "ok");
            server.close(conn, 4409, "taken over");
            assert_eq!(session.polls.answer().text(), "41");
        } else {
            server.close(conn, 4409, "taken over");
            assert_eq!(caller.hear(), "41");
        }
        caller.hears_end(4409, "taken over");
        let (whose, ended) = server.closed();
        assert_eq!((whose, ended.code), (conn, 4409));
    }
    server.rest();
}

#[test]
fn one_who_joins_nothing_is_closed() {
    let mut server = Server::start(Settings {
        connect_timeout: 50,
        ..settings()
    });
    for mut caller in Caller::both(server.address(), AGENTS) {
        caller.hears_end(1008, "no Socket.IO CONNECT in time");
        assert_eq!(server.closed().1.code, 1008);
    }
    server.rest();
}

#[test]
fn an_unauthenticated_connection_has_a_deadline_only_where_it_needs_a_token() {
    let times = Settings {
        auth_timeout: 1_000,
        ..settings()
    };
    let mut easy = Server::start(times.clone());
    let mut strict = Server::start(Settings {
        introduce_by_heartbeat: false,
        ..times
    });
    let callers = joined(&mut easy, AGENTS);
    for (mut caller, _) in joined(&mut strict, AGENTS) {
        caller.hears_end(1008, "authentication timeout");
    }
    // These came first, and their time would have been up first.
    for (mut caller, conn) in callers {
        easy.send(conn, r#"{"type":"x"}"#);
        assert_eq!(caller.hear(), r#"42["x",{}]"#);
        caller.leave();
    }
    easy.rest();
    strict.rest();
}

#[test]
fn bad_input_10_malformed_packets_end_it() {
    let mut server = Server::start(settings());
    for text in [
        "4abc",
        "42{}",
        "43x[]",
        r#"42["connect"]"#,
        "40",
        "44{}",
        r#"42/no,["x"]"#,
    ] {
        for (mut caller, _) in agents(&mut server) {
            match &mut caller {
                Caller::Polling(session) => {
                    assert_eq!(session.push(text).refusal(), (400, Some(3)), "{text}");
                }
                Caller::WebSocket(client) => {
                    client.send(text);
                    assert_eq!(client.close_frame().0, 1002, "{text}");
                }
            }
            let (_, ended) = server.closed();
            assert_eq!(
                (ended.code, &*ended.cause),
                (1002, "protocol_error"),
                "{text}"
            );
        }
    }
    server.rest();
}

#[test]
fn too_many_errors_end_it_after_the_last_was_answered() {
    let mut server = Server::start(settings());
    for (mut caller, _) in agents(&mut server) {
        for _ in 0..3 {
            caller.say(r#"42["heartbeat",{"clientName":"b"}]"#);
            assert!(caller.hear().contains("wrong_id"));
        }
        caller.hears_end(1008, "too many errors");
    }
    server.rest();
}

#[test]
fn one_who_does_not_poll_in_a_drain_has_failed() {
    let mut server = Server::start(settings());
    let [(_polling, conn), _] = agents(&mut server);
    let request = server
        .pool
        .terminate(conn, 60_000, 0, "Server shutting down")
        .unwrap();
    let long = format!(r#"{{"type":"x","long":"{}"}}"#, "x".repeat(16 * 1_024));
    for _ in 0..8 {
        server.send(conn, &long);
    }
    let outcome = server.outcome();
    assert_eq!(
        (outcome.request, outcome.kind),
        (request, OutcomeKind::Failed)
    );
    assert_eq!(outcome.message, "slow consumer");
}
