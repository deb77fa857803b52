//! The fleet, and beside it a map of agents that is walked from end to end for every answer.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use dscore_fleet::{
    Dialect, Fleet, Input, Introducer, Introduction, Monitoring, Query, Reason, Sort, Tables,
    Times, Value,
};
use dscore_traffic::ConnId;
use dscore_traffic::close::{CloseInfo, Initiator};
use dscore_traffic::event::Closed;

const HEARTBEAT_GRACE: i64 = 30;
const RECONNECTION_GRACE: i64 = 20;
const MAX_MISSED: u32 = 3;

/// State, input, next state, what happens to the grace period, reason of going offline.
const TABLE: &[(&str, &str, &str, &str, Option<&str>)] = &[
    ("connected", "introduced", "connected", "keep", None),
    ("connected", "beat", "connected", "keep", None),
    ("connected", "missed", "connected", "keep", None),
    ("connected", "missed_limit", "late", "heartbeat", None),
    ("connected", "lost", "reconnecting", "reconnection", None),
    ("connected", "removed", "offline", "keep", Some("operator")),
    ("late", "introduced", "connected", "cancel", None),
    ("late", "beat", "connected", "cancel", None),
    ("late", "missed", "connected", "cancel", None),
    ("late", "missed_limit", "late", "keep", None),
    ("late", "lost", "reconnecting", "reconnection", None),
    (
        "late",
        "grace_over",
        "offline",
        "keep",
        Some("missed_heartbeats"),
    ),
    ("late", "removed", "offline", "cancel", Some("operator")),
    ("reconnecting", "introduced", "connected", "cancel", None),
    (
        "reconnecting",
        "grace_over",
        "offline",
        "keep",
        Some("reconnect_timeout"),
    ),
    (
        "reconnecting",
        "removed",
        "offline",
        "cancel",
        Some("operator"),
    ),
    ("offline", "introduced", "connected", "keep", None),
    ("offline", "beat", "connected", "keep", None),
    ("offline", "missed", "connected", "keep", None),
    ("offline", "missed_limit", "offline", "keep", None),
    ("offline", "lost", "offline", "keep", None),
    ("offline", "removed", "offline", "keep", Some("operator")),
];

/// Something that happens. Agents and connections are named by small numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    /// A connection is opened if it is not, and introduces this agent.
    Introduce { conn: usize, id: usize },
    /// It ends.
    Close(usize),
    /// Silence.
    Miss { id: usize, misses: u32 },
    /// A sign of life.
    Beat(usize),
    /// So many milliseconds pass.
    Pass(i64),
    /// What is due ends.
    Expire,
    /// An operator removes it.
    Remove(usize),
    /// The longest absent makes room.
    Evict,
    /// The sweep, with a retention of so many milliseconds.
    ForgetOlder(i64),
    /// Maintenance, or its end.
    Clock { stop: bool },
    /// Nothing was looked at for so long.
    Skip(i64),
}

#[derive(Debug)]
struct Known {
    state: &'static str,
    reason: Option<&'static str>,
    conn: Option<ConnId>,
    connected_at: i64,
    since: i64,
    /// On the clock of the graces.
    deadline: Option<i64>,
    /// When it lost its connection, and its turn among those that have none.
    left: Option<(i64, u64)>,
}

/// Both of them.
pub(crate) struct Checked {
    fleet: Fleet,
    now: i64,
    lag: i64,
    stopped_at: Option<i64>,
    turns: u64,
    agents: BTreeMap<String, Known>,
    /// Whom each open connection names.
    conns: BTreeMap<ConnId, Option<String>>,
    /// The present number of each connection: none is used twice.
    numbers: [u32; 12],
}

impl Checked {
    pub(crate) fn new() -> Self {
        let mut tables = Tables::default();
        for &(state, input, next, grace, reason) in TABLE {
            tables.put((state, input), (next, grace, reason)).unwrap();
        }
        let mut fleet = Fleet::new(tables, 1_000, 0);
        fleet.monitoring = Monitoring {
            max_missed: MAX_MISSED,
            heartbeat_grace_ms: HEARTBEAT_GRACE,
            reconnection_grace_ms: RECONNECTION_GRACE,
            offline_timeout_ms: 1_000,
        };
        Self {
            fleet,
            now: 1,
            lag: 0,
            stopped_at: None,
            turns: 0,
            agents: BTreeMap::new(),
            conns: BTreeMap::new(),
            numbers: [0; 12],
        }
    }

