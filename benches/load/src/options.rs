//! What a run is told on its command line, checked once.

use std::fmt::Display;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;

use lexopt::prelude::*;

use crate::dialect::Dialect;
use crate::socketio;

pub(crate) const HELP: &str = "\
dscore-load: a fleet of agents against one server, driven by lines on stdin, telling JSON lines on stdout.

  --url URL                 ws:// or wss://HOST:PORT/PATH of the server (required)
  --dialect NAME            raw: JSON objects; socketio: Socket.IO 5 over Engine.IO 4, by WebSocket alone [raw]
  --agents N                how many agents [100]
  --until STEP              how far they come in, to be idle there: handshake (of TLS), upgrade, introduction [introduction]
  --processes N             spread them over N processes [1]
  --prefix TEXT             agent ids are TEXT0, TEXT1, … [agent-]
  --connect-rate N          connections begun in a second; 0: as fast as possible [0]
  --concurrency N           introductions under way at once [256]
  --handshake-timeout TIME  from connect to the acknowledged introduction [20s]
  --heartbeat-interval TIME of each agent, from when all are introduced; 0: none [0]
  --heartbeats on|off       whether they begin by themselves [on]
  --mute PERCENT            agents that never answer terminate_app [0%]
  --fail PERCENT            agents that answer it with status ERROR [0%]
  --stall PERCENT           agents that read nothing more once introduced [0%]
  --vanish PERCENT          agents that cut the connection when told to terminate [0%]
  --extend PERCENT          agents that ask for more time (termination_progress) and take it [0%]
  --answer-delay TIME       between terminate_app and its answer [0ms]
  --extension TIME          the same of those that ask for more time [15s]
  --reconnect yes|no        come back after closes that allow it [no]
  --max-seconds N           end of the run, whatever happens [120]

stdin: trigger [NS] | heartbeats on|off | vanish N | message [JSON] | stop
stdout: events introduced, progress, error, and one report at the end
exit: 0 the run was valid, 1 it was not, 2 usage
";

/// One run, or one process's part of it.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) server: SocketAddr,
    /// `HOST:PORT` as written, for the `Host` header.
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) is_secure: bool,
    pub(crate) dialect: Dialect,
    pub(crate) until: Step,
    pub(crate) agents: usize,
    pub(crate) processes: usize,
    /// Which of the `processes` this one is; `None` in the one that was started by hand.
    pub(crate) part: Option<usize>,
    pub(crate) prefix: String,
    pub(crate) connect_rate: f64,
    pub(crate) concurrency: usize,
    pub(crate) handshake_timeout: Duration,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) heartbeats: bool,
    pub(crate) mix: Mix,
    pub(crate) answer_delay: Duration,
    pub(crate) extension: Duration,
    pub(crate) reconnect: bool,
    pub(crate) max_time: Duration,
}

/// Shares of the fleet that misbehave, in percent; the rest is well.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mix {
    mute: f64,
    fail: f64,
    stall: f64,
    vanish: f64,
    extend: f64,
}

/// How far an agent comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// TCP, and TLS where it is spoken.
    Handshake,
    /// The WebSocket.
    Upgrade,
    Introduction,
}

/// How an agent behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Well,
    Mute,
    Fail,
    Stall,
    Vanish,
    Extend,
}

impl Mix {
    /// The role of agent `index` of `total`: exact shares, spread over the whole fleet and the same in every run.
    pub(crate) fn role(&self, index: usize, total: usize) -> Role {
        // A prime above any fleet is coprime to its size, so that `rank` is a permutation of the indices.
        const STRIDE: usize = 1_000_003;
        let rank = (index * STRIDE % total) as f64;
        let mut below = 0.0;
        for (share, role) in [
            (self.mute, Role::Mute),
            (self.fail, Role::Fail),
            (self.stall, Role::Stall),
            (self.vanish, Role::Vanish),
            (self.extend, Role::Extend),
        ] {
            below += (total as f64 * share / 100.0).round();
            if rank < below {
                return role;
            }
        }
        Role::Well
    }
}

