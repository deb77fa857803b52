//! Grace periods, on a clock of their own.

use std::collections::VecDeque;

use dscore_wheel::Wheel;

use crate::agent::{Agent, AgentKey, GraceOf};
use crate::words::{Grace, Reason};

/// Gaps that are kept: what is older than all of them is old anyway.
const MAX_GAPS: usize = 64;

/// The settings of `monitoring` that have a part in liveness, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Monitoring {
    /// Silent for that many intervals an agent is late.
    pub max_missed: u32,
    /// From then on.
    pub heartbeat_grace_ms: i64,
    /// From the loss of its connection.
    pub reconnection_grace_ms: i64,
    /// Silent for so long its connection is closed.
    pub offline_timeout_ms: i64,
}

/// The grace periods of all agents. Their clock lags behind the pool's by the time spent in maintenance, and by that in
/// which nothing was looked at.
#[derive(Debug)]
pub struct Graces {
    wheel: Wheel<AgentKey>,
    /// Those that have run out and wait for their turn. One that came back meanwhile stays in it, and counts no more.
    due: VecDeque<AgentKey>,
    lag: i64,
    stopped_at: Option<i64>,
    /// When each ended, and how long it was.
    gaps: VecDeque<(i64, i64)>,
}

impl Graces {
    pub(crate) fn new(now: i64) -> Self {
        Self {
            wheel: Wheel::new(tick(now)),
            due: VecDeque::new(),
            lag: 0,
            stopped_at: None,
            gaps: VecDeque::new(),
        }
    }

    /// From here on every grace period stands still (maintenance, drain).
    pub fn stop_clock(&mut self, now: i64) {
        self.stopped_at.get_or_insert(now);
    }

    /// They go on.
    pub fn start_clock(&mut self, now: i64) {
        if let Some(stopped_at) = self.stopped_at.take() {
            self.lag += now - stopped_at;
        }
    }

    /// Nothing was looked at in the last `length` milliseconds: they count for no grace period, and for no age of a
    /// heartbeat.
    pub fn skip(&mut self, now: i64, length: i64) {
        if self.gaps.len() == MAX_GAPS {
            self.gaps.pop_front();
        }
        self.gaps.push_back((now, length));
        if self.stopped_at.is_none() {
            self.lag += length;
        }
    }

    /// When [`Self::pop_due`] is next worth calling, on the pool's clock; `None`: nothing runs.
    pub fn next_deadline(&self) -> Option<i64> {
        if self.stopped_at.is_some() {
            return None;
        }
        if !self.due.is_empty() {
            return Some(0);
        }
        let expiration = self.wheel.next_expiration()?;
        Some(
            i64::try_from(expiration)
                .unwrap_or(i64::MAX)
                .saturating_add(self.lag),
        )
    }

    /// Finds those that have run out by now, for [`Self::pop_due`].
    pub(crate) fn advance(&mut self, now: i64) -> Vec<AgentKey> {
        let mut expired = Vec::new();
        if self.stopped_at.is_none() {
            self.wheel.advance(tick(now - self.lag));
            while let Some((_, key)) = self.wheel.pop_expired() {
                self.due.push_back(key);
                expired.push(key);
            }
        }
        expired
    }

    /// The next one whose turn it is.
    pub(crate) fn pop_due(&mut self) -> Option<AgentKey> {
        if self.stopped_at.is_some() {
            return None;
        }
        self.due.pop_front()
    }

    /// What a step of the table does to the grace period of an agent.
    pub(crate) fn change(
        &mut self,
        (key, agent): (AgentKey, &mut Agent),
        grace: Grace,
        monitoring: &Monitoring,
        now: i64,
    ) {
        if grace == Grace::Keep {
            return;
        }
        if let GraceOf::Armed(armed) = std::mem::replace(&mut agent.grace, GraceOf::None) {
            self.wheel.cancel(armed);
        }
        let mut wait = monitoring.reconnection_grace_ms;
        match grace {
            Grace::Keep | Grace::Cancel => return,
            Grace::Heartbeat => wait = monitoring.heartbeat_grace_ms,
            Grace::Boot => {}
            // A heartbeat can only come with a connection, so the rest of its grace that would have to be waited out
            // once the reconnection grace is over is known now: one deadline serves both.
            Grace::Reconnection => {
                if let Some(last) = agent.last_heartbeat() {
                    wait = wait.max(monitoring.heartbeat_grace_ms - self.age(last, now));
                }
            }
        }
        let clock = self.stopped_at.unwrap_or(now) - self.lag;
        agent.grace = GraceOf::Armed(self.wheel.arm(tick(clock.saturating_add(wait)), key));
    }

    /// Why an agent that an earlier process knew is offline, when it has not come back.
    pub(crate) fn reason_after_boot(
        &self,
        agent: &Agent,
        monitoring: &Monitoring,
        now: i64,
    ) -> Reason {
        match agent.last_heartbeat() {
            None => Reason::NoConnection,
            Some(last) if self.age(last, now) > monitoring.offline_timeout_ms => {
                Reason::HeartbeatTimeout
            }
            Some(_) => Reason::ReconnectTimeout,
        }
    }

    fn age(&self, then: i64, now: i64) -> i64 {
        let since = self.gaps.iter().filter(|(ended, _)| *ended > then);
        now - then - since.map(|(_, length)| length).sum::<i64>()
    }
}

/// The wheel counts from 0: what was before the boot is due.
fn tick(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}
