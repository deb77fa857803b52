//! Who is on a WebSocket, and what that person's silence leads to.
//!
//! | who | accepted as agent | accepted as watcher | refused |
//! |---|---|---|---|
//! | stranger | agent | watcher | stranger |
//! | asking | agent | watcher | stranger |
//! | agent | agent | agent | agent |
//! | watcher | agent | watcher | watcher |
//! | plain | plain | plain | plain |
//!
//! A stranger asks by what it says: see [`crate::agents`]. It is not read again until it is answered.

use std::fmt::Display;

use dscore_proto::agent::{self, Kind};
use dscore_proto::close::CloseCode;
use dscore_traffic::close::CloseFrame;
use dscore_traffic::event::{self, Event};
use dscore_traffic::{ConnId, Endpoint};

use crate::context::Context;
use crate::dialect::Dialect;
use crate::settings::Settings;
use crate::termination::Terminations;

/// A minute, in which `max_errors` refusals are too many (PROTOCOL.md §10).
const ERROR_WINDOW_MS: u64 = 60_000;

/// What a connection_check says (PROTOCOL.md §3: always this).
const EXPECT_RESPONSE_WITHIN_MS: u64 = 30_000;

/// How far a connection may be ahead of the owner before it is not read: some hundred short messages, or a long one.
/// What waits for the owner is then bounded for each connection, and one that floods delays only itself. While much
/// waits of all together, a single message is far enough.
const MOST_AHEAD: u32 = 64 * 1024;
/// What a message costs the owner beside its bytes, in bytes.
const MESSAGE_COST: u32 = 512;

/// What a message, or silence, leads to.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Read on.
    Go,
    /// End the connection.
    Close(CloseFrame),
    /// The peer has said that it ends the connection, in its dialect.
    Left,
}

impl Verdict {
    /// Whether the peer broke the rules of its dialect.
    pub(crate) fn is_violation(&self) -> bool {
        matches!(self, Self::Close(close_frame) if close_frame.code == CloseCode::PROTOCOL_ERROR)
    }

    /// The peer broke the rules of its dialect.
    pub(crate) fn violation(what: &(impl Display + ?Sized)) -> Self {
        Self::Close(CloseFrame::new(
            CloseCode::PROTOCOL_ERROR,
            what.to_string(),
            "protocol_error",
        ))
    }
}

/// Who is on a WebSocket.
#[derive(Debug, PartialEq)]
pub(crate) enum Who {
    /// Nobody yet; since when.
    Stranger(u64),
    /// Has introduced itself this way and waits for the answer; a stranger since when.
    Asking(Kind, u64),
    /// An agent.
    Agent(Box<str>),
    /// A page or an operator's tool.
    Watcher,
    /// Not ours to ask.
    Plain,
}

/// What is known of whoever is on a WebSocket.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) who: Who,
    pub(crate) dialect: Dialect,
    /// The agent never sent app_ready.
    pub(crate) notice_only: bool,
    /// Tell of the next sign of life.
    pub(crate) hear_next_beat: bool,
    /// Whether the last one was a heartbeat.
    was_heartbeat: bool,
    /// What was handed over since the owner was last known to be done with it all: bytes and [`MESSAGE_COST`]s.
    ahead: u32,
    errors: u8,
    /// Errors to come that do not count.
    forgiven: u8,
    misses: u16,
    /// The round trip of the last ping; 0 for none yet.
    pub(crate) rtt_us: u32,
    errors_since: u64,
    /// The last heartbeat or connection_check_response; 0 for none yet: then silence is no miss.
    pub(crate) last_beat: u64,
    /// The last heartbeat, on the pool's clock; 0 for none yet.
    pub(crate) last_heartbeat: u64,
    next_check: u64,
    pub(crate) terminations: Option<Box<Terminations>>,
}

impl Session {
    pub(crate) fn new(endpoint: Endpoint, dialect: Dialect, now_ms: u64) -> Self {
        let who = if endpoint.has_agents() {
            Who::Stranger(now_ms)
        } else {
            Who::Plain
        };
        Self {
            who,
            dialect,
            notice_only: false,
            hear_next_beat: false,
            was_heartbeat: false,
            ahead: 0,
            errors: 0,
            forgiven: 0,
            misses: 0,
            rtt_us: 0,
            errors_since: 0,
            last_beat: 0,
            last_heartbeat: 0,
            next_check: u64::MAX,
            terminations: None,
        }
    }

