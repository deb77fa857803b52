//! What has changed since the store was last told: the last word on each thing, however often it changed.
//!
//! Each change has a version. [`Fleet::unsaved`] gives all that is not saved, again and again until [`Fleet::saved`] says
//! up to which version the store has it: a write that fails loses nothing, and nothing is kept twice for it.

use std::collections::BTreeMap;

use crate::agent::{Agent, AgentKey};
use crate::fleet::Fleet;
use crate::session::Session;
use crate::unsaved::{
    BEAT, Changes, ENTRIES, Given, KeptState, Moment, ROW, Row, SEEN, STATE, SeenRow,
};

/// So many agents to which the same has happened are worth a statement of their own.
const MANY: usize = 8;
/// Milliseconds; those that were last heard of in the same so many are written as heard of with the last of them. With a
/// statement for each millisecond, a fleet that answers in no order has every page of its table written again and again.
const SEEN_TOGETHER: i64 = 100;

impl Fleet {
    /// Whether a store writes down what changes from here on.
    pub fn keep_changes(&mut self, is_wanted: bool) {
        self.unsaved.is_wanted = is_wanted;
    }

    /// Whether anything has changed that is not saved. Asked in every turn of the loop, so it counts nothing.
    pub fn has_unsaved(&self) -> bool {
        let unsaved = &self.unsaved;
        let mut waiting = self.sessions.messages.range(unsaved.last_message + 1..);
        unsaved.is_wanted
            && (!unsaved.agents.is_empty()
                || !unsaved.forgotten.is_empty()
                || !unsaved.left.is_empty()
                || unsaved.has_server_entries
                || waiting.next().is_some())
    }

    /// How many things have changed and are not saved.
    pub fn unsaved_total(&self) -> usize {
        let unsaved = &self.unsaved;
        if !unsaved.is_wanted {
            return 0;
        }
        let waiting = self.sessions.messages.range(unsaved.last_message + 1..);
        unsaved.agents.len()
            + unsaved.forgotten.len()
            + unsaved.left.len()
            + waiting.count()
            + usize::from(unsaved.has_server_entries)
    }

    /// All that is not saved, as it is now.
    pub fn unsaved(&mut self, moment: &Moment) -> Changes {
        let mut changes = Changes {
            version: self.unsaved.version,
            age: moment.age,
            ..Changes::default()
        };
        if !self.unsaved.is_wanted {
            return changes;
        }
        let second = |pairs: &[(u64, u64)]| pairs.iter().map(|&(_, number)| number).collect();
        changes.forgotten = second(&self.unsaved.forgotten);
        changes.delivered = second(&self.unsaved.left);
        self.gather_agents(moment, &mut changes);
        if self.unsaved.has_server_entries {
            changes.entries.add(0, &self.timelines.server);
        }
        changes.entries.sort();
        let joined = self
            .sessions
            .messages
            .range(self.unsaved.last_message + 1..);
        changes
            .messages
            .extend(joined.filter_map(|(&number, &(key, _))| {
                let agent = self.agents.get(key)?;
                let outbox = agent.session.as_ref()?.outbox.as_ref()?;
                Some((number, agent.id.clone(), outbox.find(number)?.text.clone()))
            }));
        self.unsaved.given = Given {
            version: changes.version,
            message: self.sessions.last_message,
            entry: self.timelines.last_number,
        };
        changes
    }

    /// The store has all that was given to it as this version, the newest that was.
    pub fn saved(&mut self, version: u64) {
        let given = self.unsaved.given;
        if given.version != version {
            return;
        }
        self.unsaved.last_message = given.message;
        self.unsaved.left.retain(|&(changed, _)| changed > version);
        self.unsaved
            .forgotten
            .retain(|&(changed, _)| changed > version);
        for key in std::mem::take(&mut self.unsaved.agents) {
            self.resize(Some(key), |timeline| timeline.drop_to(given.entry));
            let Some(agent) = self.agents.get_mut(key) else {
                continue;
            };
            if agent.changed > version {
                self.unsaved.agents.push(key);
            } else {
                agent.changed = 0;
                agent.unsaved = 0;
                self.agents.release(key);
            }
        }
        self.resize(None, |timeline| timeline.drop_to(given.entry));
        self.unsaved.has_server_entries = !self.timelines.server.is_empty();
    }

