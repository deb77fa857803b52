//! What a message on an agents' endpoint means to the core, in whatever dialect it came (PROTOCOL.md §2, §10).
//!
//! | type | stranger | agent | watcher |
//! |---|---|---|---|
//! | app_ready, watch | asks | handed over | handed over |
//! | heartbeat | asks, or is refused | beat | handed over |
//! | reconnection_success | asks, or is refused | handed over | handed over |
//! | client_status_request | handed over | handed over | handed over |
//! | connection_check_response | refused | beat | handed over |
//! | app_terminated, termination_progress | refused | matched | handed over |
//! | anything else | refused | handed over | handed over |
//!
//! Whether a heartbeat introduces is a setting. An answer that matches no request of its connection is counted and handed over, to be logged.

use std::borrow::Cow;

use dscore_proto::agent::{self, Kind, Refusal, RefusalCode, Scanned};
use dscore_proto::close::CloseCode;
use dscore_traffic::ConnId;
use dscore_traffic::close::CloseFrame;
use dscore_traffic::command::ServingState;
use dscore_traffic::event::{self, Event, EventParts};

use crate::context::Context;
use crate::session::{Session, Verdict, Who};

/// One message, and what else its event had: taken, if the message is handed over and its type is none of ours.
pub(crate) fn on_text(
    session: &mut Session,
    conn: ConnId,
    text: &str,
    parts: &mut Option<EventParts>,
    cx: &mut Context,
) -> Verdict {
    let scanned = match agent::scan(text) {
        Ok(scanned) => scanned,
        Err(refusal) => return refuse(session, &refusal, None, cx),
    };
    let verdict = match &session.who {
        Who::Agent(_) => on_agent(session, conn, &scanned, text, cx),
        Who::Stranger(since) => {
            let since = *since;
            on_stranger(session, since, conn, &scanned, text, cx)
        }
        Who::Asking(..) | Who::Watcher | Who::Plain => None,
    };
    verdict.unwrap_or_else(|| hand_over(session, conn, &scanned, text, parts, cx))
}

/// A binary message, where text is due.
pub(crate) fn on_binary() -> Verdict {
    Verdict::Close(CloseFrame::new(
        CloseCode::UNSUPPORTED,
        "text messages only",
        "protocol_error",
    ))
}

/// The same, of one who polls: it is told, and may go on.
pub(crate) fn refuse_binary(session: &mut Session, cx: &mut Context) -> Verdict {
    let refusal = Refusal::because(RefusalCode::BadJson, "text messages only");
    refuse(session, &refusal, None, cx)
}

/// Whether a message of this kind may come before the introduction, or is one.
pub(crate) fn may_come_first(session: &Session, kind: Kind, cx: &Context) -> bool {
    match kind {
        Kind::AppReady | Kind::Watch | Kind::ClientStatusRequest => true,
        Kind::Heartbeat | Kind::ReconnectionSuccess => {
            cx.settings.introduce_by_heartbeat || session.dialect.has_token()
        }
        _ => false,
    }
}

/// What a stranger's message leads to; `None` where it is to be handed over.
fn on_stranger(
    session: &mut Session,
    since: u64,
    conn: ConnId,
    scanned: &Scanned<'_>,
    text: &str,
    cx: &mut Context,
) -> Option<Verdict> {
    if cx.serving == ServingState::Maintenance && !stays_in_maintenance(scanned.kind, since) {
        return Some(Verdict::Close(CloseFrame::unavailable()));
    }
    if !may_come_first(session, scanned.kind, cx) {
        let refusal = Refusal::new(RefusalCode::NotIntroduced);
        return Some(refuse(session, &refusal, Some(scanned), cx));
    }
    if scanned.kind == Kind::ClientStatusRequest {
        return None;
    }
    session.who = Who::Asking(scanned.kind, since);
    cx.tell(Event::Introduction(Box::new(event::Introduction {
        conn,
        kind: scanned.kind,
        text: text.as_bytes().into(),
    })));
    Some(Verdict::Go)
}