    pub(crate) fn apply(&mut self, op: Op) {
        match op {
            Op::Introduce { conn, id } => self.introduce(conn, &id_of(id)),
            Op::Close(conn) => self.close(conn),
            Op::Miss { id, misses } => self.miss(&id_of(id), misses),
            Op::Beat(id) => self.beat(&id_of(id)),
            Op::Pass(ms) => self.now += ms,
            Op::Expire => self.expire(),
            Op::Remove(id) => self.remove(&id_of(id)),
            Op::Evict => self.evict(),
            Op::ForgetOlder(ms) => self.forget_older(self.now - ms),
            Op::Clock { stop: true } => {
                self.fleet.graces.stop_clock(self.now);
                self.stopped_at.get_or_insert(self.now);
            }
            Op::Clock { stop: false } => {
                self.fleet.graces.start_clock(self.now);
                if let Some(stopped_at) = self.stopped_at.take() {
                    self.lag += self.now - stopped_at;
                }
            }
            Op::Skip(ms) => {
                self.now += ms;
                self.fleet.graces.skip(self.now, ms);
                self.lag += if self.stopped_at.is_none() { ms } else { 0 };
            }
        }
        let notes = self.fleet.take_notes();
        assert!(notes.faults.is_empty(), "{:?}", notes.faults);
    }

    fn conn(&self, number: usize) -> ConnId {
        ConnId::new(0, number, self.numbers[number])
    }

    fn introduce(&mut self, number: usize, id: &str) {
        let conn = self.conn(number);
        if !self.conns.contains_key(&conn) {
            self.fleet.open(conn, "10.0.0.1", None, Dialect::Raw);
            self.conns.insert(conn, None);
        }
        let introduction = Introduction {
            agent_id: &id.into(),
            by: Introducer::AppReady,
            ip: None,
        };
        let introduced = self.fleet.introduce(conn, &introduction, self.now).unwrap();
        if self.conns[&conn].is_some() {
            assert!(introduced.is_none(), "only once");
            return;
        }
        self.conns.insert(conn, Some(id.into()));
        let known = self.agents.entry(id.into()).or_insert(Known {
            state: "offline",
            reason: None,
            conn: None,
            connected_at: 0,
            since: 0,
            deadline: None,
            left: None,
        });
        assert_eq!(introduced.unwrap().previous, known.conn);
        (known.conn, known.connected_at, known.left) = (Some(conn), self.now, None);
        self.walk(id, "introduced");
    }

    fn close(&mut self, number: usize) {
        let conn = self.conn(number);
        let Some(named) = self.conns.remove(&conn) else {
            return;
        };
        self.numbers[number] += 1;
        let closed = Closed {
            conn,
            info: CloseInfo::without_close(Initiator::Network, ""),
            answer: 0,
            heartbeat_ms: 0,
            rtt_us: 0,
        };
        self.fleet.closed(Box::new(closed), self.now);
        let turn = self.turn();
        let owner = named.filter(|id| {
            let known = self.agents.get(id);
            known.is_some_and(|known| known.conn == Some(conn))
        });
        if let Some(id) = owner {
            let known = self.agents.get_mut(&id).unwrap();
            (known.conn, known.left) = (None, Some((self.now, turn)));
            self.walk(&id, "lost");
        }
    }

    fn miss(&mut self, id: &str, misses: u32) {
        if !self.is_connected(id) {
            return;
        }
        let key = self.fleet.agents.find(id).unwrap();
        self.fleet.missed(key, misses, self.now).unwrap();
        let is_enough = misses >= MAX_MISSED;
        self.walk(id, if is_enough { "missed_limit" } else { "missed" });
    }

    fn beat(&mut self, id: &str) {
        if !self.is_connected(id) {
            return;
        }
        let key = self.fleet.agents.find(id).unwrap();
        self.fleet.feed(key, Input::Beat, self.now).unwrap();
        self.walk(id, "beat");
    }

