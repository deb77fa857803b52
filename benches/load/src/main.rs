//! `dscore-load`: a simulated fleet of agents on loopback.
//!
//! It is the other side of every bench and load test, and their judge: it checks each message it is sent, accounts for
//! every terminate_app, and tells what it saw in one report. Heartbeats run in an open loop, with latencies from their
//! intended times, so that a slow server cannot hide by slowing its fleet down.
//!
//! Reading order: `options`, `message`, `dialect`, `agent`, `line`, `fleet`, `tally`, `processes`.

mod agent;
mod beats;
mod clock;
mod control;
mod dialect;
mod fleet;
mod heard;
mod line;
mod message;
mod options;
mod peer;
mod processes;
mod socket;
mod socketio;
mod tally;
mod timers;

use std::process::ExitCode;

use serde_json::json;

use control::{Inbox, emit};
use options::Options;
use tally::Tally;

fn main() -> ExitCode {
    let options = match Options::from_args(lexopt::Parser::from_env()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("dscore-load: {error}\n\n{}", options::HELP);
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(tally) if options.part.is_some() => {
            emit(&json!({"event": "tally", "tally": tally}));
            ExitCode::SUCCESS
        }
        Ok(tally) => {
            let code = ExitCode::from(u8::from(!tally.is_valid()));
            emit(&tally.report());
            code
        }
        Err(error) => {
            eprintln!("dscore-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> std::io::Result<Tally> {
    if options.part.is_none() && options.processes > 1 {
        return processes::run(options);
    }
    socket::raise_descriptor_limit()?;
    let inbox = Inbox::open(options.part.is_some())?;
    Ok(fleet::Fleet::new(options, inbox)?.run()?)
}
