//! Commands, one a line on stdin, and events, one JSON object a line on stdout.

use std::io::{BufRead, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use rustix::event::{EventfdFlags, eventfd};
use serde_json::{Map, Value, json};

use crate::clock::now_ns;

/// As the raw dialect has it: an object with its `type`.
pub(crate) type Message = Map<String, Value>;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    /// The moment from which receipts are counted, on the monotonic clock.
    Trigger(u64),
    Heartbeats(bool),
    /// This many agents cut their connections.
    Vanish(usize),
    /// Every agent sends this.
    Message(Message),
    Stop,
}

impl Command {
    /// # Errors
    /// A sentence that says what is wrong with the line.
    pub(crate) fn parse(line: &str) -> Result<Self, String> {
        let (word, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        match (word, rest.trim()) {
            ("trigger", "") => Ok(Self::Trigger(now_ns())),
            ("trigger", ns) => ns
                .parse()
                .map(Self::Trigger)
                .map_err(|e| format!("trigger {ns}: {e}")),
            ("heartbeats", "on") => Ok(Self::Heartbeats(true)),
            ("heartbeats", "off") => Ok(Self::Heartbeats(false)),
            ("vanish", n) => n
                .parse()
                .map(Self::Vanish)
                .map_err(|e| format!("vanish {n}: {e}")),
            ("message", "") => Self::parse(r#"message {"type":"load_note"}"#),
            ("message", text) => serde_json::from_str(text)
                .map(Self::Message)
                .map_err(|e| format!("message: {e}")),
            ("stop", "") => Ok(Self::Stop),
            _ => Err(format!("no such command: {line}")),
        }
    }

    /// The line that parses to the same command, whenever it is read.
    pub(crate) fn line(&self) -> String {
        match self {
            Self::Trigger(ns) => format!("trigger {ns}\n"),
            Self::Heartbeats(on) => format!("heartbeats {}\n", if *on { "on" } else { "off" }),
            Self::Vanish(n) => format!("vanish {n}\n"),
            Self::Message(message) => format!("message {}\n", json!(message)),
            Self::Stop => "stop\n".to_owned(),
        }
    }
}

/// Commands as they come in, and a descriptor that is readable when there are some.
pub(crate) struct Inbox {
    commands: Receiver<Command>,
    waker: Arc<OwnedFd>,
}

impl Inbox {
    /// Reads stdin on a thread of its own from here on.
    ///
    /// Args: `stop_at_end`: whether the end of stdin is a `stop` (a part must not outlive the process that began it).
    pub(crate) fn open(stop_at_end: bool) -> std::io::Result<Self> {
        let waker = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
        let (sender, commands) = channel();
        let its_waker = Arc::clone(&waker);
        std::thread::Builder::new()
            .name("stdin".to_owned())
            .spawn(move || {
                read_commands(
                    stop_at_end,
                    &Deliver {
                        sender,
                        waker: its_waker,
                    },
                )
            })?;
        Ok(Self { commands, waker })
    }

    pub(crate) fn waker(&self) -> &OwnedFd {
        &self.waker
    }

    pub(crate) fn take(&self) -> Option<Command> {
        self.commands.try_recv().ok()
    }

    /// Makes the descriptor wait for the next command; call it before `take`.
    pub(crate) fn reset(&self) {
        // It can only fail by finding nothing to read, which is what it is for.
        let _ = rustix::io::read(&self.waker, &mut [0; 8]);
    }
}

struct Deliver {
    sender: Sender<Command>,
    waker: Arc<OwnedFd>,
}

impl Deliver {
    /// False when the run has ended.
    fn send(&self, command: Command) -> bool {
        self.sender.send(command).is_ok()
            && rustix::io::write(&self.waker, &1u64.to_ne_bytes()).is_ok()
    }
}

fn read_commands(stop_at_end: bool, deliver: &Deliver) {
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        match Command::parse(&line) {
            Ok(command) => {
                if !deliver.send(command) {
                    return;
                }
            }
            Err(sentence) => emit(&json!({"event": "error", "message": sentence})),
        }
    }
    if stop_at_end {
        deliver.send(Command::Stop);
    }
}

/// Writes one event line.
pub(crate) fn emit(event: &Value) {
    // A closed pipe is no failure: the run still ends by its own deadlines.
    let _ = writeln!(std::io::stdout().lock(), "{event}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_survives_being_forwarded() {
        for line in [
            "trigger 17",
            "heartbeats on",
            "heartbeats off",
            "vanish 3",
            "message {\"type\":\"x\"}",
            "stop",
        ] {
            let command = Command::parse(line);
            assert_eq!(command.as_ref().map(Command::line), Ok(format!("{line}\n")));
            assert_eq!(
                command.and_then(|it| Command::parse(&it.line())),
                Command::parse(line)
            );
        }
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for line in [
            "",
            "start",
            "vanish many",
            "message [1]",
            "heartbeats maybe",
        ] {
            assert!(Command::parse(line).is_err(), "{line}");
        }
    }
}
