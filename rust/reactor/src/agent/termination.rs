//! Requests to terminate that wait for their answer: which agent owes what, until when, and how it ended.
//!
//! | state | `OK` | another answer | deadline | deadline of a notice | connection ends |
//! |---|---|---|---|---|---|
//! | waiting | acked | refused | timed out | notified | vanished |
//! | refused | acked | refused | failed | failed | failed |
//!
//! What could not be sent, because its receiver does not read, counts as refused. A Socket.IO client that leaves "/" is
//! where terminate_app and its answer do not get: for what waits its connection has ended, and a later one fails at once.
//!
//! An `OK` settles every request of its connection: the application has ended, whichever request it was. Each request ends in
//! exactly one [`Outcome`].

use dscore_proto::close::CloseCode;
use dscore_traffic::ConnId;
use dscore_traffic::close::CloseFrame;
use dscore_traffic::event::{Event, Outcome, OutcomeKind, Progress, TerminationRefused};
use uuid::Uuid;

use crate::context::Context;

/// Requests that may wait on one connection; an operator's further ones fail at once.
const MAX_WAITING: usize = 16;

/// Bytes kept of an agent's own words: they are kept until the outcome, reported and logged.
const MAX_WORDS: usize = 1024;

/// One request.
#[derive(Debug)]
pub(crate) struct Termination {
    pub(crate) request: Uuid,
    pub(crate) deadline: u64,
    /// The deadline that termination_progress cannot move past.
    pub(crate) latest: u64,
    /// Asked by a drain: its deadline ends the connection.
    pub(crate) drain: bool,
    /// The agent never sent app_ready, so that silence is no failure.
    pub(crate) notice: bool,
    pub(crate) sent_us: u64,
    /// The agent's last word, if it was not `OK`; or why nothing could be sent.
    pub(crate) refused: Option<Box<str>>,
}

/// All that wait on one connection; nearly always none, in a drain one.
#[derive(Debug, Default)]
pub(crate) struct Terminations {
    waiting: Vec<Termination>,
}

impl Terminations {
    /// Takes a request that was just sent. False when too many wait: it ended at once.
    pub(crate) fn add(&mut self, conn: ConnId, termination: Termination, cx: &mut Context) -> bool {
        if self.waiting.len() >= MAX_WAITING && !termination.drain {
            finish(
                conn,
                termination,
                OutcomeKind::Failed,
                "too many requests wait for this agent",
                cx,
            );
            return false;
        }
        // One, and room for no more: a drain does this for a whole fleet.
        if self.waiting.is_empty() {
            self.waiting.reserve_exact(1);
        }
        self.waiting.push(termination);
        true
    }

    /// Answers could not be read for so long.
    pub(crate) fn postpone(&mut self, ms: u64) {
        for termination in &mut self.waiting {
            termination.deadline += ms;
            termination.latest += ms;
        }
    }

    /// When the next of them runs out.
    pub(crate) fn next_deadline(&self) -> u64 {
        self.waiting
            .iter()
            .map(|t| t.deadline)
            .min()
            .unwrap_or(u64::MAX)
    }

    /// An app_terminated with `OK`. True when `request` was waiting: then everything here has ended, and the
    /// connection should.
    pub(crate) fn acked(
        &mut self,
        conn: ConnId,
        request: &str,
        complete: bool,
        message: &str,
        cx: &mut Context,
    ) -> bool {
        if self.find(request).is_none() {
            return false;
        }
        for termination in self.waiting.drain(..) {
            let mut outcome = outcome(
                conn,
                termination,
                OutcomeKind::Acked,
                shortened(message),
                cx,
            );
            outcome.incomplete = !complete;
            cx.tell(Event::Outcome(Box::new(outcome)));
        }
        true
    }

    /// An app_terminated with anything else: told, and the wait goes on. False when `request` does not wait.
    pub(crate) fn refused(
        &mut self,
        conn: ConnId,
        request: &str,
        status: &str,
        message: &str,
        cx: &mut Context,
    ) -> bool {
        let Some(termination) = self.find(request) else {
            return false;
        };
        termination.refused = Some(shortened(message).into());
        let refused = TerminationRefused {
            conn,
            request: termination.request,
            status: shortened(status).into(),
            message: shortened(message).into(),
        };
        cx.tell(Event::TerminationRefused(Box::new(refused)));
        true
    }

    /// A termination_progress: the deadline moves to `need_ms` from now, never past the latest and never back. False
    /// when `request` does not wait.
    pub(crate) fn extend(
        &mut self,
        conn: ConnId,
        request: &str,
        need_ms: u64,
        stage: &str,
        cx: &mut Context,
    ) -> bool {
        let Some(termination) = self.find(request) else {
            return false;
        };
        let asked = cx.now_ms.saturating_add(need_ms).min(termination.latest);
        termination.deadline = termination.deadline.max(asked);
        let progress = Progress {
            conn,
            request: termination.request,
            stage: shortened(stage).into(),
            granted_ms: termination.deadline.saturating_sub(cx.now_ms),
        };
        cx.tell(Event::Progress(Box::new(progress)));
        true
    }