impl Options {
    /// Reads the command line; `None` if it asked for help.
    pub(crate) fn from_args(mut args: lexopt::Parser) -> Result<Option<Self>, lexopt::Error> {
        let mut url = None;
        let mut it = Self::default();
        while let Some(arg) = args.next()? {
            let Long(name) = arg else {
                return Err(arg.unexpected());
            };
            match name.to_owned().as_str() {
                "help" => return Ok(None),
                "url" => url = Some(args.value()?.string()?),
                name => it.set(name, &mut args)?,
            }
        }
        it.set_url(&url.ok_or("--url is required")?)?;
        Ok(Some(it))
    }

    fn set(&mut self, name: &str, args: &mut lexopt::Parser) -> Result<(), lexopt::Error> {
        match name {
            "dialect" => self.dialect = args.value()?.parse_with(dialect)?,
            "until" => self.until = args.value()?.parse_with(step)?,
            "agents" => self.agents = args.value()?.parse_with(|v| between(v, 1, 1_000_000))?,
            "processes" => self.processes = args.value()?.parse_with(|v| between(v, 1, 64))?,
            "part" => self.part = Some(args.value()?.parse()?),
            "prefix" => self.prefix = args.value()?.parse_with(prefix)?,
            "connect-rate" => {
                self.connect_rate = args.value()?.parse_with(|v| between(v, 0.0, 1e6))?;
            }
            "concurrency" => {
                self.concurrency = args.value()?.parse_with(|v| between(v, 1, 65_536))?;
            }
            "handshake-timeout" => self.handshake_timeout = args.value()?.parse_with(duration)?,
            "heartbeat-interval" => self.heartbeat_interval = args.value()?.parse_with(duration)?,
            "heartbeats" => {
                self.heartbeats = args.value()?.parse_with(|v| either(v, "on", "off"))?;
            }
            "mute" => self.mix.mute = args.value()?.parse_with(percent)?,
            "fail" => self.mix.fail = args.value()?.parse_with(percent)?,
            "stall" => self.mix.stall = args.value()?.parse_with(percent)?,
            "vanish" => self.mix.vanish = args.value()?.parse_with(percent)?,
            "extend" => self.mix.extend = args.value()?.parse_with(percent)?,
            "extension" => self.extension = args.value()?.parse_with(duration)?,
            "answer-delay" => self.answer_delay = args.value()?.parse_with(duration)?,
            "reconnect" => self.reconnect = args.value()?.parse_with(|v| either(v, "yes", "no"))?,
            "max-seconds" => {
                let seconds = args.value()?.parse_with(|v| between(v, 0.1, 86_400.0))?;
                self.max_time = Duration::from_secs_f64(seconds);
            }
            _ => return Err(Long(name).unexpected()),
        }
        Ok(())
    }

    fn set_url(&mut self, url: &str) -> Result<(), String> {
        let secure = url.strip_prefix("wss://");
        self.is_secure = secure.is_some();
        let rest = secure
            .or_else(|| url.strip_prefix("ws://"))
            .ok_or("--url: only ws:// and wss:// are spoken")?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        self.host = host.to_owned();
        self.path = if path.is_empty() { "/" } else { path }.to_owned();
        if self.dialect == Dialect::Socketio {
            self.path = format!("{}?{}", self.path, socketio::QUERY);
        }
        let found = host
            .to_socket_addrs()
            .map_err(|e| format!("--url: {host}: {e}"))?;
        // Loopback has one family that a bench wants; `localhost` may name both.
        self.server = found
            .min_by_key(SocketAddr::is_ipv6)
            .ok_or_else(|| format!("--url: {host} has no address"))?;
        Ok(())
    }

    /// How long an agent of this role takes to answer terminate_app.
    pub(crate) fn delay_of(&self, role: Role) -> Duration {
        if role == Role::Extend {
            self.extension
        } else {
            self.answer_delay
        }
    }

    /// The indices of the agents that this process plays.
    pub(crate) fn share(&self) -> std::ops::Range<usize> {
        let bound = |part: usize| self.agents * part / self.processes;
        match self.part {
            Some(part) => bound(part)..bound(part + 1),
            None => 0..self.agents,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            server: SocketAddr::from(([127, 0, 0, 1], 0)),
            host: String::new(),
            path: String::new(),
            is_secure: false,
            dialect: Dialect::Raw,
            until: Step::Introduction,
            agents: 100,
            processes: 1,
            part: None,
            prefix: "agent-".to_owned(),
            connect_rate: 0.0,
            concurrency: 256,
            handshake_timeout: Duration::from_secs(20),
            heartbeat_interval: Duration::ZERO,
            heartbeats: true,
            mix: Mix::default(),
            answer_delay: Duration::ZERO,
            extension: Duration::from_secs(15),
            reconnect: false,
            max_time: Duration::from_secs(120),
        }
    }
}

