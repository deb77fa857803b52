//! Messages into an outbox, and out of it in portions.

use std::sync::Arc;

use dscore_traffic::ConnId;

use crate::agent::{Agent, AgentKey};
use crate::fleet::Fleet;
use crate::outbox::{Message, Outbox};
use crate::unsaved::STATE;

impl Fleet {
    /// Puts a message into an outbox, and drops the oldest past the bounds. Returns its number; `None`: there is no
    /// session.
    pub fn queue(&mut self, key: AgentKey, text: &[u8]) -> Option<u64> {
        let agent = self.agents.get_mut(key)?;
        let session = agent.session.as_mut()?;
        self.sessions.last_message += 1;
        let message = Message {
            number: self.sessions.last_message,
            text: text.into(),
        };
        let number = message.number;
        self.sessions.join(key, &message);
        let outbox = session.outbox.get_or_insert_default();
        outbox.push(message);
        let bounds = self.sessions.bounds;
        // A single message stays whatever its size: it fits a connection's outbox when that is empty.
        let is_full = |outbox: &Outbox| {
            outbox.len() > bounds.messages || (outbox.bytes() > bounds.bytes && outbox.len() > 1)
        };
        let mut excess = Vec::new();
        while is_full(outbox) {
            excess.extend(outbox.pop());
        }
        self.note_drops(key, &excess);
        if self.sessions.bytes > bounds.all_bytes {
            self.make_room(number);
        }
        Some(number)
    }

    /// Takes a message out of its outbox. Returns whether it was still there.
    pub fn withdraw(&mut self, key: AgentKey, number: u64) -> bool {
        let taken = self
            .outbox_mut(key)
            .and_then(|outbox| outbox.withdraw(number));
        if taken.is_some() {
            self.leave_outbox(number);
            self.free_outbox(key);
        }
        taken.is_some()
    }

    /// The agent has been let in, and told so: what waits for it comes next, in portions. Returns the first one, of so
    /// many bytes, or of one message. It is kept until [`Self::delivered`] says that the socket has it.
    pub fn deliver(&mut self, key: AgentKey, max_bytes: usize) -> Vec<Arc<[u8]>> {
        let Some(conn) = self.agents.get(key).and_then(Agent::conn) else {
            return Vec::new();
        };
        if self.is_deaf(key) {
            return Vec::new(); // `join_main` brings it
        }
        let Some(outbox) = self.outbox_mut(key) else {
            return Vec::new();
        };
        if outbox.lent_to() == Some(conn) {
            return Vec::new(); // introduced twice: `delivered` goes on with the rest
        }
        // What a connection that was taken over was sent is not known to have come.
        outbox.give_back();
        outbox.lend(conn, max_bytes)
    }

    /// A connection has taken what it was sent. Returns its agent and the next portion.
    pub fn delivered(
        &mut self,
        conn: ConnId,
        max_bytes: usize,
    ) -> Option<(AgentKey, Vec<Arc<[u8]>>)> {
        let key = self.owner(conn)?;
        let outbox = self.outbox_mut(key)?;
        if outbox.lent_to() != Some(conn) {
            return None;
        }
        for message in outbox.settle() {
            self.leave_outbox(message.number);
        }
        self.free_outbox(key);
        Some((key, self.deliver(key, max_bytes)))
    }

    /// The client of a connection has left "/", where agents are told things: what was on its way there may not have come,
    /// and waits for it to come back.
    pub fn leave_main(&mut self, conn: ConnId) {
        self.connections.set_deaf(conn, true);
        if let Some(key) = self.owner(conn) {
            self.give_back(key, conn);
        }
    }

    /// The client of a connection has joined "/". Returns its agent if it had left: what waits comes next.
    pub fn join_main(&mut self, conn: ConnId) -> Option<AgentKey> {
        self.connections.set_deaf(conn, false).then_some(())?;
        self.owner(conn)
    }

    /// Whether the agent is connected by a client that has left "/".
    pub fn is_deaf(&self, key: AgentKey) -> bool {
        let conn = self.agents.get(key).and_then(Agent::conn);
        let connection = conn.and_then(|conn| self.connections.get(conn));
        connection.is_some_and(|connection| connection.is_deaf)
    }

    /// Whether what is sent now must wait: something waits while more is on its way, or nothing gets to it.
    pub fn is_behind(&self, key: AgentKey) -> bool {
        if self.is_deaf(key) {
            return true;
        }
        self.outbox(key)
            .is_some_and(|outbox| outbox.lent_to().is_some() && outbox.len() > 0)
    }

    /// Whether something waits for it, or is on its way.
    pub(crate) fn has_outbox(&self, key: AgentKey) -> bool {
        self.outbox(key).is_some()
    }

    fn outbox(&self, key: AgentKey) -> Option<&Outbox> {
        self.agents.get(key)?.session.as_ref()?.outbox.as_deref()
    }

    /// A connection of an agent has ended: what was on its way over it waits for the next one.
    pub(crate) fn give_back(&mut self, key: AgentKey, conn: ConnId) {
        if let Some(outbox) = self.outbox_mut(key)
            && outbox.lent_to() == Some(conn)
        {
            outbox.give_back();
        }
    }

    /// Drops the oldest messages, whose ever they are, until the rest fits. The newest stays, so that what was just
    /// queued is never what is dropped.
    fn make_room(&mut self, newest: u64) {
        let mut excess = self
            .sessions
            .bytes
            .saturating_sub(self.sessions.bounds.all_bytes);
        let mut oldest = Vec::new();
        for (&number, &(key, size)) in self.sessions.messages.range(..newest) {
            if excess == 0 {
                break;
            }
            // Lent ones are on their way, and go by themselves.
            if self
                .outbox(key)
                .and_then(Outbox::first)
                .is_some_and(|first| first.number <= number)
            {
                excess = excess.saturating_sub(size);
                oldest.push(key);
            }
        }
        for key in oldest {
            let dropped = self.outbox_mut(key).and_then(Outbox::pop);
            self.note_drops(key, dropped.as_slice());
        }
    }

    fn note_drops(&mut self, key: AgentKey, dropped: &[Message]) {
        if dropped.is_empty() {
            return;
        }
        for message in dropped {
            self.leave_outbox(message.number);
        }
        if let Some(agent) = self.agents.get_mut(key)
            && let Some(session) = &mut agent.session
        {
            let count = u32::try_from(dropped.len()).unwrap_or(u32::MAX);
            session.dropped = session.dropped.saturating_add(count);
            *self.sessions.drops.entry(agent.id.clone()).or_default() += dropped.len() as u64;
        }
        self.free_outbox(key);
        self.touch(key, STATE);
    }

    pub(crate) fn leave_outbox(&mut self, number: u64) {
        self.sessions.leave(number);
        self.unsaved.leave(number);
    }

    fn outbox_mut(&mut self, key: AgentKey) -> Option<&mut Outbox> {
        self.agents
            .get_mut(key)?
            .session
            .as_mut()?
            .outbox
            .as_deref_mut()
    }

    fn free_outbox(&mut self, key: AgentKey) {
        if let Some(agent) = self.agents.get_mut(key)
            && let Some(session) = &mut agent.session
            && session
                .outbox
                .as_ref()
                .is_some_and(|outbox| outbox.is_unused())
        {
            session.outbox = None;
        }
    }
}
