//! A drain: one outcome for each agent that was connected at its start (PROTOCOL.md §6).
//!
//! Whom a drain waits for is a mark on the connection, so that an outcome finds it without a list of its own. What is
//! asked, for how long, and which state follows is policy's (`policy/drain.py`).

use std::collections::HashSet;

use dscore_traffic::ConnId;
use dscore_traffic::event::OutcomeKind;

use crate::account::{DrainAccount, Settlement};
use crate::agent::AgentKey;
use crate::fleet::Fleet;
use crate::words::Input;

impl Fleet {
    /// A drain begins: every agent that is connected is waited for, but those on these connections.
    ///
    /// `is_terminate`: each was sent terminate_app; no status changes by it, and no grace period.
    pub fn begin_drain(&mut self, is_terminate: bool, spared: &HashSet<ConnId>, now: i64) {
        let mut account = DrainAccount::new(is_terminate);
        let agents = &self.agents;
        let awaited = self.connections.await_outcomes(|conn, key| {
            let owner = agents.known(key).filter(|agent| agent.conn() == Some(conn));
            owner.is_some() && !spared.contains(&conn)
        });
        for key in awaited {
            if is_terminate {
                // A missing cell is counted; the drain goes on.
                let _missing = self.feed(key, Input::TerminateSent, now);
            }
            account.expect();
        }
        self.drain = Some(account);
    }

    /// As far as the drain has come; `None` before one has begun.
    pub fn drain(&self) -> Option<&DrainAccount> {
        self.drain.as_ref()
    }

    /// These were told that the server stops, which is all that a restart asks of them.
    pub fn notified(&mut self, conns: &[ConnId]) {
        for &conn in conns {
            self.settle(conn, Settlement::of(OutcomeKind::Notified));
        }
    }

    /// The core has not reported in time: an agent without an outcome timed out.
    pub fn give_up_drain(&mut self) {
        for conn in self.connections.awaited() {
            self.settle(conn, Settlement::of(OutcomeKind::TimedOut));
        }
    }

    /// Agents without an outcome, at most so many, in the order in which they connected.
    pub fn drain_left(&self, limit: usize) -> Vec<(ConnId, AgentKey)> {
        let awaited = self.connections.awaited().into_iter();
        let left = awaited.filter_map(|conn| Some((conn, self.connections.get(conn)?.agent()?)));
        left.take(limit).collect()
    }

    /// Counts an outcome, unless its connection was not there at the start or has one already.
    pub(crate) fn settle(&mut self, conn: ConnId, settlement: Settlement) {
        let (agent, is_awaited) = self.connections.heard_outcome(conn, true);
        if is_awaited {
            self.settle_for(agent, settlement);
        }
    }

