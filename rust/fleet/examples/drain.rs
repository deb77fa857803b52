//! What the fleet's part of a drain takes, of so many agents: `cargo run --release -p dscore-fleet --example drain 1000000`.
//!
//! Processor time of this thread. Batches are as long as the loop's, agents answer in no order: at a million the table no
//! longer fits a processor's caches.

#![allow(
    clippy::expect_used,
    reason = "a measurement that goes wrong has nothing to recover"
)]

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;

use dscore_fleet::{Dialect, Fleet, Input, Introducer, Introduction, State, Tables};
use dscore_traffic::ConnId;
use dscore_traffic::close::{CloseInfo, Initiator};
use dscore_traffic::event::{Closed, Event, Outcome, OutcomeKind};
use uuid::Uuid;

/// Events that the loop gives the fleet before it takes the notes.
const SLICE: usize = 512;
/// Between an agent and the next that answers, in the order of their introductions: no divisor of a round number.
const STRIDE: usize = 7_919;

fn main() {
    let agents: usize = std::env::args()
        .nth(1)
        .map_or(100_000, |word| word.parse().expect("a number of agents"));
    let mut fleet = Fleet::new(tables(), agents, 0);
    measure("introductions", agents, || {
        for index in 0..agents {
            introduce(&mut fleet, index);
        }
    });
    measure("the beginning", agents, || {
        fleet.begin_drain(true, &HashSet::new(), 1);
    });
    let mut events = Vec::with_capacity(SLICE);
    let order: Vec<usize> = (0..agents).map(|at| at * STRIDE % agents).collect();
    measure("answers and ends", agents, || {
        for slice in order.chunks(SLICE / 2) {
            events.extend(slice.iter().map(|&index| outcome(index)));
            events.extend(slice.iter().map(|&index| closed(index)));
            for event in events.drain(..) {
                fleet.apply(event, 2);
            }
            fleet.take_notes();
        }
    });
    let account = fleet.drain().expect("a drain that has begun");
    assert_eq!(account.counts.of(OutcomeKind::Acked), agents);
}

fn conn(index: usize) -> ConnId {
    ConnId::new(0, index, 1)
}

fn introduce(fleet: &mut Fleet, index: usize) {
    let agent_id: Arc<str> = format!("deepstream-{index:06}").into();
    fleet.open(conn(index), "127.0.0.1", None, Dialect::Raw);
    let introduction = Introduction {
        agent_id: &agent_id,
        by: Introducer::AppReady,
        ip: None,
    };
    let introduced = fleet.introduce(conn(index), &introduction, 0);
    let introduced = introduced.ok().flatten().expect("a new agent");
    fleet.open_session(introduced.key, Some(false), 0, 0);
}

fn outcome(index: usize) -> Event {
    Event::Outcome(Box::new(Outcome {
        conn: conn(index),
        request: Uuid::from_u128(index as u128),
        kind: OutcomeKind::Acked,
        incomplete: false,
        latency_us: 1_500,
        message: "stopped".to_owned(),
        drain: true,
    }))
}

fn closed(index: usize) -> Event {
    Event::Closed(Box::new(Closed {
        conn: conn(index),
        info: CloseInfo {
            code: 1000,
            reason: "Client terminated".into(),
            initiator: Initiator::Server,
            cause: "terminated".into(),
        },
        answer: 1000,
        heartbeat_ms: 0,
        rtt_us: 0,
    }))
}

fn tables() -> Tables {
    let mut tables = Tables::default();
    for state in State::ALL {
        for input in Input::ALL {
            let next = match input {
                Input::Terminated => "terminated",
                _ => "connected",
            };
            let cell = (state.name(), input.name());
            tables
                .put(cell, (next, "keep", None))
                .expect("words of the table");
        }
    }
    tables
}

fn measure(what: &str, agents: usize, work: impl FnOnce()) {
    let before = used_ns();
    work();
    let us = (used_ns() - before) as f64 / 1_000.0;
    println!(
        "{what:<16} {:>5.2} us an agent, {:>6.0} ms in all",
        us / agents as f64,
        us / 1_000.0
    );
}

/// Processor time of this process so far, which has one thread.
fn used_ns() -> u64 {
    let used = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let used = used.split_whitespace().next().map(str::parse);
    used.expect("Linux keeps it").expect("a number")
}
