//! What peers can make a reactor hold is bounded in bytes: for each of them, and for all together (docs/limits.md).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use dscore_proto::close::CloseCode;
use dscore_reactor::Stats;
use dscore_reactor::settings::Settings;
use dscore_traffic::ConnId;
use dscore_traffic::close::CloseFrame;
use dscore_traffic::command::{Command, ReactorCommand, Response, ServingState};
use dscore_traffic::event::Event;
use support::engine_io::Session;
use support::{Client, PATIENCE, Server, connect, settings};

/// The head of a masked text message of 90,000 bytes.
const HEAD: &[u8] = b"\x81\xff\0\0\0\0\0\x01\x5f\x90\0\0\0\0";
/// All of it but its last byte.
const MOST: usize = 89_999;
/// What one that is turned away may cost: the beginning of a frame.
const LITTLE: u64 = 256;

/// Closing takes longer than any test.
fn patient() -> Settings {
    Settings {
        close_timeout: 600_000,
        ..settings()
    }
}

/// Writes without waiting for ever: a server that stops reading is no failure here.
fn write_what_goes(stream: &mut TcpStream, bytes: &[u8]) {
    stream
        .set_write_timeout(Some(std::time::Duration::from_millis(200)))
        .unwrap();
    match stream.write_all(bytes) {
        Ok(()) => {}
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Whatever it sends, in whatever portions, next to nothing is held.
fn costs_little(server: &Server, client: &mut Client) {
    for payload in [
        [HEAD, &[b'x'; MOST]].concat(),
        // The end of that message, and one in fragments.
        [
            &b"x\x01\xff\0\0\0\0\0\x01\x5f\x90\0\0\0\0"[..],
            &[b'x'; MOST],
        ]
        .concat(),
    ] {
        for part in payload.chunks(30_000) {
            let held = server.held_after(&mut client.stream, part);
            assert!(held <= LITTLE, "{held} bytes held");
        }
    }
}

#[test]
fn one_that_was_told_to_go_costs_nothing_more() {
    let mut server = Server::start(patient());
    let mut client = Client::open(server.address(), "/ws");
    let (conn, _) = server.opened();
    let begun = [HEAD, &[b'x'; 50_000]].concat();
    assert!(server.held_after(&mut client.stream, &begun) >= 50_000);
    server.close(conn, 1013, "go");
    assert_eq!(client.close_code(), 1013);
    server.stats_when("nothing held", |stats| stats.input_bytes == 0);
    let rest = vec![b'x'; 40_000];
    assert_eq!(server.held_after(&mut client.stream, &rest), 0);
    costs_little(&server, &mut client);
    // Its own close frame is found all the same.
    client.stream.write_all(b"x\x80\x80mask").unwrap();
    client.close(1000, "");
    assert_eq!(server.next_closed().1.answer, 1000);
}

#[test]
fn those_turned_away_at_the_door_cost_nothing() {
    for serving in [
        ServingState::Draining,
        ServingState::Maintenance,
        ServingState::Open,
    ] {
        let most = if serving == ServingState::Open {
            0
        } else {
            100
        };
        let server = Server::start(Settings {
            max_connections: most,
            ..patient()
        });
        let set_serving_state = || ReactorCommand::SetServingState(serving);
        server.pool.command_all(set_serving_state).unwrap();
        for _ in 0..3 {
            let mut client = Client::open(server.address(), "/ws");
            assert_eq!(client.close_code(), 1013);
            costs_little(&server, &mut client);
        }
    }
}

#[test]
fn one_that_broke_the_protocol_costs_nothing_more() {
    let server = Server::start(patient());
    let mut client = Client::open(server.address(), "/ws");
    client.stream.write_all(b"\x83\x80mask").unwrap();
    assert_eq!(client.close_code(), 1002);
    costs_little(&server, &mut client);
}

/// What came behind an introduction is kept until that is answered; after a close there is no until.
#[test]
fn what_was_kept_behind_an_introduction_goes_with_the_close() {
    let mut server = Server::start(patient());
    let mut client = Client::open(server.address(), "/ws");
    let behind = format!(r#"{{"type":"x","p":"{}"}}"#, "p".repeat(20_000));
    client.send_together(&[r#"{"type":"app_ready","instance_id":"a"}"#, &behind]);
    server.introduction();
    server.stats_when("much held", |stats| stats.input_bytes > 20_000);
    let close_frame = || ReactorCommand::CloseAll {
        close_frame: Box::new(CloseFrame::new(CloseCode::POLICY, "go", "")),
        spread_ms: 0,
        spare_watchers: false,
    };
    server.pool.command_all(close_frame).unwrap();
    assert_eq!(client.close_code(), 1008);
    server.stats_when("nothing held", |stats| stats.input_bytes <= LITTLE);
}

#[test]
fn a_probe_costs_no_more_than_the_words_it_may_say() {
    let server = Server::start(patient());
    let session = Session::open(server.address(), "/engine.io/");
    let mut probe = session.websocket();
    probe.stream.write_all(HEAD).unwrap();
    assert_eq!(probe.close_code(), 1009);
    server.stats_when("nothing held", |stats| stats.input_bytes == 0);
}

#[test]
fn the_rest_of_a_refused_request_costs_nothing() {
    for head in [
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nExpect: more\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        "POST / HTTP/9.9\r\nHost: x\r\n\r\n",
        "nonsense\r\n\r\n",
        "POST /ws HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n",
    ] {
        let server = Server::start(patient());
        let mut stream = connect(server.address());
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 "), "{head}");
        for _ in 0..4 {
            let held = server.held_after(&mut stream, &[b'x'; 50_000]);
            assert_eq!(held, 0, "{head}");
        }
    }
}

/// A request is held until it is answered.
#[test]
fn requests_that_wait_for_their_answer_count() {
    let mut server = Server::start(Settings {
        input_bytes: 100_000,
        ..patient()
    });
    let body = "x".repeat(9_000);
    let request = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n{body}");
    let mut asked = Vec::new();
    for _ in 0..20 {
        let mut stream = connect(server.address());
        stream.write_all(request.as_bytes()).unwrap();
        let stats = server.stats_when("decision", |stats| {
            stats.http_requests_total + stats.refused_total > asked.len() as u64
        });
        assert!(stats.input_bytes <= 100_000, "{stats:?}");
        asked.push(stream);
    }
    let stats = server.pool.stats();
    assert!((9..=11).contains(&stats.http_requests_total), "{stats:?}");
    let mut answer = [0; 12];
    asked[19].read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 503");
    // A probe gets through.
    let mut probe = connect(server.address());
    probe
        .write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let conn = server.wait("probe", |event| match event {
        Event::HttpRequest(request) if request.target == "/livez" => Some(request.conn),
        _ => None,
    });
    respond(&server, conn, b"ok".to_vec());
    for event in std::mem::take(&mut server.events) {
        if let Event::HttpRequest(request) = event {
            respond(&server, request.conn, b"ok".to_vec());
        }
    }
    server.stats_when("nothing held", |stats| stats.input_bytes == 0);
}

#[test]
fn what_is_sent_ahead_of_an_answer_is_dropped_when_all_hold_too_much() {
    let mut server = Server::start(Settings {
        input_bytes: 30_000,
        ..patient()
    });
    let mut stream = connect(server.address());
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let conn = server.wait("request", |event| match event {
        Event::HttpRequest(request) => Some(request.conn),
        _ => None,
    });
    let ahead = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1_000);
    write_what_goes(&mut stream, &ahead);
    server.stats_when("little held", |stats| {
        stats.bytes_received_total > 30_000 && stats.input_bytes < 4_096
    });
    respond(&server, conn, b"ok".to_vec());
    let mut answers = String::new();
    let _reset = stream.read_to_string(&mut answers);
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
}

#[test]
fn packets_for_a_session_that_has_ended_are_not_kept() {
    let mut server = Server::start(patient());
    let session = Session::open(server.address(), "/engine.io/");
    let (conn, _) = server.opened();
    let target = session.target();
    let head = format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n");
    let mut slow = connect(server.address());
    assert!(server.held_after(&mut slow, &[head.as_bytes(), &[b'4'; 20_000]].concat()) > 20_000);
    server.close(conn, 1013, "go");
    server.stats_when("little held", |stats| stats.input_bytes < 1_024);
    assert!(server.held_after(&mut slow, &[b'4'; 20_000]) < 1_024);
    // Nor for one that never was.
    let gone = head.replace("sid=", "sid=x");
    let mut late = connect(server.address());
    let held = server.held_after(&mut late, &[gone.as_bytes(), &[b'4'; 20_000]].concat());
    assert!(held < 1_024, "{held}");
}

#[test]
fn messages_ahead_of_the_owner_are_bounded_for_all_together() {
    let mut server = Server::start(Settings {
        input_bytes: 1 << 20,
        ..settings()
    });
    let mut clients: Vec<Client> = (0..16)
        .map(|_| Client::open(server.address(), "/echo"))
        .collect();
    let text = "x".repeat(60_000);
    for client in &mut clients {
        let mut message = vec![0x81, 0xfe, 0xea, 0x60, 0, 0, 0, 0];
        message.extend_from_slice(text.as_bytes());
        write_what_goes(&mut client.stream, &message);
    }
    let stats = server.stats_when("a pause", |stats| stats.reading_paused_total > 0);
    let most = (1 << 18) + 2 * 60_000;
    assert!(stats.events_queued_bytes <= most, "{stats:?}");
    // None of them is lost, or turned away for it.
    for _ in 0..16 {
        assert_eq!(server.message().1.len(), 60_000);
    }
    clients[0].send("one more");
    assert_eq!(server.message().1, b"one more");
    server.stats_when("hardly anything ahead", |stats| {
        stats.events_queued_bytes < 100 && stats.connections == 16
    });
}

fn respond(server: &Server, conn: ConnId, body: Vec<u8>) {
    let response = Response {
        status: 200,
        headers: vec![],
        body,
        more: false,
        notify: false,
    };
    let command = Command::Respond(Box::new(response));
    server.pool.command(conn, command).unwrap();
}

/// Sends to `conns` in turn until `fits`: never is more held than may be, but for one frame.
fn send_until(server: &Server, conns: &[ConnId], fits: impl Fn(&Stats) -> bool) -> Stats {
    let text = format!(r#"{{"type":"x","p":"{}"}}"#, "p".repeat(100_000));
    let deadline = Instant::now() + PATIENCE;
    loop {
        for conn in conns {
            server.send(*conn, &text);
        }
        let stats = server.pool.stats();
        assert!(stats.output_bytes <= (1 << 20) + 110_000, "{stats:?}");
        if fits(&stats) {
            return stats;
        }
        assert!(Instant::now() < deadline, "{stats:?}");
    }
}

#[test]
fn what_waits_for_all_is_bounded_and_the_slowest_hear_why() {
    let mut server = Server::start(Settings {
        outbox_bytes: 1 << 30,
        output_bytes: 1 << 20,
        ..patient()
    });
    let mut agents: Vec<_> = (0..6).map(|n| server.agent(&format!("a-{n}"))).collect();
    let (mut reads, healthy) = server.agent("reads");
    let conns: Vec<ConnId> = agents.iter().map(|(_, conn)| *conn).collect();
    let stats = send_until(&server, &conns, |stats| stats.slow_consumers_total >= 3);
    assert_eq!(stats.connections, 7);
    let mut slow = 0;
    for (client, _) in &mut agents {
        client.stream.set_read_timeout(Some(PATIENCE / 10)).unwrap();
        slow += usize::from(hears_that_it_is_slow(client));
    }
    assert!(slow >= 3, "{slow}");
    server.send(healthy, r#"{"type":"y"}"#);
    assert_eq!(reads.text(), r#"{"type":"y"}"#);
}

fn hears_that_it_is_slow(client: &mut Client) -> bool {
    let mut all = Vec::new();
    let mut buffer = [0; 65_536];
    while let Ok(count @ 1..) = client.stream.read(&mut buffer) {
        all.extend_from_slice(&buffer[..count]);
    }
    all.ends_with(b"\x88\x0f\x03\xf5slow consumer")
}

#[test]
fn answers_that_are_not_read_are_bounded_for_all_together() {
    let mut server = Server::start(Settings {
        output_bytes: 1 << 20,
        ..patient()
    });
    let (mut lives, _) = server.agent("lives");
    let mut readers = Vec::new();
    for _ in 0..4 {
        let mut stream = connect(server.address());
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        let conn = server.wait("request", |event| match event {
            Event::HttpRequest(request) => Some(request.conn),
            _ => None,
        });
        respond(&server, conn, vec![b'x'; 20 << 20]);
        readers.push(stream);
    }
    server.stats_when("all cut", |stats| {
        stats.slow_consumers_total == 4 && stats.output_bytes == 0
    });
    lives.send(r#"{"type":"heartbeat","clientName":"lives"}"#);
    assert!(lives.text().contains("heartbeat_response"));
}