    /// Something of an agent that is kept has changed.
    pub(crate) fn touch(&mut self, key: AgentKey, what: u8) {
        if !self.unsaved.is_wanted {
            return;
        }
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        self.unsaved.version += 1;
        agent.unsaved |= what;
        if std::mem::replace(&mut agent.changed, self.unsaved.version) == 0 {
            agent.refs += 1;
            self.unsaved.agents.push(key);
        }
    }

    fn gather_agents(&self, moment: &Moment, changes: &mut Changes) {
        let mut states: BTreeMap<(KeptState, Option<i64>), Alike<'_>> = BTreeMap::new();
        for &key in &self.unsaved.agents {
            let Some(agent) = self.agents.get(key).filter(|agent| agent.is_known()) else {
                continue;
            };
            let has = |what: u8| agent.unsaved & what != 0;
            let seen = || moment.seen(agent, has(SEEN), has(BEAT));
            if has(ROW) {
                changes.rows.push(moment.row(agent));
            } else if has(STATE) {
                let seen_at = seen().seen_at;
                let together = seen_at.map(|ms| ms.div_euclid(SEEN_TOGETHER));
                let alike = states.entry((kept_state(agent), together)).or_default();
                alike.seen_at = alike.seen_at.max(seen_at);
                alike.agents.push(agent);
                if has(BEAT) {
                    changes.seen.push(seen());
                }
            } else if has(SEEN | BEAT) {
                changes.seen.push(seen());
            }
            if has(ENTRIES) {
                changes.entries.add(agent.number, &agent.timeline);
            }
        }
        for ((state, _), Alike { seen_at, agents }) in states {
            if agents.len() < MANY {
                changes
                    .rows
                    .extend(agents.into_iter().map(|agent| moment.row(agent)));
            } else {
                let mut numbers: Vec<u64> = agents.iter().map(|agent| agent.number).collect();
                numbers.sort_unstable();
                changes.states.push((state, seen_at, numbers));
            }
        }
    }
}

/// Agents to which the same has happened at nearly the same time.
#[derive(Default)]
struct Alike<'a> {
    /// When the last of them was heard of.
    seen_at: Option<i64>,
    agents: Vec<&'a Agent>,
}

impl Moment {
    fn row(&self, agent: &Agent) -> Row {
        let seen = self.seen(agent, true, true);
        Row {
            number: agent.number,
            agent_id: agent.id.clone(),
            kept: kept_state(agent),
            ip: agent.ip.clone(),
            dialect: agent.dialect,
            generation: agent.generation.into(),
            introduced_by: agent.introduced_by,
            connected_at: self.times.unix_ms(agent.connected_at),
            seen_at: seen.seen_at,
            heartbeat_at: seen.heartbeat_at,
            config: agent.config().map(Into::into),
        }
    }

    fn seen(&self, agent: &Agent, is_seen: bool, has_beat: bool) -> SeenRow {
        let unix_ms =
            |ms: Option<i64>, counts: bool| ms.filter(|_| counts).map(|ms| self.times.unix_ms(ms));
        SeenRow {
            number: agent.number,
            seen_at: unix_ms(agent.heard_at(), is_seen),
            heartbeat_at: unix_ms(agent.last_heartbeat(), has_beat),
        }
    }
}

fn kept_state(agent: &Agent) -> KeptState {
    let session = agent.session.as_ref();
    KeptState {
        state: agent.state,
        reason: agent.reason,
        session: session.map(Session::kept),
    }
}
