//! One socket: what speaks on it, the bytes that wait for it, its times.
//!
//! A peer begins with HTTP and may become a conversation. One that polls has no socket: what it says waits for a poll,
//! until a WebSocket takes over and its socket comes here. Handlers leave their output in [`Context::out`]; `transmit` brings
//! it to the socket. Whatever a handler did, the reactor then settles the peer: see `Reactor::with_peer`.

mod deadlines;
mod engineio;
mod input;
mod sending;
mod watch;

use std::num::NonZeroU8;

use dscore_traffic::ConnId;
use dscore_traffic::command::AcceptUpgrade;
use dscore_wheel::Key;

use crate::context::Context;
use crate::conversation::Conversation;
use crate::conversation::transport::Transport;
use crate::engineio_request::EngineIoRequest;
use crate::http::{Became, HttpPeer};
use crate::output::Output;
use crate::places::Standing;
use crate::probe::{Phase, Probe};
use crate::stream::{Stream, Then};

/// Everything a reactor knows of one socket. Small: ten thousands of them idle.
#[derive(Debug)]
pub(crate) struct Peer {
    /// None for a session that polls.
    pub(crate) stream: Option<Stream>,
    pub(crate) stage: Stage,
    output: Output,
    /// Bytes of input held, as last counted.
    held_input: u32,
    /// The one timer of this peer, and when it fires. It may fire early for the peer's present needs, never late.
    pub(crate) timer: Option<(Key, u64)>,
    /// When anything last came in.
    pub(crate) last_seen: u64,
    /// Since when its input is held back and its clocks stand still, as far as they were not moved for it yet; `u64::MAX`
    /// while it is not.
    held_since: u64,
    /// Whether it would yield its place, as last noted.
    pub(crate) standing: Standing,
    /// It came when all places were taken, and has none.
    pub(crate) is_extra: bool,
    /// One more than the reactor that is to have this socket instead: a byte is all there is room for.
    moves_to: Option<NonZeroU8>,
    /// The socket has failed, or there is nothing left to do on it.
    pub(crate) finished: bool,
}

/// What speaks on a socket.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Requests, the upgrade among them.
    Http(Box<HttpPeer>),
    /// Messages.
    Conversation(Conversation),
    /// A WebSocket that wants to take over a session.
    Probe(Box<Probe>),
}

impl Peer {
    /// A socket that was just accepted.
    pub(crate) fn new(stream: Stream, http: HttpPeer, now_ms: u64) -> Self {
        Self::with(Some(stream), Stage::Http(Box::new(http)), now_ms)
    }

    /// A session that polls.
    pub(crate) fn polling(conversation: Conversation, now_ms: u64) -> Self {
        Self::with(None, Stage::Conversation(conversation), now_ms)
    }

    fn with(stream: Option<Stream>, stage: Stage, now_ms: u64) -> Self {
        Self {
            stream,
            stage,
            output: Output::default(),
            held_input: 0,
            timer: None,
            last_seen: now_ms,
            held_since: u64::MAX,
            standing: Standing::default(),
            is_extra: false,
            moves_to: None,
            finished: false,
        }
    }

    /// The reactor that is to have this socket instead, once its answers have been sent: a TLS record of them that is begun
    /// can be ended with this output only.
    pub(crate) fn moves_to(&self) -> Option<u8> {
        let next = self.moves_to.filter(|_| self.output.is_empty())?;
        Some(next.get() - 1)
    }

    /// Whether it would yield its place.
    pub(crate) fn standing(&self) -> Standing {
        let standing = match &self.stage {
            Stage::Conversation(conversation) => match conversation.transport {
                Transport::WebSocket(_) if !self.is_extra => return Standing::Kept,
                Transport::WebSocket(_) if conversation.is_open() => Standing::Kept,
                // It is being turned away.
                Transport::WebSocket(_) => Standing::Idle,
                Transport::Polling(_) => conversation.polling_standing(),
            },
            Stage::Http(http) if http.is_silent() && self.output.is_empty() => Standing::Idle,
            Stage::Http(_) | Stage::Probe(_) => Standing::Kept,
        };
        match standing {
            Standing::Idle if self.is_extra => Standing::Extra,
            standing => standing,
        }
    }

