//! `Fleet`: sessions and outboxes.

use std::sync::Arc;

use dscore_fleet::{Message, OutboxBounds};
use dscore_traffic::ConnId;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::fleet::Fleet;
use crate::row::AgentRow;

#[pymethods]
impl Fleet {
    fn bound_outboxes(&self, messages: usize, max_bytes: usize, all_bytes: usize) {
        self.lock().sessions.bounds = OutboxBounds {
            messages,
            bytes: max_bytes,
            all_bytes,
        };
    }

    #[pyo3(signature = (agent, *, reconnection, age, ttl))]
    fn open_session(
        &self,
        agent: &AgentRow,
        reconnection: Option<bool>,
        age: i64,
        ttl: i64,
    ) -> bool {
        self.lock().open_session(agent.key, reconnection, age, ttl)
    }

    fn leave_session(&self, agent: &AgentRow, close_code: u16, age: i64) {
        self.lock().leave_session(agent.key, close_code, age);
    }

    fn has_session(&self, agent: &AgentRow) -> bool {
        let fleet = self.lock();
        let agent = fleet.agents.get(agent.key);
        agent.is_some_and(|agent| agent.session.is_some())
    }

    fn outbox(&self, agent: &AgentRow) -> (usize, u64) {
        let fleet = self.lock();
        let session = fleet
            .agents
            .get(agent.key)
            .and_then(|agent| agent.session.as_ref());
        session.map_or((0, 0), |session| {
            (session.waiting(), session.dropped.into())
        })
    }

    fn expire_sessions(&self, left_before: i64) -> usize {
        self.settle().expire_sessions(left_before)
    }

    fn resume_sessions(&self, age: i64) {
        self.settle().resume_sessions(age);
    }

    fn restore_message(&self, number: u64, agent_id: &str, text: &[u8]) -> bool {
        let message = Message {
            number,
            text: text.into(),
        };
        self.lock().restore_message(agent_id, message)
    }

    fn queue(&self, agent: &AgentRow, text: &[u8]) -> Option<u64> {
        self.lock().queue(agent.key, text)
    }

    fn withdraw(&self, agent: &AgentRow, number: u64) -> bool {
        self.lock().withdraw(agent.key, number)
    }

    fn deliver<'py>(
        &self,
        py: Python<'py>,
        agent: &AgentRow,
        max_bytes: usize,
    ) -> Vec<Bound<'py, PyBytes>> {
        let texts = self.lock().deliver(agent.key, max_bytes);
        bytes(py, &texts)
    }

    fn delivered<'py>(
        &self,
        py: Python<'py>,
        conn: u64,
        max_bytes: usize,
    ) -> Vec<Bound<'py, PyBytes>> {
        let next = self.lock().delivered(ConnId::from_u64(conn), max_bytes);
        bytes(py, &next.map_or_else(Vec::new, |(_, texts)| texts))
    }

    fn is_behind(&self, agent: &AgentRow) -> bool {
        self.lock().is_behind(agent.key)
    }

    fn take_drops(&self) -> Vec<(String, u64)> {
        let drops = self.lock().sessions.take_drops();
        let named = drops.into_iter();
        named.map(|(id, count)| (id.to_string(), count)).collect()
    }

    fn sessions(&self) -> (usize, usize, usize) {
        let fleet = self.lock();
        let sessions = &fleet.sessions;
        (
            sessions.len(),
            sessions.undelivered(),
            sessions.undelivered_bytes(),
        )
    }
}

fn bytes<'py>(py: Python<'py>, texts: &[Arc<[u8]>]) -> Vec<Bound<'py, PyBytes>> {
    texts.iter().map(|text| PyBytes::new(py, text)).collect()
}
