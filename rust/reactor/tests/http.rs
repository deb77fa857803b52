//! Requests for the app, as they go through a reactor; parsing itself is tested in `dscore-proto`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use dscore_reactor::settings::Settings;
use dscore_traffic::ConnId;
use dscore_traffic::command::{Command, Response, ResponsePart};
use dscore_traffic::event::{Event, HttpRequest};
use support::{Server, connect, exchange, settings};

/// More than the kernel takes for a socket that is not read.
const LARGE: usize = 32 << 20;

fn request(server: &mut Server) -> HttpRequest {
    let deadline = std::time::Instant::now() + support::PATIENCE;
    loop {
        server.pump();
        let at = server
            .events
            .iter()
            .position(|event| matches!(event, Event::HttpRequest(_)));
        if let Some(at) = at
            && let Event::HttpRequest(request) = server.events.remove(at)
        {
            return *request;
        }
        assert!(std::time::Instant::now() < deadline, "no request came");
        std::thread::yield_now();
    }
}

fn respond(
    server: &Server,
    request: &HttpRequest,
    headers: &[(&str, &str)],
    body: &str,
    more: bool,
) {
    let response = Box::new(Response {
        status: 200,
        headers: headers
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect(),
        body: body.into(),
        more,
        notify: false,
    });
    server
        .pool
        .command(request.conn, Command::Respond(response))
        .unwrap();
}

fn respond_more(server: &Server, request: &HttpRequest, body: &str, more: bool) {
    let conn = request.conn;
    let body = body.as_bytes().to_vec();
    server
        .pool
        .command(
            conn,
            Command::RespondMore(ResponsePart {
                body,
                more,
                notify: false,
            }),
        )
        .unwrap();
}

fn read_until(stream: &mut std::net::TcpStream, end: &str) -> String {
    let mut all = Vec::new();
    let mut byte = [0];
    while !all.ends_with(end.as_bytes()) {
        assert_eq!(
            stream.read(&mut byte).unwrap(),
            1,
            "closed after {:?}",
            String::from_utf8_lossy(&all)
        );
        all.push(byte[0]);
    }
    String::from_utf8(all).unwrap()
}

fn gone(server: &mut Server) -> ConnId {
    server.wait("HttpGone", |event| match event {
        Event::HttpGone(conn) => Some(*conn),
        _ => None,
    })
}

