//! Engine.IO on a connection: what its packets mean, whatever brought them.
//!
//! | packet | revision 4 | revision 3 |
//! |---|---|---|
//! | message | a message | a message |
//! | ping | a violation | answered |
//! | pong | the answer to ours | a violation |
//! | close | the end | the end |
//! | noop | nothing | nothing |
//! | open, upgrade | a violation | a violation |
//!
//! An upgrade is a violation here because it belongs to the WebSocket that is not the session's yet: see
//! [`crate::probe`].

use dscore_proto::engineio::{Open, Packet, Revision};
use dscore_proto::frame::{self, Opcode};
use dscore_traffic::{ConnId, Endpoint};

use uuid::Uuid;

use crate::context::Context;
use crate::dialect::{Dialect, Form};
use crate::session::{Session, Verdict};
use crate::settings::{PingTimes, Settings};
use crate::sid::Sid;
use crate::socket_io::{self, SocketIo};

/// What is known of one Engine.IO session, but for what carries it.
#[derive(Debug)]
pub(crate) struct EngineIo {
    pub(crate) revision: Revision,
    pub(crate) endpoint: Endpoint,
    /// What its client calls it, but for the connection's own number.
    pub(crate) secret: [u8; 16],
    pub(crate) ping_times: PingTimes,
    greeting: Greeting,
    /// When a Socket.IO client must have joined a namespace; `u64::MAX` once it has.
    pub(crate) connect_by: u64,
    /// When the last ping went out; 0 for none that is not answered.
    pinged_us: u64,
    /// None where messages are bare.
    pub(crate) socket_io: Option<SocketIo>,
}

/// Whether the session was told that it has begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Greeting {
    #[default]
    Unsaid,
    Planned,
    Said,
}

impl EngineIo {
    pub(crate) fn new(
        endpoint: Endpoint,
        revision: Revision,
        now_ms: u64,
        settings: &Settings,
    ) -> Self {
        let secret = Uuid::new_v4().into_bytes();
        let socket_io = endpoint.speaks_socket_io().then(SocketIo::default);
        let connect_by = match socket_io {
            Some(_) => now_ms + settings.connect_timeout,
            None => u64::MAX,
        };
        Self {
            revision,
            endpoint,
            secret,
            ping_times: settings.ping_times(),
            greeting: Greeting::default(),
            connect_by,
            pinged_us: 0,
            socket_io,
        }
    }

    pub(crate) fn plan_greeting(&mut self) -> bool {
        let is_news = self.greeting == Greeting::Unsaid;
        if is_news {
            self.greeting = Greeting::Planned;
        }
        is_news
    }

    pub(crate) fn form(&self) -> Form {
        match self.socket_io {
            Some(_) => Form::Event,
            None => Form::Packet(self.revision),
        }
    }

    /// Whether messages would be understood: a Socket.IO client knows of none before it has joined "/".
    pub(crate) fn is_ready(&self) -> bool {
        self.socket_io.as_ref().is_none_or(SocketIo::is_joined)
    }

    pub(crate) fn has_token(&self) -> bool {
        self.socket_io
            .as_ref()
            .is_some_and(|socket_io| socket_io.has_token)
    }

    /// Whether binary data may come next.
    pub(crate) fn expects_binary(&self) -> bool {
        self.socket_io.as_ref().is_none_or(SocketIo::expects_binary)
    }

    /// Bytes held of an event whose attachments have not all come.
    pub(crate) fn held_input(&self) -> usize {
        self.socket_io.as_ref().map_or(0, SocketIo::held_input)
    }

    /// Forgets what is held of an event: the session has ended.
    pub(crate) fn drop_input(&mut self) {
        if let Some(socket_io) = &mut self.socket_io {
            socket_io.drop_input();
        }
    }

    /// Queues a ping. In revision 3 it is the client that pings. Whoever polls is not asked again before it has said
    /// anything: its polls fetch our pings, and would pass for answers.
    pub(crate) fn ping(&mut self, is_polling: bool, cx: &mut Context) {
        let is_asked = is_polling && self.pinged_us > 0;
        if self.revision == Revision::V4 && !is_asked {
            cx.stats.pings_total += 1;
            self.pinged_us = cx.now_us.max(1);
            frame::encode_message(Opcode::Text, b"2", &mut cx.out);
        }
    }

