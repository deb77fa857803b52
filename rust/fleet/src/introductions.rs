//! Introductions that are not to be judged: those with nothing unusual in them, while the server is open and neither a
//! token nor the policy is asked for. All others are policy's.

use dscore_proto::agent::{IntroducedBy, PlainIntroduction};
use dscore_traffic::ConnId;
use dscore_traffic::event;
use serde::Serialize;

use crate::address::Address;
use crate::admission::{Ack, Order};
use crate::agent::AgentKey;
use crate::fleet::{Fleet, Introduced, Introduction};
use crate::notes::Arrival;
use crate::words::Introducer;

#[derive(Serialize)]
struct Connected<'a> {
    ip: &'a Address,
    dialect: &'a str,
    introduced_by: &'a str,
    generation: u32,
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
        let plain = asked.plain.as_deref().filter(|_| self.admission.is_open)?;
        let connection = self.connections.get(asked.conn)?;
        // One that watches until it is introduced has a watcher to be ended; a full table, an agent to be forgotten.
        if !connection.may_introduce() || connection.watches || self.is_full(&plain.agent_id) {
            return None;
        }
        let ip = match &plain.by {
            IntroducedBy::Heartbeat { ip_address } => ip_address.as_deref(),
            IntroducedBy::AppReady { .. } | IntroducedBy::ReconnectionSuccess => None,
        };
        let introduction = Introduction {
            agent_id: &plain.agent_id,
            by: introducer(&plain.by),
            ip,
        };
        match self.introduce(asked.conn, &introduction, now) {
            Ok(introduced) => Some(self.accept(asked.conn, &introduced?, plain, now)),
            Err(missing) => {
                let fault = format!("{missing}: {}", plain.agent_id);
                self.notes.faults.push(fault);
                Some(true)
            }
        }
    }

    fn accept(
        &mut self,
        conn: ConnId,
        introduced: &Introduced,
        plain: &PlainIntroduction,
        now: i64,
    ) -> bool {
        let key = introduced.key;
        self.orders.extend(introduced.previous.map(Order::TakeOver));
        let (reconnection, config) = match &plain.by {
            IntroducedBy::AppReady {
                reconnection,
                config,
            } => (Some(*reconnection), config.as_deref()),
            IntroducedBy::Heartbeat { .. } | IntroducedBy::ReconnectionSuccess => (None, None),
        };
        let (age, ttl) = (self.wants.age, self.admission.session_ttl);
        let is_restored = self.open_session(key, reconnection, age, ttl);
        if config.is_some() || !is_restored {
            self.set_config(key, config);
        }
        self.notes.restored += usize::from(is_restored);
        let took_over = introduced.previous.is_some();
        self.write_connected(key, took_over, is_restored, now);
        if let Some(agent) = self.agents.get(key) {
            self.orders.push(Order::Accept {
                conn,
                agent_id: agent.id.clone(),
                ack: match reconnection {
                    Some(true) => Ack::Reconnection { is_restored },
                    Some(false) => Ack::AppReady,
                    None => Ack::Other,
                },
            });
        }
        let came_back = introduced.was_away || plain.by == IntroducedBy::ReconnectionSuccess;
        self.arrive(introduced, is_restored, came_back)
    }

    /// Notes an arrival that has something to be done about it.
    fn arrive(&mut self, introduced: &Introduced, is_restored: bool, came_back: bool) -> bool {
        let key = introduced.key;
        let is_news = introduced.changed || came_back;
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
                came_back,
            });
        } else if came_back && let Some(agent) = self.agents.get_mut(key) {
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
        let ip = agent.ip.clone();
        let connected = Connected {
            ip: &ip,
            dialect: agent.dialect.name(),
            introduced_by: agent.introduced_by.name(),
            generation: agent.generation,
            took_over,
            session_restored,
        };
        self.write(key, "connected", &connected, now);
    }
}

fn introducer(by: &IntroducedBy) -> Introducer {
    match by {
        IntroducedBy::AppReady { .. } => Introducer::AppReady,
        IntroducedBy::Heartbeat { .. } => Introducer::Heartbeat,
        IntroducedBy::ReconnectionSuccess => Introducer::ReconnectionSuccess,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::phrases::tests::has_no_key;

    #[test]
    fn the_keys_of_an_introduction_are_packed() {
        for (dialect, introduced_by, took_over, session_restored) in [
            ("raw", "app_ready", false, false),
            ("socketio", "app_ready", false, true),
            ("socketio", "heartbeat", true, true),
        ] {
            assert!(has_no_key(&Connected {
                ip: &Ipv4Addr::new(10, 0, 0, 7).into(),
                dialect,
                introduced_by,
                generation: 12,
                took_over,
                session_restored,
            }));
        }
    }
}
