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
use dscore_traffic::close::CloseFrame;
use dscore_traffic::command::OutgoingPacket;
use dscore_traffic::{ConnId, Endpoint};
use uuid::Uuid;

use super::heard::Heard;
use super::sid::Sid;
use super::socket_io::SocketIo;
use crate::form::Form;
use crate::settings::{PingTimes, Settings};

/// What is known of one Engine.IO session, but for what carries it.
#[derive(Debug)]
pub(crate) struct EngineSession {
    pub(crate) revision: Revision,
    pub(crate) endpoint: Endpoint,
    /// What its client calls it, but for the connection's own number.
    pub(crate) secret: [u8; 16],
    pub(super) ping_times: PingTimes,
    greeting: Greeting,
    /// When the last ping went out; 0 for none that is not answered.
    pinged_us: u64,
    /// None where messages are bare.
    pub(super) socket_io: Option<SocketIo>,
}

/// Whether the session was told that it has begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Greeting {
    #[default]
    Unsaid,
    Planned,
    Said,
}

impl EngineSession {
    pub(super) fn new(
        endpoint: Endpoint,
        revision: Revision,
        now_ms: u64,
        settings: &Settings,
    ) -> Self {
        let connect_by = now_ms + settings.connect_timeout;
        let socket_io = endpoint
            .speaks_socket_io()
            .then(|| SocketIo::new(connect_by));
        Self {
            revision,
            endpoint,
            secret: Uuid::new_v4().into_bytes(),
            ping_times: settings.ping_times(),
            greeting: Greeting::default(),
            pinged_us: 0,
            socket_io,
        }
    }

