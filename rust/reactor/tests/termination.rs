//! terminate_app: to one and to all, matched by connection and id, one outcome each (PROTOCOL.md §6).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::collections::HashSet;

use dscore_proto::close::CloseCode;
use dscore_traffic::ConnId;
use dscore_traffic::close::CloseFrame;
use dscore_traffic::command::{Command, ReactorCommand, TerminateAll};
use dscore_traffic::event::{Event, OutcomeKind};
use support::{Client, Server, settings};

fn terminate_all(server: &Server, timeout_ms: u64, notice_ms: u64, max_extension_ms: u64) {
    let order = TerminateAll {
        timeout_ms,
        notice_ms,
        max_extension_ms,
        reason: "Server shutting down".into(),
    };
    server
        .pool
        .command_all(|| ReactorCommand::TerminateAll(Box::new(order.clone())))
        .unwrap();
}

/// Waits for terminate_app and returns its id.
fn request_id(client: &mut Client) -> String {
    let text = client.text();
    let rest = text
        .strip_prefix(r#"{"type":"terminate_app","request_id":""#)
        .expect(&text);
    assert_eq!(&rest[36..], r#"","reason":"Server shutting down"}"#);
    rest[..36].into()
}

fn answer(client: &mut Client, request: &str, status: &str) {
    client.send(&format!(
        r#"{{"type":"app_terminated","request_id":"{request}","status":"{status}","message":"said {status}"}}"#
    ));
}

#[test]
fn drain_4_each_agent_has_its_own_id_and_ok_closes_1000_at_once() {
    let mut server = Server::with(settings(), 2, 1_024);
    // More than one slice, on two reactors.
    let mut agents: Vec<(Client, ConnId)> =
        (0..600).map(|n| server.agent(&format!("a-{n}"))).collect();
    let mut watcherless = Client::open(server.address(), "/ws");
    terminate_all(&server, 60_000, 60_000, 0);
    let mut ids = HashSet::new();
    for (client, _) in &mut agents {
        let id = request_id(client);
        answer(client, &id, "OK");
        assert!(ids.insert(id), "an id was given twice");
    }
    for (client, _) in &mut agents {
        // The very next thing: no agent was told twice.
        assert_eq!(
            client.hear(),
            support::Heard::Close(1000, "Client terminated".into())
        );
    }
    let mut acked = HashSet::new();
    for _ in &agents {
        let outcome = server.outcome();
        assert_eq!(
            (outcome.kind, &*outcome.message, outcome.drain),
            (OutcomeKind::Acked, "said OK", true)
        );
        assert!(ids.contains(&outcome.request.to_string()));
        assert!(acked.insert(outcome.conn), "one outcome for each agent");
    }
    watcherless.send(r#"{"type":"client_status_request","clientName":"x"}"#);
    assert_eq!(
        server.message().0,
        "client_status_request",
        "an unauthenticated connection is not told to terminate"
    );
    server.stats_when("terminate for each", |stats| stats.terminates_total == 600);
}

#[test]
fn drain_2_only_ok_in_capitals_ends_the_wait() {
    let mut server = Server::start(settings());
    let (mut client, conn) = server.agent("a");
    terminate_all(&server, 60_000, 60_000, 0);
    let id = request_id(&mut client);
    answer(&mut client, &id, "ok");
    let status = server.wait("answer", |event| match event {
        Event::TerminationRefused(answer) => Some(answer.status.clone()),
        _ => None,
    });
    assert_eq!(status, "ok");
    answer(&mut client, &id, "OK");
    let outcome = server.outcome();
    assert_eq!((outcome.conn, outcome.kind), (conn, OutcomeKind::Acked));
}

#[test]
fn drain_5_a_refusal_and_silence_are_both_closed_1001_and_told_apart() {
    let mut server = Server::start(settings());
    let (mut refuses, refuser) = server.agent("refuses");
    let (mut mute, _) = server.agent("mute");
    terminate_all(&server, 200, 60_000, 0);
    let id = request_id(&mut refuses);
    answer(&mut refuses, &id, "ERROR");
    request_id(&mut mute);
    for client in [&mut refuses, &mut mute] {
        assert_eq!(
            client.close_frame(),
            (1001, "Server shutdown timeout".into())
        );
    }
    for _ in 0..2 {
        let outcome = server.outcome();
        let expected = if outcome.conn == refuser {
            OutcomeKind::Failed
        } else {
            OutcomeKind::TimedOut
        };
        assert_eq!(outcome.kind, expected);
        assert!(
            outcome.latency_us >= 200_000,
            "{} µs is early",
            outcome.latency_us
        );
    }
}

#[test]
fn drain_5_an_agent_that_never_sent_app_ready_is_only_given_notice() {
    let mut server = Server::start(settings());
    let mut client = Client::open(server.address(), "/ws");
    client.send(r#"{"type":"heartbeat","clientName":"b"}"#);
    let conn = server.introduction();
    let agent_id = "b".into();
    server
        .pool
        .command(
            conn,
            Command::Accept {
                agent_id,
                replies: vec![],
                notice_only: true,
            },
        )
        .unwrap();
    terminate_all(&server, 60_000, 50, 0);
    assert_eq!(
        client.close_frame(),
        (1001, "Server shutting down gracefully".into())
    );
    assert_eq!(server.outcome().kind, OutcomeKind::Notified);
}

#[test]
fn drain_4_progress_moves_an_agents_own_deadline_but_not_past_the_latest() {
    let mut server = Server::start(settings());
    let (mut client, _) = server.agent("a");
    terminate_all(&server, 100, 60_000, 300);
    let id = request_id(&mut client);
    client.send(&format!(
        r#"{{"type":"termination_progress","request_id":"{id}","stage":"flushing","need_ms":999999}}"#
    ));
    let (stage, granted) = server.wait("progress", |event| match event {
        Event::Progress(progress) => Some((progress.stage.clone(), progress.granted_ms)),
        _ => None,
    });
    assert_eq!(stage, "flushing");
    assert!((1..=400).contains(&granted), "{granted} ms granted");
    assert_eq!(client.close_frame().0, 1001);
    let outcome = server.outcome();
    assert_eq!(outcome.kind, OutcomeKind::TimedOut);
    assert!(
        outcome.latency_us >= 390_000,
        "{} µs: the extension was not given",
        outcome.latency_us
    );
}

#[test]
fn an_agent_that_vanishes_is_told_before_its_end() {
    let mut server = Server::start(settings());
    let (mut client, conn) = server.agent("a");
    terminate_all(&server, 60_000, 60_000, 0);
    request_id(&mut client);
    drop(client);
    let outcome = server.outcome();
    assert_eq!((outcome.conn, outcome.kind), (conn, OutcomeKind::Vanished));
    assert_eq!(server.closed().0, conn);
}

#[test]
fn an_answer_to_an_unknown_repeated_or_foreign_request_changes_nothing() {
    let mut server = Server::start(settings());
    let (mut one, _) = server.agent("one");
    let (mut two, _) = server.agent("two");
    answer(&mut one, "00000000-0000-4000-8000-000000000000", "OK");
    assert_eq!(
        server.message().0,
        "app_terminated",
        "handed over, to be logged"
    );
    terminate_all(&server, 60_000, 60_000, 0);
    let first = request_id(&mut one);
    let second = request_id(&mut two);
    answer(&mut one, &second, "OK");
    assert_eq!(server.message().0, "app_terminated");
    // Another spelling of the same UUID is not the id that was sent.
    answer(&mut one, &first.to_uppercase(), "OK");
    assert_eq!(server.message().0, "app_terminated");
    answer(&mut one, &first, "OK");
    answer(&mut one, &first, "OK");
    assert_eq!(one.close_frame(), (1000, "Client terminated".into()));
    assert_eq!(server.outcome().kind, OutcomeKind::Acked);
    server.stats_when("stray answer", |stats| stats.unmatched_acks_total == 3);
}

#[test]
fn a_single_request_leaves_the_connection_unless_it_is_acked() {
    let mut server = Server::start(settings());
    let (mut client, conn) = server.agent("a");
    let first = server
        .pool
        .terminate(conn, 50, 0, "Server shutting down")
        .unwrap();
    assert_eq!(request_id(&mut client), first.to_string());
    let outcome = server.outcome();
    assert_eq!(
        (outcome.request, outcome.kind, outcome.drain),
        (first, OutcomeKind::TimedOut, false)
    );
    client.send(r#"{"type":"heartbeat","clientName":"a"}"#);
    assert!(
        client.text().contains("heartbeat_response"),
        "it still lives"
    );

    let second = server
        .pool
        .terminate(conn, 60_000, 0, "Server shutting down")
        .unwrap();
    let third = server
        .pool
        .terminate(conn, 60_000, 0, "Server shutting down")
        .unwrap();
    let id = request_id(&mut client);
    assert_eq!(request_id(&mut client), third.to_string());
    answer(&mut client, &id, "OK");
    assert_eq!(client.close_frame().0, 1000);
    // One OK settles all that waited: the application has ended, whichever request it was.
    let settled = [server.outcome(), server.outcome()];
    assert!(
        settled
            .iter()
            .all(|outcome| outcome.kind == OutcomeKind::Acked)
    );
    assert_eq!(settled.map(|outcome| outcome.request), [second, third]);
    server.closed();

    server
        .pool
        .terminate(conn, 60_000, 0, "Server shutting down")
        .unwrap();
    assert_eq!(
        server.outcome().kind,
        OutcomeKind::Vanished,
        "one that has gone gets its outcome too"
    );
}

#[test]
fn a_single_request_is_given_the_time_its_agent_asks_for() {
    let mut server = Server::start(settings());
    let (mut client, conn) = server.agent("a");
    server
        .pool
        .terminate(conn, 5_000, 60_000, "Server shutting down")
        .unwrap();
    let id = request_id(&mut client);
    client.send(&format!(
        r#"{{"type":"termination_progress","request_id":"{id}","stage":"eos","need_ms":999999}}"#
    ));
    let granted = server.wait("progress", |event| match event {
        Event::Progress(progress) => Some(progress.granted_ms),
        _ => None,
    });
    assert!((60_000..=65_000).contains(&granted), "{granted} ms");
    answer(&mut client, &id, "OK");
    assert_eq!(server.outcome().kind, OutcomeKind::Acked);
}

#[test]
fn drain_4_an_ok_that_is_not_complete_is_an_ack_and_says_so() {
    let mut server = Server::start(settings());
    for (said, incomplete) in [
        ("", false),
        (r#","complete":true"#, false),
        (r#","complete":false"#, true),
    ] {
        let (mut client, conn) = server.agent("a");
        server
            .pool
            .terminate(conn, 60_000, 0, "Server shutting down")
            .unwrap();
        let id = request_id(&mut client);
        client.send(&format!(
            r#"{{"type":"app_terminated","request_id":"{id}","status":"OK","message":"no index"{said}}}"#
        ));
        assert_eq!(client.close_frame().0, 1000);
        let outcome = server.outcome();
        assert_eq!(
            (outcome.kind, outcome.incomplete, &*outcome.message),
            (OutcomeKind::Acked, incomplete, "no index")
        );
        server.closed();
    }
}

#[test]
fn closing_all_is_spread_over_the_time_given() {
    let mut server = Server::start(settings());
    let mut agents: Vec<Client> = (0..5).map(|n| server.agent(&format!("a-{n}")).0).collect();
    let close_frame = CloseFrame {
        code: CloseCode::GOING_AWAY,
        reason: "Server shutting down gracefully".into(),
        cause: "shutdown".into(),
    };
    let began = std::time::Instant::now();
    server
        .pool
        .command_all(|| ReactorCommand::CloseAll {
            close_frame: Box::new(close_frame.clone()),
            spread_ms: 500,
            spare_watchers: false,
        })
        .unwrap();
    for (n, client) in agents.iter_mut().enumerate() {
        assert_eq!(
            client.close_frame(),
            (1001, "Server shutting down gracefully".into())
        );
        let at = began.elapsed().as_millis();
        assert!(
            at + 5 >= n as u128 * 100,
            "agent {n} was closed at {at} ms, before its slot"
        );
    }
    for _ in 0..5 {
        assert_eq!(server.closed().1.cause, "shutdown");
    }
}

#[test]
fn agents_that_come_and_go_during_a_broadcast_are_told_once_or_never() {
    let mut server = Server::with(settings(), 2, 4_096);
    let mut agents: Vec<(Client, ConnId)> =
        (0..400).map(|n| server.agent(&format!("a-{n}"))).collect();
    let address = server.address();
    let churn = std::thread::spawn(move || {
        // New connections take the slots of those that left while the walk is under way.
        (0..200)
            .map(|_| Client::open(address, "/ws"))
            .collect::<Vec<_>>()
    });
    let leavers: Vec<_> = agents.drain(..100).collect();
    terminate_all(&server, 60_000, 60_000, 0);
    drop(leavers);
    for (client, _) in &mut agents {
        let id = request_id(client);
        answer(client, &id, "OK");
        assert_eq!(
            client.hear(),
            support::Heard::Close(1000, "Client terminated".into())
        );
    }
    let mut latecomers = churn.join().unwrap();
    let mut acked = 0;
    while acked < 300 {
        acked += usize::from(server.outcome().kind == OutcomeKind::Acked);
    }
    for client in &mut latecomers {
        client.send("not json");
        assert!(
            client.text().contains("bad_json"),
            "a connection that came later hears nothing of the drain"
        );
    }
}

/// An agent answered and was gone. What was sent to it next found that out while its answer lay unread: it had "failed".
#[test]
fn drain_4_an_answer_is_heard_though_its_agent_cannot_be_sent_to_any_more() {
    let mut server = Server::with(settings(), 1, 4);
    let (mut agent, conn) = server.agent("a");
    let mut other = Client::open(server.address(), "/echo");
    terminate_all(&server, 60_000, 60_000, 0);
    let request = request_id(&mut agent);
    // What it leaves unread makes its end a reset.
    server.send(conn, "unread");
    agent.stream.peek(&mut [0]).unwrap();
    for number in 0..20 {
        other.send(&number.to_string());
    }
    server.stats_when("pause", |stats| stats.reading_paused_total > 0);
    answer(&mut agent, &request, "OK");
    drop(agent);
    let before = server.pool.stats().messages_sent_total;
    server.send(conn, "more");
    server.stats_when("attempt", |stats| stats.messages_sent_total > before);
    assert_eq!(server.outcome().kind, OutcomeKind::Acked);
    assert_eq!(server.next_closed().0, conn);
}
