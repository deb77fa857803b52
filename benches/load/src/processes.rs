//! A fleet over several processes: this one starts the others, passes commands on, and adds up what they saw.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command as Program, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::control::{Command, emit};
use crate::options::Options;
use crate::tally::Tally;

/// How long the parts may take to add up after the run's own end.
const LATE: Duration = Duration::from_secs(20);

enum Line {
    Command(Command),
    /// An event of a part, or `None`: it has ended.
    Event(usize, Option<Value>),
}

struct Part {
    process: Child,
    stdin: Option<ChildStdin>,
    progress: Option<Value>,
    introduced: Option<Value>,
    tally: Option<Tally>,
    ended: bool,
}

/// Runs all parts and returns the sum of what they saw.
///
/// # Errors
/// A part could not be started, died, or did not come to its end.
pub(crate) fn run(options: &Options) -> std::io::Result<Tally> {
    let (sender, lines) = channel();
    let mut parts = Vec::new();
    for part in 0..options.processes {
        parts.push(start(part, &sender)?);
    }
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            match Command::parse(&line) {
                Ok(command) => {
                    if sender.send(Line::Command(command)).is_err() {
                        return;
                    }
                }
                Err(sentence) => emit(&json!({"event": "error", "message": sentence})),
            }
        }
    });
    let outcome = follow(&mut parts, &lines, options.max_time + LATE);
    for part in &mut parts {
        // Their stdin ends here, which stops those that still run.
        part.stdin = None;
        if outcome.is_err() {
            part.process.kill()?;
        }
        part.process.wait()?;
    }
    outcome?;
    let mut tally = Tally::default();
    for (number, part) in parts.into_iter().enumerate() {
        let died = || std::io::Error::other(format!("part {number} ended without its tally"));
        tally.merge(part.tally.ok_or_else(died)?);
    }
    Ok(tally)
}

fn start(part: usize, sender: &Sender<Line>) -> std::io::Result<Part> {
    let mut process = Program::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .args(["--part", &part.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let stdin = process.stdin.take();
    if let Some(stdout) = process.stdout.take() {
        let sender = sender.clone();
        std::thread::spawn(move || read_events(part, stdout, &sender));
    }
    Ok(Part {
        process,
        stdin,
        progress: None,
        introduced: None,
        tally: None,
        ended: false,
    })
}

fn read_events(part: usize, stdout: ChildStdout, sender: &Sender<Line>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
        if sender.send(Line::Event(part, Some(event))).is_err() {
            return;
        }
    }
    // The receiver has gone if the run has ended.
    let _ = sender.send(Line::Event(part, None));
}

fn follow(parts: &mut [Part], lines: &Receiver<Line>, time: Duration) -> std::io::Result<()> {
    let end = Instant::now() + time;
    while !parts.iter().all(|part| part.ended) {
        let left = end.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(Line::Command(command)) => pass_on(parts, &command),
            Ok(Line::Event(number, None)) => parts[number].ended = true,
            Ok(Line::Event(number, Some(event))) => note(parts, number, event),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                return Err(std::io::Error::other("the parts did not come to their end"));
            }
        }
    }
    Ok(())
}

fn pass_on(parts: &mut [Part], command: &Command) {
    let count = parts.len();
    for (number, part) in parts.iter_mut().enumerate() {
        let mine = match command {
            Command::Vanish(n) => Command::Vanish(n / count + usize::from(number < n % count)),
            other => other.clone(),
        };
        if let Some(stdin) = &mut part.stdin {
            // A part that has ended needs no command.
            let _ = stdin.write_all(mine.line().as_bytes());
        }
    }
}

fn note(parts: &mut [Part], number: usize, mut event: Value) {
    match event["event"].as_str() {
        Some("progress") => {
            parts[number].progress = Some(event);
            if parts.iter().all(|part| part.progress.is_some()) {
                emit(&sum(
                    "progress",
                    parts.iter_mut().filter_map(|part| part.progress.take()),
                ));
            }
        }
        Some("introduced") => {
            parts[number].introduced = Some(event);
            if parts.iter().all(|part| part.introduced.is_some()) {
                emit(&introduced(parts));
            }
        }
        Some("tally") => match serde_json::from_value(event["tally"].take()) {
            Ok(tally) => parts[number].tally = Some(tally),
            Err(error) => emit(&json!({"event": "error", "message": error.to_string()})),
        },
        _ => emit(&event),
    }
}

fn sum(name: &str, events: impl Iterator<Item = Value>) -> Value {
    let mut total = Map::from_iter([("event".to_owned(), name.into())]);
    for event in events {
        for (field, value) in event.as_object().into_iter().flatten() {
            if let Some(n) = value.as_u64() {
                let before = total.get(field).and_then(Value::as_u64).unwrap_or(0);
                total.insert(field.clone(), (before + n).into());
            }
        }
    }
    Value::Object(total)
}

/// From the first connect of any part to the last acknowledged introduction of any.
fn introduced(parts: &[Part]) -> Value {
    let field = |name: &'static str| {
        parts.iter().filter_map(move |part| {
            part.introduced
                .as_ref()
                .and_then(|event| event[name].as_u64())
        })
    };
    let (started, ended) = (field("started_ns").min(), field("ended_ns").max());
    let seconds = started
        .zip(ended)
        .map(|(started, ended)| (ended - started) as f64 / 1e9);
    json!({
        "event": "introduced",
        "count": field("count").sum::<u64>(),
        "seconds": seconds,
        "started_ns": started,
        "ended_ns": ended,
    })
}