    pub(crate) fn is_asking(&self) -> bool {
        matches!(self.who, Who::Asking(..))
    }

    /// Counts a message of `length` bytes that was handed over. Whoever gets too far ahead is read again when the owner
    /// is done with it all.
    pub(crate) fn count_ahead(&mut self, conn: ConnId, length: usize, cx: &mut Context) {
        // No message or body may be that long.
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let cost = length.saturating_add(MESSAGE_COST);
        let was_ahead = self.is_ahead();
        self.ahead = self.ahead.saturating_add(cost);
        if !was_ahead && (self.ahead >= MOST_AHEAD || cx.events.is_crowded()) {
            self.ahead = self.ahead.max(MOST_AHEAD);
            cx.ask_to_settle(conn);
        }
    }

    /// Hands over a bare message.
    pub(crate) fn hand_over(
        &mut self,
        conn: ConnId,
        data: &[u8],
        binary: bool,
        cx: &mut Context,
    ) -> Verdict {
        cx.tell(Event::Message(Box::new(event::Message {
            conn,
            kind: "".into(),
            data: data.into(),
            binary,
            parts: None,
        })));
        self.count_ahead(conn, data.len(), cx);
        Verdict::Go
    }

    /// Whether a binary message, if one came next, would be no agent's.
    pub(crate) fn wants_no_binary(&self) -> bool {
        let is_due = match &self.dialect {
            Dialect::Raw => false,
            Dialect::EngineIo(engine) => engine.expects_binary(),
        };
        self.who != Who::Plain && !is_due
    }

    pub(crate) fn is_ahead(&self) -> bool {
        self.ahead >= MOST_AHEAD
    }

    /// The owner is done with what it was told up to the request to settle.
    pub(crate) fn caught_up(&mut self) {
        self.ahead = 0;
    }

    /// An agent or a watcher: known and let in.
    pub(crate) fn is_introduced(&self) -> bool {
        matches!(self.who, Who::Agent(_) | Who::Watcher)
    }

    /// Counts as unauthenticated.
    pub(crate) fn is_stranger(&self) -> bool {
        matches!(self.who, Who::Stranger(_) | Who::Asking(..))
    }

    /// Watches and is no agent. One whose deadline was lifted watches until it introduces itself.
    pub(crate) fn only_watches(&self) -> bool {
        matches!(self.who, Who::Watcher | Who::Stranger(u64::MAX))
    }

    /// The introduction was accepted: from here on this is that agent.
    pub(crate) fn become_agent(&mut self, agent_id: Box<str>, notice_only: bool, cx: &mut Context) {
        let was = self.become_known(Who::Agent(agent_id), cx);
        self.notice_only = notice_only;
        if matches!(was, Who::Asking(Kind::Heartbeat, _)) {
            cx.stats.heartbeats_total += 1;
            self.beat(Kind::Heartbeat, cx);
        }
    }

    /// The watch was accepted.
    pub(crate) fn become_watcher(&mut self, cx: &mut Context) {
        self.become_known(Who::Watcher, cx);
    }

    /// Puts somebody in the place of whoever was here, and returns that one.
    fn become_known(&mut self, who: Who, cx: &mut Context) -> Who {
        cx.stats.connections_unauthenticated -= u64::from(self.is_stranger());
        let next = match (&self.who, who) {
            // An agent that watches as well stays an agent.
            (Who::Agent(agent_id), Who::Watcher) => Who::Agent(agent_id.clone()),
            (Who::Plain, _) => Who::Plain,
            (_, who) => who,
        };
        std::mem::replace(&mut self.who, next)
    }

    /// The introduction was refused: the stranger may try again.
    pub(crate) fn stay_stranger(&mut self) {
        if let Who::Asking(_, since) = self.who {
            self.who = Who::Stranger(since);
        }
    }

