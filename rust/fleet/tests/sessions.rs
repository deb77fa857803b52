//! Sessions and outboxes against a model: whatever happens, no message is lost but past the bounds, none comes twice, and
//! what the store is told adds up to what there is.

use std::collections::BTreeMap;

use dscore_fleet::{
    Agent, AgentKey, Dialect, Fleet, Introducer, Introduction, Moment, OutboxBounds, Tables,
};
use dscore_traffic::ConnId;
use proptest::prelude::*;

const AGENTS: usize = 3;
const BOUNDS: OutboxBounds = OutboxBounds {
    messages: 4,
    bytes: 60,
    all_bytes: 100,
};

#[derive(Clone, Debug)]
enum Step {
    Connect(usize),
    Lose(usize),
    Queue(usize, usize),
    Deliver(usize, usize),
    Delivered(usize, usize),
    Withdraw(usize),
    Drop(usize),
    Write { fails: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let agent = 0..AGENTS;
    proptest::collection::vec(
        prop_oneof![
            2 => agent.clone().prop_map(Step::Connect),
            2 => agent.clone().prop_map(Step::Lose),
            6 => (agent.clone(), 1_usize..40).prop_map(|(agent, size)| Step::Queue(agent, size)),
            3 => (agent.clone(), 1_usize..80).prop_map(|(agent, size)| Step::Deliver(agent, size)),
            3 => (agent.clone(), 1_usize..80).prop_map(|(agent, size)| Step::Delivered(agent, size)),
            1 => agent.clone().prop_map(Step::Withdraw),
            1 => agent.prop_map(Step::Drop),
            2 => any::<bool>().prop_map(|fails| Step::Write { fails }),
        ],
        0..80,
    )
}

/// The messages that a store has, with their sizes.
#[derive(Default)]
struct Model {
    store: BTreeMap<u64, usize>,
    conns: u64,
    taken: Vec<u64>,
}

fn fleet() -> Fleet {
    let mut tables = Tables::default();
    for state in ["connected", "reconnecting", "offline"] {
        let _ = tables.put((state, "introduced"), ("connected", "cancel", None));
    }
    let mut fleet = Fleet::new(tables, 10, 0);
    fleet.sessions.bounds = BOUNDS;
    fleet.keep_changes(true);
    fleet
}

fn connect(fleet: &mut Fleet, model: &mut Model, agent: usize) -> Option<AgentKey> {
    model.conns += 1;
    let conn = ConnId::from_u64(model.conns);
    let agent_id = format!("agent-{agent}").into();
    fleet.open(conn, "10.0.0.1", None, Dialect::Raw);
    let introduction = Introduction {
        agent_id: &agent_id,
        by: Introducer::AppReady,
        ip: None,
    };
    let introduced = fleet.introduce(conn, &introduction, 0).ok()??;
    fleet.open_session(introduced.key, None, 0, 1000);
    Some(introduced.key)
}

fn take_step(fleet: &mut Fleet, model: &mut Model, step: &Step) {
    let find = |fleet: &Fleet, agent: usize| fleet.agents.find(&format!("agent-{agent}"));
    match *step {
        Step::Connect(agent) => {
            connect(fleet, model, agent);
        }
        Step::Lose(agent) => {
            if let Some(key) = find(fleet, agent) {
                fleet.release(key, 0);
                fleet.leave_session(key, 1006, 0);
            }
        }
        Step::Queue(agent, size) => {
            if let Some(key) = find(fleet, agent) {
                model.taken.extend(fleet.queue(key, &vec![b'x'; size]));
            }
        }
        Step::Deliver(agent, size) => {
            if let Some(key) = find(fleet, agent) {
                fleet.deliver(key, size);
            }
        }
        Step::Delivered(agent, size) => {
            let conn = find(fleet, agent).and_then(|key| fleet.agents.get(key)?.conn());
            if let Some(conn) = conn {
                fleet.delivered(conn, size);
            }
        }
        Step::Withdraw(agent) => {
            if let (Some(key), Some(&number)) = (find(fleet, agent), model.taken.last()) {
                fleet.withdraw(key, number);
            }
        }
        Step::Drop(agent) => {
            if let Some(key) = find(fleet, agent) {
                fleet.drop_session(key);
            }
        }
        Step::Write { fails } => write(fleet, model, fails),
    }
}

/// What a store does with the changes: all of them, or nothing.
fn write(fleet: &mut Fleet, model: &mut Model, fails: bool) {
    let changes = fleet.unsaved(&Moment::default());
    if fails {
        return;
    }
    for (number, _, text) in &changes.messages {
        model.store.insert(*number, text.len());
    }
    for number in &changes.delivered {
        model.store.remove(number);
    }
    fleet.saved(changes.version);
}

fn check(fleet: &Fleet) -> Result<(), TestCaseError> {
    let mut waiting = 0;
    for (_, agent) in fleet.agents.iter() {
        let of_agent = agent
            .session
            .as_ref()
            .map_or(0, |session| session.waiting());
        prop_assert!(of_agent <= BOUNDS.messages);
        waiting += of_agent;
    }
    prop_assert!(waiting <= fleet.sessions.undelivered());
    let sessions = fleet
        .agents
        .iter()
        .filter(|(_, agent)| agent.session.is_some());
    prop_assert_eq!(sessions.count(), fleet.sessions.len());
    if fleet.sessions.undelivered() == 0 {
        prop_assert_eq!(fleet.sessions.undelivered_bytes(), 0);
    }
    Ok(())
}

proptest! {
    #[test]
    fn what_the_store_has_is_what_is_undelivered(steps in steps()) {
        let (mut fleet, mut model) = (fleet(), Model::default());
        for step in &steps {
            take_step(&mut fleet, &mut model, step);
            check(&fleet)?;
        }
        write(&mut fleet, &mut model, false);
        prop_assert_eq!(fleet.unsaved_total(), 0);
        prop_assert_eq!(model.store.len(), fleet.sessions.undelivered());
        prop_assert_eq!(model.store.values().sum::<usize>(), fleet.sessions.undelivered_bytes());
        // All that is left comes to agents that are back, in order and once.
        let mut come = 0;
        for agent in 0..AGENTS {
            let Some(key) = connect(&mut fleet, &mut model, agent) else { continue };
            let mut texts = fleet.deliver(key, 50);
            while !texts.is_empty() {
                come += texts.len();
                let conn = fleet.agents.get(key).and_then(Agent::conn);
                let Some(conn) = conn else { break };
                texts = fleet.delivered(conn, 50).map_or_else(Vec::new, |(_, texts)| texts);
            }
        }
        prop_assert_eq!(come, model.store.len());
        prop_assert_eq!(fleet.sessions.undelivered(), 0);
    }
}
