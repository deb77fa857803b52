//! Silence that is only our own not-looking (PROTOCOL.md §5 rule 3): input held back, an owner that is behind, and the
//! look at everything before anything is judged. A process that is stopped is played in `tests/protocol/test_gaps.py`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::time::{Duration, Instant};

use dscore_reactor::settings::Settings;
use dscore_traffic::command::{Command, ReactorCommand};
use dscore_traffic::event::{Event, OutcomeKind};
use support::{Heard, Server, settings, text_frame};

/// Every clock of a peer runs out within so long.
const SHORT: Duration = Duration::from_millis(150);

fn short() -> Settings {
    let ms = SHORT.as_millis() as u64;
    Settings {
        auth_timeout: ms,
        ping_interval: ms / 2,
        ping_timeout: ms / 2,
        connection_check_interval: ms / 2,
        offline_timeout: ms,
        ..settings()
    }
}

/// Lets the time of a peer's clocks pass, several times over, without taking an event.
fn wait_long(server: &Server) {
    let turns = server.pool.stats().turns_total;
    std::thread::sleep(SHORT * 4);
    server.stats_when("turns", |stats| stats.turns_total > turns);
}

fn text(number: usize) -> String {
    format!(
        r#"{{"type":"work","number":{number},"data":"{}"}}"#,
        "x".repeat(1_000)
    )
}

#[test]
fn the_clocks_of_one_whose_introduction_is_judged_stand_still() {
    let mut server = Server::start(short());
    let mut client = support::Client::open(server.address(), "/ws");
    client.send(r#"{"type":"heartbeat","clientName":"a"}"#);
    let conn = server.introduction();
    wait_long(&server);
    server.pump();
    let is_closed = |event: &Event| matches!(event, Event::Closed(_));
    assert!(!server.events.iter().any(is_closed), "{:?}", server.events);
    // Refused, its time goes on where it stood.
    let frame = text_frame(r#"{"type":"error","code":"forbidden"}"#);
    let went_on = Instant::now();
    server
        .pool
        .command(conn, Command::Refuse { frame })
        .unwrap();
    assert!(client.text().contains("forbidden"));
    assert_eq!(
        client.close_frame(),
        (1008, "authentication timeout".into())
    );
    assert!(went_on.elapsed() > SHORT / 2);
}

#[test]
fn one_that_is_accepted_after_long_has_all_of_its_time() {
    let mut server = Server::start(short());
    let mut client = support::Client::open(server.address(), "/ws");
    client.send(r#"{"type":"heartbeat","clientName":"a"}"#);
    let conn = server.introduction();
    wait_long(&server);
    let went_on = Instant::now();
    server.accept(conn, "a", &[]);
    assert!(client.text().contains("heartbeat_response"));
    // It answers pings and sends nothing else from here on.
    assert!(client.text().contains("connection_check"));
    assert!(went_on.elapsed() >= SHORT / 2);
    assert_eq!(client.close_frame(), (1011, "heartbeat timeout".into()));
    assert!(went_on.elapsed() >= SHORT);
}

#[test]
fn the_clocks_of_one_that_is_ahead_of_its_owner_stand_still() {
    let mut server = Server::start(short());
    let (mut client, conn) = server.agent("a");
    client.send(r#"{"type":"heartbeat","clientName":"a"}"#);
    assert!(client.text().contains("heartbeat_response"));
    let request = server
        .pool
        .terminate(conn, SHORT.as_millis() as u64, 0, "")
        .unwrap();
    assert!(client.text().contains("terminate_app"));
    let all: Vec<_> = (0..200).map(text).collect();
    client.send_together(&all.iter().map(String::as_str).collect::<Vec<_>>());
    client.send(&format!(
        r#"{{"type":"app_terminated","request_id":"{request}","status":"OK","message":""}}"#
    ));
    wait_long(&server);
    // Its answer lies behind what was held back, and was there in time.
    assert_eq!(server.outcome().kind, OutcomeKind::Acked);
    assert_eq!(client.close_frame(), (1000, "Client terminated".into()));
}

#[test]
fn nothing_is_silent_while_the_owner_is_so_far_behind_that_nothing_is_read() {
    let mut server = Server::with(short(), 1, 4);
    let (mut client, _) = server.agent("a");
    let (mut mute, _) = server.agent("b");
    client.send(r#"{"type":"heartbeat","clientName":"a"}"#);
    assert!(client.text().contains("heartbeat_response"));
    for number in 0..20 {
        client.send(&text(number));
    }
    server.stats_when("pause", |stats| stats.reading_paused_total > 0);
    wait_long(&server);
    let paused = server.pool.stats();
    assert_eq!(
        (paused.ping_timeouts_total, paused.missed_heartbeats_total),
        (0, 0)
    );
    for _ in 0..20 {
        server.message();
    }
    // Its time goes on where it stood: it says nothing, and that is its own silence.
    let went_on = Instant::now();
    while mute.hear() != Heard::End && went_on.elapsed() < support::PATIENCE {}
    drop(client);
}

#[test]
fn a_look_is_over_when_all_that_lay_in_the_sockets_is_told() {
    let mut server = Server::with(settings(), 2, 100_000);
    // More than one list of the poller holds, in each reactor.
    let mut agents: Vec<_> = (0..1_200).map(|n| server.agent(&n.to_string()).0).collect();
    for (number, client) in agents.iter_mut().enumerate() {
        client.send(&text(number));
    }
    server.pool.command_all(|| ReactorCommand::Look(7)).unwrap();
    let deadline = Instant::now() + support::PATIENCE;
    let looked = |event: &Event| matches!(event, Event::Looked(7));
    while server.events.iter().filter(|event| looked(event)).count() < 2 {
        server.pump();
        assert!(Instant::now() < deadline, "nothing was looked at");
    }
    let last = server.events.iter().rposition(looked).unwrap();
    let is_message = |event: &&Event| matches!(event, Event::Message(_));
    assert_eq!(
        server.events[..last].iter().filter(is_message).count(),
        1_200
    );
}

#[test]
fn a_beat_that_came_while_the_owner_did_not_look_is_told_when_it_asks() {
    let mut server = Server::start(Settings {
        connection_check_interval: 50,
        ..settings()
    });
    let (mut client, conn) = server.agent("a");
    client.send(r#"{"type":"heartbeat","clientName":"a"}"#);
    assert!(client.text().contains("heartbeat_response"));
    assert!(client.text().contains("connection_check"));
    client.send(r#"{"type":"heartbeat","clientName":"a"}"#);
    assert!(client.text().contains("heartbeat_response"));
    // The owner hears of the miss only now.
    server.wait("miss", |event| {
        matches!(event, Event::Missed(_)).then_some(())
    });
    server.pool.command(conn, Command::HearNextBeat).unwrap();
    server.wait("beat", |event| {
        matches!(event, Event::Beat { .. }).then_some(())
    });
}
