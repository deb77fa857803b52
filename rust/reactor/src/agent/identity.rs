//! Who is on a connection, and what its silence leads to.
//!
//! | role | accepted as agent | accepted as watcher | refused |
//! |---|---|---|---|
//! | unauthenticated | agent | watcher | unauthenticated |
//! | authenticating | agent | watcher | unauthenticated |
//! | agent | agent | agent | agent |
//! | watcher | agent | watcher | watcher |
//! | plain | plain | plain | plain |
//! | guest | guest | guest | guest |
//!
//! An unauthenticated connection introduces itself by what it says: see [`super::messages`]. While that is judged it is not
//! read.

use std::sync::Arc;

use dscore_proto::agent::{self, Kind};
use dscore_proto::close::CloseCode;
use dscore_traffic::close::CloseFrame;
use dscore_traffic::event::{Event, Missed};
use dscore_traffic::{ConnId, Endpoint};

use super::line::Line;
use super::termination::Terminations;
use crate::context::Context;
use crate::settings::Settings;

/// What a connection_check says (PROTOCOL.md §3: always this).
const EXPECT_RESPONSE_WITHIN_MS: u64 = 30_000;

/// What a connection is to the fleet.
#[derive(Debug, PartialEq)]
pub(crate) enum Role {
    /// Not introduced yet; since when.
    Unauthenticated(u64),
    /// Has introduced itself this way and waits for the answer; unauthenticated since when.
    Authenticating(Kind, u64),
    /// An agent.
    Agent(Arc<str>),
    /// A page or an operator's tool.
    Watcher,
    /// On an endpoint without agents: never asked.
    Plain,
    /// The same, a WebSocket of the program's own app, which says itself when it is read on.
    Guest,
}

/// Who is on a connection.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) role: Role,
    /// The agent never sent app_ready.
    pub(crate) notice_only: bool,
    /// Tell of the next sign of life.
    hears_next_beat: bool,
    /// Whether the last one was a heartbeat.
    was_heartbeat: bool,
    misses: u16,
    /// `error` replies since `errors_since`.
    pub(super) errors: u8,
    /// Those to come that do not count.
    pub(super) forgiven: u8,
    pub(super) errors_since: u64,
    /// The last heartbeat or connection_check_response; 0 for none yet: then silence is no miss.
    pub(super) last_beat: u64,
    /// The last heartbeat, on the pool's clock; 0 for none yet.
    pub(crate) last_heartbeat: u64,
    next_check: u64,
    pub(crate) terminations: Option<Box<Terminations>>,
}

impl Identity {
    pub(crate) fn new(endpoint: Endpoint, now_ms: u64) -> Self {
        let role = match endpoint {
            Endpoint::Guest => Role::Guest,
            endpoint if endpoint.has_agents() => Role::Unauthenticated(now_ms),
            _ => Role::Plain,
        };
        Self {
            role,
            notice_only: false,
            hears_next_beat: false,
            was_heartbeat: false,
            misses: 0,
            errors: 0,
            forgiven: 0,
            errors_since: 0,
            last_beat: 0,
            last_heartbeat: 0,
            next_check: u64::MAX,
            terminations: None,
        }
    }

    pub(crate) fn is_authenticating(&self) -> bool {
        matches!(self.role, Role::Authenticating(..))
    }

    /// Counts as unauthenticated.
    pub(crate) fn is_unauthenticated(&self) -> bool {
        matches!(
            self.role,
            Role::Unauthenticated(_) | Role::Authenticating(..)
        )
    }

    /// An agent or a watcher: known and let in.
    pub(crate) fn is_introduced(&self) -> bool {
        matches!(self.role, Role::Agent(_) | Role::Watcher)
    }

    pub(crate) fn is_agent(&self) -> bool {
        matches!(self.role, Role::Agent(_))
    }

