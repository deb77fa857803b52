//! Agents that are known no longer: ids come from the network, so how many are remembered is bounded.

use crate::agent::AgentKey;
use crate::fleet::Fleet;
use crate::timeline::Timeline;
use crate::words::Grace;

impl Fleet {
    /// The agent is known no longer, and its session is over.
    pub fn forget(&mut self, key: AgentKey) {
        self.drop_session(key);
        self.resize(Some(key), |timeline| *timeline = Timeline::default());
        let monitoring = &self.monitoring;
        if let Some(agent) = self.agents.get_mut(key) {
            self.graces
                .change((key, agent), Grace::Cancel, monitoring, 0);
            if agent.is_known() {
                self.unsaved.forget(agent.number);
            }
        }
        self.agents.forget(key);
    }

    /// Whether an agent of this id is one too many, unless another one is forgotten for it.
    pub fn is_full(&self, agent_id: &str) -> bool {
        self.agents.absent() >= self.max_disconnected && self.agents.find(agent_id).is_none()
    }

    /// The one that lost its connection first, of those that have none.
    pub fn longest_absent(&self) -> Option<AgentKey> {
        self.agents.absent_from_oldest().next().map(|(key, _)| key)
    }

    /// Forgets offline agents that left before a time, and the longest gone past the most that are remembered.
    pub fn forget_absent(&mut self, left_before: i64) {
        let excess = self.agents.absent().saturating_sub(self.max_disconnected);
        let mut forgotten = Vec::new();
        for (key, agent) in self.agents.absent_from_oldest() {
            if agent.left_at >= left_before && forgotten.len() >= excess {
                break;
            }
            // One that is still given time to come back is decided soon, and forgotten by a later sweep.
            if !agent.state.is_online() {
                forgotten.push(key);
            }
        }
        for key in forgotten {
            self.forget(key);
        }
    }
}