    /// Queues what must be said before a close that the client is not to come back from.
    pub(crate) fn say_goodbye(&self, cx: &mut Context) {
        if let Some(socket_io) = &self.socket_io {
            socket_io.disconnect(cx);
        }
    }
}

/// Queues the packet that begins a session, unless it has begun.
pub(crate) fn greet(session: &mut Session, conn: ConnId, is_polling: bool, cx: &mut Context) {
    let Dialect::EngineIo(engine) = &mut session.dialect else {
        return;
    };
    if std::mem::replace(&mut engine.greeting, Greeting::Said) == Greeting::Said {
        return;
    }
    let secret = engine.secret;
    let sid = Sid { conn, secret };
    let mut packet = Vec::new();
    let open = Open {
        sid: &sid.to_string(),
        upgrades: is_polling && cx.settings.websocket,
        ping_interval: engine.ping_times.interval,
        ping_timeout: engine.ping_times.timeout,
        max_payload: cx.settings.messages.max_message_size as u64,
    };
    open.encode(&mut packet);
    frame::encode_message(Opcode::Text, &packet, &mut cx.out);
    socket_io::greet(session, conn, cx);
}

/// One packet.
pub(crate) fn on_packet(
    session: &mut Session,
    conn: ConnId,
    packet: &Packet<'_>,
    cx: &mut Context,
) -> Verdict {
    let Dialect::EngineIo(engine) = &mut session.dialect else {
        return Verdict::Go;
    };
    let speaks_socket_io = engine.socket_io.is_some();
    let pinged_us = std::mem::take(&mut engine.pinged_us);
    match (packet, engine.revision) {
        (Packet::Text(text), _) if speaks_socket_io => socket_io::on_text(session, conn, text, cx),
        (Packet::Text(text), _) => session.hand_over(conn, text.as_bytes(), false, cx),
        (Packet::Binary(data), _) if speaks_socket_io => {
            socket_io::on_binary(session, conn, data, cx)
        }
        (Packet::Binary(data), _) => session.hand_over(conn, data, true, cx),
        (Packet::Ping(data), Revision::V3) => {
            let mut pong = Vec::with_capacity(1 + data.len());
            pong.push(b'3');
            pong.extend_from_slice(data.as_bytes());
            frame::encode_message(Opcode::Text, &pong, &mut cx.out);
            Verdict::Go
        }
        (Packet::Pong(_), Revision::V4) => {
            if pinged_us > 0 {
                session.measure_round_trip(pinged_us, cx);
            }
            Verdict::Go
        }
        (Packet::Close, _) => Verdict::Left,
        (Packet::Noop, _) => Verdict::Go,
        (Packet::Ping(_), Revision::V4) => Verdict::violation("a ping from the wrong side"),
        (Packet::Pong(_), Revision::V3) => Verdict::violation("a pong from the wrong side"),
        (Packet::Open | Packet::Upgrade, _) => Verdict::violation("a packet of another phase"),
    }
}

/// The packet that ends a session.
pub(crate) const CLOSE_PACKET: &[u8] = b"1";

/// Appends one frame with the packet that ends a session.
pub(crate) fn end_session(out: &mut Vec<u8>) {
    frame::encode_message(Opcode::Text, CLOSE_PACKET, out);
}

/// Appends one frame with a message packet of text.
pub(crate) fn encode_text(text: &[u8], out: &mut Vec<u8>) {
    encode_after(b'4', Opcode::Text, text, out);
}

/// Appends one frame with a message packet of binary data, as a WebSocket has it.
pub(crate) fn encode_binary(data: &[u8], revision: Revision, out: &mut Vec<u8>) {
    match revision {
        Revision::V4 => frame::encode_message(Opcode::Binary, data, out),
        Revision::V3 => encode_after(V3_MESSAGE, Opcode::Binary, data, out),
    }
}

/// In revision 3 the type of a packet stands before binary data too, as a number.
const V3_MESSAGE: u8 = 4;

