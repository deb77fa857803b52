//! The fleet: the only place where an agent, its connection and its grace period change together.

use std::sync::Arc;

use dscore_traffic::ConnId;
use dscore_traffic::event::OutcomeKind;

use crate::account::{DrainAccount, Settlement};
use crate::address::Address;
use crate::admission::{Admission, Order};
use crate::agent::{AgentKey, GraceOf};
use crate::agents::{Agents, Restored};
use crate::connections::{Connections, Who};
use crate::disconnects::Disconnects;
use crate::grace::{Graces, Monitoring};
use crate::notes::{Notes, Wants};
use crate::session::Session;
use crate::sessions::Sessions;
use crate::tables::{MissingCell, Tables};
use crate::timelines::Timelines;
use crate::unsaved::{ROW, STATE, Unsaved};
use crate::words::{Dialect, Grace, Input, Introducer, Reason, State};

/// What introduces an agent.
#[derive(Clone, Copy, Debug)]
pub struct Introduction<'a> {
    /// Whose: kept, and not copied, by an agent that is made for it.
    pub agent_id: &'a Arc<str>,
    /// What does.
    pub by: Introducer,
    /// The address that it says of itself, if it does.
    pub ip: Option<&'a str>,
}

/// What an introduction has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Introduced {
    /// The agent.
    pub key: AgentKey,
    /// The connection that was taken over.
    pub previous: Option<ConnId>,
    /// Whether the agent has come back within its grace period.
    pub was_away: bool,
    /// Whether its status has changed.
    pub changed: bool,
}

/// The rest of an end, once its hook has been called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    pub(crate) key: AgentKey,
    pub(crate) input: Input,
}

/// The table of agents. See the crate's comment.
#[derive(Debug)]
pub struct Fleet {
    tables: Tables,
    /// Agents remembered without a connection, at most.
    pub(crate) max_disconnected: usize,
    /// Changes on a reload.
    pub monitoring: Monitoring,
    /// What is let in without a question.
    pub admission: Admission,
    /// What the owner wants to hear of. Changes with it.
    pub wants: Wants,
    /// Read only outside.
    pub agents: Agents,
    /// Who is on each connection.
    pub connections: Connections,
    /// Their clock.
    pub graces: Graces,
    /// What outlives connections.
    pub sessions: Sessions,
    /// What has happened.
    pub timelines: Timelines,
    missing_cells: u64,
    pub(crate) disconnects: Disconnects,
    pub(crate) notes: Notes,
    pub(crate) unsaved: Unsaved,
    pub(crate) rest: Option<Rest>,
    pub(crate) orders: Vec<Order>,
    pub(crate) drain: Option<DrainAccount>,
}

impl Fleet {
    /// An empty one, which walks these tables.
    pub fn new(tables: Tables, max_disconnected: usize, now: i64) -> Self {
        Self {
            tables,
            max_disconnected,
            monitoring: Monitoring::default(),
            wants: Wants::default(),
            agents: Agents::default(),
            connections: Connections::default(),
            graces: Graces::new(now),
            sessions: Sessions::default(),
            timelines: Timelines::default(),
            missing_cells: 0,
            disconnects: Disconnects::default(),
            notes: Notes::default(),
            unsaved: Unsaved::default(),
            rest: None,
            orders: Vec::new(),
            admission: Admission::default(),
            drain: None,
        }
    }

    /// Inputs that met a state with which the table has no cell.
    pub fn missing_cells_total(&self) -> u64 {
        self.missing_cells
    }

    /// A connection was opened.
    pub fn open(&mut self, conn: ConnId, ip: &str, bearer: Option<&str>, dialect: Dialect) {
        let ip = self.agents.address(ip);
        self.open_from(conn, ip, bearer, dialect);
    }

    pub(crate) fn open_from(
        &mut self,
        conn: ConnId,
        ip: Address,
        bearer: Option<&str>,
        dialect: Dialect,
    ) {
        // The core never uses a number again; if one is, what was known of it must not stay.
        self.close(conn);
        self.connections.open(conn, ip, bearer, dialect);
    }

