//! A pool on loopback and clients on plain sockets: every wait has a deadline, nothing sleeps for luck.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

pub mod engine_io;
#[path = "../../src/testing/rows.rs"]
pub mod rows;
pub mod socket_io;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dscore_proto::close::CloseCode;
use dscore_proto::connection::{Connection, Event as Incoming, Limits, Role};
use dscore_proto::forwarded::TrustedProxies;
use dscore_proto::frame::{self, Opcode};
use dscore_proto::handshake;
use dscore_proto::origin::OriginRules;
use dscore_reactor::settings::{GuestSettings, ListenSettings, Settings};
use dscore_reactor::{ReactorPool, Stats};
use dscore_traffic::close::{CloseFrame, CloseInfo};
use dscore_traffic::command::{Command, Notify, Outgoing};
use dscore_traffic::event::{Closed, Event, Outcome, TransportKind};
use dscore_traffic::{ConnId, Endpoint};

pub const PATIENCE: Duration = Duration::from_secs(10);
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Times long enough that none fires by itself in a test that does not ask for it.
pub fn settings() -> Settings {
    Settings {
        endpoints: vec![
            ("/ws".into(), Endpoint::Raw),
            ("/echo".into(), Endpoint::Plain),
            ("/socket.io/".into(), Endpoint::SocketIo),
            ("/engine.io/".into(), Endpoint::PlainEngineIo),
            ("/plain.io/".into(), Endpoint::PlainSocketIo),
        ],
        origins: OriginRules::new(&["*".to_owned()], &[]).unwrap_or_default(),
        trusted_proxies: TrustedProxies::default(),
        check_host: false,
        subprotocols: vec![],
        messages: Limits {
            max_message_size: 100_000,
            max_fragments: 64,
        },
        max_header_size: 4_096,
        max_body_size: 10_000,
        guest: GuestSettings::default(),
        max_connections: 10_000,
        accept_rate: 0.0,
        connections_per_address: 0,
        introductions_per_address: 0,
        max_errors: 3,
        outbox_bytes: 64 * 1024,
        output_bytes: 64 << 20,
        input_bytes: 1 << 20,
        handshake_timeout: 60_000,
        auth_timeout: 60_000,
        keep_alive_timeout: 60_000,
        ping_interval: 60_000,
        ping_timeout: 60_000,
        connect_timeout: 60_000,
        polling: true,
        websocket: true,
        allow_eio3: true,
        hsts_s: 0,
        cors_methods: vec!["GET".into(), "POST".into()],
        namespaces: vec!["/custom".into()],
        close_timeout: 500,
        next_heartbeat_in: 30_000,
        connection_check_interval: 60_000,
        offline_timeout: 300_000,
        heartbeat_message: "ok \"then\"".into(),
        introduce_by_heartbeat: true,
        introductions_are_judged: false,
    }
}

/// A running pool and the events that were taken from it.
pub struct Server {
    pub pool: ReactorPool,
    pub events: Vec<Event>,
    /// Connections whose end was not told yet.
    open: Vec<ConnId>,
}

impl Server {
    pub fn start(settings: Settings) -> Self {
        Self::with(settings, 1, 1_024)
    }

    pub fn with(settings: Settings, reactors: usize, event_queue: usize) -> Self {
        let address = "127.0.0.1:0".parse().unwrap();
        let listen = ListenSettings {
            address,
            passed_socket: false,
            backlog: 1_024,
            reactors,
            event_queue,
            tls: None,
            proxy_protocol: false,
        };
        let pool = ReactorPool::new(&listen, settings).unwrap();
        pool.start().unwrap();
        Self {
            pool,
            events: Vec::new(),
            open: Vec::new(),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.pool.address()
    }

    pub fn pump(&mut self) {
        let known = self.events.len();
        self.pool.take(100_000, &mut self.events);
        for event in &self.events[known..] {
            match event {
                Event::Opened(opened) => self.open.push(opened.conn),
                Event::Closed(closed) => {
                    let at = self.open.iter().position(|open| *open == closed.conn);
                    self.open.swap_remove(at.expect("what ends has begun"));
                }
                _ => {}
            }
        }
    }

    /// Waits until no connection is left: each beginning has had its end, and nothing is counted that is there now.
    pub fn rest(&mut self) {
        self.stats_when("rest", |stats| {
            let there = stats.connections + stats.connections_unauthenticated;
            there + stats.http_connections + stats.outbox_bytes + stats.input_bytes == 0
        });
        let deadline = Instant::now() + PATIENCE;
        while !self.open.is_empty() {
            self.pump();
            assert!(Instant::now() < deadline, "{:?} have no end", self.open);
            std::thread::yield_now();
        }
    }

    pub fn opened(&mut self) -> (ConnId, TransportKind) {
        self.wait("new connection", |event| match event {
            Event::Opened(opened) => Some((opened.conn, opened.transport)),
            _ => None,
        })
    }

    pub fn send(&self, conn: ConnId, text: &str) {
        let frame = text_frame(text);
        let outgoing = Outgoing {
            frame,
            notify: Notify::No,
        };
        self.pool.command(conn, Command::Send(outgoing)).unwrap();
    }

    pub fn close(&self, conn: ConnId, code: u16, reason: &'static str) {
        let code = CloseCode::new(code).unwrap();
        let close_frame = Box::new(CloseFrame::new(code, reason, ""));
        self.pool
            .command(conn, Command::Close(close_frame))
            .unwrap();
    }

    /// Takes events until one fits, which is removed and returned; the others stay.
    pub fn wait<T>(&mut self, what: &str, mut fits: impl FnMut(&Event) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.pump();
            for at in 0..self.events.len() {
                if let Some(found) = fits(&self.events[at]) {
                    self.events.remove(at);
                    return found;
                }
            }
            assert!(
                Instant::now() < deadline,
                "no {what} among {:?}",
                self.events
            );
            std::thread::yield_now();
        }
    }