fn between<T: FromStr + PartialOrd + Display>(text: &str, low: T, high: T) -> Result<T, String> {
    match text.parse::<T>() {
        Ok(value) if value >= low && value <= high => Ok(value),
        _ => Err(format!("must be a number from {low} to {high}")),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    between(text.strip_suffix('%').unwrap_or(text), 0.0, 100.0)
}

/// `250ms`, `5s`, `2m`, or a plain number of seconds; at most an hour.
fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("", 1.0)];
    for (suffix, unit) in units {
        if let Some(number) = text.strip_suffix(suffix) {
            let seconds: f64 = between(number, 0.0, 3_600_000.0)?;
            return Ok(Duration::from_secs_f64((seconds * unit).min(3600.0)));
        }
    }
    Err("must be a time such as 250ms or 5s".to_owned())
}

/// Ids go into JSON as they are.
fn prefix(text: &str) -> Result<String, String> {
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b));
    if plain && text.len() <= 100 {
        Ok(text.to_owned())
    } else {
        Err("must be at most 100 letters, digits and any of -_.:".to_owned())
    }
}

fn dialect(text: &str) -> Result<Dialect, String> {
    match text {
        "raw" => Ok(Dialect::Raw),
        "socketio" => Ok(Dialect::Socketio),
        _ => Err("must be raw or socketio".to_owned()),
    }
}

fn step(text: &str) -> Result<Step, String> {
    match text {
        "handshake" => Ok(Step::Handshake),
        "upgrade" => Ok(Step::Upgrade),
        "introduction" => Ok(Step::Introduction),
        _ => Err("must be handshake, upgrade or introduction".to_owned()),
    }
}

fn either(text: &str, yes: &str, no: &str) -> Result<bool, String> {
    if text == yes || text == no {
        Ok(text == yes)
    } else {
        Err(format!("must be {yes} or {no}"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn read(args: &[&str]) -> Result<Options, String> {
        let all = ["--url", "ws://127.0.0.1:9/deepstream/ws"]
            .iter()
            .chain(args);
        match Options::from_args(lexopt::Parser::from_args(all)) {
            Ok(options) => Ok(options.unwrap()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn shares_are_exact_and_disjoint() {
        let mix = read(&[
            "--mute", "5%", "--fail", "10", "--stall", "1%", "--vanish", "4%", "--extend", "3%",
        ])
        .unwrap()
        .mix;
        for total in [100, 1_000, 18_000] {
            let count = |role| (0..total).filter(|i| mix.role(*i, total) == role).count();
            assert_eq!(count(Role::Mute), total / 20);
            assert_eq!(count(Role::Fail), total / 10);
            assert_eq!(count(Role::Stall), total / 100);
            assert_eq!(count(Role::Vanish), total / 25);
            assert_eq!(count(Role::Extend), total * 3 / 100);
        }
    }

    #[test]
    fn parts_cover_the_fleet_once() {
        let mut options = read(&["--agents", "1000", "--processes", "3"]).unwrap();
        let mut seen = Vec::new();
        for part in 0..3 {
            options.part = Some(part);
            seen.extend(options.share());
        }
        assert_eq!(seen, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn reads_times_with_and_without_unit() {
        for (text, ms) in [
            ("250ms", 250),
            ("5s", 5_000),
            ("2m", 120_000),
            ("1.5", 1_500),
            ("0", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)));
        }
        assert!(duration("soon").is_err());
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        assert!(read(&["--agent", "5"]).is_err());
        assert!(read(&["--mute", "101%"]).is_err());
        assert!(read(&["--prefix", "a\"b"]).is_err());
        assert!(read(&["--dialect", "stomp"]).is_err());
        assert!(read(&["--until", "tea"]).is_err());
    }

    #[test]
    fn asks_for_the_transport_that_the_dialect_needs() {
        let options = read(&["--dialect", "socketio"]).unwrap();
        assert_eq!(options.path, "/deepstream/ws?EIO=4&transport=websocket");
    }
}
