//! What both Rust peers do with their agents' messages; what a library is for stays in its own file.
//!
//! `S` is what a peer keeps to send to an agent, cheap to clone.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use uuid::Uuid;

pub const GOODBYE: &str = "Client terminated";
const NEXT_HEARTBEAT_MS: u32 = 30_000;
const BACKLOG: u32 = 4096;

/// The registry of one server, and the requests it waits for.
pub struct Exchange<S> {
    state: Mutex<State<S>>,
    empty: Notify,
}

struct State<S> {
    agents: HashMap<String, S>,
    /// Request id -> agent id.
    waiting: HashMap<String, String>,
    draining: bool,
    told: usize,
    acked: usize,
}

/// What a message of an agent asks for.
pub enum Answer {
    Nothing,
    Send(String),
    /// It has acked: close it 1000 with [`GOODBYE`].
    Close,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Heard {
    AppReady {
        instance_id: String,
    },
    Heartbeat,
    AppTerminated {
        request_id: String,
        status: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Said<'a> {
    AppReadyAck {
        status: &'a str,
        session_restored: bool,
        server_status: &'a str,
        #[serde(rename = "nextHeartbeatIn")]
        next_heartbeat_in: u32,
    },
    HeartbeatResponse {
        status: &'a str,
        timestamp: String,
        message: &'a str,
        #[serde(rename = "nextHeartbeatIn")]
        next_heartbeat_in: u32,
    },
    TerminateApp {
        request_id: &'a str,
        reason: &'a str,
    },
}

impl Said<'_> {
    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl<S: Clone> Exchange<S> {
    #[expect(clippy::new_without_default, reason = "one for each server")]
    pub fn new() -> Self {
        let state = State {
            agents: HashMap::new(),
            waiting: HashMap::new(),
            draining: false,
            told: 0,
            acked: 0,
        };
        Self {
            state: Mutex::new(state),
            empty: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one message; `id` is the agent's, once it has told it.
    pub fn hear(&self, id: &mut Option<String>, sender: &S, text: &[u8]) -> Answer {
        match serde_json::from_slice(text) {
            Ok(Heard::AppReady { instance_id }) => {
                *id = Some(instance_id.clone());
                self.state().agents.insert(instance_id, sender.clone());
                let ack = Said::AppReadyAck {
                    status: "ok",
                    session_restored: false,
                    server_status: "running",
                    next_heartbeat_in: NEXT_HEARTBEAT_MS,
                };
                Answer::Send(ack.text())
            }
            Ok(Heard::Heartbeat) => {
                let response = Said::HeartbeatResponse {
                    status: "ok",
                    timestamp: format!("{:.3}", jiff::Timestamp::now()),
                    message: "heartbeat received",
                    next_heartbeat_in: NEXT_HEARTBEAT_MS,
                };
                Answer::Send(response.text())
            }
            Ok(Heard::AppTerminated { request_id, status }) if status == "OK" => {
                let mut state = self.state();
                if id.is_none() || state.waiting.get(&request_id) != id.as_ref() {
                    return Answer::Nothing;
                }
                state.waiting.remove(&request_id);
                state.acked += 1;
                Answer::Close
            }
            _ => Answer::Nothing,
        }
    }

    /// Begins the end: every agent, with the terminate_app that is its own.
    pub fn terminate(&self) -> Vec<(S, String)> {
        let mut state = self.state();
        state.draining = true;
        state.told = state.agents.len();
        let mut orders = Vec::with_capacity(state.told);
        let State {
            agents, waiting, ..
        } = &mut *state;
        for (id, sender) in agents {
            let request_id = Uuid::new_v4().to_string();
            let order = Said::TerminateApp {
                request_id: &request_id,
                reason: "Server shutting down",
            };
            orders.push((sender.clone(), order.text()));
            waiting.insert(request_id, id.clone());
        }
        orders
    }

    /// The agent's connection has ended.
    pub fn gone(&self, id: Option<String>) {
        let mut state = self.state();
        if let Some(id) = id {
            state.agents.remove(&id);
        }
        if state.draining && state.agents.is_empty() {
            self.empty.notify_one();
        }
    }

    /// Waits until the last agent has gone; 0 if every agent that was told has acked, else 3.
    pub async fn wait(&self) -> u8 {
        while !self.state().agents.is_empty() {
            self.empty.notified().await;
        }
        let state = self.state();
        if state.acked == state.told { 0 } else { 3 }
    }
}

/// Listens on the port of the command line, with room for a fleet that comes back all at once.
pub fn listen() -> io::Result<TcpListener> {
    let word = std::env::args().nth(1);
    let port = word.and_then(|word| word.parse().ok()).unwrap_or(0);
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
    socket.listen(BACKLOG)
}

/// Ends when the process is told to.
pub async fn stopped() -> io::Result<()> {
    signal(SignalKind::terminate())?.recv().await;
    Ok(())
}