    pub fn introduction(&mut self) -> ConnId {
        self.wait("introduction", |event| match event {
            Event::Introduction(introduction) => Some(introduction.conn),
            _ => None,
        })
    }

    pub fn message(&mut self) -> (String, Vec<u8>) {
        self.wait("message", |event| match event {
            Event::Message(message) => Some((message.kind.to_string(), message.data.to_vec())),
            _ => None,
        })
    }

    pub fn next_closed(&mut self) -> (ConnId, Closed) {
        let at = |event: &Event| matches!(event, Event::Closed(_));
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.pump();
            if let Some(at) = self.events.iter().position(at)
                && let Event::Closed(closed) = self.events.remove(at)
            {
                return (closed.conn, *closed);
            }
            assert!(
                Instant::now() < deadline,
                "nothing closed among {:?}",
                self.events
            );
            std::thread::yield_now();
        }
    }

    pub fn closed(&mut self) -> (ConnId, CloseInfo) {
        let (conn, closed) = self.next_closed();
        (conn, closed.info)
    }

    pub fn outcome(&mut self) -> Outcome {
        let at = |event: &Event| matches!(event, Event::Outcome(_));
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.pump();
            if let Some(at) = self.events.iter().position(at)
                && let Event::Outcome(outcome) = self.events.remove(at)
            {
                return *outcome;
            }
            assert!(
                Instant::now() < deadline,
                "no outcome among {:?}",
                self.events
            );
            std::thread::yield_now();
        }
    }

    /// Waits until the figures fit: they are those of the last turn, which may not have ended when its events are seen.
    pub fn stats_when(&self, what: &str, fits: impl Fn(&Stats) -> bool) -> Stats {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let stats = self.pool.stats();
            if fits(&stats) {
                return stats;
            }
            assert!(Instant::now() < deadline, "no {what} in {stats:?}");
            std::thread::yield_now();
        }
    }

    /// Sends `bytes` and waits until they were read: what is held then.
    pub fn held_after(&self, stream: &mut TcpStream, bytes: &[u8]) -> u64 {
        let before = self.pool.stats().bytes_received_total;
        stream.write_all(bytes).unwrap();
        let all = before + bytes.len() as u64;
        let stats = self.stats_when("input", |stats| stats.bytes_received_total >= all);
        stats.input_bytes
    }

    pub fn accept(&self, conn: ConnId, agent_id: &str, replies: &[&str]) {
        let command = Command::Accept {
            agent_id: agent_id.into(),
            replies: replies.iter().map(|text| text_frame(text)).collect(),
            notice_only: false,
        };
        self.pool.command(conn, command).unwrap();
    }

    /// An agent that has introduced itself and was accepted.
    pub fn agent(&mut self, agent_id: &str) -> (Client, ConnId) {
        let mut client = Client::open(self.address(), "/ws");
        client.send(&format!(
            r#"{{"type":"app_ready","instance_id":"{agent_id}"}}"#
        ));
        let conn = self.introduction();
        self.accept(conn, agent_id, &[r#"{"type":"app_ready_ack"}"#]);
        assert_eq!(client.text(), r#"{"type":"app_ready_ack"}"#);
        (client, conn)
    }
}

pub fn text_frame(text: &str) -> Arc<[u8]> {
    let mut bytes = Vec::new();
    frame::encode_message(Opcode::Text, text.as_bytes(), &mut bytes);
    bytes.into()
}

/// What a client heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Ping,
    Close(u16, String),
    End,
}

/// A WebSocket client on a blocking socket.
pub struct Client {
    pub stream: TcpStream,
    connection: Connection,
    input: Vec<u8>,
}

impl Client {
    pub fn open(address: SocketAddr, path: &str) -> Self {
        let mut stream = connect(address);
        let mut request = Vec::new();
        handshake::client_request("127.0.0.1", path, KEY, &[], &mut request);
        stream.write_all(&request).unwrap();
        let mut input = Vec::new();
        let head = loop {
            if let Some(head) = handshake::check_response(&input, KEY).unwrap() {
                break head;
            }
            assert!(
                read_some(&mut stream, &mut input),
                "closed during the handshake"
            );
        };
        input.drain(..head);
        Self {
            stream,
            connection: Connection::new(Role::Client { seed: 7 }),
            input,
        }
    }

    pub fn send(&mut self, text: &str) {
        let mut out = Vec::new();
        self.connection
            .send_text(text.as_bytes(), &mut out)
            .unwrap();
        self.stream.write_all(&out).unwrap();
    }

    /// Several messages in one piece.
    pub fn send_together(&mut self, texts: &[&str]) {
        let mut out = Vec::new();
        for text in texts {
            let text = text.as_bytes();
            self.connection.send_text(text, &mut out).unwrap();
        }
        self.stream.write_all(&out).unwrap();
    }

    pub fn send_binary(&mut self, data: &[u8]) {
        let mut out = Vec::new();
        self.connection.send_binary(data, &mut out).unwrap();
        self.stream.write_all(&out).unwrap();
    }

    /// A pong that answers no ping.
    pub fn send_pong(&mut self, payload: &[u8]) {
        let mut out = Vec::new();
        let mask = Some([0; 4]);
        frame::encode_header(Opcode::Pong, true, payload.len() as u64, mask, &mut out);
        out.extend_from_slice(payload);
        self.stream.write_all(&out).unwrap();
    }

    pub fn close(&mut self, code: u16, reason: &str) {
        let mut out = Vec::new();
        self.connection
            .send_close(CloseCode::new(code).unwrap(), reason, &mut out)
            .unwrap();
        self.stream.write_all(&out).unwrap();
    }

    /// The next thing heard; pings are answered and closes echoed on the way.
    pub fn hear(&mut self) -> Heard {
        let limits = Limits {
            max_message_size: 10_000_000,
            max_fragments: 1_000,
        };
        loop {
            let (mut at, mut out) = (0, Vec::new());
            let event = self
                .connection
                .poll_event(&mut self.input, &mut at, &limits, &mut out)
                .unwrap();
            let heard = event.map(|event| match event {
                Incoming::Text(text) => Heard::Text(text.into()),
                Incoming::Binary(data) => Heard::Binary(data.into()),
                Incoming::Ping(_) | Incoming::Pong(_) => Heard::Ping,
                Incoming::Close { code, reason } => {
                    Heard::Close(code.map_or(1005, CloseCode::value), reason.into())
                }
            });
            self.input.drain(..at);
            if !out.is_empty() {
                let _peer_gone = self.stream.write_all(&out);
            }
            match heard {
                Some(heard) => return heard,
                None if !read_some(&mut self.stream, &mut self.input) => return Heard::End,
                None => {}
            }
        }
    }

    pub fn text(&mut self) -> String {
        loop {
            match self.hear() {
                Heard::Text(text) => return text,
                Heard::Ping => {}
                other => panic!("a text message was due, not {other:?}"),
            }
        }
    }

    /// Reads on until the close frame.
    /// The code of the close frame that comes next, which stays unanswered.
    pub fn close_code(&mut self) -> u16 {
        while self.input.len() < 4 {
            assert!(read_some(&mut self.stream, &mut self.input));
        }
        assert_eq!(self.input[0], 0x88);
        u16::from_be_bytes([self.input[2], self.input[3]])
    }

    pub fn close_frame(&mut self) -> (u16, String) {
        loop {
            match self.hear() {
                Heard::Close(code, reason) => return (code, reason),
                Heard::End => panic!("the connection ended without a close frame"),
                _ => {}
            }
        }
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

pub fn read_some(stream: &mut TcpStream, input: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 16_384];
    match stream.read(&mut buffer) {
        Ok(0) => false,
        Ok(count) => {
            input.extend_from_slice(&buffer[..count]);
            true
        }
        Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
        Err(error) => panic!("nothing to read in {PATIENCE:?}: {error}"),
    }
}

/// Sends raw bytes and returns everything that comes back until the server closes.
pub fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = connect(address);
    stream.write_all(request).unwrap();
    let mut all = Vec::new();
    while read_some(&mut stream, &mut all) {}
    String::from_utf8(all).unwrap()
}