    /// Reads once into `buffer` and lets the stage act on it.
    pub(crate) fn on_readable(&mut self, conn: ConnId, buffer: &mut [u8], cx: &mut Context) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        let read = stream.receive(buffer);
        stream.set_unread(read.then == Then::More);
        if let Some(input) = buffer.get_mut(..read.count)
            && !input.is_empty()
        {
            self.last_seen = cx.now_ms;
            cx.stats.bytes_received_total += input.len() as u64;
            self.on_data(conn, input, cx);
        }
        if self.finished {
            return;
        }
        match read.then {
            Then::More | Then::Nothing => {}
            Then::End => self.on_end(conn, cx),
            Then::Truncated => {
                cx.stats.tls_truncated_total += 1;
                self.on_end(conn, cx);
            }
            Then::Invalid => {
                cx.stats.tls_records_invalid_total += 1;
                self.hang_up();
            }
            Then::Broken => self.hang_up(),
        }
    }

    /// An end that the stream knew of already when it came here.
    pub(crate) fn hear_end(&mut self, conn: ConnId, cx: &mut Context) {
        if self.stream.as_ref().is_some_and(Stream::has_ended) && !self.finished {
            self.on_end(conn, cx);
        }
    }

    /// The peer sends no more.
    fn on_end(&mut self, conn: ConnId, cx: &mut Context) {
        match &mut self.stage {
            Stage::Http(http) => {
                http.on_end(conn, cx);
                // An end stays readable.
                self.set_unread(true);
                self.on_data(conn, &mut [], cx);
            }
            // RFC 6455 §7.1.1: a WebSocket is over with its TCP connection. Half-open ones are of no use.
            Stage::Conversation(_) | Stage::Probe(_) => self.finished = true,
        }
    }

    /// The connection is no more, in either direction.
    pub(crate) fn hang_up(&mut self) {
        if let Stage::Http(http) = &mut self.stage {
            http.is_broken = true;
        }
        self.finished = true;
    }

    /// Acts on bytes: those just read, or none, to go on with those kept back.
    pub(crate) fn on_data(&mut self, conn: ConnId, input: &mut [u8], cx: &mut Context) {
        if matches!(self.stage, Stage::Http(_)) {
            // Answers go out before the next request is looked at.
            self.transmit(cx);
        }
        match &mut self.stage {
            Stage::Conversation(conversation) => conversation.on_data(conn, input, cx),
            // A client that sends all of its body before it reads would wait for us as we for it.
            Stage::Http(http) if !self.output.is_empty() && !http.is_receiving() => {
                http.keep(input);
            }
            Stage::Http(http) => {
                if let Some(became) = http.on_data(conn, input, cx) {
                    self.become_other(conn, became, cx);
                }
            }
            Stage::Probe(probe) => {
                let before = probe.phase;
                probe.on_data(input, cx);
                if probe.phase != before && probe.phase != Phase::Refused {
                    cx.requests.push_back(EngineIoRequest::Probe(conn));
                }
            }
        }
    }

    /// The program's app has accepted the upgrade that this connection asked for.
    pub(crate) fn accept_upgrade(
        &mut self,
        conn: ConnId,
        accept: &AcceptUpgrade,
        cx: &mut Context,
    ) {
        if let Stage::Http(http) = &mut self.stage
            && let Some(became) = http.accept_upgrade(conn, accept, cx)
        {
            self.become_other(conn, became, cx);
        }
    }

    /// What this HTTP connection is from here on.
    fn become_other(&mut self, conn: ConnId, became: Became, cx: &mut Context) {
        match became {
            Became::WebSocket(websocket, mut rest, turned_away) => {
                self.begin_conversation(conn, *websocket, turned_away, cx);
                self.on_data(conn, &mut rest, cx);
            }
            Became::Elsewhere(reactor) => {
                self.moves_to = NonZeroU8::new(reactor.saturating_add(1));
            }
        }
    }

    /// This HTTP connection is a WebSocket from here on.
    fn begin_conversation(
        &mut self,
        conn: ConnId,
        mut websocket: Conversation,
        turned_away: Option<&'static str>,
        cx: &mut Context,
    ) {
        // A client that hears us in one piece with the answer to its upgrade may not be listening yet.
        self.is_extra &= turned_away.is_some();
        let is_early = websocket.dialect.speaks_first() && turned_away.is_none();
        if !is_early {
            websocket.greet(conn, turned_away, cx);
        }
        self.uncount_input(cx);
        self.stage = Stage::Conversation(websocket);
    }

    /// This HTTP connection becomes a WebSocket that wants to take over a session.
    pub(crate) fn become_probe(
        &mut self,
        conn: ConnId,
        session: ConnId,
        is_welcome: bool,
        cx: &mut Context,
    ) {
        let Stage::Http(http) = &mut self.stage else {
            return;
        };
        let mut input = http.take_input();
        let mut probe = Box::new(Probe::new(session, cx));
        if !is_welcome {
            probe.refuse(cx);
        }
        self.uncount_input(cx);
        self.stage = Stage::Probe(probe);
        self.on_data(conn, &mut input, cx);
    }

    /// The last of its output and what carried it.
    pub(crate) fn into_stage(self, cx: &mut Context) -> Stage {
        self.output.release(cx);
        self.stage
    }
}

#[cfg(test)]
mod tests;
