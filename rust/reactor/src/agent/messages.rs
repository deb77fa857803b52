//! What a message on an agents' endpoint means to the core, in whatever dialect it came (PROTOCOL.md §2, §10).
//!
//! | type | unauthenticated | agent | watcher |
//! |---|---|---|---|
//! | app_ready, watch | introduces | delivered | delivered |
//! | heartbeat | introduces, or is refused | beat | delivered |
//! | reconnection_success | introduces, or is refused | delivered | delivered |
//! | client_status_request | delivered | delivered | delivered |
//! | connection_check_response | refused | beat | delivered |
//! | app_terminated, termination_progress | refused | matched | delivered |
//! | anything else | refused | delivered | delivered |
//!
//! Whether a heartbeat introduces is a setting. An answer that matches no request of its connection is counted and
//! delivered, to be logged.

use std::borrow::Cow;

use dscore_proto::agent::{self, Kind, Refusal, RefusalCode, Scanned};
use dscore_proto::close::CloseCode;
use dscore_traffic::close::CloseFrame;
use dscore_traffic::command::ServingState;
use dscore_traffic::event::{self, Event, EventParts};

use super::identity::{Identity, Role};
use super::line::Line;
use crate::context::Context;

/// What an answer to terminate_app was to the requests that wait.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// None of them has this id.
    Unmatched,
    /// One has, and waits on.
    Noted,
    /// The `OK` that one waited for.
    Acked,
}

impl Answer {
    fn noted_if(is_matched: bool) -> Self {
        if is_matched {
            Self::Noted
        } else {
            Self::Unmatched
        }
    }
}

/// One message, and what else its event had: taken, if the message is delivered and its type is none of the core's.
///
/// # Errors
/// The close frame: the connection is to end.
pub(crate) fn on_text(
    identity: &mut Identity,
    line: &mut Line<'_>,
    text: &str,
    parts: &mut Option<EventParts>,
    cx: &mut Context,
) -> Result<(), CloseFrame> {
    // Nearly every message there is.
    if let Role::Agent(agent_id) = &identity.role
        && agent::is_heartbeat_of(text, agent_id)
    {
        take_beat(identity, line, Kind::Heartbeat, cx);
        return Ok(());
    }
    let scanned = match agent::scan(text) {
        Ok(scanned) => scanned,
        Err(refusal) => return refuse(identity, line, &refusal, None, cx),
    };
    let answered = match identity.role {
        Role::Agent(_) => on_agent(identity, line, &scanned, text, cx)?,
        Role::Unauthenticated(since) => {
            on_unauthenticated(identity, since, line, &scanned, text, cx)?
        }
        Role::Authenticating(..) | Role::Watcher | Role::Plain | Role::Guest => false,
    };
    if !answered {
        deliver(line, &scanned, text, parts, cx);
    }
    Ok(())
}

/// A binary message of a connection that polls, where text is due: it is told, and may go on.
///
/// # Errors
/// The close frame: it was one error too many.
pub(crate) fn refuse_binary(
    identity: &mut Identity,
    line: &mut Line<'_>,
    cx: &mut Context,
) -> Result<(), CloseFrame> {
    let refusal = Refusal::because(RefusalCode::BadJson, "text messages only");
    refuse(identity, line, &refusal, None, cx)
}

/// Whether a message of this kind may come before the introduction, or is one.
pub(crate) fn may_come_first(has_token: bool, kind: Kind, cx: &Context) -> bool {
    match kind {
        Kind::AppReady | Kind::Watch | Kind::ClientStatusRequest => true,
        Kind::Heartbeat | Kind::ReconnectionSuccess => {
            cx.settings.introduce_by_heartbeat || has_token
        }
        _ => false,
    }
}

