//! What it costs to make the frame that one agent of a fleet is told to terminate with.
//!
//! One template, cut at the id: 36 bytes are filled in. Beside it, what it would cost to make the
//! frame anew for each agent.

#![allow(
    clippy::unwrap_used,
    reason = "a bench that goes wrong has nothing to recover"
)]

use std::hint::black_box;

use dscore_benches::{ask, per_item, timed};
use dscore_proto::connection::{Connection, Role};
use dscore_reactor::broadcast::TerminateFrame;
use dscore_reactor::form::Form;
use uuid::Uuid;

const AGENTS: usize = 18_000;
const REASON: &str = "Server shutting down";

fn main() {
    ask("With 18,000 agents, what does it cost to make each its own terminate_app?");
    per_item("the id alone", AGENTS, || {
        timed(|| (0..AGENTS).for_each(|_| _ = black_box(Uuid::new_v4())))
    });
    let mut frame = TerminateFrame::new(REASON);
    per_item("the id, filled into the template", AGENTS, || {
        timed(|| {
            for _ in 0..AGENTS {
                black_box(frame.fill(Form::Bare, Uuid::new_v4()));
            }
        })
    });
    let mut server = Connection::new(Role::Server);
    let mut out = Vec::new();
    per_item("the id, and a frame made anew", AGENTS, || {
        timed(|| {
            for _ in 0..AGENTS {
                out.clear();
                let id = Uuid::new_v4();
                let text = format!(
                    r#"{{"type":"terminate_app","request_id":"{id}","reason":"{REASON}"}}"#
                );
                server.send_text(text.as_bytes(), &mut out).unwrap();
                black_box(&out);
            }
        })
    });
}