    /// The same for a connection that was waited for until now.
    pub(crate) fn settle_for(&mut self, agent: Option<AgentKey>, settlement: Settlement) {
        let agent = agent.and_then(|key| self.agents.get(key));
        if let Some(account) = &mut self.drain {
            account.settle(agent.map(|agent| &agent.id), settlement);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{DrainCounts, Latencies};
    use crate::{Dialect, Introducer, Introduction, Tables};

    const STRANGE: ConnId = ConnId::from_u64(99);

    fn conn(number: usize) -> ConnId {
        ConnId::from_u64(number as u64)
    }

    /// A fleet of so many agents: `a0` on connection 0, and so on.
    fn fleet_of(agents: usize) -> Fleet {
        let mut tables = Tables::default();
        for (state, input, next) in [
            ("offline", "introduced", "connected"),
            ("connected", "terminate_sent", "terminating"),
        ] {
            let cell = (next, "keep", None);
            assert_eq!(tables.put((state, input), cell), Ok(()));
        }
        let mut fleet = Fleet::new(tables, 10, 0);
        for number in 0..agents {
            fleet.open(conn(number), "", None, Dialect::Raw);
            let introduction = Introduction {
                agent_id: &format!("a{number}").into(),
                by: Introducer::AppReady,
                ip: None,
            };
            assert!(fleet.introduce(conn(number), &introduction, 0).is_ok());
        }
        fleet
    }

    /// The same, in a drain.
    fn draining(agents: usize, is_terminate: bool) -> Fleet {
        let mut fleet = fleet_of(agents);
        fleet.begin_drain(is_terminate, &HashSet::new(), 0);
        fleet
    }

    fn counts(fleet: &Fleet) -> DrainCounts {
        fleet
            .drain()
            .map(|account| account.counts)
            .unwrap_or_default()
    }

    fn acked(latency_us: u64) -> Settlement {
        Settlement {
            latency_us,
            ..Settlement::of(OutcomeKind::Acked)
        }
    }

    #[test]
    fn each_outcome_counts_once() {
        let mut fleet = draining(2, true);
        fleet.settle(conn(0), acked(2));
        fleet.settle(conn(0), Settlement::of(OutcomeKind::Vanished));
        fleet.settle(STRANGE, acked(2));
        let counts = counts(&fleet);
        assert_eq!((counts.total, counts.pending), (2, 1));
        assert_eq!(counts.of(OutcomeKind::Acked), 1);
        assert_eq!(counts.of(OutcomeKind::Vanished), 0);
    }

    #[test]
    fn one_that_leaves_without_an_outcome_has_vanished() {
        let mut fleet = draining(2, true);
        fleet.close(conn(1));
        fleet.close(conn(1));
        let counts = counts(&fleet);
        assert_eq!((counts.pending, counts.of(OutcomeKind::Vanished)), (1, 1));
        assert_eq!(fleet.drain().map(|one| one.not_acked.len()), Some(1));
    }

    #[test]
    fn agents_that_are_being_sent_away_are_not_missed() {
        let mut fleet = fleet_of(3);
        fleet.begin_drain(true, &HashSet::from([conn(0), conn(2)]), 0);
        assert_eq!(counts(&fleet).total, 1);
    }

    #[test]
    fn those_without_an_outcome_time_out_when_the_core_is_late() {
        let mut fleet = draining(3, true);
        fleet.settle(conn(1), acked(1));
        let left = |limit| fleet.drain_left(limit).into_iter().map(|(conn, _)| conn);
        assert_eq!(left(9).collect::<Vec<_>>(), [conn(0), conn(2)]);
        assert_eq!(left(1).collect::<Vec<_>>(), [conn(0)]);
        fleet.give_up_drain();
        assert!(fleet.drain_left(9).is_empty());
        let counts = counts(&fleet);
        assert_eq!((counts.pending, counts.of(OutcomeKind::TimedOut)), (0, 2));
        let names: Vec<String> = fleet.drain().map_or_else(Vec::new, |account| {
            account.not_acked.iter().map(|id| id.to_string()).collect()
        });
        assert_eq!(names, ["a0", "a2"]);
    }

    #[test]
    fn a_restart_asks_for_no_ack_and_names_no_agent() {
        let mut fleet = draining(2, false);
        fleet.notified(&[conn(0), conn(0), conn(1), STRANGE]);
        let counts = counts(&fleet);
        assert_eq!((counts.pending, counts.of(OutcomeKind::Notified)), (0, 2));
        assert_eq!(fleet.drain().map(|one| one.not_acked.len()), Some(0));
        let states = fleet.agents.iter().map(|(_, agent)| agent.state.name());
        assert_eq!(states.collect::<Vec<_>>(), ["connected", "connected"]);
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let mut fleet = draining(100, true);
        assert_eq!(fleet.drain().and_then(DrainAccount::latencies), None);
        fleet.settle(conn(0), acked(7));
        let one = Latencies {
            p50: 7,
            p99: 7,
            max: 7,
        };
        assert_eq!(fleet.drain().and_then(DrainAccount::latencies), Some(one));
        let mut fleet = draining(100, true);
        for number in (0..100).rev() {
            fleet.settle(conn(number), acked(number as u64 + 1));
        }
        let all = Latencies {
            p50: 50,
            p99: 99,
            max: 100,
        };
        assert_eq!(fleet.drain().and_then(DrainAccount::latencies), Some(all));
    }
}