    /// Ends those whose deadline has come. When a drain's was among them the connection is to end as well, with these
    /// words.
    pub(crate) fn expire(&mut self, conn: ConnId, cx: &mut Context) -> Option<CloseFrame> {
        let mut close_frame = None;
        let mut at = 0;
        while let Some(termination) = self.waiting.get(at) {
            if termination.deadline > cx.now_ms {
                at += 1;
                continue;
            }
            let termination = self.waiting.swap_remove(at);
            // PROTOCOL.md §6.5.
            let (kind, reason) = if termination.notice {
                (OutcomeKind::Notified, "Server shutting down gracefully")
            } else {
                (OutcomeKind::TimedOut, "Server shutdown timeout")
            };
            if termination.drain {
                close_frame = Some(CloseFrame::new(CloseCode::GOING_AWAY, reason, "shutdown"));
            }
            finish(conn, termination, kind, "", cx);
        }
        close_frame
    }

    /// The connection has ended, or its client has left the namespace of agents.
    pub(crate) fn vanish(&mut self, conn: ConnId, cx: &mut Context) {
        for termination in self.waiting.drain(..) {
            finish(conn, termination, OutcomeKind::Vanished, "", cx);
        }
    }

    /// Nothing could be sent: what waits has failed, whatever else happens.
    pub(crate) fn fail(&mut self, why: &str) {
        for termination in &mut self.waiting {
            termination.refused.get_or_insert_with(|| why.into());
        }
    }

    /// The request of this id.
    fn find(&mut self, request: &str) -> Option<&mut Termination> {
        // Compared as text, letter by letter: an id that merely means the same UUID is not the one we sent.
        let mut buffer = Uuid::encode_buffer();
        self.waiting
            .iter_mut()
            .find(|t| t.request.hyphenated().encode_lower(&mut buffer) == request)
    }
}

/// As much of `words` as is kept, cut at the border of a character.
fn shortened(words: &str) -> &str {
    let mut end = words.len().min(MAX_WORDS);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    words.get(..end).unwrap_or_default()
}

/// Ends a request that cannot be sent.
pub(crate) fn cannot_send(conn: ConnId, termination: Termination, why: &str, cx: &mut Context) {
    finish(conn, termination, OutcomeKind::Failed, why, cx);
}

fn finish(
    conn: ConnId,
    termination: Termination,
    kind: OutcomeKind,
    message: &str,
    cx: &mut Context,
) {
    let outcome = outcome(conn, termination, kind, message, cx);
    cx.tell(Event::Outcome(Box::new(outcome)));
}

fn outcome(
    conn: ConnId,
    termination: Termination,
    kind: OutcomeKind,
    message: &str,
    cx: &Context,
) -> Outcome {
    let (kind, message) = match (kind, &termination.refused) {
        (OutcomeKind::Acked, _) | (_, None) => (kind, message),
        (_, Some(refused)) => (OutcomeKind::Failed, &**refused),
    };
    Outcome {
        conn,
        request: termination.request,
        kind,
        incomplete: false,
        latency_us: cx.now_us.saturating_sub(termination.sent_us),
        message: message.into(),
        drain: termination.drain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, CONN, table_rows};

    const REQUEST: Uuid = Uuid::from_u128(5);

    /// What the event of this column leads to, in the words of the table.
    fn outcome(state: &str, column: usize) -> &'static str {
        let mut bench = Bench::new();
        let cx = &mut bench.cx;
        let mut terminations = Terminations::default();
        let termination = Termination {
            request: REQUEST,
            deadline: 1_000,
            latest: 1_000,
            drain: false,
            notice: column == 4,
            sent_us: 0,
            refused: None,
        };
        assert!(terminations.add(CONN, termination, cx));
        match state {
            "waiting" => {}
            _ => terminations.fail("socket full"),
        }
        let id = REQUEST.to_string();
        match column {
            1 => assert!(terminations.acked(CONN, &id, true, "", cx)),
            2 => assert!(terminations.refused(CONN, &id, "NO", "", cx)),
            3 | 4 => assert_eq!(terminations.expire(CONN, cx), None, "no drain's"),
            _ => terminations.vanish(CONN, cx),
        }
        match &*bench.told() {
            [Event::TerminationRefused(_)] => "refused",
            [Event::Outcome(outcome)] => {
                assert_eq!(terminations.next_deadline(), u64::MAX, "it still waits");
                match outcome.kind {
                    OutcomeKind::Acked => "acked",
                    OutcomeKind::Failed => "failed",
                    OutcomeKind::TimedOut => "timed out",
                    OutcomeKind::Vanished => "vanished",
                    OutcomeKind::Notified => "notified",
                }
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn requests_end_as_the_documented_table_says() {
        let rows = table_rows(include_str!("termination.rs"));
        assert_eq!(rows.len(), 2);
        for row in rows {
            for (column, expected) in row.iter().enumerate().skip(1) {
                assert_eq!(
                    outcome(row[0], column),
                    *expected,
                    "{row:?}, column {column}"
                );
            }
        }
    }
}