    fn expire(&mut self) {
        let over = self.fleet.expire(self.now, usize::MAX);
        let mut over: Vec<String> = over
            .into_iter()
            .map(|key| self.fleet.agents.get(key).unwrap().id.to_string())
            .collect();
        over.sort();
        assert_eq!(over, self.due());
        for id in over {
            self.agents.get_mut(&id).unwrap().deadline = None;
            self.walk(&id, "grace_over");
        }
    }

    fn due(&self) -> Vec<String> {
        let clock = self.now - self.lag;
        let is_due = |known: &Known| known.deadline.is_some_and(|deadline| deadline <= clock);
        let due = self.agents.iter().filter(|(_, known)| is_due(known));
        match self.stopped_at {
            Some(_) => Vec::new(),
            None => due.map(|(id, _)| id.clone()).collect(),
        }
    }

    fn remove(&mut self, id: &str) {
        if let Some(key) = self.fleet.agents.find(id) {
            self.fleet
                .end(key, Input::Removed, (1008, "removed"), self.now);
            self.fleet.forget(key);
        }
        self.agents.remove(id);
    }

    fn evict(&mut self) {
        let Some(key) = self.fleet.longest_absent() else {
            return;
        };
        let id = self.fleet.agents.get(key).unwrap().id.to_string();
        self.fleet.expire_now(key, self.now).unwrap();
        self.fleet.forget(key);
        assert_eq!(Some(&id), self.longest_absent());
        self.agents.remove(&id);
    }

    fn forget_older(&mut self, left_before: i64) {
        self.fleet.forget_absent(left_before);
        let is_old = |known: &Known| {
            known.state == "offline" && known.left.is_some_and(|(left, _)| left < left_before)
        };
        let old: Vec<String> = (self.agents.iter())
            .filter(|(_, known)| is_old(known))
            .map(|(id, _)| id.clone())
            .collect();
        for id in old {
            self.agents.remove(&id);
        }
        let kept: BTreeSet<&str> = self.agents.keys().map(|id| &**id).collect();
        let known = self.fleet.agents.iter();
        assert_eq!(
            known.map(|(_, agent)| &*agent.id).collect::<BTreeSet<_>>(),
            kept
        );
    }

    /// What the table says, looked up row by row.
    fn walk(&mut self, id: &str, input: &str) {
        let clock = self.stopped_at.unwrap_or(self.now) - self.lag;
        let known = self.agents.get_mut(id).unwrap();
        let row = TABLE
            .iter()
            .find(|row| (row.0, row.1) == (known.state, input));
        let &(_, _, next, grace, reason) = row.unwrap();
        if known.state != next {
            known.since = self.now;
        }
        known.state = next;
        known.deadline = match grace {
            "keep" => known.deadline,
            "heartbeat" => Some(clock + HEARTBEAT_GRACE),
            "reconnection" => Some(clock + RECONNECTION_GRACE),
            _ => None,
        };
        known.reason = match next {
            "offline" => reason.or(known.reason),
            _ => None,
        };
    }

    fn turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    fn is_connected(&self, id: &str) -> bool {
        self.agents
            .get(id)
            .is_some_and(|known| known.conn.is_some())
    }

    fn longest_absent(&self) -> Option<&String> {
        let absent = self.agents.iter().filter(|(_, known)| known.left.is_some());
        absent.min_by_key(|(_, known)| known.left).map(|(id, _)| id)
    }

