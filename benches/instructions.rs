//! Work to count the instructions of: `instructions NAME COUNT` does it COUNT times.
//!
//! Without words it prints the names. `instructions.py` runs it under callgrind, twice, and takes
//! the difference, so that start and preparation do not count. Nothing here depends on chance or
//! on the clock.

#![allow(
    clippy::unwrap_used,
    reason = "a bench that goes wrong has nothing to recover"
)]

use std::hint::black_box;
use std::sync::Arc;

use dscore_proto::agent;
use dscore_proto::connection::{Connection, Event, Limits, Role};
use dscore_proto::mask::apply_mask;
use dscore_reactor::broadcast::TerminateFrame;
use dscore_reactor::form::Form;
use dscore_reactor::outbox::Outbox;
use dscore_wheel::{Key, Wheel};
use uuid::Uuid;

const LIMITS: Limits = Limits {
    max_message_size: 1 << 20,
    max_fragments: 1024,
};
const AGENT: &str = "deepstream-0042";
const HEARTBEAT: &str = r#"{"type":"heartbeat","clientName":"deepstream-0042"}"#;
const APP_READY: &str =
    r#"{"type":"app_ready","instance_id":"deepstream-0042","config":{"labels":{"site":"hall-3"}}}"#;
const ANSWER: &str = r#"{"type":"app_terminated","request_id":"0b0e5c2e-7d0c-4a0e-9f5e-0123456789ab","status":"OK","message":"stopped"}"#;
const TIMERS: usize = 10_000;
const MINUTE: u64 = 60_000;

type Work = fn(usize);

const WORK: [(&str, Work); 12] = [
    ("decode_text_64", |count| decode(&"x".repeat(64), count)),
    ("decode_text_64_not_ascii", |count| {
        decode(&"é".repeat(32), count);
    }),
    ("decode_text_1024", |count| {
        decode(&"x".repeat(1024), count);
    }),
    ("encode_text_64", encode),
    ("unmask_1024", unmask),
    ("tell_heartbeat", tell_heartbeat),
    ("scan_app_ready", |count| scan(APP_READY, count)),
    ("scan_app_terminated", |count| scan(ANSWER, count)),
    ("wheel_arm_and_cancel", arm_and_cancel),
    ("wheel_expire", expire),
    ("outbox_push_and_consume", outbox),
    ("fill_terminate_app", fill),
];

fn main() {
    // cargo bench adds words of its own.
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    match words.as_slice() {
        [name, count] => {
            let (_, work) = WORK.iter().find(|(known, _)| known == name).unwrap();
            work(count.parse().unwrap());
        }
        _ => WORK.iter().for_each(|(name, _)| println!("{name}")),
    }
}

fn decode(text: &str, count: usize) {
    let mut frame = Vec::new();
    let mut client = Connection::client(1);
    client.send_text(text.as_bytes(), &mut frame).unwrap();
    let (mut server, mut buffer) = (Connection::new(Role::Server), frame.clone());
    let mut out = Vec::new();
    for _ in 0..count {
        // What receiving costs as well, and less than the rest of it.
        buffer.copy_from_slice(&frame);
        let mut at = 0;
        let event = server.poll_event(&mut buffer, &mut at, &LIMITS, &mut out);
        assert!(matches!(event, Ok(Some(Event::Text(_)))));
    }
}

fn encode(count: usize) {
    let (text, mut out) = ([b'x'; 64], Vec::with_capacity(128));
    let mut server = Connection::new(Role::Server);
    for _ in 0..count {
        out.clear();
        server.send_text(black_box(&text), &mut out).unwrap();
        black_box(&out);
    }
}

fn unmask(count: usize) {
    let mut payload = [b'x'; 1024];
    for _ in 0..count {
        apply_mask(black_box(&mut payload), [0x37, 0xfa, 0x21, 0x3d], 0);
    }
}

fn tell_heartbeat(count: usize) {
    for _ in 0..count {
        assert!(agent::is_heartbeat_of(black_box(HEARTBEAT), AGENT));
    }
}

fn scan(message: &str, count: usize) {
    for _ in 0..count {
        black_box(agent::scan(black_box(message)).unwrap().agent_id().ok());
    }
}

fn armed(random: &mut fastrand::Rng) -> (Wheel<u64>, Vec<Key>) {
    let mut wheel = Wheel::new(0);
    let keys = (0..TIMERS)
        .map(|_| wheel.arm(random.u64(1..MINUTE), 0))
        .collect();
    (wheel, keys)
}

fn arm_and_cancel(count: usize) {
    let mut random = fastrand::Rng::with_seed(1);
    let (mut wheel, mut keys) = armed(&mut random);
    for _ in 0..count {
        let key = &mut keys[random.usize(0..TIMERS)];
        wheel.cancel(*key);
        *key = wheel.arm(random.u64(1..MINUTE), 0);
    }
}

/// Timers that are armed again as soon as they expire, `count` times in all.
fn expire(count: usize) {
    let mut random = fastrand::Rng::with_seed(1);
    let (mut wheel, _) = armed(&mut random);
    let mut expired = 0;
    while expired < count {
        let now = wheel.next_expiration().unwrap();
        wheel.advance(now);
        while wheel.pop_expired().is_some() {
            wheel.arm(now + random.u64(1..MINUTE), 0);
            expired += 1;
        }
    }
}

fn outbox(count: usize) {
    let shared: Arc<[u8]> = Arc::from([b'x'; 120]);
    let mut outbox = Outbox::new();
    for _ in 0..count {
        outbox.push_shared(shared.clone());
        outbox.push_slice(black_box(&[b'x'; 120]));
        outbox.consume(240);
    }
}

fn fill(count: usize) {
    let mut frame = TerminateFrame::new("Server shutting down");
    for number in 0..count {
        black_box(frame.fill(Form::Bare, Uuid::from_u128(number as u128)));
    }
}
