//! Whose unfinished input is shed when all of it together is too much (docs/limits.md).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use dscore_reactor::settings::Settings;
use support::engine_io::Session;
use support::{Client, Server, connect, settings};

/// The head of a masked text message of 90,000 bytes.
const HEAD: &[u8] = b"\x81\xff\0\0\0\0\0\x01\x5f\x90\0\0\0\0";

/// Closing takes longer than any test.
fn patient(input_bytes: u64) -> Settings {
    Settings {
        input_bytes,
        close_timeout: 600_000,
        ..settings()
    }
}

/// A message of 3 KB that a client sends in two parts, as TCP segments cut it.
fn in_two_parts(text: &str) -> [Vec<u8>; 2] {
    let mut frame = vec![0x81, 0xfe];
    frame.extend_from_slice(&(text.len() as u16).to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    let rest = frame.split_off(text.len() / 2);
    [frame, rest]
}

/// Sends the first part of a message, waits until it was read, and sends the second.
fn send_in_two_parts(server: &Server, client: &mut Client, text: &str) {
    let [first, rest] = in_two_parts(text);
    server.held_after(&mut client.stream, &first);
    client.stream.write_all(&rest).unwrap();
}

/// Sends the rest of a message in parts: the first of them makes what is held too much.
fn send_at_the_brim(server: &Server, client: &mut Client, rest: &[u8]) {
    let (more, last) = rest.split_at(rest.len() - 1);
    server.held_after(&mut client.stream, more);
    client.stream.write_all(last).unwrap();
}

/// Begins a request and never ends it.
fn half_body(server: &Server, length: usize) -> TcpStream {
    let mut stream = connect(server.address());
    let head = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n";
    server.held_after(&mut stream, &[&head[..], &vec![b'x'; length]].concat());
    stream
}

/// Whether the server has answered, or closed, already.
fn is_told(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let told =
        !matches!(stream.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
    stream.set_nonblocking(false).unwrap();
    told
}

fn report(length: usize) -> String {
    format!(r#"{{"type":"report","p":"{}"}}"#, "p".repeat(length))
}

/// An introduced agent and one that introduces itself are heard in two parts each.
fn agents_get_through(server: &mut Server, lives: &mut Client) {
    send_in_two_parts(server, lives, &report(3_000));
    let (kind, data) = server.message();
    assert_eq!((&*kind, data.len()), ("report", report(3_000).len()));
    let mut late = Client::open(server.address(), "/ws");
    let config = "c".repeat(1_500);
    let introduction =
        format!(r#"{{"type":"app_ready","instance_id":"late","config":{{"a":"{config}"}}}}"#);
    send_in_two_parts(server, &mut late, &introduction);
    let conn = server.introduction();
    server.accept(conn, "late", &[r#"{"type":"app_ready_ack"}"#]);
    assert_eq!(late.text(), r#"{"type":"app_ready_ack"}"#);
}

/// They filled the bound to its brim, and the next that said anything in two parts was turned away: an agent.
#[test]
fn half_bodies_are_turned_away_before_agents() {
    const MOST: u64 = 100_000;
    for reactors in [1, 2] {
        let mut server = Server::with(patient(MOST), reactors, 1_024);
        let (mut lives, _) = server.agent("lives");
        let mut bodies = Vec::new();
        for length in [9_000, 7_000, 3_000, 600] {
            for _ in 0..40 {
                bodies.push(half_body(&server, length));
                let held = server.pool.stats().input_bytes;
                assert!(held <= MOST * reactors as u64, "{held}");
            }
            agents_get_through(&mut server, &mut lives);
        }
        let mut told = 0;
        for body in &mut bodies {
            if is_told(body) {
                let mut answer = [0; 12];
                body.read_exact(&mut answer).unwrap();
                assert_eq!(&answer, b"HTTP/1.1 503");
                told += 1;
            }
        }
        assert!(told > 40, "{told}");
        assert!(told < bodies.len(), "those that hold little stay");
        drop((bodies, lives));
        server.rest();
    }
}

/// Many that hold a little each would else outlast an agent that says more than a little.
#[test]
fn many_that_hold_a_little_each_are_turned_away_before_an_agent_that_holds_much() {
    let mut server = Server::start(patient(150_000));
    let (mut lives, _) = server.agent("lives");
    let text = report(60_000);
    let [first, rest] = in_two_parts(&text);
    server.held_after(&mut lives.stream, &first);
    let bodies: Vec<_> = (0..100).map(|_| half_body(&server, 3_000)).collect();
    assert!(server.pool.stats().refused_total > 0);
    send_at_the_brim(&server, &mut lives, &rest);
    assert_eq!(server.message().1.len(), text.len());
    drop(bodies);
}

/// Those that are not introduced are as good as requests: what they may hold is theirs to lose.
#[test]
fn unfinished_messages_of_unauthenticated_connections_go_before_those_of_agents() {
    let mut server = Server::start(patient(150_000));
    let (mut lives, _) = server.agent("lives");
    let [first, rest] = in_two_parts(&report(60_000));
    server.held_after(&mut lives.stream, &first);
    let mut others: Vec<Client> = (0..8)
        .map(|_| {
            let mut client = Client::open(server.address(), "/ws");
            server.held_after(&mut client.stream, &[HEAD, &[b' '; 25_000]].concat());
            client
        })
        .collect();
    send_at_the_brim(&server, &mut lives, &rest);
    assert_eq!(server.message().1.len(), report(60_000).len());
    let turned_away = others
        .iter_mut()
        .filter_map(|client| is_told(&mut client.stream).then(|| client.close_frame()));
    let turned_away: Vec<_> = turned_away.collect();
    assert!(!turned_away.is_empty());
    for close in turned_away {
        assert_eq!(close, (1013, "too many unfinished messages".into()));
    }
}

/// What an agent that polls says comes in the body of a request.
#[test]
fn packets_of_an_agent_that_polls_count_as_an_agents() {
    let mut server = Server::start(patient(150_000));
    let mut session = Session::open(server.address(), "/socket.io/");
    session.begin_push(b"40\x1e42[\"app_ready\",{\"instance_id\":\"polls\"}]");
    let conn = server.introduction();
    server.accept(conn, "polls", &[]);
    let text = format!(r#"42["report",{{"p":"{}"}}]"#, "p".repeat(60_000));
    assert_eq!(session.posts.answer().text(), "ok");
    let target = session.target();
    let length = text.len();
    let head = format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
    let (first, rest) = text.split_at(length / 2);
    let mut stream = connect(server.address());
    server.held_after(&mut stream, &[head.as_bytes(), first.as_bytes()].concat());
    let bodies: Vec<_> = (0..20).map(|_| half_body(&server, 9_000)).collect();
    assert!(server.pool.stats().refused_total > 0);
    stream.write_all(rest.as_bytes()).unwrap();
    assert_eq!(server.message().0, "report");
    drop(bodies);
}

/// An eighth stays for what is unfinished, however much waits for answers.
#[test]
fn requests_that_wait_for_answers_leave_room_for_agents() {
    let mut server = Server::start(patient(100_000));
    let (mut lives, _) = server.agent("lives");
    let body = "x".repeat(9_000);
    let request = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n{body}");
    let mut asked = Vec::new();
    for _ in 0..20 {
        let mut stream = connect(server.address());
        server.held_after(&mut stream, request.as_bytes());
        asked.push(stream);
    }
    assert!(server.pool.stats().refused_total > 0);
    // To the brim.
    let bodies: Vec<_> = (0..40).map(|_| half_body(&server, 600)).collect();
    agents_get_through(&mut server, &mut lives);
    drop((asked, bodies));
}