#[test]
fn requests_of_one_connection_are_answered_one_after_the_other() {
    let mut server = Server::start(settings());
    let mut stream = connect(server.address());
    // Two at once, the first with a body, and the head in two pieces.
    stream
        .write_all(b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-")
        .unwrap();
    stream
        .write_all(b"Length: 3\r\n\r\nabcGET /second HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let first = request(&mut server);
    assert_eq!(
        (&*first.method, &*first.target, &*first.body),
        ("POST", "/a?b=c", &b"abc"[..])
    );
    assert_eq!(first.headers[0], (b"host".to_vec(), b"x".to_vec()));
    server.pump();
    assert!(
        !server
            .events
            .iter()
            .any(|event| matches!(event, Event::HttpRequest(_))),
        "the second waits"
    );
    respond(&server, &first, &[("x-n", "1")], "one", false);
    let second = request(&mut server);
    assert_eq!((second.conn, &*second.target), (first.conn, "/second"));
    respond(&server, &second, &[], "two", false);
    let answers = read_until(&mut stream, "two");
    assert!(
        answers.contains(
            "x-n: 1\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\noneHTTP/1.1 200 OK"
        ),
        "{answers}"
    );
}

#[test]
fn a_body_without_a_length_is_chunked_and_one_with_a_length_is_counted() {
    let mut server = Server::start(settings());
    let mut stream = connect(server.address());
    stream
        .write_all(b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let chunked = request(&mut server);
    respond(&server, &chunked, &[], "ab", true);
    respond_more(&server, &chunked, "c", true);
    respond_more(&server, &chunked, "", false);
    assert!(
        read_until(&mut stream, "0\r\n\r\n").ends_with("\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
    );

    stream
        .write_all(b"GET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let counted = request(&mut server);
    // More than was promised is cut, and the connection is not used again.
    respond(&server, &counted, &[("Content-Length", "4")], "ab", true);
    respond_more(&server, &counted, "cdef", false);
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("\r\n\r\nabcd"), "{rest}");
}

#[test]
fn head_has_no_body_and_http_1_0_is_closed() {
    let mut server = Server::start(settings());
    let mut stream = connect(server.address());
    stream
        .write_all(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.0\r\n\r\n")
        .unwrap();
    let head = request(&mut server);
    respond(&server, &head, &[], "four", false);
    let old = request(&mut server);
    respond(&server, &old, &[], "ab", true);
    respond_more(&server, &old, "c", false);
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    assert!(
        all.contains("Content-Length: 4\r\nConnection: keep-alive\r\n\r\nHTTP/1.1 200 OK\r\n"),
        "{all}"
    );
    assert!(all.ends_with("Connection: close\r\n\r\nabc"), "{all}");
}

#[test]
fn statuses_without_content_have_none_whatever_the_app_gave() {
    let mut server = Server::start(settings());
    let mut stream = connect(server.address());
    for status in [204, 304] {
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        let asked = request(&mut server);
        let conn = asked.conn;
        let response = Box::new(Response {
            status,
            headers: vec![],
            body: b"HTTP/1.1 200 smuggled".to_vec(),
            more: false,
            notify: false,
        });
        server
            .pool
            .command(conn, Command::Respond(response))
            .unwrap();
        let head = read_until(&mut stream, "\r\n\r\n");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(!head.contains("Content-Length"), "{head}");
    }
}

#[test]
fn a_head_that_a_header_would_split_is_answered_500() {
    let mut server = Server::start(settings());
    let mut stream = connect(server.address());
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let asked = request(&mut server);
    respond(&server, &asked, &[("x", "a\r\nset-cookie: b")], "", false);
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    assert!(all.starts_with("HTTP/1.1 500 "), "{all}");
    assert!(!all.contains("set-cookie"), "{all}");
}

#[test]
fn bad_requests_are_answered_and_closed() {
    let server = Server::start(settings());
    let address = server.address();
    let long = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nx: {}\r\n\r\n",
        "y".repeat(5_000)
    );
    let cases = [
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("nonsense\r\n\r\n", "400"),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "400",
        ),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10001\r\n\r\n",
            "413",
        ),
        ("GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", "426"),
        (&*long, "431"),
    ];
    for (request, status) in cases {
        let answer = exchange(address, request.as_bytes());
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request:?} got {answer:?}"
        );
        assert!(
            answer.to_lowercase().contains("connection: close"),
            "{answer}"
        );
    }
}

#[test]
fn a_request_that_is_not_complete_in_time_is_answered_408() {
    let server = Server::start(Settings {
        handshake_timeout: 50,
        ..settings()
    });
    assert!(exchange(server.address(), b"GET / HTTP/1.1\r\nHo").starts_with("HTTP/1.1 408 "));
    assert!(exchange(server.address(), b"").starts_with("HTTP/1.1 408 "));
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let mut server = Server::start(Settings {
        keep_alive_timeout: 50,
        ..settings()
    });
    let mut stream = connect(server.address());
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let asked = request(&mut server);
    respond(&server, &asked, &[], "x", false);
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    assert!(all.ends_with("\r\n\r\nx"), "{all}");
}

#[test]
fn a_client_that_leaves_before_its_answer_is_told_of() {
    let mut server = Server::start(Settings {
        keep_alive_timeout: 50,
        ..settings()
    });
    let mut stream = connect(server.address());
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let asked = request(&mut server);
    drop(stream);
    assert_eq!(gone(&mut server), asked.conn);
    respond(&server, &asked, &[], "for no one", false);
}