    /// Where a connection comes from: of an agent's, what is known of the agent.
    pub fn address(&self, conn: ConnId) -> Option<&Address> {
        let connection = self.connections.get(conn)?;
        match connection.who {
            Who::Agent(key) => self.agents.get(key).map(|agent| &agent.ip),
            Who::Unauthenticated | Who::Watcher => connection.ip(),
        }
    }

    /// Makes a connection an agent's. `None`: it has gone, or may not introduce itself any more.
    ///
    /// # Errors
    /// The table has no cell; the agent is on its connection all the same.
    pub fn introduce(
        &mut self,
        conn: ConnId,
        introduction: &Introduction<'_>,
        now: i64,
    ) -> Result<Option<Introduced>, MissingCell> {
        let connection = self.connections.get(conn);
        if connection.is_none_or(|connection| !connection.may_introduce()) {
            return Ok(None);
        }
        let key = self.agents.admit(introduction.agent_id);
        let Some((ip, dialect)) = self.connections.introduce(conn, key) else {
            return Ok(None);
        };
        let ip = introduction.ip.map_or(ip, |ip| self.agents.address(ip));
        self.agents.retain(key);
        let Some(agent) = self.agents.get_mut(key) else {
            return Ok(None);
        };
        let was_away = matches!(agent.state, State::Reconnecting | State::Unknown);
        let previous = agent.conn.replace(conn);
        agent.generation = agent.generation.saturating_add(1);
        agent.ip = ip;
        agent.dialect = dialect;
        agent.introduced_by = introduction.by;
        agent.connected_at = now;
        agent.reported_back = false;
        agent.heard_at = now.into();
        if introduction.by == Introducer::Heartbeat {
            agent.last_heartbeat = now.into();
        }
        if let Some(previous) = previous {
            self.connections.unwatch(previous);
        }
        self.touch(key, ROW);
        let changed = self.feed(key, Input::Introduced, now)?;
        Ok(Some(Introduced {
            key,
            previous,
            was_away,
            changed,
        }))
    }

    /// Another message has introduced it once more.
    pub fn set_introduced_by(&mut self, key: AgentKey, by: Introducer) {
        if let Some(agent) = self.agents.get_mut(key) {
            agent.introduced_by = by;
            self.touch(key, ROW);
        }
    }

    /// Gives it another config.
    pub fn set_config(&mut self, key: AgentKey, config: Option<&[u8]>) {
        self.agents.set_config(key, config);
        self.touch(key, ROW);
    }

    /// Takes the configs of those that have been away longest, until all that the absent have fit. Returns whose.
    pub fn drop_configs(&mut self, max_bytes: usize) -> Vec<AgentKey> {
        let dropped = self.agents.drop_configs(max_bytes);
        for &key in &dropped {
            self.touch(key, ROW);
        }
        dropped
    }

    /// The agent that a connection names: its own, or the one that it was taken over from.
    pub fn named_by(&self, conn: ConnId) -> Option<AgentKey> {
        self.connections.get(conn)?.agent()
    }

    /// The agent that owns a connection now.
    pub fn owner(&self, conn: ConnId) -> Option<AgentKey> {
        let key = self.named_by(conn)?;
        (self.agents.get(key)?.conn() == Some(conn)).then_some(key)
    }

    /// The agent has no connection any more; the connection is counted until it is closed.
    pub fn release(&mut self, key: AgentKey, now: i64) {
        self.agents.be_absent(key, now);
    }

    /// A connection has ended; its agent is not touched. Returns whether it watched.
    pub fn close(&mut self, conn: ConnId) -> bool {
        let Some(connection) = self.connections.close(conn) else {
            return false;
        };
        if connection.is_awaited {
            // It had left before it could be told.
            self.settle_for(connection.agent(), Settlement::of(OutcomeKind::Vanished));
        }
        if let Some(key) = connection.agent() {
            self.agents.release(key);
        }
        connection.watches
    }

    /// Walks the table. Returns whether the agent's status has changed by it.
    ///
    /// # Errors
    /// The table has no cell: nothing has changed, and it is counted.
    pub fn feed(&mut self, key: AgentKey, input: Input, now: i64) -> Result<bool, MissingCell> {
        self.walk(key, input, None, now)
    }