    /// One text message of a WebSocket. Not inlined: the messages of the raw dialect come the same way, and are shorter.
    #[inline(never)]
    pub(super) fn hear_text<'a>(
        &mut self,
        text: &'a str,
        settings: &Settings,
        out: &mut Vec<u8>,
    ) -> Result<Heard<'a>, CloseFrame> {
        match Packet::from_text(text, self.revision) {
            Ok(packet) => self.hear(packet, settings, out),
            Err(error) => Err(CloseFrame::violation(&error)),
        }
    }

    /// One packet.
    pub(super) fn hear<'a>(
        &mut self,
        packet: Packet<'a>,
        settings: &Settings,
        out: &mut Vec<u8>,
    ) -> Result<Heard<'a>, CloseFrame> {
        let sent_us = std::mem::take(&mut self.pinged_us);
        match (packet, self.revision, &mut self.socket_io) {
            (Packet::Text(text), revision, Some(socket_io)) => {
                socket_io.hear_text(text, revision, settings, out)
            }
            (Packet::Text(text), _, None) => Ok(Heard::Text(text)),
            (Packet::Binary(data), _, Some(socket_io)) => socket_io.hear_binary(&data, settings),
            (Packet::Binary(data), _, None) => Ok(Heard::Binary(data)),
            (Packet::Ping(data), Revision::V3, _) => {
                let mut pong = Vec::with_capacity(1 + data.len());
                pong.push(b'3');
                pong.extend_from_slice(data.as_bytes());
                frame::encode_message(Opcode::Text, &pong, out);
                Ok(Heard::Nothing)
            }
            (Packet::Pong(_), Revision::V4, _) if sent_us > 0 => Ok(Heard::Pong { sent_us }),
            (Packet::Pong(_), Revision::V4, _) | (Packet::Noop, ..) => Ok(Heard::Nothing),
            (Packet::Close, ..) => Ok(Heard::End),
            (Packet::Ping(_), Revision::V4, _) => {
                Err(CloseFrame::violation("a ping from the wrong side"))
            }
            (Packet::Pong(_), Revision::V3, _) => {
                Err(CloseFrame::violation("a pong from the wrong side"))
            }
            (Packet::Open | Packet::Upgrade, ..) => {
                Err(CloseFrame::violation("a packet of another phase"))
            }
        }
    }

    pub(super) fn plan_greeting(&mut self) -> bool {
        let is_news = self.greeting == Greeting::Unsaid;
        if is_news {
            self.greeting = Greeting::Planned;
        }
        is_news
    }

    pub(super) fn has_greeted(&self) -> bool {
        self.greeting == Greeting::Said
    }

    /// Appends the packet that begins a session, unless it has begun. A Socket.IO client of revision 3 is in "/" then,
    /// before it says anything.
    pub(super) fn greet(
        &mut self,
        conn: ConnId,
        is_polling: bool,
        settings: &Settings,
        out: &mut Vec<u8>,
    ) -> Heard<'static> {
        if std::mem::replace(&mut self.greeting, Greeting::Said) == Greeting::Said {
            return Heard::Nothing;
        }
        let secret = self.secret;
        let sid = Sid { conn, secret };
        let mut packet = Vec::new();
        let open = Open {
            sid: &sid.to_string(),
            upgrades: is_polling && settings.websocket,
            ping_interval: self.ping_times.interval,
            ping_timeout: self.ping_times.timeout,
            max_payload: settings.messages.max_message_size as u64,
        };
        open.encode(&mut packet);
        frame::encode_message(Opcode::Text, &packet, out);
        match (&mut self.socket_io, self.revision) {
            (Some(socket_io), Revision::V3) => socket_io.join_main(self.revision, out),
            _ => Heard::Nothing,
        }
    }

    /// Appends a ping. In revision 3 it is the client that pings. A session that polls is not asked again before it has
    /// said anything: its polls fetch our pings, and would pass for answers. True if there is a ping.
    pub(crate) fn ping(&mut self, is_polling: bool, now_us: u64, out: &mut Vec<u8>) -> bool {
        let is_asked = is_polling && self.pinged_us > 0;
        let pings = self.revision == Revision::V4 && !is_asked;
        if pings {
            self.pinged_us = now_us.max(1);
            frame::encode_message(Opcode::Text, b"2", out);
        }
        pings
    }

    pub(super) fn say_goodbye(&self, out: &mut Vec<u8>) {
        if let Some(socket_io) = &self.socket_io {
            socket_io.disconnect(out);
        }
    }

    pub(super) fn encode_packet(&self, packet: &OutgoingPacket, out: &mut Vec<u8>) -> bool {
        let socket_io = self.socket_io.as_ref();
        socket_io.is_some_and(|socket_io| socket_io.encode_packet(packet, self.revision, out))
    }

    pub(super) fn form(&self) -> Form {
        match self.socket_io {
            Some(_) => Form::Event,
            None => Form::Packet(self.revision),
        }
    }

    /// Whether messages would be understood: a Socket.IO client knows of none before it has joined "/".
    pub(super) fn is_ready(&self) -> bool {
        self.socket_io.as_ref().is_none_or(SocketIo::is_joined)
    }

    /// When a Socket.IO client must have joined a namespace; `u64::MAX` once it has.
    pub(super) fn deadline(&self) -> u64 {
        self.socket_io.as_ref().map_or(u64::MAX, SocketIo::deadline)
    }

    pub(super) fn has_token(&self) -> bool {
        self.socket_io.as_ref().is_some_and(SocketIo::has_token)
    }

    /// Whether binary data may come next.
    pub(super) fn expects_binary(&self) -> bool {
        self.socket_io.as_ref().is_none_or(SocketIo::expects_binary)
    }

    /// Bytes held of an event whose attachments have not all come.
    pub(super) fn held_input(&self) -> usize {
        self.socket_io.as_ref().map_or(0, SocketIo::held_input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, CONN, table_rows};

    fn engine(revision: Revision, bench: &Bench) -> EngineSession {
        let endpoint = Endpoint::PlainEngineIo;
        EngineSession::new(endpoint, revision, bench.cx.now_ms, &bench.cx.settings)
    }

    fn hears<'a>(
        engine: &mut EngineSession,
        packet: Packet<'a>,
        bench: &mut Bench,
    ) -> Result<Heard<'a>, CloseFrame> {
        engine.hear(packet, &bench.cx.settings, &mut bench.cx.out)
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
        let mut engine = engine(revision, &bench);
        let pinged_us = bench.cx.now_us;
        engine.ping(false, pinged_us, &mut bench.cx.out);
        bench.said();
        let heard = hears(&mut engine, packet(name), &mut bench);
        match (&heard, &*bench.said()) {
            (Ok(Heard::Text("x")), []) => "a message",
            (Ok(Heard::Nothing), [said]) if said == "3x" => "answered",
            (Ok(Heard::Pong { sent_us }), []) if *sent_us == pinged_us => "the answer to ours",
            (Ok(Heard::Nothing), []) => "nothing",
            (Ok(Heard::End), []) => "the end",
            (Err(close_frame), []) if close_frame.is_violation() => "a violation",
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
    fn a_session_that_polls_is_pinged_again_when_it_has_said_something() {
        let mut bench = Bench::new();
        let mut engine = engine(Revision::V4, &bench);
        for _ in 0..2 {
            assert!(engine.ping(true, 1, &mut bench.cx.out));
            assert!(!engine.ping(true, 1, &mut bench.cx.out));
            assert_eq!(bench.said(), ["2"]);
            assert!(hears(&mut engine, Packet::Noop, &mut bench).is_ok());
        }
        engine.ping(true, 1, &mut bench.cx.out);
        engine.ping(false, 1, &mut bench.cx.out);
        assert_eq!(
            bench.said(),
            ["2", "2"],
            "a WebSocket's answers are its own"
        );
    }

    #[test]
    fn a_client_of_revision_3_pings_by_itself() {
        let mut bench = Bench::new();
        let mut engine = engine(Revision::V3, &bench);
        assert!(!engine.ping(false, 1, &mut bench.cx.out));
        assert!(bench.said().is_empty());
    }

    #[test]
    fn a_session_is_told_once_that_it_has_begun() {
        let mut bench = Bench::new();
        let mut engine = engine(Revision::V4, &bench);
        for _ in 0..2 {
            let (settings, out) = (&bench.cx.settings, &mut bench.cx.out);
            let heard = engine.greet(CONN, true, settings, out);
            assert!(matches!(heard, Heard::Nothing));
        }
        let secret = engine.secret;
        let sid = Sid { conn: CONN, secret };
        let open = format!(
            r#"0{{"sid":"{sid}","upgrades":["websocket"],"pingInterval":1000,"pingTimeout":1000,"maxPayload":1000}}"#
        );
        assert_eq!(bench.said(), [open]);
    }
}