    /// A stranger may stay one as long as it likes.
    pub(crate) fn lift_deadline(&mut self) {
        if let Who::Stranger(since) | Who::Asking(_, since) = &mut self.who {
            *since = u64::MAX;
        }
    }

    /// So many more `error` replies are not the peer's fault.
    pub(crate) fn forgive(&mut self, errors: usize) {
        let errors = u8::try_from(errors).unwrap_or(u8::MAX);
        self.forgiven = self.forgiven.saturating_add(errors);
    }

    /// Counts one `error` reply; the last one allowed ends the connection.
    pub(crate) fn count_error(&mut self, cx: &mut Context) -> Verdict {
        cx.stats.errors_total += 1;
        if self.forgiven > 0 {
            self.forgiven -= 1;
            return Verdict::Go;
        }
        if cx.now_ms.saturating_sub(self.errors_since) >= ERROR_WINDOW_MS {
            self.errors_since = cx.now_ms;
            self.errors = 0;
        }
        self.errors = self.errors.saturating_add(1);
        if self.errors < cx.settings.max_errors {
            return Verdict::Go;
        }
        cx.stats.too_many_errors_total += 1;
        Verdict::Close(CloseFrame::new(
            CloseCode::POLICY,
            "too many errors",
            "protocol_error",
        ))
    }

    /// Input was held back for so long, or the introduction looked at: no deadline came nearer by it.
    pub(crate) fn postpone(&mut self, ms: u64) {
        if let Who::Stranger(since) | Who::Asking(_, since) = &mut self.who {
            *since = since.saturating_add(ms);
        }
        if self.last_beat > 0 {
            self.last_beat += ms;
        }
        self.next_check = self.next_check.saturating_add(ms);
        self.dialect.postpone(ms);
        if let Some(terminations) = &mut self.terminations {
            terminations.postpone(ms);
        }
    }

    /// A heartbeat or connection_check_response came.
    pub(crate) fn beat(&mut self, kind: Kind, cx: &mut Context) {
        self.last_beat = cx.now_ms.max(1);
        self.was_heartbeat = kind == Kind::Heartbeat;
        if kind == Kind::Heartbeat {
            if self.last_heartbeat > 0 {
                let due = self.last_heartbeat + cx.settings.next_heartbeat_in;
                cx.stats.count_lateness(cx.pool_ms.saturating_sub(due));
            }
            self.last_heartbeat = cx.pool_ms.max(1);
        }
        self.misses = 0;
        self.next_check = cx.now_ms + cx.settings.connection_check_interval;
    }

    /// The owner wants to hear of the next sign of life; of one that came while it did not look, at once.
    pub(crate) fn hear_next_beat(&mut self, conn: ConnId, cx: &mut Context) {
        if self.last_beat == 0 || self.misses > 0 {
            self.hear_next_beat = true;
            return;
        }
        let kind = match self.was_heartbeat {
            true => Kind::Heartbeat,
            false => Kind::ConnectionCheckResponse,
        };
        cx.tell(Event::Beat { conn, kind });
    }

    /// A pong came. What it carries is the time of the ping, unless the peer made it up: a time to come is no answer.
    pub(crate) fn pong(&mut self, payload: &[u8], cx: &Context) {
        let Ok(sent) = payload.try_into().map(u64::from_be_bytes) else {
            return;
        };
        self.measure_round_trip(sent, cx);
    }

    /// What was sent at `sent_us` was answered just now.
    pub(crate) fn measure_round_trip(&mut self, sent_us: u64, cx: &Context) {
        if let Some(rtt_us) = cx.now_us.checked_sub(sent_us) {
            self.rtt_us = u32::try_from(rtt_us).unwrap_or(u32::MAX).max(1);
        }
    }

    /// When this person's silence, or an unanswered request, leads to something.
    pub(crate) fn next_deadline(&self, settings: &Settings) -> u64 {
        let own = match &self.who {
            Who::Stranger(since) | Who::Asking(_, since) => self.introduce_by(*since, settings),
            Who::Agent(_) if self.last_beat > 0 => self
                .next_check
                .min(self.last_beat + settings.offline_timeout),
            Who::Agent(_) | Who::Watcher | Who::Plain => u64::MAX,
        };
        let own = own.min(self.dialect.deadline());
        match &self.terminations {
            Some(terminations) => own.min(terminations.next_deadline()),
            None => own,
        }
    }