    /// Silent for so many intervals in a row.
    ///
    /// # Errors
    /// As [`Self::feed`].
    pub fn missed(&mut self, key: AgentKey, misses: u32, now: i64) -> Result<bool, MissingCell> {
        let is_enough = misses >= self.monitoring.max_missed;
        let input = if is_enough {
            Input::MissedLimit
        } else {
            Input::Missed
        };
        self.feed(key, input, now)
    }

    /// Ends the grace period of an agent that has gone before its time, if it has one.
    ///
    /// # Errors
    /// As [`Self::feed`].
    pub fn expire_now(&mut self, key: AgentKey, now: i64) -> Result<bool, MissingCell> {
        let Some(agent) = self.agents.get_mut(key).filter(|agent| agent.has_grace()) else {
            return Ok(false);
        };
        let monitoring = &self.monitoring;
        self.graces
            .change((key, agent), Grace::Cancel, monitoring, now);
        self.end_grace(key, now)
    }

    /// Ends the grace periods that are due, at most `limit` of them: thousands may have begun in the same moment.
    /// [`Graces::next_deadline`] says at once when there are more. Returns those that are offline now; what is to be done
    /// about it is in the notes.
    pub fn expire(&mut self, now: i64, limit: usize) -> Vec<AgentKey> {
        for key in self.graces.advance(now) {
            if let Some(agent) = self.agents.get_mut(key) {
                agent.grace = GraceOf::Due;
                agent.refs += 1;
            }
        }
        let mut over = Vec::new();
        while over.len() < limit {
            let Some(key) = self.graces.pop_due() else {
                break;
            };
            // Otherwise it came back, or has ended, while it waited.
            if let Some(agent) = self
                .agents
                .get_mut(key)
                .filter(|one| one.grace == GraceOf::Due)
            {
                agent.grace = GraceOf::None;
                if self.end_grace(key, now) == Ok(true) {
                    self.note_offline(key, now);
                    over.push(key);
                }
            }
            self.agents.release(key);
        }
        over
    }

    /// Takes up an agent of an earlier process; oldest first.
    ///
    /// # Errors
    /// As [`Self::feed`].
    pub fn restore(
        &mut self,
        stored: &Restored<'_>,
        left_at: i64,
        now: i64,
    ) -> Result<Option<AgentKey>, MissingCell> {
        let Some(key) = self.agents.restore(stored, left_at) else {
            return Ok(None);
        };
        if let (Some(session), Some(agent)) = (stored.session, self.agents.get_mut(key)) {
            agent.session = Some(Session::restored(session));
            self.sessions.count += 1;
        }
        self.feed(key, Input::Restored, now)?;
        Ok(Some(key))
    }

    fn end_grace(&mut self, key: AgentKey, now: i64) -> Result<bool, MissingCell> {
        let reason = self
            .agents
            .get(key)
            .filter(|agent| agent.state == State::Unknown)
            .map(|agent| self.graces.reason_after_boot(agent, &self.monitoring, now));
        self.walk(key, Input::GraceOver, reason, now)
    }

    fn walk(
        &mut self,
        key: AgentKey,
        input: Input,
        reason: Option<Reason>,
        now: i64,
    ) -> Result<bool, MissingCell> {
        let Some(agent) = self.agents.get_mut(key) else {
            return Ok(false);
        };
        let step = match self.tables.step(agent.state, input) {
            Ok(step) => step,
            Err(missing) => {
                self.missing_cells += 1;
                return Err(missing);
            }
        };
        let (before, reason_before) = (agent.state, agent.reason);
        if before != step.state {
            agent.state = step.state;
            agent.changed_at = now;
        }
        self.graces
            .change((key, agent), step.grace, &self.monitoring, now);
        let is_online = step.state.is_online();
        agent.reason = match is_online {
            true => None,
            false => reason.or(step.reason).or(agent.reason),
        };
        let is_kept = kept_as(before) == kept_as(step.state) && agent.reason == reason_before;
        // What follows from a start follows from the next one too.
        if !is_kept && input != Input::Restored {
            self.touch(key, STATE);
        }
        Ok(is_online != before.is_online())
    }
}

/// What the next process makes of a state: which of those with a connection it was makes no difference.
fn kept_as(state: State) -> State {
    match state {
        State::Late | State::Terminating => State::Connected,
        _ => state,
    }
}
