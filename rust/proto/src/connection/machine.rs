//! What a connection does with what comes in and with what it is asked to send, state by state.
//!
//! | state   | input                                 | next    | action                              |
//! |---------|---------------------------------------|---------|-------------------------------------|
//! | Open    | message, pong                         | Open    | deliver                             |
//! | Open    | ping                                  | Open    | answer with a pong, deliver         |
//! | Open    | close                                 | Closed  | answer with the same code, deliver  |
//! | Open    | violation                             | Closed  | answer with its close code, deliver |
//! | Open    | send                                  | Open    | write                               |
//! | Open    | send close                            | Closing | write                               |
//! | Closing | message, ping, pong                   | Closing | discard                             |
//! | Closing | close, violation                      | Closed  | deliver                             |
//! | Closing | send                                  | Closing | refuse: not open                    |
//! | Closing | send close                            | Closing | refuse: already closing             |
//! | Closed  | message, ping, pong, close, violation | Closed  | discard                             |
//! | Closed  | send                                  | Closed  | refuse: not open                    |
//! | Closed  | send close                            | Closed  | refuse: already closing             |

use crate::error::UsageError;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Both sides may send.
    Open,
    /// We sent a close frame and wait for theirs.
    Closing,
    /// Close frames went both ways, or the connection failed and ours was sent. Input is discarded.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Message,
    Ping,
    Pong,
    Close,
    Violation,
    Send,
    SendClose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Hand it to the caller.
    Deliver,
    /// Write the frame the peer is due, then hand it to the caller.
    Answer,
    Discard,
    Write,
    Refuse(UsageError),
}

/// The table of the module comment, in its order; a test holds one against the other.
pub(super) const fn transition(state: State, input: Input) -> (State, Action) {
    use State::{Closed, Closing, Open};
    match (state, input) {
        (Open, Input::Message | Input::Pong) => (Open, Action::Deliver),
        (Open, Input::Ping) => (Open, Action::Answer),
        (Open, Input::Close) => (Closed, Action::Answer),
        (Open, Input::Violation) => (Closed, Action::Answer),
        (Open, Input::Send) => (Open, Action::Write),
        (Open, Input::SendClose) => (Closing, Action::Write),
        (Closing, Input::Message | Input::Ping | Input::Pong) => (Closing, Action::Discard),
        (Closing, Input::Close | Input::Violation) => (Closed, Action::Deliver),
        (Closing, Input::Send) => (Closing, Action::Refuse(UsageError::NotOpen)),
        (Closing, Input::SendClose) => (Closing, Action::Refuse(UsageError::AlreadyClosing)),
        (Closed, Input::Message | Input::Ping | Input::Pong | Input::Close | Input::Violation) => {
            (Closed, Action::Discard)
        }
        (Closed, Input::Send) => (Closed, Action::Refuse(UsageError::NotOpen)),
        (Closed, Input::SendClose) => (Closed, Action::Refuse(UsageError::AlreadyClosing)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    const STATES: [(&str, State); 3] = [
        ("Open", State::Open),
        ("Closing", State::Closing),
        ("Closed", State::Closed),
    ];
    const INPUTS: [(&str, Input); 7] = [
        ("message", Input::Message),
        ("ping", Input::Ping),
        ("pong", Input::Pong),
        ("close", Input::Close),
        ("violation", Input::Violation),
        ("send", Input::Send),
        ("send close", Input::SendClose),
    ];

    fn named<T: Copy>(names: &[(&str, T)], name: &str) -> T {
        names.iter().find(|entry| entry.0 == name).unwrap().1
    }

    fn action(words: &str) -> Action {
        match words {
            "deliver" => Action::Deliver,
            "discard" => Action::Discard,
            "write" => Action::Write,
            "refuse: not open" => Action::Refuse(UsageError::NotOpen),
            "refuse: already closing" => Action::Refuse(UsageError::AlreadyClosing),
            answer => {
                assert!(answer.starts_with("answer with"), "{answer}");
                Action::Answer
            }
        }
    }

    #[test]
    fn transitions_are_those_of_the_documented_table() {
        let mut cells = 0;
        let rows = include_str!("machine.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("//! | "));
        for row in rows.skip(1) {
            let columns: Vec<_> = row.split('|').map(str::trim).collect();
            let [state, inputs, next, words, ""] = columns[..] else {
                panic!("a row of four columns: {row}");
            };
            for input in inputs.split(", ") {
                assert_eq!(
                    transition(named(&STATES, state), named(&INPUTS, input)),
                    (named(&STATES, next), action(words)),
                    "{state} x {input}"
                );
                cells += 1;
            }
        }
        assert_eq!(cells, STATES.len() * INPUTS.len());
    }
}