    /// Everything that both can be asked.
    pub(crate) fn compare(&self) {
        let table = &self.fleet.agents;
        assert_eq!(table.len(), self.agents.len());
        for (id, known) in &self.agents {
            let agent = table.get(table.find(id).unwrap()).unwrap();
            assert_eq!(
                (
                    agent.state.name(),
                    agent.reason.map(Reason::name),
                    agent.conn()
                ),
                (known.state, known.reason, known.conn),
                "{id}"
            );
            assert_eq!(agent.has_grace(), known.deadline.is_some(), "{id}");
        }
        let absent = self.agents.values().filter(|known| known.left.is_some());
        assert_eq!(table.absent(), absent.count());
        let longest = self.fleet.longest_absent();
        let longest = longest.map(|key| table.get(key).unwrap().id.to_string());
        assert_eq!(longest.as_ref(), self.longest_absent());
        self.compare_connections();
        let deadlines = self.agents.values().filter_map(|known| known.deadline);
        match self.fleet.graces.next_deadline() {
            None => assert!(self.stopped_at.is_some() || deadlines.count() == 0),
            // A wheel may say less: then there is nothing to do yet.
            Some(next) => assert!(next <= deadlines.min().unwrap() + self.lag),
        }
    }

    fn compare_connections(&self) {
        let counts = self.fleet.connections.counts();
        assert_eq!(counts.total, self.conns.len());
        assert_eq!(counts.total, counts.authenticated + counts.unauthenticated);
        let named = self.conns.values().filter(|named| named.is_some());
        assert_eq!(counts.authenticated, named.count());
        for (&conn, named) in &self.conns {
            let owner = self.fleet.owner(conn);
            let owner = owner.map(|key| self.fleet.agents.get(key).unwrap().id.to_string());
            let is_owner = |id: &&String| {
                let known = self.agents.get(*id);
                known.is_some_and(|known| known.conn == Some(conn))
            };
            assert_eq!(owner.as_ref(), named.as_ref().filter(is_owner));
        }
    }

    /// All pages of a query, one after the other.
    pub(crate) fn compare_pages(
        &self,
        (sort, is_descending): (Sort, bool),
        is_online: Option<bool>,
        limit: usize,
    ) {
        let mut wanted: Vec<(&String, &Known)> = (self.agents.iter())
            .filter(|(_, known)| {
                is_online.is_none_or(|online| (known.state != "offline") == online)
            })
            .collect();
        wanted.sort_by(|one, other| match is_descending {
            true => in_order(sort, other, one),
            false => in_order(sort, one, other),
        });
        let wanted: Vec<&String> = wanted.into_iter().map(|(id, _)| id).collect();
        let mut shown: Vec<String> = Vec::new();
        let mut has_more = true;
        while has_more {
            let last = shown.last().cloned();
            let after = last.as_deref().map(|id| (self.value(sort, id), id));
            let query = query((sort, is_descending), is_online, limit, after);
            let page = self.fleet.agents.page(&query);
            assert_eq!(page.total, wanted.len());
            assert!(page.agents.len() <= limit);
            has_more = page.has_more;
            let ids = page
                .agents
                .iter()
                .map(|&key| self.fleet.agents.get(key).unwrap().id.to_string());
            shown.extend(ids);
        }
        assert_eq!(shown.iter().collect::<Vec<_>>(), wanted);
    }

    fn value(&self, sort: Sort, id: &str) -> Value<'_> {
        let key = self.fleet.agents.find(id).unwrap();
        query((sort, false), None, 1, None).value(self.fleet.agents.get(key).unwrap())
    }
}

fn query<'a>(
    (sort, is_descending): (Sort, bool),
    is_online: Option<bool>,
    limit: usize,
    after: Option<(Value<'a>, &'a str)>,
) -> Query<'a> {
    Query {
        is_online,
        states: &[],
        reason: None,
        dialect: None,
        labels: &[],
        text: None,
        sort,
        is_descending,
        offset: 0,
        limit,
        after,
        times: Times::default(),
    }
}

fn in_order(
    sort: Sort,
    (id, known): &(&String, &Known),
    (other_id, other): &(&String, &Known),
) -> Ordering {
    let status = |known: &Known| {
        if known.state == "offline" {
            "offline"
        } else {
            "online"
        }
    };
    let by_value = match sort {
        Sort::Status => status(known).cmp(status(other)),
        Sort::State => known.state.cmp(other.state),
        Sort::ConnectedAt => known.connected_at.cmp(&other.connected_at),
        Sort::Since => known.since.cmp(&other.since),
        _ => Ordering::Equal,
    };
    by_value.then_with(|| id.cmp(other_id))
}

fn id_of(number: usize) -> String {
    format!("cam-{number}")
}