    pub(crate) fn is_watcher(&self) -> bool {
        self.role == Role::Watcher
    }

    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.role, Role::Plain | Role::Guest)
    }

    pub(crate) fn is_guest(&self) -> bool {
        self.role == Role::Guest
    }

    /// Stays in maintenance: a guest's is the app's, whose requests are served too.
    pub(crate) fn is_spared(&self) -> bool {
        self.only_watches() || self.is_guest()
    }

    /// Watches and is no agent. One whose deadline was lifted watches until it introduces itself.
    pub(crate) fn only_watches(&self) -> bool {
        matches!(self.role, Role::Watcher | Role::Unauthenticated(u64::MAX))
    }

    /// The introduction was accepted: from here on this is that agent. Returns whether a heartbeat was the introduction,
    /// which is to be answered as all others are.
    pub(crate) fn become_agent(
        &mut self,
        agent_id: Arc<str>,
        notice_only: bool,
        cx: &mut Context,
    ) -> bool {
        let was = self.become_known(Role::Agent(agent_id), cx);
        self.notice_only = notice_only;
        let was_heartbeat = matches!(was, Role::Authenticating(Kind::Heartbeat, _));
        if was_heartbeat {
            self.beat(Kind::Heartbeat, cx);
        }
        was_heartbeat
    }

    /// The watch was accepted.
    pub(crate) fn become_watcher(&mut self, cx: &mut Context) {
        self.become_known(Role::Watcher, cx);
    }

    /// Changes the role, and returns the former one.
    fn become_known(&mut self, role: Role, cx: &mut Context) -> Role {
        cx.stats.connections_unauthenticated -= u64::from(self.is_unauthenticated());
        let next = match (&self.role, role) {
            // An agent that watches as well stays an agent.
            (Role::Agent(agent_id), Role::Watcher) => Role::Agent(agent_id.clone()),
            (Role::Plain, _) => Role::Plain,
            (Role::Guest, _) => Role::Guest,
            (_, role) => role,
        };
        std::mem::replace(&mut self.role, next)
    }

    /// The introduction was refused: there may be another one.
    pub(crate) fn stay_unauthenticated(&mut self) {
        if let Role::Authenticating(_, since) = self.role {
            self.role = Role::Unauthenticated(since);
        }
    }

    /// It may stay unauthenticated for as long as it likes.
    pub(crate) fn lift_deadline(&mut self) {
        if let Role::Unauthenticated(since) | Role::Authenticating(_, since) = &mut self.role {
            *since = u64::MAX;
        }
    }

    /// Input was held back for so long, or the introduction looked at: no deadline came nearer by it.
    pub(crate) fn postpone(&mut self, ms: u64) {
        if let Role::Unauthenticated(since) | Role::Authenticating(_, since) = &mut self.role {
            *since = since.saturating_add(ms);
        }
        if self.last_beat > 0 {
            self.last_beat += ms;
        }
        self.next_check = self.next_check.saturating_add(ms);
        if let Some(terminations) = &mut self.terminations {
            terminations.postpone(ms);
        }
    }

    /// A heartbeat or connection_check_response came.
    pub(crate) fn beat(&mut self, kind: Kind, cx: &mut Context) {
        self.last_beat = cx.now_ms.max(1);
        self.was_heartbeat = kind == Kind::Heartbeat;
        if kind == Kind::Heartbeat {
            cx.stats.heartbeats_total += 1;
            if self.last_heartbeat > 0 {
                let due = self.last_heartbeat + cx.settings.next_heartbeat_in;
                cx.stats.count_lateness(cx.pool_ms.saturating_sub(due));
            }
            self.last_heartbeat = cx.pool_ms.max(1);
        }
        self.misses = 0;
        self.next_check = cx.now_ms + cx.settings.connection_check_interval;
    }

    /// Tells of a sign of life, if the owner wants to hear of this one.
    pub(super) fn tell_beat(&mut self, conn: ConnId, kind: Kind, cx: &mut Context) {
        if std::mem::take(&mut self.hears_next_beat) {
            cx.tell(Event::Beat { conn, kind });
        }
    }

    /// The owner wants to hear of the next sign of life; of one that came while it did not look, at once.
    pub(crate) fn hear_next_beat(&mut self, conn: ConnId, cx: &mut Context) {
        if self.last_beat == 0 || self.misses > 0 {
            self.hears_next_beat = true;
            return;
        }
        let kind = match self.was_heartbeat {
            true => Kind::Heartbeat,
            false => Kind::ConnectionCheckResponse,
        };
        cx.tell(Event::Beat { conn, kind });
    }

    /// When its silence, or an unanswered request, leads to something. Unauthenticated it may stay for `auth_timeout`;
    /// `u64::MAX` for ever.
    pub(crate) fn next_deadline(&self, auth_timeout: u64, settings: &Settings) -> u64 {
        let own = match &self.role {
            Role::Unauthenticated(since) | Role::Authenticating(_, since) => {
                since.saturating_add(auth_timeout)
            }
            Role::Agent(_) if self.last_beat > 0 => self
                .next_check
                .min(self.last_beat + settings.offline_timeout),
            Role::Agent(_) | Role::Watcher | Role::Plain | Role::Guest => u64::MAX,
        };
        match &self.terminations {
            Some(terminations) => own.min(terminations.next_deadline()),
            None => own,
        }
    }

    /// Does what is due.
    ///
    /// # Errors
    /// The close frame: a deadline has come that ends the connection.
    pub(crate) fn on_timer(
        &mut self,
        line: &Line<'_>,
        auth_timeout: u64,
        cx: &mut Context,
    ) -> Result<(), CloseFrame> {
        if let Some(terminations) = &mut self.terminations
            && let Some(close_frame) = terminations.expire(line.conn, cx)
        {
            return Err(close_frame);
        }
        match &self.role {
            Role::Unauthenticated(since) | Role::Authenticating(_, since)
                if since.saturating_add(auth_timeout) <= cx.now_ms =>
            {
                let reason = "authentication timeout";
                Err(CloseFrame::new(CloseCode::POLICY, reason, ""))
            }
            Role::Agent(_) if self.last_beat > 0 => self.on_silence(line, cx),
            _ => Ok(()),
        }
    }

    /// PROTOCOL.md §5 rule 2: every interval of silence is a miss and a connection_check, until too long is too long.
    fn on_silence(&mut self, line: &Line<'_>, cx: &mut Context) -> Result<(), CloseFrame> {
        let silent_ms = cx.now_ms.saturating_sub(self.last_beat);
        if silent_ms >= cx.settings.offline_timeout {
            return Err(CloseFrame::new(
                CloseCode::INTERNAL,
                "heartbeat timeout",
                "heartbeat_timeout",
            ));
        }
        if self.next_check <= cx.now_ms
            && let Role::Agent(agent_id) = &self.role
        {
            self.misses = self.misses.saturating_add(1);
            self.next_check = cx.now_ms + cx.settings.connection_check_interval;
            cx.stats.missed_heartbeats_total += 1;
            cx.send_text(line.form, |timestamp, out| {
                agent::encode_connection_check(agent_id, timestamp, EXPECT_RESPONSE_WITHIN_MS, out);
            });
            cx.tell(Event::Missed(Box::new(Missed {
                conn: line.conn,
                misses: self.misses.into(),
                silent_ms,
            })));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, table_rows};

    fn role(name: &str) -> Role {
        match name {
            "unauthenticated" => Role::Unauthenticated(7),
            "authenticating" => Role::Authenticating(Kind::Watch, 7),
            "agent" => Role::Agent("a".into()),
            "watcher" => Role::Watcher,
            "plain" => Role::Plain,
            "guest" => Role::Guest,
            _ => panic!("no role is called {name}"),
        }
    }

    #[test]
    fn answers_lead_where_the_documented_table_says() {
        let rows = table_rows(include_str!("identity.rs"));
        assert_eq!(rows.len(), 6);
        for row in rows {
            for (answer, expected) in row[1..].iter().enumerate() {
                let mut bench = Bench::new();
                let mut identity = Identity::new(Endpoint::Raw, 0);
                identity.role = role(row[0]);
                let unauthenticated = identity.is_unauthenticated();
                bench.cx.stats.connections_unauthenticated = unauthenticated.into();
                match answer {
                    0 => {
                        let _was_heartbeat =
                            identity.become_agent("a".into(), false, &mut bench.cx);
                    }
                    1 => identity.become_watcher(&mut bench.cx),
                    _ => identity.stay_unauthenticated(),
                }
                assert_eq!(identity.role, role(expected), "{row:?}, column {answer}");
                let counted = bench.cx.stats.connections_unauthenticated;
                assert_eq!(counted, u64::from(identity.is_unauthenticated()), "{row:?}");
            }
        }
    }
}
