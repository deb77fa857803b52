//! What the ends of a batch bring about: how a terminate_app went, and connections that have closed.
//!
//! An agent that said `OK` ends twice, and both count: its answer lets it go at once, with its session (PROTOCOL.md §6.4), and
//! its connection ends up to `shutdown.close_timeout` later. An application that starts again in between has its name free.
//! One event for both would spare no rule here: a takeover (§5 rule 7) leaves a connection whose end is stale as well.
//!
//! The table is changed at once; what is to be written down, passed on and told is gathered in [`Notes`], which the owner
//! takes in batches. Where a hook wants to see an agent in the middle of its end, [`Fleet::resume`] does the rest.

use dscore_traffic::ConnId;
use dscore_traffic::close::Initiator;
use dscore_traffic::event::{Closed, Outcome, OutcomeKind};
use serde::Serialize;

use crate::address::Address;
use crate::agent::AgentKey;
use crate::disconnects::Disconnects;
use crate::fleet::{Fleet, Rest};
use crate::heard::Reading;
use crate::notes::{self, Lost, Notes, Settled};
use crate::phrases;
use crate::words::{Input, Reason, State};

/// Characters kept of what an agent says about itself.
pub const MAX_TEXT: usize = 200;

const TERMINATED: &str = "terminated";

#[derive(Serialize)]
struct Incomplete<'a> {
    latency_ms: f64,
    drain: bool,
    incomplete: &'a str,
}

#[derive(Serialize)]
struct Unterminated<'a> {
    outcome: &'a str,
    message: &'a str,
    drain: bool,
}

#[derive(Serialize)]
struct Disconnected<'a> {
    code: u16,
    answer: u16,
    reason: &'a str,
    initiator: &'a str,
    cause: &'a str,
    ip: &'a Address,
    lasted_ms: Option<i64>,
    heartbeat_at: Option<i64>,
    rtt_us: Option<u32>,
    stale: bool,
}

#[derive(Serialize)]
struct Offline<'a> {
    reason_code: Option<&'a str>,
}

impl Fleet {
    /// What was gathered since it was taken last.
    pub fn take_notes(&mut self) -> Notes {
        std::mem::take(&mut self.notes)
    }

    /// A terminate_app has ended. Returns whether the notes are to be taken before anything else happens.
    pub fn outcome(&mut self, outcome: Box<Outcome>, now: i64) -> bool {
        let conn = outcome.conn;
        let (named, is_awaited) = self.connections.heard_outcome(conn, outcome.drain);
        let agent = named.and_then(|key| self.agents.get(key));
        let agent_id = agent.map(|agent| agent.id.clone());
        let owner = named.filter(|_| agent.is_some_and(|agent| agent.conn() == Some(conn)));
        if is_awaited {
            self.settle_for(named, (&*outcome).into());
        }
        // The caller of a single request decides what comes next.
        let mut stops = !outcome.drain;
        match (outcome.kind, owner) {
            (OutcomeKind::Acked, Some(key)) => {
                self.write_terminated(key, &outcome, now);
                stops |= self.end(key, Input::Terminated, (1000, "Client terminated"), now);
            }
            // The others have a better witness: how their connection ended.
            (OutcomeKind::Failed | OutcomeKind::TimedOut, Some(key)) => {
                let unterminated = Unterminated {
                    outcome: outcome.kind.name(),
                    message: cut(&outcome.message),
                    drain: outcome.drain,
                };
                self.write(key, "unterminated", &unterminated, now);
            }
            _ => {}
        }
        self.notes.settled.push(Settled { outcome, agent_id });
        stops
    }

    /// The agent was terminated, or removed: offline at once, its session over, its connection let go. Returns whether
    /// the notes are to be taken before anything else happens.
    pub fn end(
        &mut self,
        key: AgentKey,
        input: Input,
        (code, reason): (u16, &str),
        now: i64,
    ) -> bool {
        // One end at a time: a hook that ends another agent does not lose the rest of this one.
        self.resume(now);
        let Some(agent) = self.agents.get(key) else {
            return false;
        };
        let had_connection = agent.conn().is_some();
        self.release(key, now);
        self.drop_session(key);
        let rest = Rest { key, input };
        if self.wants.disconnects && had_connection {
            self.note_disconnect(key, code, reason);
            self.rest = Some(rest);
            return true;
        }
        self.finish(rest, now)
    }

