//! One socket: what speaks on it, the bytes that wait for it, its times.
//!
//! A peer begins with HTTP and may become a conversation. One that polls has no socket: what it says waits for a poll,
//! until a WebSocket takes over and its socket comes here. Handlers leave their output in [`Context::out`]; `transmit` brings
//! it to the socket. Whatever a handler did, the reactor then settles the peer: see `Reactor::with_peer`.

mod watch;

pub(crate) use watch::{Watch, Watcher};

use std::num::NonZeroU8;

use dscore_traffic::ConnId;
use dscore_traffic::event::Event;
use rustix::io::Errno;

use crate::context::Context;
use crate::conversation::Conversation;
use crate::dialect::{Dialect, SharedFrame};
use crate::engine_io::EngineIo;
use crate::engineio_request::SessionRequest;
use crate::http::{Became, HttpPeer};
use crate::output::{Marks, Output, Sending};
use crate::places::Standing;
use crate::probe::{Phase, Probe};
use crate::sys::{Received, Socket};
use crate::transport::{Polling, Push, Transport, fit_one_poll};
use dscore_wheel::Key;

/// How long a poll with packets to fetch is kept, for what is said together is to go out together; and how long a new
/// WebSocket is given to listen.
const MOMENT_MS: u64 = 2;

/// How long a response may wait for a reader that takes nothing of it: longer than a mobile link is lost for.
const STALL_MS: u64 = 30_000;

/// Everything a reactor knows of one socket. Small: ten thousands of them idle.
#[derive(Debug)]
pub(crate) struct Peer {
    /// None for whoever polls.
    pub(crate) socket: Option<Socket>,
    pub(crate) stage: Stage,
    output: Output,
    /// Bytes of input held, as last counted.
    held_input: u32,
    /// What epoll was last told, if anything.
    pub(crate) watch: Option<Watch>,
    /// The one timer of this peer, and when it fires. It may fire early for the peer's present needs, never late.
    pub(crate) timer: Option<(Key, u64)>,
    /// When anything last came in.
    pub(crate) last_seen: u64,
    /// Since when its input is held back and its clocks stand still, as far as they were not moved for it yet; `u64::MAX`
    /// while it is not.
    held_since: u64,
    /// Input may be left in the socket, though it was looked at.
    pub(crate) has_unread: bool,
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
    /// A newcomer.
    pub(crate) fn new(socket: Socket, http: HttpPeer, now_ms: u64) -> Self {
        Self::with(Some(socket), Stage::Http(Box::new(http)), now_ms)
    }

    /// A session that polls.
    pub(crate) fn polling(conversation: Conversation, now_ms: u64) -> Self {
        Self::with(None, Stage::Conversation(conversation), now_ms)
    }

    fn with(socket: Option<Socket>, stage: Stage, now_ms: u64) -> Self {
        Self {
            socket,
            stage,
            output: Output::default(),
            held_input: 0,
            watch: None,
            timer: None,
            last_seen: now_ms,
            held_since: u64::MAX,
            has_unread: false,
            standing: Standing::default(),
            is_extra: false,
            moves_to: None,
            finished: false,
        }
    }

    /// To be called before anything else is done with a peer: moves its deadlines by the time in which its input was held
    /// back.
    pub(crate) fn catch_up(&mut self, now_ms: u64) {
        if self.held_since >= now_ms {
            return;
        }
        if let Stage::Conversation(conversation) = &mut self.stage {
            let held_ms = now_ms - self.held_since;
            self.last_seen += held_ms;
            conversation.session.postpone(held_ms);
        }
        self.held_since = now_ms;
    }

    /// To be called when all else is done with it: notes whether its input is held back from here on.
    pub(crate) fn note_held(&mut self, now_ms: u64) {
        let is_held = matches!(&self.stage, Stage::Conversation(c) if !c.wants_read());
        self.held_since = match self.held_since {
            u64::MAX if is_held => now_ms,
            since if is_held => since,
            _ => u64::MAX,
        };
    }