#[test]
fn a_client_that_has_left_is_told_of_as_soon_as_it_is_sent_something() {
    let mut server = Server::start(settings());
    let mut stream = connect(server.address());
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let asked = request(&mut server);
    drop(stream);
    respond(&server, &asked, &[], "for no one", true);
    assert_eq!(gone(&mut server), asked.conn);
}

#[test]
fn a_client_that_sends_no_more_gets_its_answer() {
    let mut server = Server::start(settings());
    for (parts, last_words) in [
        (1, "Connection: close\r\n\r\nx"),
        (3, "1\r\nx\r\n0\r\n\r\n"),
    ] {
        let mut stream = connect(server.address());
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let asked = request(&mut server);
        // Time is the subject here: had the reactor taken the end for news again and again, it would turn meanwhile.
        std::thread::sleep(Duration::from_millis(50));
        let turns = server.pool.stats().turns_total;
        std::thread::sleep(Duration::from_millis(50));
        assert!(server.pool.stats().turns_total - turns < 10, "it spins");
        respond(&server, &asked, &[], "x", parts > 1);
        for part in 1..parts {
            respond_more(&server, &asked, "x", part + 1 < parts);
        }
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        assert!(all.ends_with(last_words), "{all}");
    }
    server.rest();
}

#[test]
fn whatever_was_asked_before_the_end_is_answered() {
    let mut server = Server::start(settings());
    let mut stream = connect(server.address());
    stream
        .write_all(b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\nGET /3 HT")
        .unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    for target in ["/1", "/2"] {
        let asked = request(&mut server);
        assert_eq!(asked.target, target);
        respond(&server, &asked, &[], target, false);
    }
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    assert!(all.contains("/1HTTP/1.1 200 OK"), "{all}");
    assert!(all.contains("/2HTTP/1.1 400 "), "{all}");
    server.rest();
}

#[test]
fn a_large_answer_is_sent_whole_to_a_client_that_sends_no_more() {
    let mut server = Server::start(settings());
    let mut stream = connect(server.address());
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let asked = request(&mut server);
    respond(&server, &asked, &[], &"z".repeat(LARGE), false);
    server.stats_when("output that waits", |stats| stats.outbox_bytes > 0);
    stream.shutdown(Shutdown::Write).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    assert_eq!(all.iter().filter(|&&byte| byte == b'z').count(), LARGE);
    server.rest();
}

#[test]
fn a_large_response_goes_out_as_the_client_reads_and_tells_when_there_is_room() {
    let mut server = Server::start(settings());
    let mut stream = connect(server.address());
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let asked = request(&mut server);
    let part = vec![b'z'; 8 << 20];
    let response = Box::new(Response {
        status: 200,
        headers: vec![],
        body: part.clone(),
        more: true,
        notify: true,
    });
    let conn = asked.conn;
    server
        .pool
        .command(conn, Command::Respond(response))
        .unwrap();
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        all.iter().filter(|&&byte| byte == b'z').count()
    });
    server.wait("Drained", |event| {
        matches!(event, Event::Drained(_)).then_some(())
    });
    let (body, more, notify) = (part, false, false);
    let command = Command::RespondMore(ResponsePart { body, more, notify });
    server.pool.command(conn, command).unwrap();
    assert_eq!(reader.join().unwrap(), 16 << 20);
}

#[test]
fn a_response_that_makes_no_progress_is_ended() {
    let mut server = Server::start(Settings {
        ping_interval: 100,
        ping_timeout: 100,
        ..settings()
    });
    let mut stalled = connect(server.address());
    stalled
        .write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let conn = server.wait("request", |event| match event {
        Event::HttpRequest(request) => Some(request.conn),
        _ => None,
    });
    let response = Response {
        status: 200,
        headers: vec![],
        // More than any buffer on the way takes.
        body: vec![0; 32 << 20],
        more: false,
        notify: false,
    };
    server
        .pool
        .command(conn, Command::Respond(Box::new(response)))
        .unwrap();
    let stats = server.stats_when("end", |stats| stats.http_responses_stalled_total == 1);
    assert_eq!(stats.http_connections, 0);
    server.rest();
}