    /// Does the rest of an end that a hook has seen the middle of. Returns whether there was one.
    pub fn resume(&mut self, now: i64) -> bool {
        let Some(rest) = self.rest.take() else {
            return false;
        };
        self.finish(rest, now);
        true
    }

    fn finish(&mut self, rest: Rest, now: i64) -> bool {
        let changed = self.noted(rest.key, rest.input, now);
        let state = self.agents.get(rest.key).map(|agent| agent.state);
        if state == Some(State::Terminated) {
            let answered = Reading {
                seen_ms: now,
                ..Reading::default()
            };
            self.hear(rest.key, &answered, true);
        }
        self.tell(rest.key, changed)
    }

    /// A connection has ended. Returns whether the notes are to be taken before anything else happens.
    pub fn closed(&mut self, closed: Box<Closed>, now: i64) -> bool {
        let conn = closed.conn;
        self.notes.closed.push(conn);
        let mut stops = false;
        if let Some(key) = self.named_by(conn) {
            self.give_back(key, conn);
            self.note_closed(key, conn, &closed, now);
            let is_owner = self
                .agents
                .get(key)
                .is_some_and(|one| one.conn() == Some(conn));
            stops = match is_owner {
                true => self.lose(key, closed, now),
                // A stale connection's end never touches its successor.
                false => self.heard_before_it_went(key, heartbeat_of(&closed)),
            };
        }
        if self.close(conn) {
            self.notes.watchers.push(conn);
        }
        stops
    }

    fn note_closed(&mut self, key: AgentKey, conn: ConnId, closed: &Closed, now: i64) {
        self.disconnects.count(closed);
        let Some(agent) = self.agents.get(key) else {
            return;
        };
        let stale = agent.conn() != Some(conn);
        if stale && (agent.state == State::Terminated || !agent.is_known()) {
            return; // its own entry has told it, or there is no timeline any more
        }
        let times = &self.wants.times;
        let heartbeat_at = heartbeat_of(closed).map(|heartbeat| times.unix_ms(heartbeat));
        let info = &closed.info;
        let ip = agent.ip.clone();
        let disconnected = Disconnected {
            code: info.code,
            answer: closed.answer,
            reason: &info.reason,
            initiator: info.initiator.name(),
            cause: &info.cause,
            ip: &ip,
            lasted_ms: (!stale).then(|| (now - agent.connected_at).max(0)),
            heartbeat_at,
            rtt_us: (closed.rtt_us != 0).then_some(closed.rtt_us),
            stale,
        };
        self.write(key, "disconnected", &disconnected, now);
    }

    fn lose(&mut self, key: AgentKey, closed: Box<Closed>, now: i64) -> bool {
        let Some(agent) = self.agents.get_mut(key) else {
            return false;
        };
        let agent_id = agent.id.clone();
        let is_peers = closed.info.initiator == Initiator::Peer;
        // The grace of a young heartbeat counts from it, and not from the last bulk reading.
        let heartbeat = heartbeat_of(&closed).filter(|&ms| agent.last_heartbeat() != Some(ms));
        let last = Reading {
            seen_ms: if is_peers { now } else { 0 },
            heartbeat_ms: heartbeat.unwrap_or(0),
            rtt_us: 0,
        };
        self.hear(key, &last, true);
        self.release(key, now);
        self.leave_session(key, closed.info.code, self.wants.age);
        let is_timeout = closed.info.cause == "heartbeat_timeout";
        let input = if is_timeout {
            Input::TimedOut
        } else {
            Input::Lost
        };
        let changed = self.noted(key, input, now);
        if self.wants.disconnects {
            self.note_disconnect(key, closed.info.code, &closed.info.reason);
        }
        self.notes.lost.push(Lost { agent_id, closed });
        if changed {
            self.write_offline(key, now);
        }
        self.tell(key, changed) || self.wants.disconnects
    }

