//! Sessions: what outlives an agent's connection, from its first accepted introduction on (PROTOCOL.md §7).
//!
//! An agent that is away has messages wait in its outbox, within bounds for each and for all. Ages are milliseconds of
//! the store's age clock, which goes on in the next process where it stood.

use crate::agent::AgentKey;
use crate::fleet::Fleet;
use crate::outbox::Message;
use crate::session::Session;
use crate::unsaved::STATE;

impl Fleet {
    /// Takes up the session of an agent that is being let in, or begins one. Returns whether an earlier one goes on, its
    /// outbox included.
    ///
    /// `reconnection`: what its app_ready says; `None`: its message cannot say, and it keeps what it has. A session that
    /// was left for longer than `ttl` is over.
    pub fn open_session(
        &mut self,
        key: AgentKey,
        reconnection: Option<bool>,
        age: i64,
        ttl: i64,
    ) -> bool {
        let Some(agent) = self.agents.get_mut(key) else {
            return false;
        };
        if let Some(session) = &mut agent.session
            && reconnection != Some(false)
            && session.left_at().is_none_or(|left_at| left_at >= age - ttl)
        {
            session.set_left_at(None);
            self.touch(key, STATE);
            return true;
        }
        self.drop_session(key);
        if let Some(agent) = self.agents.get_mut(key) {
            agent.session = Some(Session::default());
            self.sessions.count += 1;
            self.touch(key, STATE);
        }
        false
    }

    /// The agent was disconnected: from here on its session has its time to live left.
    pub fn leave_session(&mut self, key: AgentKey, close_code: u16, age: i64) {
        let session = self.agents.get_mut(key).map(|agent| &mut agent.session);
        if let Some(Some(session)) = session {
            session.last_close = close_code;
            session.set_left_at(Some(age));
            self.touch(key, STATE);
        }
    }

    /// Ends a session with all it holds. What waits is counted as dropped; what is on its way may come.
    pub fn drop_session(&mut self, key: AgentKey) {
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        let Some(session) = agent.session.take() else {
            return;
        };
        self.sessions.count -= 1;
        if let Some(mut outbox) = session.outbox {
            if outbox.len() > 0 {
                *self.sessions.drops.entry(agent.id.clone()).or_default() += outbox.len() as u64;
            }
            for message in outbox.settle().iter().chain(outbox.iter()) {
                self.leave_outbox(message.number);
            }
        }
        self.touch(key, STATE);
    }

    /// Ends the sessions of agents that left before a time. Returns how many.
    pub fn expire_sessions(&mut self, left_before: i64) -> usize {
        let is_over = |session: &Session| session.left_at().is_some_and(|at| at < left_before);
        let expired: Vec<AgentKey> = self
            .agents
            .iter()
            .filter(|(_, agent)| agent.session.as_ref().is_some_and(is_over))
            .map(|(key, _)| key)
            .collect();
        for &key in &expired {
            self.drop_session(key);
        }
        expired.len()
    }

    /// Takes up a message of an earlier process, oldest first. Returns whether there is a session for it.
    pub fn restore_message(&mut self, agent_id: &str, message: Message) -> bool {
        self.sessions.last_message = self.sessions.last_message.max(message.number);
        self.unsaved.adopt(self.sessions.last_message);
        let Some(key) = self.agents.find(agent_id) else {
            return false;
        };
        let agent = self.agents.get_mut(key);
        let Some(session) = agent.and_then(|agent| agent.session.as_mut()) else {
            return false;
        };
        self.sessions.join(key, &message);
        session.outbox.get_or_insert_default().push(message);
        true
    }

    /// The agents whose sessions were not over when the last process ended have all of their time to live from now on:
    /// none could come back while there was no server.
    pub fn resume_sessions(&mut self, age: i64) {
        let keys: Vec<AgentKey> = self.agents.iter().map(|(key, _)| key).collect();
        for key in keys {
            let session = self.agents.get_mut(key).map(|agent| &mut agent.session);
            if let Some(Some(session)) = session {
                session.set_left_at(Some(age));
                self.touch(key, STATE);
            }
        }
    }
}