/// A message before the introduction. False where it is to be delivered.
fn on_unauthenticated(
    identity: &mut Identity,
    since: u64,
    line: &mut Line<'_>,
    scanned: &Scanned<'_>,
    text: &str,
    cx: &mut Context,
) -> Result<bool, CloseFrame> {
    if cx.serving == ServingState::Maintenance && !stays_in_maintenance(scanned.kind, since) {
        return Err(CloseFrame::unavailable());
    }
    if !may_come_first(line.has_token, scanned.kind, cx) {
        let refusal = Refusal::new(RefusalCode::NotIntroduced);
        refuse(identity, line, &refusal, Some(scanned), cx)?;
        return Ok(true);
    }
    if scanned.kind == Kind::ClientStatusRequest {
        return Ok(false);
    }
    if !cx.may_introduce(line.conn) {
        let reason = "Too many introductions from this address";
        return Err(CloseFrame::new(CloseCode::TRY_AGAIN_LATER, reason, ""));
    }
    identity.role = Role::Authenticating(scanned.kind, since);
    cx.tell(Event::Introduction(Box::new(event::Introduction {
        conn: line.conn,
        kind: scanned.kind,
        text: text.as_bytes().into(),
        plain: match cx.settings.introductions_are_judged {
            true => None,
            false => scanned.plain_introduction().map(Box::new),
        },
    })));
    Ok(true)
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

/// An agent's message. False where it is to be delivered.
fn on_agent(
    identity: &mut Identity,
    line: &mut Line<'_>,
    scanned: &Scanned<'_>,
    text: &str,
    cx: &mut Context,
) -> Result<bool, CloseFrame> {
    let answer = match scanned.kind {
        Kind::Heartbeat | Kind::ConnectionCheckResponse => {
            on_beat(identity, line, scanned, cx)?;
            return Ok(true);
        }
        Kind::AppTerminated => on_app_terminated(identity, line, scanned, cx),
        Kind::TerminationProgress => on_progress(identity, line, scanned, cx),
        _ => return Ok(false),
    };
    match answer {
        Err(refusal) => refuse(identity, line, &refusal, Some(scanned), cx)?,
        // The owner is told of these answers too, to log them.
        Ok(Answer::Noted) => line.delivery.count(line.conn, text.len(), cx),
        Ok(Answer::Acked) => {
            return Err(CloseFrame::new(
                CloseCode::NORMAL,
                "Client terminated",
                "terminated",
            ));
        }
        Ok(Answer::Unmatched) => {
            cx.stats.unmatched_acks_total += 1;
            return Ok(false);
        }
    }
    Ok(true)
}

fn on_beat(
    identity: &mut Identity,
    line: &mut Line<'_>,
    scanned: &Scanned<'_>,
    cx: &mut Context,
) -> Result<(), CloseFrame> {
    let Role::Agent(agent_id) = &identity.role else {
        return Ok(());
    };
    let refusal = match scanned.is_of(agent_id) {
        Ok(true) => None,
        Ok(false) => Some(Refusal::new(RefusalCode::WrongId)),
        Err(refusal) => Some(refusal),
    };
    if let Some(refusal) = refusal {
        return refuse(identity, line, &refusal, Some(scanned), cx);
    }
    take_beat(identity, line, scanned.kind, cx);
    Ok(())
}

/// Takes a sign of life, and answers a heartbeat.
fn take_beat(identity: &mut Identity, line: &Line<'_>, kind: Kind, cx: &mut Context) {
    identity.beat(kind, cx);
    if kind == Kind::Heartbeat {
        cx.send_heartbeat_response(line.form);
    }
    identity.tell_beat(line.conn, kind, cx);
}

fn on_app_terminated(
    identity: &mut Identity,
    line: &mut Line<'_>,
    scanned: &Scanned<'_>,
    cx: &mut Context,
) -> Result<Answer, Refusal> {
    let request = scanned.request_id()?;
    let status = scanned.status()?;
    let message = scanned.message().unwrap_or(Cow::Borrowed(""));
    let complete = scanned.complete()?;
    let Some(terminations) = &mut identity.terminations else {
        return Ok(Answer::Unmatched);
    };
    Ok(if status != "OK" {
        Answer::noted_if(terminations.refused(line.conn, &request, &status, &message, cx))
    } else if terminations.acked(line.conn, &request, complete, &message, cx) {
        Answer::Acked
    } else {
        Answer::Unmatched
    })
}

fn on_progress(
    identity: &mut Identity,
    line: &mut Line<'_>,
    scanned: &Scanned<'_>,
    cx: &mut Context,
) -> Result<Answer, Refusal> {
    let request = scanned.request_id()?;
    let stage = scanned.stage()?;
    let need_ms = scanned.need_ms()?;
    let Some(terminations) = &mut identity.terminations else {
        return Ok(Answer::Unmatched);
    };
    let is_matched = terminations.extend(line.conn, &request, need_ms, &stage, cx);
    Ok(Answer::noted_if(is_matched))
}

/// Sends `error`, and counts it.
///
/// # Errors
/// The close frame: it was one error too many.
pub(crate) fn refuse(
    identity: &mut Identity,
    line: &mut Line<'_>,
    refusal: &Refusal,
    scanned: Option<&Scanned<'_>>,
    cx: &mut Context,
) -> Result<(), CloseFrame> {
    let request_type = scanned.map(|scanned| &*scanned.type_name);
    cx.send_text(line.form, |_, out| {
        agent::encode_error(refusal.code, &refusal.to_string(), request_type, out)
    });
    identity.count_error(cx)
}

fn deliver(
    line: &mut Line<'_>,
    scanned: &Scanned<'_>,
    text: &str,
    parts: &mut Option<EventParts>,
    cx: &mut Context,
) {
    let parts = match scanned.kind {
        Kind::Other => parts.take(),
        _ => None,
    };
    let length = text.len() + parts.as_ref().map_or(0, |parts| parts.bytes());
    cx.tell(Event::Message(Box::new(event::Message {
        conn: line.conn,
        kind: scanned.type_name.as_ref().into(),
        data: text.as_bytes().into(),
        binary: false,
        parts: parts.map(Box::new),
    })));
    line.delivery.count(line.conn, length, cx);
}

#[cfg(test)]
mod tests {
    use dscore_traffic::Endpoint;
    use uuid::Uuid;

    use super::*;
    use crate::agent::delivery::Delivery;
    use crate::agent::termination::{Termination, Terminations};
    use crate::form::Form;
    use crate::testing::{Bench, CONN, table_rows};

    const REQUEST: Uuid = Uuid::from_u128(5);

    fn text(kind: &str) -> String {
        format!(
            r#"{{"type":"{kind}","clientName":"a","client_name":"a","request_id":"{REQUEST}",
                "status":"NO","stage":"s","need_ms":1}}"#
        )
    }

    /// What became of a message, in the words of the table.
    fn outcome(role: Role, kind: &str, introduces: bool) -> &'static str {
        let mut bench = Bench::new();
        std::sync::Arc::make_mut(&mut bench.cx.settings).introduce_by_heartbeat = introduces;
        let mut identity = Identity::new(Endpoint::Raw, 0);
        identity.role = role;
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
        identity.terminations = Some(Box::new(terminations));
        let mut line = Line {
            conn: CONN,
            form: Form::Bare,
            has_token: false,
            delivery: &mut Delivery::default(),
        };
        let text = text(kind);
        let goes_on = on_text(&mut identity, &mut line, &text, &mut None, &mut bench.cx);
        assert_eq!(goes_on, Ok(()));
        match (&*bench.told(), &*bench.written()) {
            ([Event::Introduction(_)], "") if identity.is_authenticating() => "introduces",
            ([Event::Message(_)], "") => "delivered",
            ([Event::TerminationRefused(_) | Event::Progress(_)], "") => "matched",
            ([], error) if error.contains("not_introduced") => "refused",
            ([], _) if identity.last_beat > 0 => "beat",
            other => panic!("{kind} led to {other:?}"),
        }
    }

    #[test]
    fn messages_lead_where_the_documented_table_says() {
        let rows = table_rows(include_str!("messages.rs"));
        assert_eq!(rows.len(), 7);
        for row in rows {
            for kind in row[0].split(", ") {
                for introduces in [true, false] {
                    let first = match row[1] {
                        "introduces, or is refused" if introduces => "introduces",
                        "introduces, or is refused" => "refused",
                        always => always,
                    };
                    assert_eq!(
                        outcome(Role::Unauthenticated(0), kind, introduces),
                        first,
                        "{kind}"
                    );
                    assert_eq!(
                        outcome(Role::Agent("a".into()), kind, introduces),
                        row[2],
                        "{kind}"
                    );
                    assert_eq!(outcome(Role::Watcher, kind, introduces), row[3], "{kind}");
                }
            }
        }
    }
}