    /// The last heartbeat over a connection that is not the agent's any more: it was terminated, or has another one by
    /// now.
    fn heard_before_it_went(&mut self, key: AgentKey, heartbeat: Option<i64>) -> bool {
        let Some(agent) = self.agents.get_mut(key).filter(|agent| agent.is_known()) else {
            return false;
        };
        // None is earlier than any.
        if agent.last_heartbeat() < heartbeat {
            let last = Reading {
                heartbeat_ms: heartbeat.unwrap_or(0),
                ..Reading::default()
            };
            self.hear(key, &last, true);
        }
        false
    }

    /// Its grace period is over, and it is offline by that.
    pub(crate) fn note_offline(&mut self, key: AgentKey, now: i64) {
        let Some(agent) = self.agents.get(key) else {
            return;
        };
        let (agent_id, reason) = (agent.id.clone(), agent.reason);
        self.notes.offline.push(notes::Offline { agent_id, reason });
        self.write_offline(key, now);
        self.tell(key, true);
    }

    fn write_terminated(&mut self, key: AgentKey, outcome: &Outcome, now: i64) {
        let (latency_ms, drain) = (outcome.latency_ms(), outcome.drain);
        if !outcome.incomplete {
            let at = self.wants.times.unix_ms(now);
            return self.record_packed(Some(key), at, TERMINATED, |packed| {
                phrases::pack_terminated(latency_ms, drain, packed);
            });
        }
        let terminated = Incomplete {
            latency_ms,
            drain,
            incomplete: cut(&outcome.message),
        };
        self.write(key, TERMINATED, &terminated, now);
    }

    fn write_offline(&mut self, key: AgentKey, now: i64) {
        let reason = self.agents.get(key).and_then(|agent| agent.reason);
        let reason_code = reason.map(Reason::name);
        self.write(key, "offline", &Offline { reason_code }, now);
    }

    /// How often connections of agents have ended, and how.
    pub fn disconnects(&self) -> &Disconnects {
        &self.disconnects
    }

    fn noted(&mut self, key: AgentKey, input: Input, now: i64) -> bool {
        match self.feed(key, input, now) {
            Ok(changed) => changed,
            Err(missing) => {
                let id = self.agents.get(key).map_or("", |agent| &*agent.id);
                self.notes.faults.push(format!("{missing}: {id}"));
                false
            }
        }
    }

    pub(crate) fn write(&mut self, key: AgentKey, kind: &str, data: &impl Serialize, now: i64) {
        // Plain structures have no way to fail.
        if let Ok(data) = serde_json::to_vec(data) {
            self.record(Some(key), self.wants.times.unix_ms(now), kind, &data);
        }
    }

    fn note_disconnect(&mut self, key: AgentKey, code: u16, reason: &str) {
        self.agents.retain(key);
        self.notes.disconnected.push((key, code, reason.to_owned()));
    }

    fn tell(&mut self, key: AgentKey, changed: bool) -> bool {
        if changed && (self.wants.changes || self.connections.is_watched()) {
            self.agents.retain(key);
            self.notes.changed.push(key);
        }
        changed && self.wants.statuses
    }
}

/// The last heartbeat of a connection, if it sent one.
fn heartbeat_of(closed: &Closed) -> Option<i64> {
    let heartbeat = i64::try_from(closed.heartbeat_ms).unwrap_or(i64::MAX);
    (heartbeat != 0).then_some(heartbeat)
}

fn cut(text: &str) -> &str {
    text.char_indices()
        .nth(MAX_TEXT)
        .map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::phrases::tests::has_no_key;

    /// What packs timelines knows the entries of today.
    #[test]
    fn the_keys_of_entries_are_packed() {
        assert!(has_no_key(&Offline {
            reason_code: Some("disconnected"),
        }));
        for (code, answer, rtt_us) in [(1000, 1000, Some(90)), (1006, 0, None), (1001, 1001, None)]
        {
            assert!(has_no_key(&Disconnected {
                code,
                answer,
                reason: "",
                initiator: "server",
                cause: "terminated",
                ip: &Ipv4Addr::new(10, 0, 0, 7).into(),
                lasted_ms: Some(7),
                heartbeat_at: None,
                rtt_us,
                stale: false,
            }));
        }
    }
}