/// Whether an unauthenticated connection may say this in maintenance: watchers may come in, agents may not. One whose
/// deadline was lifted (`since`) watches already.
fn stays_in_maintenance(kind: Kind, since: u64) -> bool {
    match kind {
        // A page that watches from its CONNECT on may ask before its deadline is lifted.
        Kind::Watch | Kind::ClientStatusRequest => true,
        Kind::AppReady | Kind::Heartbeat | Kind::ReconnectionSuccess => false,
        _ => since == u64::MAX,
    }
}

/// What an agent's message leads to; `None` where it is to be handed over.
fn on_agent(
    session: &mut Session,
    conn: ConnId,
    scanned: &Scanned<'_>,
    text: &str,
    cx: &mut Context,
) -> Option<Verdict> {
    let matched = match scanned.kind {
        Kind::Heartbeat | Kind::ConnectionCheckResponse => {
            return Some(on_beat(session, conn, scanned, cx));
        }
        Kind::AppTerminated => on_app_terminated(session, conn, scanned, cx),
        Kind::TerminationProgress => {
            on_progress(session, conn, scanned, cx).map(|found| (found, false))
        }
        _ => return None,
    };
    Some(match matched {
        Err(refusal) => refuse(session, &refusal, Some(scanned), cx),
        Ok((true, false)) => {
            // The owner is told of these answers too, to log them.
            session.count_ahead(conn, text.len(), cx);
            Verdict::Go
        }
        Ok((true, true)) => Verdict::Close(CloseFrame::new(
            CloseCode::NORMAL,
            "Client terminated",
            "terminated",
        )),
        Ok((false, _)) => {
            cx.stats.unmatched_acks_total += 1;
            return None;
        }
    })
}

fn on_beat(
    session: &mut Session,
    conn: ConnId,
    scanned: &Scanned<'_>,
    cx: &mut Context,
) -> Verdict {
    let Who::Agent(agent_id) = &session.who else {
        return Verdict::Go;
    };
    let refusal = match scanned.is_of(agent_id) {
        Ok(true) => None,
        Ok(false) => Some(Refusal::new(RefusalCode::WrongId)),
        Err(refusal) => Some(refusal),
    };
    if let Some(refusal) = refusal {
        return refuse(session, &refusal, Some(scanned), cx);
    }
    session.beat(scanned.kind, cx);
    if scanned.kind == Kind::Heartbeat {
        cx.send_heartbeat_response(session.dialect.form());
    }
    if std::mem::take(&mut session.hear_next_beat) {
        cx.tell(Event::Beat {
            conn,
            kind: scanned.kind,
        });
    }
    Verdict::Go
}

/// Whether the answer matched a request, and whether it was the `OK` that ends the connection.
fn on_app_terminated(
    session: &mut Session,
    conn: ConnId,
    scanned: &Scanned<'_>,
    cx: &mut Context,
) -> Result<(bool, bool), Refusal> {
    let request = scanned.request_id()?;
    let status = scanned.status()?;
    let message = scanned.message().unwrap_or(Cow::Borrowed(""));
    let complete = scanned.complete()?;
    let Some(terminations) = &mut session.terminations else {
        return Ok((false, false));
    };
    if status != "OK" {
        return Ok((
            terminations.refused(conn, &request, &status, &message, cx),
            false,
        ));
    }
    let matched = terminations.acked(conn, &request, complete, &message, cx);
    Ok((matched, matched))
}

fn on_progress(
    session: &mut Session,
    conn: ConnId,
    scanned: &Scanned<'_>,
    cx: &mut Context,
) -> Result<bool, Refusal> {
    let request = scanned.request_id()?;
    let stage = scanned.stage()?;
    let need_ms = scanned.need_ms()?;
    let Some(terminations) = &mut session.terminations else {
        return Ok(false);
    };
    Ok(terminations.extend(conn, &request, need_ms, &stage, cx))
}