    /// The reactor that is to have this socket instead.
    pub(crate) fn moves_to(&self) -> Option<u8> {
        self.moves_to.map(|next| next.get() - 1)
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
        let Some(socket) = &self.socket else {
            return;
        };
        match socket.receive(buffer) {
            Received::Bytes(count) => {
                self.last_seen = cx.now_ms;
                self.has_unread = count == buffer.len();
                cx.stats.bytes_received_total += count as u64;
                if let Some(input) = buffer.get_mut(..count) {
                    self.on_data(conn, input, cx);
                }
            }
            Received::Nothing => self.has_unread = false,
            Received::End => match &mut self.stage {
                Stage::Http(http) => {
                    http.on_end(conn, cx);
                    // An end stays readable.
                    self.has_unread = true;
                    self.on_data(conn, &mut [], cx);
                }
                // RFC 6455 §7.1.1: a WebSocket is over with its TCP connection. Half-open ones are of no use to anybody.
                Stage::Conversation(_) | Stage::Probe(_) => self.finished = true,
            },
            Received::Broken(_) => self.hang_up(),
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
            Stage::Http(http) if !self.output.is_empty() => http.keep(input),
            Stage::Http(http) => match http.on_data(conn, input, cx) {
                Some(Became::WebSocket(websocket, mut rest, turned_away)) => {
                    self.begin_conversation(conn, *websocket, turned_away, cx);
                    self.on_data(conn, &mut rest, cx);
                }
                Some(Became::Elsewhere(reactor)) => {
                    self.moves_to = NonZeroU8::new(reactor.saturating_add(1));
                }
                None => {}
            },
            Stage::Probe(probe) => {
                let before = probe.phase;
                probe.on_data(input, cx);
                if probe.phase != before && probe.phase != Phase::Refused {
                    cx.requests.push_back(SessionRequest::Probe(conn));
                }
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
        let is_early = websocket.session.dialect.speaks_first() && turned_away.is_none();
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

    /// What is known of an Engine.IO session, if this is one.
    pub(crate) fn engine_io(&self) -> Option<&EngineIo> {
        match &self.stage {
            Stage::Conversation(conversation) => match &conversation.session.dialect {
                Dialect::EngineIo(engine) => Some(engine),
                Dialect::Raw => None,
            },
            Stage::Http(_) | Stage::Probe(_) => None,
        }
    }

    /// Whether this is the session of this secret, and of an agent or a watcher that was let in.
    pub(crate) fn is_introduced_as(&self, secret: [u8; 16]) -> bool {
        match &self.stage {
            Stage::Conversation(conversation) => {
                let engine = self.engine_io();
                engine.is_some_and(|engine| engine.secret == secret)
                    && conversation.session.is_introduced()
            }
            Stage::Http(_) | Stage::Probe(_) => false,
        }
    }

    /// Whether this is a session that polls.
    pub(crate) fn polls(&self) -> bool {
        matches!(&self.stage, Stage::Conversation(c) if matches!(c.transport, Transport::Polling(_)))
    }

    /// What is known of a session that polls, if this is one.
    pub(crate) fn as_polling(&mut self) -> Option<&mut Polling> {
        match &mut self.stage {
            Stage::Conversation(conversation) => conversation.transport.polling(),
            Stage::Http(_) | Stage::Probe(_) => None,
        }
    }

    /// When this session is to be spoken to, if that was not said before: a request of it waits for an answer, or it was
    /// not greeted yet.
    pub(crate) fn speak_at(&mut self, now_ms: u64) -> Option<u64> {
        let has_packets = !self.output.is_empty();
        let Stage::Conversation(conversation) = &mut self.stage else {
            return None;
        };
        let polling = match &mut conversation.transport {
            Transport::Polling(polling) => polling,
            Transport::WebSocket(_) => {
                let is_news = conversation.session.dialect.plan_greeting();
                return is_news.then_some(now_ms + MOMENT_MS);
            }
        };
        let is_urgent = polling.push.as_ref().is_some_and(Push::is_done)
            || (polling.poll.is_some() && (polling.is_upgrading || !polling.is_open()));
        let answer_at = if is_urgent {
            now_ms
        } else if has_packets && polling.poll.is_some() {
            now_ms + MOMENT_MS
        } else {
            return None;
        };
        let is_news = polling.answer_at.is_none_or(|at| answer_at < at);
        is_news.then(|| *polling.answer_at.insert(answer_at))
    }

    /// Nothing waits to be sent.
    pub(crate) fn has_sent_all(&self) -> bool {
        self.output.is_empty()
    }

    /// True for a session that polls and has no packets left that it was sent so: a client that moves on has had its
    /// last POST answered.
    pub(crate) fn can_move_to_websocket(&self) -> bool {
        match &self.stage {
            Stage::Conversation(conversation) => conversation.transport.is_at_rest(),
            Stage::Http(_) | Stage::Probe(_) => false,
        }
    }

    /// Takes the frames in front that one poll may fetch.
    pub(crate) fn take_frames(&mut self, conn: ConnId, cx: &mut Context) -> Vec<u8> {
        let (frames, caught_up) = self.output.take(fit_one_poll, cx);
        if caught_up {
            cx.tell(Event::Drained(conn));
        }
        frames
    }

    /// A WebSocket has taken over: its socket is this session's, and so is the input behind the upgrade.
    /// Returns what was known of it while it polled.
    pub(crate) fn take_over(
        &mut self,
        conn: ConnId,
        socket: Socket,
        probe: Probe,
        cx: &mut Context,
    ) -> Option<Box<Polling>> {
        let Stage::Conversation(conversation) = &mut self.stage else {
            return None;
        };
        let mut polling = conversation.transport.become_websocket(probe.connection)?;
        polling.probe = None;
        self.socket = Some(socket);
        self.last_seen = cx.now_ms;
        // What was closed while no poll came is closed here too, with the words that no poll has fetched.
        conversation.repeat_close(cx);
        let mut input = probe.kept;
        conversation.on_data(conn, &mut input, cx);
        Some(polling)
    }

    /// Brings `cx.out` to the socket, or as much of it as goes; the rest waits.
    pub(crate) fn transmit(&mut self, cx: &mut Context) {
        if !cx.out.is_empty() && !self.finished {
            let out = std::mem::take(&mut cx.out);
            let marks = self.marks(cx);
            let sending = self.output.send(self.socket.as_ref(), &out, marks, cx);
            cx.out = out;
            self.after_sending(sending, cx);
        }
        cx.out.clear();
    }

    /// Sends one message that others get as well, if this is a conversation that still takes them.
    pub(crate) fn send_shared(&mut self, frame: &mut SharedFrame, cx: &mut Context) {
        let form = match &self.stage {
            Stage::Conversation(conversation) if conversation.takes_messages() => {
                conversation.session.dialect.form()
            }
            _ => return,
        };
        if self.finished {
            return;
        }
        cx.stats.messages_sent_total += 1;
        let (frame, marks) = (frame.in_form(form), self.marks(cx));
        let sending = self
            .output
            .send_shared(self.socket.as_ref(), frame, marks, cx);
        self.after_sending(sending, cx);
    }

    /// Sends what waits, after the socket said that it has room.
    pub(crate) fn on_writable(&mut self, conn: ConnId, cx: &mut Context) {
        let Some(socket) = &self.socket else {
            return;
        };
        match self.output.flush(socket, cx) {
            Ok(true) => cx.tell(Event::Drained(conn)),
            Ok(false) => {}
            Err(error) => self.break_off(error),
        }
        if self.output.is_empty()
            && !self.finished
            && matches!(&self.stage, Stage::Http(http) if http.has_input())
        {
            self.on_data(conn, &mut [], cx);
        }
    }

    /// Tells, now or later, when what waits is down to low water.
    pub(crate) fn notify_when_drained(&mut self, conn: ConnId, cx: &mut Context) {
        if !self.output.notify(self.marks(cx).low) {
            cx.tell(Event::Drained(conn));
        }
    }

    /// Tells, now or later, when nothing waits: the socket has it all.
    pub(crate) fn notify_when_empty(&mut self, conn: ConnId, cx: &mut Context) {
        if !self.output.notify(0) {
            cx.tell(Event::Drained(conn));
        }
    }

    /// What waits for the socket, weighed by how long it has waited.
    pub(crate) fn burden(&self, now_ms: u64) -> u64 {
        self.output.burden(now_ms)
    }

    /// All peers together have too much waiting, and this one most of it.
    pub(crate) fn shed_output(&mut self, cx: &mut Context) {
        match &self.stage {
            Stage::Conversation(conversation) if conversation.is_open() => self.on_overflow(cx),
            // Its last words wait already, or it was being told something that ends nowhere else than at its end.
            Stage::Conversation(_) | Stage::Http(_) | Stage::Probe(_) => {
                cx.stats.slow_consumers_total += 1;
                self.finished = true;
            }
        }
    }

    /// The last of its output and what carried it.
    pub(crate) fn into_stage(self, cx: &mut Context) -> Stage {
        self.output.bury(cx);
        self.stage
    }

    /// Input that is held until the rest of it comes, or its turn, as last counted.
    pub(crate) fn unfinished_input(&self) -> u64 {
        u64::from(self.held_input) - u64::from(self.asked_input())
    }

    /// Those of a request that waits for its answer, as last counted.
    fn asked_input(&self) -> u32 {
        match &self.stage {
            Stage::Http(http) => http.counted,
            Stage::Conversation(_) | Stage::Probe(_) => 0,
        }
    }

    /// Counts the input that is held. What all peers hold too much of is for the reactor to shed.
    pub(crate) fn count_input(&mut self, conn: ConnId, cx: &mut Context) {
        self.let_go(conn, cx);
        let (held, asked) = match &self.stage {
            Stage::Http(http) => (http.held_input(), http.asked_input()),
            Stage::Conversation(conversation) => (conversation.held_input(), 0),
            Stage::Probe(probe) => (probe.held_input(), 0),
        };
        self.set_input(held, asked, cx);
    }

    /// It is no more, or is to be counted anew: as that of another stage, or elsewhere.
    pub(crate) fn uncount_input(&mut self, cx: &mut Context) {
        self.set_input(0, 0, cx);
    }

    fn set_input(&mut self, held: usize, asked: usize, cx: &mut Context) {
        // No message or body may be that long.
        let short = |bytes| u32::try_from(bytes).unwrap_or(u32::MAX);
        let (held, asked) = (short(held), short(asked));
        cx.stats.input_bytes += u64::from(held);
        cx.stats.input_bytes -= u64::from(std::mem::replace(&mut self.held_input, held));
        cx.asked_bytes += u64::from(asked);
        cx.asked_bytes -= u64::from(self.asked_input());
        if let Stage::Http(http) = &mut self.stage {
            http.counted = asked;
        }
    }

    /// All peers together hold too much input, and this one is to hold nothing from now on.
    pub(crate) fn shed_input(&mut self, conn: ConnId, cx: &mut Context) {
        match &mut self.stage {
            Stage::Http(http) => http.turn_away(conn, cx),
            Stage::Conversation(conversation) if conversation.is_open() => {
                conversation.turn_away(cx);
            }
            Stage::Probe(probe) if probe.phase != Phase::Refused => probe.refuse(cx),
            // It was told to go before: what it holds is the beginning of a frame.
            Stage::Conversation(_) | Stage::Probe(_) => self.finished = true,
        }
    }

    /// Input that was kept for later is looked through once more when there is no later: only the peer's close frame
    /// is still of use in it.
    fn let_go(&mut self, conn: ConnId, cx: &mut Context) {
        let keeps_in_vain = match &mut self.stage {
            Stage::Http(_) => false,
            Stage::Conversation(conversation) => {
                if let Some(http) = conversation.late_request() {
                    cx.requests.push_back(SessionRequest::Discard(http));
                }
                conversation.keeps_in_vain()
            }
            Stage::Probe(probe) => probe.keeps_in_vain(),
        };
        if keeps_in_vain {
            self.on_data(conn, &mut [], cx);
        }
    }

    /// When something is to be done for this peer though nothing comes in; `u64::MAX` for never.
    pub(crate) fn next_deadline(&self, cx: &Context) -> u64 {
        let stage = match &self.stage {
            Stage::Http(http) => http.deadline(),
            Stage::Conversation(conversation) => {
                conversation.next_deadline(self.last_seen, &cx.settings)
            }
            Stage::Probe(probe) => probe.deadline,
        };
        stage.min(self.stall_deadline(cx))
    }

    /// Does what is due.
    pub(crate) fn on_timer(&mut self, conn: ConnId, cx: &mut Context) {
        if self.stall_deadline(cx) <= cx.now_ms {
            match &mut self.stage {
                Stage::Conversation(conversation) => conversation.give_up_slow_consumer(cx),
                Stage::Http(_) => cx.stats.http_responses_stalled_total += 1,
                Stage::Probe(_) => {}
            }
            self.finished = true;
            return;
        }
        let done = match &mut self.stage {
            Stage::Http(http) if self.output.is_empty() => http.on_timer(cx),
            Stage::Http(http) => {
                http.postpone(cx);
                false
            }
            Stage::Conversation(conversation) => conversation.on_timer(conn, self.last_seen, cx),
            Stage::Probe(probe) => probe.on_timer(cx),
        };
        self.finished |= done;
    }

    /// After output was brought on its way: ends what only waited for that.
    pub(crate) fn finish_if_done(&mut self) {
        if !self.output.is_empty() || self.finished {
            return;
        }
        let (half, whole) = match &mut self.stage {
            Stage::Http(http) => (http.is_over(), http.is_exhausted()),
            Stage::Conversation(conversation) => {
                (conversation.is_failed(), conversation.is_closed())
            }
            Stage::Probe(probe) => (false, probe.is_closed()),
        };
        if half && let Some(socket) = &self.socket {
            // Closing now would reset the connection while input is unread, and destroy our last words on their way.
            socket.finish_sending();
        }
        self.finished = whole;
    }

    /// When a socket that takes nothing, or a client that does not poll, counts as dead: a conversation after the same
    /// silence as one that sends nothing, a response sooner.
    fn stall_deadline(&self, cx: &Context) -> u64 {
        let patience = match &self.stage {
            Stage::Conversation(conversation) => {
                let times = conversation.session.dialect.ping_times(&cx.settings);
                times.silence_limit()
            }
            Stage::Http(_) => STALL_MS.min(cx.settings.ping_times().silence_limit()),
            Stage::Probe(_) => cx.settings.ping_times().silence_limit(),
        };
        match self.output.progress_ms() {
            Some(progress_ms) => progress_ms + patience,
            None => u64::MAX,
        }
    }

    fn marks(&self, cx: &Context) -> Marks {
        let high = match self.stage {
            // A response is as long as the app made it; the app is held back by `Drained`.
            Stage::Http(_) => usize::MAX,
            Stage::Conversation(_) | Stage::Probe(_) => cx.settings.outbox_bytes,
        };
        Marks {
            high,
            low: cx.settings.outbox_bytes / 4,
        }
    }

    fn after_sending(&mut self, sending: Sending, cx: &mut Context) {
        match sending {
            Sending::Fine => {}
            Sending::Broken(error) => self.break_off(error),
            Sending::Over => self.on_overflow(cx),
        }
    }

    fn break_off(&mut self, error: Errno) {
        match &mut self.stage {
            Stage::Conversation(conversation) => {
                conversation.fail_terminations(&format!("send failed: {error}"));
            }
            Stage::Http(http) => http.is_broken = true,
            Stage::Probe(_) => {}
        }
        self.finished = true;
    }

    /// The peer does not read: what waits is dropped but for the frame on its way, and a close frame follows.
    fn on_overflow(&mut self, cx: &mut Context) {
        cx.out.clear();
        match &mut self.stage {
            Stage::Conversation(conversation) => {
                if conversation.close_slow_consumer(cx) {
                    let last_words = std::mem::take(&mut cx.out);
                    self.output.cut_short(&last_words, cx);
                }
            }
            // All that it could have been sent are pongs, and answers to probes: nobody asks for so many.
            Stage::Probe(_) => self.finished = true,
            Stage::Http(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
