//! What frames cost. The budget: 10 million text frames of 64 B a second, from a full buffer.
//!
//! All frames lie in one buffer of the size a reactor receives into, as they do when a burst comes
//! in. Unmasking changes the buffer, so it is filled again each time, outside of the timing.

#![allow(
    clippy::unwrap_used,
    reason = "a bench that goes wrong has nothing to recover"
)]

use std::hint::black_box;
use std::time::Duration;

use dscore_benches::{ask, per_item, timed};
use dscore_proto::agent;
use dscore_proto::connection::{Connection, Limits, Role};
use dscore_proto::engineio::{PayloadFormat, next_packet};
use dscore_proto::error::UsageError;
use dscore_proto::socketio::{canonical, decode as decode_packet, encode_event, event};

/// What one receive brings at most.
const BUFFER: usize = 64 << 10;

/// Buffers of a round.
const BUFFERS: usize = 64;

const LIMITS: Limits = Limits {
    max_message_size: 1 << 20,
    max_fragments: 1024,
};

/// Events of a round.
const EVENTS: usize = 20_000;

const HEARTBEAT: &str = concat!(
    r#"{"type":"heartbeat","clientName":"deepstream-0042","timestamp":"2025-01-01T00:00:00.000Z","#,
    r#""status":"RUNNING","uptime":86400}"#,
);

fn main() {
    ask("How many frames does one core decode, masked, from a full buffer?");
    for size in [16, 64, 125, 126, 1024] {
        let text = "x".repeat(size);
        decode(&format!("text, {size} B"), |client, out| {
            client.send_text(text.as_bytes(), out)
        });
    }
    let text = "é".repeat(32);
    decode("text, 64 B, not ASCII", |client, out| {
        client.send_text(text.as_bytes(), out)
    });
    decode("binary, 64 B", |client, out| {
        client.send_binary(&[0; 64], out)
    });
    decode("ping, 8 B, its pong written", |client, out| {
        client.send_ping(&[0; 8], out)
    });

    ask("What does it cost to write a frame?");
    for size in [64, 1024] {
        encode(&format!("text, {size} B"), "x".repeat(size).as_bytes());
    }

    ask("What does it cost to tell what an agent's message is, and whose?");
    scan("heartbeat", HEARTBEAT);
    scan("a user's, with 4 KiB of data", &user_message());

    ask("What does the socketio dialect add to that?");
    take_event("heartbeat", HEARTBEAT);
    take_event("a user's, with 4 KiB of data", &user_message());
    make_event("heartbeat, its type in front", HEARTBEAT);
    make_event(
        "heartbeat, with an escape",
        &HEARTBEAT.replace("RUN", "\\u0052UN"),
    );
    poll("a POST of 100 heartbeats, v4", PayloadFormat::V4);
    poll("a POST of 100 heartbeats, v3", PayloadFormat::V3Text);
}

/// Decodes a buffer full of the frame that `send` writes.
fn decode(label: &str, send: impl Fn(&mut Connection, &mut Vec<u8>) -> Result<(), UsageError>) {
    let mut frames = Vec::new();
    let mut client = Connection::client(1);
    let mut count = 0;
    while frames.len() < BUFFER {
        send(&mut client, &mut frames).unwrap();
        count += 1;
    }
    let (mut buffer, mut out) = (frames.clone(), Vec::new());
    per_item(label, count * BUFFERS, || {
        let one = |_| {
            buffer.copy_from_slice(&frames);
            out.clear();
            timed(|| assert_eq!(decode_all(&mut buffer, &mut out), count))
        };
        (0..BUFFERS).map(one).sum::<Duration>()
    });
}

fn decode_all(buffer: &mut [u8], out: &mut Vec<u8>) -> usize {
    let mut server = Connection::new(Role::Server);
    let (mut at, mut events) = (0, 0);
    while let Some(event) = server.poll_event(buffer, &mut at, &LIMITS, out).unwrap() {
        black_box(event);
        events += 1;
    }
    events
}

fn encode(label: &str, text: &[u8]) {
    let mut server = Connection::new(Role::Server);
    let mut out = Vec::with_capacity(2 * BUFFER);
    let frames = BUFFER / text.len();
    per_item(label, frames * BUFFERS, || {
        timed(|| {
            for _ in 0..BUFFERS {
                out.clear();
                (0..frames).for_each(|_| server.send_text(black_box(text), &mut out).unwrap());
            }
        })
    });
}

fn scan(label: &str, message: &str) {
    const MESSAGES: usize = 20_000;
    per_item(&format!("{label}, {} B", message.len()), MESSAGES, || {
        timed(|| {
            for _ in 0..MESSAGES {
                black_box(agent::scan(black_box(message)).unwrap().agent_id().ok());
            }
        })
    });
}

/// From the Socket.IO packet to the canonical message.
fn take_event(label: &str, message: &str) {
    let mut packet = b"2".to_vec();
    encode_event(message, &mut packet).unwrap();
    let packet = String::from_utf8(packet).unwrap();
    let mut out = Vec::with_capacity(2 * packet.len());
    per_item(&format!("in: {label}"), EVENTS, || {
        timed(|| {
            for _ in 0..EVENTS {
                out.clear();
                let packet = decode_packet(black_box(&packet)).unwrap();
                canonical(&event(packet.data).unwrap(), &mut out).unwrap();
            }
        })
    });
}

/// From the canonical message to the event.
fn make_event(label: &str, message: &str) {
    let mut out = Vec::with_capacity(2 * message.len());
    per_item(&format!("out: {label}"), EVENTS, || {
        timed(|| {
            for _ in 0..EVENTS {
                out.clear();
                encode_event(black_box(message), &mut out).unwrap();
            }
        })
    });
}

fn poll(label: &str, format: PayloadFormat) {
    const PACKETS: usize = 100;
    const BODIES: usize = 200;
    let packet = match format {
        PayloadFormat::V4 => format!("42{HEARTBEAT}\u{1e}"),
        _ => format!("{}:42{HEARTBEAT}", HEARTBEAT.len() + 2),
    };
    let body = packet.repeat(PACKETS);
    let body = body.trim_end_matches('\u{1e}').as_bytes();
    per_item(&format!("{label}, a packet"), PACKETS * BODIES, || {
        timed(|| {
            for _ in 0..BODIES {
                let mut at = 0;
                while let Some(packet) = next_packet(black_box(body), &mut at, format).unwrap() {
                    black_box(packet);
                }
            }
        })
    });
}

fn user_message() -> String {
    let data = "0.25,".repeat(4096 / 5);
    format!(r#"{{"type":"detections","data":[{data}0],"clientName":"deepstream-0042"}}"#)
}
