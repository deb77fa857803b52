//! What has changed since the store was last told: the last word on each thing, however often it changed.
//!
//! Each change has a version. [`Fleet::unsaved`] gives all that is not saved, again and again until [`Fleet::saved`] says
//! up to which version the store has it: a write that fails loses nothing, and nothing is kept twice for it.

use crate::agent::AgentKey;
use crate::fleet::Fleet;
use crate::unsaved::{Changes, SessionRow};

impl Fleet {
    /// Whether a store writes down what changes from here on.
    pub fn keep_changes(&mut self, is_wanted: bool) {
        self.unsaved.is_wanted = is_wanted;
    }

    /// How many things have changed and are not saved.
    pub fn unsaved_total(&self) -> usize {
        if !self.unsaved.is_wanted {
            return 0;
        }
        let waiting = self.sessions.messages.range(self.unsaved.last_saved + 1..);
        self.unsaved.agents.len() + self.unsaved.left.len() + waiting.count()
    }

    /// All that is not saved, as it is now.
    pub fn unsaved(&mut self) -> Changes {
        let mut changes = Changes {
            version: self.unsaved.version,
            ..Changes::default()
        };
        if !self.unsaved.is_wanted {
            return changes;
        }
        let known = self.unsaved.agents.iter().filter_map(|&key| {
            let agent = self.agents.get(key)?;
            agent.is_known().then_some(agent)
        });
        for agent in known {
            let agent_id = agent.id.clone();
            match &agent.session {
                Some(session) => changes.sessions.push(SessionRow {
                    agent_id,
                    last_close: session.last_close,
                    left_at: session.left_at,
                    dropped: session.dropped,
                }),
                None => changes.ended.push(agent_id),
            }
        }
        let joined = self.sessions.messages.range(self.unsaved.last_saved + 1..);
        changes
            .messages
            .extend(joined.filter_map(|(&number, &(key, _))| {
                let agent = self.agents.get(key)?;
                let outbox = agent.session.as_ref()?.outbox.as_ref()?;
                Some((number, agent.id.clone(), outbox.find(number)?.text.clone()))
            }));
        changes.delivered = self
            .unsaved
            .left
            .iter()
            .map(|&(_, number)| number)
            .collect();
        self.unsaved.given = (changes.version, self.sessions.last_message);
        changes
    }

    /// The store has all that was given to it as this version, the newest that was.
    pub fn saved(&mut self, version: u64) {
        if self.unsaved.given.0 == version {
            self.unsaved.last_saved = self.unsaved.given.1;
        }
        self.unsaved.left.retain(|&(changed, _)| changed > version);
        for key in std::mem::take(&mut self.unsaved.agents) {
            let Some(agent) = self.agents.get_mut(key) else {
                continue;
            };
            if agent.changed > version {
                self.unsaved.agents.push(key);
            } else {
                agent.changed = 0;
                self.agents.release(key);
            }
        }
    }

    /// Something of an agent that is kept has changed.
    pub(crate) fn touch(&mut self, key: AgentKey) {
        if !self.unsaved.is_wanted {
            return;
        }
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        self.unsaved.version += 1;
        if std::mem::replace(&mut agent.changed, self.unsaved.version) == 0 {
            agent.refs += 1;
            self.unsaved.agents.push(key);
        }
    }
}
