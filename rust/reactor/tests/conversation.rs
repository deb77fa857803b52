//! One connection at a time: introductions, heartbeats, refusals, silence, closing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod support;

use dscore_proto::close::CloseCode;
use dscore_reactor::settings::Settings;
use dscore_traffic::close::{CloseFrame, Initiator};
use dscore_traffic::command::Command;
use dscore_traffic::event::Event;
use support::{Client, Heard, Server, settings, text_frame};

fn has(text: &str, part: &str) {
    assert!(text.contains(part), "{part} is not in {text}");
}

#[test]
fn messages_behind_an_introduction_wait_for_its_answer() {
    let mut server = Server::start(settings());
    let mut client = Client::open(server.address(), "/ws");
    client.send(r#"{"type":"app_ready","instance_id":"a"}"#);
    client.send(r#"{"type":"heartbeat","clientName":"a"}"#);
    client.send(r#"{"type":"custom","n":1}"#);
    let conn = server.introduction();
    // Had the heartbeat been read, it would have been refused or taken for an introduction by now: a round trip on
    // another connection proves that the reactor went on.
    let mut other = Client::open(server.address(), "/echo");
    other.send("x");
    assert_eq!(server.message().1, b"x");
    assert_eq!(server.pool.stats().heartbeats_total, 0);
    server.accept(conn, "a", &[r#"{"type":"ack"}"#]);
    assert_eq!(client.text(), r#"{"type":"ack"}"#);
    has(
        &client.text(),
        r#""type":"heartbeat_response","status":"ok""#,
    );
    assert_eq!(
        server.message(),
        ("custom".into(), br#"{"type":"custom","n":1}"#.to_vec())
    );
}

#[test]
fn an_unauthenticated_connection_may_only_introduce_itself() {
    let mut server = Server::start(settings());
    let mut client = Client::open(server.address(), "/ws");
    client.send(r#"{"type":"termination_progress","request_id":"x","stage":"s","need_ms":1}"#);
    has(&client.text(), r#""code":"not_introduced""#);
    client.send(r#"{"type":"client_status_request","clientName":"a"}"#);
    assert_eq!(server.message().0, "client_status_request");
}

#[test]
fn heartbeats_are_answered_while_no_events_are_taken() {
    let mut server = Server::start(settings());
    let (mut client, _) = server.agent("a");
    for _ in 0..100 {
        client.send(r#"{"type":"heartbeat","clientName":"a"}"#);
        let answer = client.text();
        has(
            &answer,
            r#""message":"ok \"then\"","nextHeartbeatIn":30000"#,
        );
    }
    server.pump();
    assert!(
        !server
            .events
            .iter()
            .any(|event| matches!(event, Event::Message(_)))
    );
}

#[test]
fn another_agents_heartbeat_is_refused_and_too_many_refusals_end_it() {
    let mut server = Server::start(settings());
    let (mut client, _) = server.agent("a");
    client.send(r#"{"type":"heartbeat","clientName":"b"}"#);
    has(&client.text(), r#""code":"wrong_id""#);
    client.send("no json");
    has(&client.text(), r#""code":"bad_json""#);
    client.send(r#"{"type":7}"#);
    has(&client.text(), r#""code":"bad_type""#);
    assert_eq!(client.close_frame(), (1008, "too many errors".into()));
    let (_, ended) = server.closed();
    assert_eq!((ended.code, ended.initiator), (1008, Initiator::Server));
}

#[test]
fn refusals_of_the_owner_count_and_let_the_connection_try_again() {
    let mut server = Server::start(settings());
    let mut client = Client::open(server.address(), "/ws");
    for turn in 1..=3 {
        client.send(r#"{"type":"app_ready"}"#);
        let conn = server.introduction();
        let frame = text_frame(&format!(r#"{{"type":"error","n":{turn}}}"#));
        server
            .pool
            .command(conn, Command::Refuse { frame })
            .unwrap();
        assert_eq!(client.text(), format!(r#"{{"type":"error","n":{turn}}}"#));
    }
    assert_eq!(client.close_frame(), (1008, "too many errors".into()));
}

#[test]
fn binary_is_refused_on_a_raw_endpoint_and_handed_over_on_a_plain_one() {
    let mut server = Server::start(settings());
    let (mut client, _) = server.agent("a");
    client.send_binary(b"\x00\x01");
    assert_eq!(client.close_frame().0, 1003);
    let mut plain = Client::open(server.address(), "/echo");
    plain.send_binary(b"\x00\x01");
    assert_eq!(server.message(), (String::new(), b"\x00\x01".to_vec()));
}

#[test]
fn an_unauthenticated_connection_is_closed_when_its_time_is_up() {
    let mut server = Server::start(Settings {
        auth_timeout: 50,
        ..settings()
    });
    let mut client = Client::open(server.address(), "/ws");
    assert_eq!(
        client.close_frame(),
        (1008, "authentication timeout".into())
    );
    server.closed();
}

#[test]
fn liveness_3_pings_and_closes_a_peer_that_is_silent() {
    let times = Settings {
        ping_interval: 40,
        ping_timeout: 120,
        ..settings()
    };
    let mut server = Server::start(times);
    let (mut client, _) = server.agent("a");
    assert_eq!(client.hear(), Heard::Ping);
    // Not reading any more means not answering pings either.
    let (_, ended) = server.closed();
    assert_eq!((ended.code, &*ended.cause), (1011, "ping_timeout"));
    assert_eq!(client.close_frame(), (1011, "ping timeout".into()));
}

#[test]
fn liveness_2_misses_are_checked_and_told_and_long_silence_closes() {
    let times = Settings {
        connection_check_interval: 40,
        offline_timeout: 150,
        ..settings()
    };
    let mut server = Server::start(times);
    let (mut client, _) = server.agent("a");
    client.send(r#"{"type":"heartbeat","clientName":"a"}"#);
    has(&client.text(), "heartbeat_response");
    for expected in 1..=3 {
        has(
            &client.text(),
            r#""type":"connection_check","client_name":"a","timestamp":""#,
        );
        let misses = server.wait("miss", |event| match event {
            Event::Missed(missed) => Some(missed.misses),
            _ => None,
        });
        assert_eq!(misses, expected);
    }
    assert_eq!(client.close_frame(), (1011, "heartbeat timeout".into()));
    assert_eq!(server.closed().1.cause, "heartbeat_timeout");
}

#[test]
fn liveness_2_an_answer_to_the_check_resets_the_misses_and_is_told_when_asked() {
    let times = Settings {
        connection_check_interval: 40,
        offline_timeout: 60_000,
        ..settings()
    };
    let mut server = Server::start(times);
    let (mut client, conn) = server.agent("a");
    client.send(r#"{"type":"heartbeat","clientName":"a"}"#);
    has(&client.text(), "heartbeat_response");
    server.pool.command(conn, Command::HearNextBeat).unwrap();
    for _ in 0..3 {
        has(&client.text(), "connection_check");
        client.send(r#"{"type":"connection_check_response","client_name":"a"}"#);
        let misses = server.wait("miss", |event| match event {
            Event::Missed(missed) => Some(missed.misses),
            _ => None,
        });
        assert_eq!(misses, 1);
    }
    server.wait("beat", |event| {
        matches!(event, Event::Beat { .. }).then_some(())
    });
    server.pump();
    assert!(
        !server
            .events
            .iter()
            .any(|event| matches!(event, Event::Beat { .. })),
        "told once only"
    );
}

#[test]
fn liveness_2_an_agent_that_never_sent_a_heartbeat_is_not_checked() {
    let times = Settings {
        connection_check_interval: 20,
        offline_timeout: 60,
        ping_interval: 100,
        ..settings()
    };
    let mut server = Server::start(times);
    let (mut client, _) = server.agent("a");
    for _ in 0..3 {
        assert_eq!(
            client.hear(),
            Heard::Ping,
            "the only thing an agent of the DeepStream contract hears is the ping"
        );
    }
}

#[test]
fn both_sides_may_begin_to_close() {
    let mut server = Server::start(settings());
    let (mut client, _) = server.agent("a");
    client.close(1000, "done");
    assert_eq!(client.close_frame().0, 1000);
    let (_, ended) = server.closed();
    assert_eq!(
        (ended.code, &*ended.reason, ended.initiator),
        (1000, "done", Initiator::Peer)
    );

    let (mut client, conn) = server.agent("a");
    let close_frame = CloseFrame {
        code: CloseCode::TAKEN_OVER,
        reason: "taken over".into(),
        cause: "taken_over".into(),
    };
    server
        .pool
        .command(conn, Command::Close(Box::new(close_frame)))
        .unwrap();
    assert_eq!(client.close_frame(), (4409, "taken over".into()));
    let (closed, ended) = server.closed();
    assert_eq!(
        (closed, ended.code, ended.initiator),
        (conn, 4409, Initiator::Server)
    );
    assert_eq!(&*ended.cause, "taken_over");
}

#[test]
fn a_connection_that_breaks_has_no_close_code() {
    let mut server = Server::start(settings());
    let (client, conn) = server.agent("a");
    drop(client);
    let (closed, ended) = server.closed();
    assert_eq!(
        (closed, ended.code, ended.initiator),
        (conn, 1006, Initiator::Network)
    );
}

#[test]
fn a_frame_against_the_rfc_is_told_with_its_code_and_the_rest_is_discarded() {
    use std::io::Write;
    let mut server = Server::start(settings());
    let (mut client, _) = server.agent("a");
    // Unmasked, with a reserved bit, and behind it a megabyte that is not wanted.
    client.stream.write_all(b"\xc1\x01x").unwrap();
    let _reset_sooner_or_later = client.stream.write_all(&vec![0; 1_000_000]);
    assert_eq!(client.close_frame().0, 1002);
    let (_, ended) = server.closed();
    assert_eq!((ended.code, &*ended.cause), (1002, "protocol_error"));
    server.stats_when("violation", |stats| stats.protocol_errors_total == 1);
}

#[test]
fn what_was_right_is_answered_before_what_was_wrong_ends_a_plain_connection() {
    use std::io::Write;
    let mut server = Server::start(Settings {
        close_timeout: 60_000,
        ..settings()
    });
    let mut client = Client::open(server.address(), "/echo");
    // A whole message, masked with zeros, and behind it a frame of an unknown kind.
    client
        .stream
        .write_all(b"\x81\x81\0\0\0\0a\x83\x80\0\0\0\0")
        .unwrap();
    let conn = server.wait("message", |event| match event {
        Event::Message(message) => Some(message.conn),
        _ => None,
    });
    server
        .pool
        .send_many(&[conn], &text_frame("answer"))
        .unwrap();
    // Coming for more events says that those taken were dealt with, the place where the violation stands included.
    server.stats_when("violation", |stats| stats.protocol_errors_total == 1);
    server.pump();
    server.pump();
    assert_eq!(client.hear(), Heard::Text("answer".into()));
    assert_eq!(client.close_frame().0, 1002);
}

#[test]
fn an_owner_that_never_comes_does_not_keep_a_violation_from_being_told() {
    use std::io::Write;
    let server = Server::start(Settings {
        close_timeout: 50,
        ..settings()
    });
    let mut client = Client::open(server.address(), "/echo");
    client
        .stream
        .write_all(b"\x81\x81\0\0\0\0a\x83\x80\0\0\0\0")
        .unwrap();
    assert_eq!(client.close_frame().0, 1002);
}

#[test]
fn a_peer_that_does_not_read_is_a_slow_consumer() {
    let times = Settings {
        close_timeout: 100,
        ..settings()
    };
    let mut server = Server::start(times);
    let (mut client, conn) = server.agent("a");
    let frame = text_frame(&"x".repeat(60_000));
    // More than the kernel's buffers and the outbox hold together.
    for _ in 0..300 {
        server.pool.send_many(&[conn], &frame).unwrap();
    }
    let (_, ended) = server.closed();
    assert_eq!(
        (ended.code, &*ended.reason, &*ended.cause),
        (1013, "slow consumer", "slow_consumer")
    );
    server.stats_when("slow consumer", |stats| {
        (stats.slow_consumers_total, stats.outbox_bytes) == (1, 0)
    });
    // What was on its way is whole frames.
    while let Heard::Text(text) = client.hear() {
        assert_eq!(text.len(), 60_000);
    }
}

#[test]
fn a_slow_consumer_that_reads_again_sees_why_it_was_closed() {
    let mut server = Server::start(Settings {
        close_timeout: 60_000,
        ..settings()
    });
    let (mut client, conn) = server.agent("a");
    let frame = text_frame(&"x".repeat(60_000));
    for _ in 0..300 {
        server.pool.send_many(&[conn], &frame).unwrap();
    }
    // A client that read already while the frames go out might keep up.
    server.stats_when("slow consumer", |stats| stats.slow_consumers_total == 1);
    assert_eq!(client.close_frame(), (1013, "slow consumer".into()));
    server.closed();
}

#[test]
fn the_end_tells_the_last_heartbeat_and_the_round_trip() {
    let mut server = Server::start(Settings {
        ping_interval: 40,
        ..settings()
    });
    let (mut client, _) = server.agent("a");
    client.send(r#"{"type":"heartbeat","clientName":"a"}"#);
    while client.hear() != Heard::Ping {}
    // The pong goes out before the close frame, and is read before it.
    client.close(1000, "");
    let (_, closed) = server.next_closed();
    assert_eq!((closed.info.code, closed.answer), (1000, 1000));
    assert!(closed.heartbeat_ms > 0);
    assert!((1..10_000_000).contains(&closed.rtt_us), "{closed:?}");
    server.stats_when("round trip", |stats| stats.round_trips_sum_us_total > 0);
}

#[test]
fn a_pong_that_was_made_up_is_no_round_trip() {
    let mut server = Server::start(settings());
    let (mut client, _) = server.agent("a");
    let from_the_future = [0xFF; 8];
    for payload in [&b""[..], b"short", &from_the_future] {
        client.send_pong(payload);
    }
    client.close(1000, "");
    let (_, closed) = server.next_closed();
    assert_eq!((closed.heartbeat_ms, closed.rtt_us), (0, 0));
    server.stats_when("none", |stats| stats.round_trips_sum_us_total == 0);
}

#[test]
fn the_end_tells_what_the_other_side_said_to_it() {
    let mut server = Server::start(Settings {
        close_timeout: 100,
        ..settings()
    });
    let (mut obedient, conn) = server.agent("a");
    let (_mute, other) = server.agent("b");
    for conn in [conn, other] {
        let close_frame = CloseFrame {
            code: CloseCode::GOING_AWAY,
            reason: "".into(),
            cause: "".into(),
        };
        server
            .pool
            .command(conn, Command::Close(Box::new(close_frame)))
            .unwrap();
    }
    assert_eq!(obedient.close_frame().0, 1001);
    for _ in 0..2 {
        let (who, closed) = server.next_closed();
        let answer = if who == conn { 1001 } else { 0 };
        assert_eq!((closed.info.code, closed.answer), (1001, answer));
    }
}
