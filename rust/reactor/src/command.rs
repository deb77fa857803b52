//! What each command does to the peer it names. A command for one that has gone misses, silently: its end was told.

use uuid::Uuid;

use crate::broadcast::{TerminateFrame, send_terminate};
use crate::context::Context;
use crate::event::{Command, Ending, Event, Outcome};
use crate::peer::{Peer, Stage};
use crate::session::Who;
use crate::table::ConnId;
use crate::termination::Termination;
use crate::websocket_peer::{Verdict, WebSocketPeer};

/// The connection that a command is for, if it is for one.
pub(crate) fn target(command: &Command) -> Option<ConnId> {
    match command {
        Command::Accept { conn, .. }
        | Command::AcceptWatcher { conn, .. }
        | Command::Refuse { conn, .. }
        | Command::Send(conn, _)
        | Command::Settled(conn)
        | Command::Close(conn, _)
        | Command::HearNextBeat(conn)
        | Command::Terminate { conn, .. }
        | Command::Respond { conn, .. }
        | Command::RespondMore { conn, .. }
        | Command::Abort(conn) => Some(*conn),
        Command::Adopt { .. }
        | Command::SendMany(..)
        | Command::CloseAll { .. }
        | Command::TerminateAll(_)
        | Command::SetGate(_)
        | Command::ReadLastSeen
        | Command::Configure(_)
        | Command::Stop => None,
    }
}

/// Applies a command to its peer; the caller settles the peer after it.
pub(crate) fn apply(command: Command, conn: ConnId, peer: &mut Peer, cx: &mut Context) {
    match (command, &mut peer.stage) {
        (Command::Abort(_), _) => peer.finished = true,
        (Command::Send(_, outgoing), Stage::WebSocket(_)) => {
            peer.send_shared(&outgoing.frame, cx);
            if outgoing.notify {
                peer.notify_when_drained(conn, cx);
            }
        }
        (command, Stage::WebSocket(websocket)) => {
            apply_to_websocket(command, conn, websocket, cx);
            resume(conn, peer, cx);
        }
        (Command::Respond { response, .. }, Stage::Http(http)) => {
            http.respond(&response, cx);
            after_response(response.notify, conn, peer, cx);
        }
        (
            Command::RespondMore {
                body, more, notify, ..
            },
            Stage::Http(http),
        ) => {
            http.respond_more(&body, more, cx);
            after_response(notify, conn, peer, cx);
        }
        // Meant for a WebSocket that this connection has not become, or for a request it has not made.
        (_, Stage::Http(_)) => {}
    }
}

/// terminate_app for a connection that has gone: it still gets its one outcome.
pub(crate) fn miss(command: &Command, conn: ConnId, cx: &mut Context) {
    if let Command::Terminate { request, .. } = command {
        cannot_terminate(
            conn,
            *request,
            Ending::Vanished,
            "the agent is not connected",
            cx,
        );
    }
}

fn apply_to_websocket(
    command: Command,
    conn: ConnId,
    websocket: &mut WebSocketPeer,
    cx: &mut Context,
) {
    match command {
        // Too late: the closing has begun, and its end will be told.
        Command::Accept { .. } | Command::AcceptWatcher { .. } if !websocket.is_open() => {}
        Command::Accept {
            agent_id,
            replies,
            notice_only,
            ..
        } => {
            websocket.session.become_agent(agent_id, notice_only, cx);
            send_all(websocket, &replies, cx);
        }
        Command::AcceptWatcher { replies, .. } => {
            websocket.session.become_watcher(cx);
            send_all(websocket, &replies, cx);
        }
        Command::Refuse { frame, .. } => {
            websocket.session.stay_stranger();
            websocket.send(&frame, cx);
            if let Verdict::Close(farewell) = websocket.session.count_error(cx) {
                websocket.close(&farewell, cx);
            }
        }
        Command::Settled(_) => websocket.release(cx),
        Command::Close(_, farewell) => websocket.close(&farewell, cx),
        Command::HearNextBeat(_) => websocket.session.hear_next_beat = true,
        Command::Terminate {
            request,
            timeout_ms,
            reason,
            ..
        } => {
            terminate_one(conn, websocket, request, timeout_ms, &reason, cx);
        }
        _ => {}
    }
}

fn terminate_one(
    conn: ConnId,
    websocket: &mut WebSocketPeer,
    request: Uuid,
    timeout_ms: u64,
    reason: &str,
    cx: &mut Context,
) {
    if !websocket.is_open() || !matches!(websocket.session.who, Who::Agent(_)) {
        cannot_terminate(
            conn,
            request,
            Ending::Vanished,
            "the connection is closing",
            cx,
        );
        return;
    }
    let deadline = cx.now_ms + timeout_ms;
    let termination = Termination {
        request,
        deadline,
        latest: deadline,
        drain: false,
        notice: false,
        sent_us: cx.now_us,
        refused: None,
    };
    send_terminate(
        conn,
        websocket,
        termination,
        &mut TerminateFrame::new(reason),
        cx,
    );
}

fn cannot_terminate(conn: ConnId, request: Uuid, ending: Ending, why: &str, cx: &mut Context) {
    cx.tell(Event::Outcome(Box::new(Outcome {
        conn,
        request,
        ending,
        latency_us: 0,
        message: why.into(),
        drain: false,
    })));
}

fn send_all(websocket: &mut WebSocketPeer, frames: &[std::sync::Arc<[u8]>], cx: &mut Context) {
    for frame in frames {
        websocket.send(frame, cx);
    }
}

/// Goes on with input that was kept back while an introduction waited for its answer.
fn resume(conn: ConnId, peer: &mut Peer, cx: &mut Context) {
    if let Stage::WebSocket(websocket) = &mut peer.stage
        && websocket.has_kept()
    {
        peer.on_data(conn, &mut [], cx);
    }
}

/// Goes on with a request that came while another waited for its answer.
fn after_response(notify: bool, conn: ConnId, peer: &mut Peer, cx: &mut Context) {
    if let Stage::Http(http) = &peer.stage
        && http.has_input()
    {
        peer.on_data(conn, &mut [], cx);
    }
    if notify {
        peer.transmit(cx);
        peer.notify_when_drained(conn, cx);
    }
}