/// Sends `error`, and counts it.
pub(crate) fn refuse(
    session: &mut Session,
    refusal: &Refusal,
    scanned: Option<&Scanned<'_>>,
    cx: &mut Context,
) -> Verdict {
    let request_type = scanned.map(|scanned| &*scanned.type_name);
    cx.send_text(session.dialect.form(), |_, out| {
        agent::encode_error(refusal.code, &refusal.to_string(), request_type, out)
    });
    session.count_error(cx)
}

fn hand_over(
    session: &mut Session,
    conn: ConnId,
    scanned: &Scanned<'_>,
    text: &str,
    parts: &mut Option<EventParts>,
    cx: &mut Context,
) -> Verdict {
    let parts = match scanned.kind {
        Kind::Other => parts.take(),
        _ => None,
    };
    let length = text.len() + parts.as_ref().map_or(0, |parts| parts.bytes());
    cx.tell(Event::Message(Box::new(event::Message {
        conn,
        kind: scanned.type_name.as_ref().into(),
        data: text.as_bytes().into(),
        binary: false,
        parts: parts.map(Box::new),
    })));
    session.count_ahead(conn, length, cx);
    Verdict::Go
}

#[cfg(test)]
mod tests {
    use dscore_traffic::Endpoint;
    use uuid::Uuid;

    use super::*;
    use crate::dialect::Dialect;
    use crate::termination::{Termination, Terminations};
    use crate::testing::{Bench, CONN, table_rows};

    const REQUEST: Uuid = Uuid::from_u128(5);

    fn text(kind: &str) -> String {
        format!(
            r#"{{"type":"{kind}","clientName":"a","client_name":"a","request_id":"{REQUEST}",
                "status":"NO","stage":"s","need_ms":1}}"#
        )
    }

    /// What became of a message, in the words of the table.
    fn outcome(who: Who, kind: &str, introduces: bool) -> &'static str {
        let mut bench = Bench::new();
        std::sync::Arc::make_mut(&mut bench.cx.settings).introduce_by_heartbeat = introduces;
        let mut session = Session::new(Endpoint::Raw, Dialect::Raw, 0);
        session.who = who;
        let mut terminations = Terminations::default();
        let termination = Termination {
            request: REQUEST,
            deadline: 9_000,
            latest: 9_000,
            drain: false,
            notice: false,
            sent_us: 0,
            refused: None,
        };
        assert!(terminations.add(CONN, termination, &mut bench.cx));
        session.terminations = Some(Box::new(terminations));
        assert_eq!(
            on_text(&mut session, CONN, &text(kind), &mut None, &mut bench.cx),
            Verdict::Go
        );
        match (&*bench.told(), &*bench.written()) {
            ([Event::Introduction(_)], "") if session.is_asking() => "asks",
            ([Event::Message(_)], "") => "handed over",
            ([Event::TerminationRefused(_) | Event::Progress(_)], "") => "matched",
            ([], error) if error.contains("not_introduced") => "refused",
            ([], _) if session.last_beat > 0 => "beat",
            other => panic!("{kind} led to {other:?}"),
        }
    }

    #[test]
    fn messages_lead_where_the_documented_table_says() {
        let rows = table_rows(include_str!("agents.rs"));
        assert_eq!(rows.len(), 7);
        for row in rows {
            for kind in row[0].split(", ") {
                for introduces in [true, false] {
                    let strangers = match row[1] {
                        "asks, or is refused" if introduces => "asks",
                        "asks, or is refused" => "refused",
                        always => always,
                    };
                    assert_eq!(
                        outcome(Who::Stranger(0), kind, introduces),
                        strangers,
                        "{kind}"
                    );
                    assert_eq!(
                        outcome(Who::Agent("a".into()), kind, introduces),
                        row[2],
                        "{kind}"
                    );
                    assert_eq!(outcome(Who::Watcher, kind, introduces), row[3], "{kind}");
                }
            }
        }
    }
}
