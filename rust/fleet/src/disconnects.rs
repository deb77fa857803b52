//! How often connections of agents have ended, and how: counted in words that no peer can choose.

use dscore_traffic::close::Initiator;
use dscore_traffic::event::Closed;

/// What an end is counted as: reason, close code and initiator.
pub type Disconnect = (&'static str, &'static str, &'static str);

/// Causes that are counted by name, "" as [`NO_CAUSE`].
const CAUSES: [&str; 8] = [
    "",
    "heartbeat_timeout",
    "operator",
    "ping_timeout",
    "protocol_error",
    "shutdown",
    "slow_consumer",
    "taken_over",
];
/// Close codes that are counted by name.
const CODES: [(u16, &str); 13] = [
    (1000, "1000"),
    (1001, "1001"),
    (1002, "1002"),
    (1003, "1003"),
    (1005, "1005"),
    (1006, "1006"),
    (1007, "1007"),
    (1008, "1008"),
    (1009, "1009"),
    (1011, "1011"),
    (1012, "1012"),
    (1013, "1013"),
    (4409, "4409"),
];
const NO_CAUSE: &str = "none";
const OTHER: &str = "other";
const INITIATORS: usize = Initiator::ALL.len();
/// By cause, code and initiator; behind the causes and codes that have a name there is one for all others.
const KINDS: usize = (CAUSES.len() + 1) * (CODES.len() + 1) * INITIATORS;

/// How often connections of agents have ended, by reason, close code and initiator: none of it can be chosen by a peer.
#[derive(Debug)]
pub struct Disconnects([u64; KINDS]);

impl Default for Disconnects {
    fn default() -> Self {
        Self([0; KINDS])
    }
}

impl Disconnects {
    pub(crate) fn count(&mut self, closed: &Closed) {
        let info = &closed.info;
        let cause = CAUSES.iter().position(|cause| *cause == info.cause);
        let code = CODES.iter().position(|(code, _)| *code == info.code);
        let (cause, code) = (cause.unwrap_or(CAUSES.len()), code.unwrap_or(CODES.len()));
        let kind = (cause * (CODES.len() + 1) + code) * INITIATORS + info.initiator as usize;
        if let Some(count) = self.0.get_mut(kind) {
            *count += 1;
        }
    }

    /// Those that there were.
    pub fn iter(&self) -> impl Iterator<Item = (Disconnect, u64)> {
        let counts = self.0.iter().copied().enumerate();
        let counts = counts.filter(|&(_, count)| count > 0);
        counts.map(|(kind, count)| (disconnect(kind), count))
    }
}

fn disconnect(kind: usize) -> Disconnect {
    let (kind, initiator) = (kind / INITIATORS, kind % INITIATORS);
    let (cause, code) = (kind / (CODES.len() + 1), kind % (CODES.len() + 1));
    let cause = match CAUSES.get(cause) {
        Some(&"") => NO_CAUSE,
        cause => cause.copied().unwrap_or(OTHER),
    };
    let code = CODES.get(code).map_or(OTHER, |(_, name)| name);
    let initiator = Initiator::ALL
        .get(initiator)
        .map_or(OTHER, |one| one.name());
    (cause, code, initiator)
}

#[cfg(test)]
mod tests {
    use dscore_traffic::ConnId;
    use dscore_traffic::close::CloseInfo;

    use super::*;

    fn closed(cause: &'static str, code: u16, initiator: Initiator) -> Closed {
        Closed {
            conn: ConnId::from_u64(1),
            info: CloseInfo {
                code,
                reason: "chosen by a peer".into(),
                initiator,
                cause: cause.into(),
            },
            answer: 0,
            heartbeat_ms: 0,
            rtt_us: 0,
        }
    }

    #[test]
    fn each_kind_is_counted_by_its_own_words() {
        let causes = CAUSES.iter().map(|&cause| match cause {
            "" => (cause, NO_CAUSE),
            _ => (cause, cause),
        });
        let causes: Vec<_> = causes.chain([("terminated", OTHER)]).collect();
        let codes: Vec<_> = CODES.into_iter().chain([(4999, OTHER)]).collect();
        let (mut counts, mut expected) = (Disconnects::default(), Vec::new());
        for &(cause, cause_name) in &causes {
            for &(code, code_name) in &codes {
                for initiator in Initiator::ALL {
                    let times = expected.len() as u64 % 3;
                    let one = closed(cause, code, initiator);
                    (0..times).for_each(|_| counts.count(&one));
                    expected.push(((cause_name, code_name, initiator.name()), times));
                }
            }
        }
        expected.retain(|&(_, times)| times > 0);
        assert_eq!(counts.iter().collect::<Vec<_>>(), expected);
    }
}
