//! `Fleet`: batches of events, liveness, grace periods.

use std::sync::{Arc, PoisonError};

use dscore_fleet::{Admission, Disconnect, Input, Wants};
use pyo3::prelude::*;

use crate::events;
use crate::fleet::{Fleet, impossible};
use crate::inbox::Inbox;
use crate::made::Waiting;
use crate::notes;
use crate::orders::Acks;
use crate::row::AgentRow;
use crate::words::word;

#[pymethods]
impl Fleet {
    #[pyo3(signature = (*, connects, arrivals, disconnects, statuses, changes, times, age))]
    #[expect(
        clippy::too_many_arguments,
        reason = "one for each thing that may be wanted"
    )]
    fn want(
        &self,
        connects: bool,
        arrivals: bool,
        disconnects: bool,
        statuses: bool,
        changes: bool,
        times: (i64, i64, i64),
        age: i64,
    ) {
        self.lock().wants = Wants {
            connects,
            arrivals,
            disconnects,
            statuses,
            changes,
            times: notes::times(times),
            age,
        };
    }

    #[pyo3(signature = (*, is_open, session_ttl_ms, app_ready, reconnection))]
    fn admit(
        &self,
        is_open: bool,
        session_ttl_ms: i64,
        app_ready: Option<&[u8]>,
        reconnection: (Vec<u8>, Vec<u8>),
    ) {
        self.lock().admission = Admission {
            is_open,
            session_ttl: session_ttl_ms,
        };
        let acks = Acks::new(app_ready, &reconnection.0, &reconnection.1);
        *self.acks.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(acks);
    }

    fn step(
        &self,
        py: Python<'_>,
        inbox: &Inbox,
        limit: usize,
        now: i64,
    ) -> PyResult<(usize, Option<Py<PyAny>>)> {
        let (taken, asked, orders) = {
            let mut fleet = self.settle();
            let (taken, asked) = inbox.step(&mut fleet, limit, now);
            (taken, asked, fleet.take_orders())
        };
        if !orders.is_empty() {
            let acks = self
                .acks
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            inbox.give(py, orders, &acks)?;
        }
        let asked = match asked {
            Some(Waiting::Own(event)) => Some(events::convert(py, event)?.unbind()),
            Some(Waiting::Python(event)) => Some(event),
            None => None,
        };
        Ok((taken, asked))
    }

    fn end(
        &self,
        agent: &AgentRow,
        input: &str,
        code: u16,
        reason: &str,
        now: i64,
    ) -> PyResult<()> {
        let input = word(Input::from_name, input, "input")?;
        self.settle().end(agent.key, input, (code, reason), now);
        Ok(())
    }

    fn resume(&self, now: i64) -> bool {
        self.lock().resume(now)
    }

    fn notes(&self, py: Python<'_>) -> PyResult<Option<notes::Notes>> {
        notes::notes(&self.shared, py)
    }

    fn disconnects(&self) -> Vec<(Disconnect, u64)> {
        self.lock().disconnects().iter().collect()
    }

    fn feed(&self, agent: &AgentRow, input: &str, now: i64) -> PyResult<bool> {
        let input = word(Input::from_name, input, "input")?;
        let fed = self.lock().feed(agent.key, input, now);
        fed.map_err(|missing| impossible(&agent.id, missing))
    }

    fn missed(&self, agent: &AgentRow, misses: u32, now: i64) -> PyResult<bool> {
        let fed = self.lock().missed(agent.key, misses, now);
        fed.map_err(|missing| impossible(&agent.id, missing))
    }

    fn expire_now(&self, agent: &AgentRow, now: i64) -> PyResult<bool> {
        let cut = self.lock().expire_now(agent.key, now);
        cut.map_err(|missing| impossible(&agent.id, missing))
    }

    fn expire(&self, now: i64, limit: usize) {
        self.settle().expire(now, limit);
    }

    fn next_deadline(&self) -> Option<i64> {
        self.lock().graces.next_deadline()
    }

    fn stop_clock(&self, now: i64) {
        self.lock().graces.stop_clock(now);
    }

    fn start_clock(&self, now: i64) {
        self.lock().graces.start_clock(now);
    }

    fn skip(&self, now: i64, length: i64) {
        self.lock().graces.skip(now, length);
    }

    #[getter]
    fn missing_cells_total(&self) -> u64 {
        self.lock().missing_cells_total()
    }
}