fn encode_after(first: u8, opcode: Opcode, rest: &[u8], out: &mut Vec<u8>) {
    out.reserve(frame::MAX_HEADER + 1 + rest.len());
    frame::encode_header(opcode, true, 1 + rest.len() as u64, None, out);
    out.push(first);
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, CONN, table_rows};
    use dscore_traffic::event::Event;

    fn session(revision: Revision, bench: &Bench) -> Session {
        let endpoint = Endpoint::PlainEngineIo;
        let dialect = Dialect::new(endpoint, revision, bench.cx.now_ms, &bench.cx.settings);
        Session::new(endpoint, dialect, bench.cx.now_ms)
    }

    fn engine(session: &mut Session) -> &mut EngineIo {
        match &mut session.dialect {
            Dialect::EngineIo(engine) => engine,
            Dialect::Raw => panic!("Engine.IO is spoken here"),
        }
    }

    fn packet(name: &str) -> Packet<'static> {
        match name {
            "open" => Packet::Open,
            "close" => Packet::Close,
            "ping" => Packet::Ping("x"),
            "pong" => Packet::Pong(""),
            "message" => Packet::Text("x"),
            "upgrade" => Packet::Upgrade,
            "noop" => Packet::Noop,
            _ => panic!("no packet is called {name}"),
        }
    }

    /// What became of a packet, in the words of the table.
    fn outcome(name: &str, revision: Revision) -> &'static str {
        let mut bench = Bench::new();
        let mut session = session(revision, &bench);
        engine(&mut session).ping(false, &mut bench.cx);
        bench.said();
        bench.pass(3);
        let verdict = on_packet(&mut session, CONN, &packet(name), &mut bench.cx);
        match (&verdict, &*bench.told(), &*bench.said()) {
            (Verdict::Go, [Event::Message(message)], []) if *message.data == *b"x" => "a message",
            (Verdict::Go, [], [said]) if said == "3x" => "answered",
            (Verdict::Go, [], []) if session.rtt_us == 3_000 => "the answer to ours",
            (Verdict::Go, [], []) => "nothing",
            (Verdict::Left, [], []) => "the end",
            (verdict, [], []) if verdict.is_violation() => "a violation",
            other => panic!("{name} led to {other:?}"),
        }
    }

    #[test]
    fn packets_lead_where_the_documented_table_says() {
        let rows = table_rows(include_str!("engine_io.rs"));
        assert_eq!(rows.len(), 6);
        for row in rows {
            for name in row[0].split(", ") {
                assert_eq!(outcome(name, Revision::V4), row[1], "{name}");
                assert_eq!(outcome(name, Revision::V3), row[2], "{name}");
            }
        }
    }

    #[test]
    fn whoever_polls_is_pinged_again_when_it_has_said_something() {
        let mut bench = Bench::new();
        let mut session = session(Revision::V4, &bench);
        for _ in 0..2 {
            engine(&mut session).ping(true, &mut bench.cx);
            engine(&mut session).ping(true, &mut bench.cx);
            assert_eq!(bench.said(), ["2"]);
            let anything = on_packet(&mut session, CONN, &Packet::Noop, &mut bench.cx);
            assert_eq!(anything, Verdict::Go);
        }
        engine(&mut session).ping(true, &mut bench.cx);
        engine(&mut session).ping(false, &mut bench.cx);
        assert_eq!(
            bench.said(),
            ["2", "2"],
            "a WebSocket's answers are its own"
        );
    }

    #[test]
    fn a_client_of_revision_3_pings_by_itself() {
        let mut bench = Bench::new();
        let mut session = session(Revision::V3, &bench);
        engine(&mut session).ping(false, &mut bench.cx);
        assert!(bench.said().is_empty());
        assert_eq!(bench.cx.stats.pings_total, 0);
    }

    #[test]
    fn a_session_is_told_once_that_it_has_begun() {
        let mut bench = Bench::new();
        let mut session = session(Revision::V4, &bench);
        greet(&mut session, CONN, true, &mut bench.cx);
        greet(&mut session, CONN, true, &mut bench.cx);
        let secret = engine(&mut session).secret;
        let sid = Sid { conn: CONN, secret };
        let open = format!(
            r#"0{{"sid":"{sid}","upgrades":["websocket"],"pingInterval":1000,"pingTimeout":1000,"maxPayload":1000}}"#
        );
        assert_eq!(bench.said(), [open]);
    }

    #[test]
    fn binary_messages_of_revision_3_have_their_type_in_front() {
        for (revision, expected) in [
            (Revision::V4, &b"\x82\x02\xff\x00"[..]),
            (Revision::V3, b"\x82\x03\x04\xff\x00"),
        ] {
            let mut frame = Vec::new();
            encode_binary(b"\xff\x00", revision, &mut frame);
            assert_eq!(frame, expected);
        }
    }
}
