//! Introductions that are not to be judged: an app_ready with nothing unusual in it, while the server is open and neither
//! a token nor the policy is asked for. All others are policy's.

use dscore_proto::agent::AppReady;
use dscore_traffic::ConnId;
use dscore_traffic::event;
use serde::Serialize;

use crate::admission::Order;
use crate::agent::AgentKey;
use crate::fleet::{Fleet, Introduced, Introduction};
use crate::notes::Arrival;

#[derive(Serialize)]
struct Connected<'a> {
    ip: &'a str,
    dialect: &'a str,
    introduced_by: &'a str,
    generation: u64,
    took_over: bool,
    session_restored: bool,
}

impl Fleet {
    /// What the reactors are to be told, in this order, before anything else.
    pub fn take_orders(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.orders)
    }

    /// Lets an agent in, if nothing about it is to be decided. Returns whether the notes are to be taken before anything
    /// else happens; `None`: its owner is to decide.
    pub(crate) fn let_in(&mut self, asked: &event::Introduction, now: i64) -> Option<bool> {
        let ready = asked.plain.as_deref().filter(|_| self.admission.is_open)?;
        let connection = self.connections.get(asked.conn)?;
        // One that watches until it is introduced has a watcher to be ended; a full table, an agent to be forgotten.
        if connection.shown.is_none() || connection.watches || self.is_full(&ready.agent_id) {
            return None;
        }
        let introduction = Introduction {
            agent_id: &ready.agent_id,
            kind: "app_ready",
            is_heartbeat: false,
            ip: None,
        };
        match self.introduce(asked.conn, &introduction, now) {
            Ok(introduced) => Some(self.welcome(asked.conn, &introduced?, ready, now)),
            Err(missing) => {
                let fault = format!("{missing}: {}", ready.agent_id);
                self.notes.faults.push(fault);
                Some(true)
            }
        }
    }

    fn welcome(
        &mut self,
        conn: ConnId,
        introduced: &Introduced,
        ready: &AppReady,
        now: i64,
    ) -> bool {
        let key = introduced.key;
        self.orders.extend(introduced.previous.map(Order::TakeOver));
        let (age, ttl) = (self.wants.age, self.admission.session_ttl);
        let is_restored = self.open_session(key, Some(ready.reconnection), age, ttl);
        if ready.config.is_some() || !is_restored {
            self.set_config(key, ready.config.as_deref());
        }
        self.notes.restored += usize::from(is_restored);
        let took_over = introduced.previous.is_some();
        self.write_connected(key, took_over, is_restored, now);
        if let Some(agent) = self.agents.get(key) {
            self.orders.push(Order::Accept {
                conn,
                agent_id: agent.id.clone(),
                reconnection: ready.reconnection,
                is_restored,
            });
        }
        self.arrive(introduced, is_restored)
    }

    /// Notes an arrival that has something to be done about it.
    fn arrive(&mut self, introduced: &Introduced, is_restored: bool) -> bool {
        let key = introduced.key;
        let is_news = introduced.changed || introduced.was_away;
        let is_told = is_news && (self.wants.changes || self.connections.is_watched());
        let has_outbox = is_restored && self.has_outbox(key);
        let waits = introduced.previous.is_some() || has_outbox || is_told || self.wants.connects;
        if waits || self.wants.arrivals {
            self.agents.retain(key);
            self.notes.arrivals.push(Arrival {
                key,
                previous: introduced.previous,
                is_restored,
                changed: introduced.changed,
                came_back: introduced.was_away,
            });
        } else if introduced.was_away
            && let Some(agent) = self.agents.get_mut(key)
        {
            // Once for each connection, whether there was an audience or not.
            agent.reported_back = true;
        }
        waits
    }

    fn write_connected(
        &mut self,
        key: AgentKey,
        took_over: bool,
        session_restored: bool,
        now: i64,
    ) {
        let Some(agent) = self.agents.get(key) else {
            return;
        };
        let (ip, introduced_by) = (agent.ip.clone(), agent.introduced_by.clone());
        let connected = Connected {
            ip: &ip,
            dialect: agent.dialect.name(),
            introduced_by: &introduced_by,
            generation: agent.generation,
            took_over,
            session_restored,
        };
        self.write(key, "connected", &connected, now);
    }
}
