//! Where the bytes of an idle agent lie: `cargo run --release -p dscore-fleet --example memory`.
//!
//! Anonymous memory of this process before and after each step, for each of so many agents.

#![allow(
    clippy::expect_used,
    reason = "a measurement that goes wrong has nothing to recover"
)]

use std::fs;
use std::sync::Arc;

use dscore_fleet::{
    Agent, Connection, Dialect, Fleet, Input, Introducer, Introduction, State, Tables,
};
use dscore_traffic::ConnId;

const AGENTS: usize = 10_000;

fn main() {
    println!("struct Agent {} B", size_of::<Agent>());
    println!("struct Connection {} B", size_of::<Connection>());
    let mut fleet = Fleet::new(tables(), AGENTS, 0);
    let ids: Vec<Arc<str>> = (0..AGENTS)
        .map(|index| format!("deepstream-{index:06}").into())
        .collect();
    let conn = |index: usize| ConnId::new(0, index, 1);
    measure("connections", || {
        for index in 0..AGENTS {
            fleet.open(conn(index), "127.0.0.1", None, Dialect::Raw);
        }
    });
    let mut keys = Vec::with_capacity(AGENTS);
    measure("agents", || {
        for (index, agent_id) in ids.iter().enumerate() {
            let introduction = Introduction {
                agent_id,
                by: Introducer::AppReady,
                ip: None,
            };
            let introduced = fleet.introduce(conn(index), &introduction, 0);
            keys.extend(introduced.ok().flatten().map(|introduced| introduced.key));
        }
    });
    measure("sessions", || {
        for &key in &keys {
            fleet.open_session(key, Some(false), 0, 0);
        }
    });
    measure("timelines", || {
        for (index, &key) in keys.iter().enumerate() {
            let data = format!(
                r#"{{"ip":"127.0.0.1","dialect":"raw","introduced_by":"app_ready","generation":{},"took_over":false,"session_restored":false}}"#,
                index % 3 + 1
            );
            fleet.record(Some(key), 1_790_000_000_000, "connected", data.as_bytes());
        }
    });
}

fn tables() -> Tables {
    let mut tables = Tables::default();
    for state in State::ALL {
        for input in Input::ALL {
            let cell = (state.name(), input.name());
            tables
                .put(cell, ("connected", "keep", None))
                .expect("words of the table");
        }
    }
    tables
}

fn measure(what: &str, work: impl FnOnce()) {
    let before = anonymous_bytes();
    work();
    let bytes = anonymous_bytes().saturating_sub(before) / AGENTS;
    println!("{what:<12} {bytes:>5} B an agent");
}

fn anonymous_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok())
        .map_or(0, |kib| kib * 1024)
}