    /// When a stranger must be somebody. Pages of document B never introduce themselves: over Socket.IO that is asked
    /// only of those who need a token (PROTOCOL.md §2).
    fn introduce_by(&self, since: u64, settings: &Settings) -> u64 {
        match self.dialect {
            Dialect::EngineIo(_) if settings.introduce_by_heartbeat => u64::MAX,
            Dialect::Raw | Dialect::EngineIo(_) => since.saturating_add(settings.auth_timeout),
        }
    }

    /// Does what is due.
    pub(crate) fn on_timer(&mut self, conn: ConnId, cx: &mut Context) -> Verdict {
        if let Some(terminations) = &mut self.terminations
            && let Some(close_frame) = terminations.expire(conn, cx)
        {
            return Verdict::Close(close_frame);
        }
        if self.dialect.deadline() <= cx.now_ms {
            let reason = "no Socket.IO CONNECT in time";
            return Verdict::Close(CloseFrame::new(CloseCode::POLICY, reason, ""));
        }
        match &self.who {
            Who::Stranger(since) | Who::Asking(_, since)
                if self.introduce_by(*since, &cx.settings) <= cx.now_ms =>
            {
                Verdict::Close(CloseFrame::new(
                    CloseCode::POLICY,
                    "authentication timeout",
                    "",
                ))
            }
            Who::Agent(_) if self.last_beat > 0 => self.on_silence(conn, cx),
            _ => Verdict::Go,
        }
    }

    /// PROTOCOL.md §5 rule 2: every interval of silence is a miss and a connection_check, until too long is too long.
    fn on_silence(&mut self, conn: ConnId, cx: &mut Context) -> Verdict {
        let silent_ms = cx.now_ms.saturating_sub(self.last_beat);
        if silent_ms >= cx.settings.offline_timeout {
            return Verdict::Close(CloseFrame::new(
                CloseCode::INTERNAL,
                "heartbeat timeout",
                "heartbeat_timeout",
            ));
        }
        if self.next_check <= cx.now_ms
            && let Who::Agent(agent_id) = &self.who
        {
            self.misses = self.misses.saturating_add(1);
            self.next_check = cx.now_ms + cx.settings.connection_check_interval;
            cx.stats.missed_heartbeats_total += 1;
            cx.send_text(self.dialect.form(), |timestamp, out| {
                agent::encode_connection_check(agent_id, timestamp, EXPECT_RESPONSE_WITHIN_MS, out);
            });
            cx.tell(Event::Missed {
                conn,
                misses: self.misses.into(),
                silent_ms,
            });
        }
        Verdict::Go
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, table_rows};

    fn somebody(name: &str) -> Who {
        match name {
            "stranger" => Who::Stranger(7),
            "asking" => Who::Asking(Kind::Watch, 7),
            "agent" => Who::Agent("a".into()),
            "watcher" => Who::Watcher,
            "plain" => Who::Plain,
            _ => panic!("nobody is called {name}"),
        }
    }

    #[test]
    fn answers_lead_where_the_documented_table_says() {
        let rows = table_rows(include_str!("session.rs"));
        assert_eq!(rows.len(), 5);
        for row in rows {
            for (answer, expected) in row[1..].iter().enumerate() {
                let mut bench = Bench::new();
                let mut session = Session::new(Endpoint::Raw, Dialect::Raw, 0);
                session.who = somebody(row[0]);
                bench.cx.stats.connections_unauthenticated = session.is_stranger().into();
                match answer {
                    0 => session.become_agent("a".into(), false, &mut bench.cx),
                    1 => session.become_watcher(&mut bench.cx),
                    _ => session.stay_stranger(),
                }
                assert_eq!(session.who, somebody(expected), "{row:?}, column {answer}");
                let unauthenticated = bench.cx.stats.connections_unauthenticated;
                assert_eq!(unauthenticated, u64::from(session.is_stranger()), "{row:?}");
            }
        }
    }
}
