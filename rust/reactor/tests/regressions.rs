//! What went wrong once, or could be made to from the network.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use dscore_reactor::settings::Settings;
use dscore_traffic::ConnId;
use dscore_traffic::command::{Command, Response};
use dscore_traffic::event::Event;
use support::{Client, PATIENCE, Server, connect, exchange, settings};

/// More than the kernel takes for a socket that is not read.
const LARGE: usize = 32 << 20;

fn answer(server: &Server, conn: ConnId, length: usize) {
    let response = Box::new(Response {
        status: 200,
        headers: vec![],
        body: vec![b'x'; length],
        more: false,
        notify: false,
    });
    server
        .pool
        .command(conn, Command::Respond(response))
        .unwrap();
}

fn request(server: &mut Server) -> (ConnId, String) {
    server.wait("request", |event| match event {
        Event::HttpRequest(request) => Some((request.conn, request.target.clone())),
        _ => None,
    })
}

/// Reads one answer of [`LARGE`] bytes.
fn read_large(stream: &mut std::net::TcpStream) {
    let (mut got, mut part) = (Vec::new(), vec![0; 1 << 20]);
    while !got.ends_with(b"x") || got.len() < LARGE {
        let count = stream.read(&mut part).unwrap();
        assert!(count > 0, "the answer ended after {} bytes", got.len());
        got.extend_from_slice(&part[..count]);
    }
}

/// One connection filled the queue of events with its messages, and all others waited behind them.
#[test]
fn a_flood_of_messages_does_not_get_far_ahead_of_the_owner() {
    const MESSAGES: usize = 20_000;
    let mut server = Server::start(settings());
    let mut flood = Client::open(server.address(), "/echo");
    let writer = std::thread::spawn(move || {
        for _ in 0..MESSAGES {
            flood.send("flood");
        }
        flood
    });
    let at = Instant::now() + PATIENCE;
    let (mut all, mut others) = (0, Client::open(server.address(), "/echo"));
    others.send("other");
    while all < MESSAGES + 1 {
        server.pump();
        let taken = server
            .events
            .drain(..)
            .filter(|event| matches!(event, Event::Message(_)))
            .count();
        assert!(taken <= 256, "{taken} messages of two connections at once");
        all += taken;
        assert!(Instant::now() < at, "only {all} messages came");
        std::thread::yield_now();
    }
    writer.join().unwrap();
}

/// A client that asked on and on and read no answer made the answers wait in memory, without a bound.
#[test]
fn the_next_request_is_not_looked_at_before_the_answer_was_taken() {
    let mut server = Server::start(settings());
    let mut client = connect(server.address());
    client
        .write_all(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let (conn, target) = request(&mut server);
    assert_eq!(target, "/1");
    answer(&server, conn, LARGE);
    // A round trip on another connection: the reactor has dealt with the answer.
    let mut other = Client::open(server.address(), "/echo");
    other.send("x");
    assert_eq!(server.message().1, b"x");
    assert!(
        !server
            .events
            .iter()
            .any(|event| matches!(event, Event::HttpRequest(_)))
    );
    read_large(&mut client);
    assert_eq!(request(&mut server), (conn, "/2".into()));
}

/// The answer to the last request of a connection was cut off when `close_timeout` had passed.
#[test]
fn an_answer_that_takes_longer_than_the_closing_still_arrives_whole() {
    let mut server = Server::start(Settings {
        close_timeout: 20,
        keep_alive_timeout: 20,
        ..settings()
    });
    for connection in ["close", "keep-alive"] {
        let mut client = connect(server.address());
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\n\r\n");
        client.write_all(head.as_bytes()).unwrap();
        let (conn, _) = request(&mut server);
        answer(&server, conn, LARGE);
        // Time is the subject here: several timeouts pass with the answer half sent.
        std::thread::sleep(Duration::from_millis(100));
        read_large(&mut client);
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }
}

/// Answers to terminate_app were kept, reported and logged at whatever length they came.
#[test]
fn an_agents_own_words_are_cut() {
    let mut server = Server::start(settings());
    let (mut client, conn) = server.agent("a");
    let id = server.pool.terminate(conn, 60_000, 0, "bye").unwrap();
    client.text();
    let words = "é".repeat(40_000);
    client.send(&format!(
        r#"{{"type":"app_terminated","request_id":"{id}","status":"NO","message":"{words}"}}"#
    ));
    let length = server.wait("answer", |event| match event {
        Event::TerminationRefused(answer) => Some(answer.message.len()),
        _ => None,
    });
    assert_eq!(length, 1_024);
}

/// Each connection may hold a part of a large message: 18,000 of them held 18 GB.
#[test]
fn unfinished_messages_and_requests_are_bounded_for_all_together() {
    let mut server = Server::start(Settings {
        input_bytes: 150_000,
        ..settings()
    });
    let (mut lives, _) = server.agent("lives");
    // The head of a masked text message of 90,000 bytes, and all but the last of them.
    let mut unfinished = b"\x81\xff\0\0\0\0\0\x01\x5f\x90\0\0\0\0".to_vec();
    unfinished.extend_from_slice(&[b' '; 89_999]);
    let mut holds = Client::open(server.address(), "/ws");
    holds.stream.write_all(&unfinished).unwrap();
    server.stats_when("first part held", |stats| stats.input_bytes >= 89_999);
    let mut more = Client::open(server.address(), "/ws");
    more.stream.write_all(&unfinished[..70_000]).unwrap();
    // The one that holds most is the one that is turned away.
    assert_eq!(
        holds.close_frame(),
        (1013, "too many unfinished messages".into())
    );
    server.stats_when("second part held", |stats| stats.input_bytes >= 69_000);
    lives.send(r#"{"type":"heartbeat","clientName":"lives"}"#);
    assert!(lives.text().contains("heartbeat_response"));
    drop((holds, more));
    server.stats_when("nothing held", |stats| stats.input_bytes == 0);
}

#[test]
fn an_unfinished_request_too_many_is_answered_503() {
    let server = Server::start(Settings {
        input_bytes: 5_000,
        ..settings()
    });
    let body = " ".repeat(9_999);
    let request = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n{body}");
    let answer = exchange(server.address(), request.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}
