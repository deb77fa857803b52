//! Socket.IO over polling and WebSocket alike: introductions, messages, events, acknowledgements, attachments.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod support;

use dscore_proto::socketio::Kind;
use dscore_reactor::settings::Settings;
use dscore_traffic::ConnId;
use dscore_traffic::command::{Command, OutgoingPacket};
use dscore_traffic::event::{Event, EventParts};
use support::engine_io::{Caller, Session};
use support::socket_io::{AGENTS, agents, joined};
use support::{Client, Server, settings, text_frame};

const PLAIN: &str = "/plain.io/";

/// What was handed over: the event's name, its data, and the rest of it.
fn event(server: &mut Server) -> (String, String, EventParts) {
    let (kind, data, parts) = server.wait("event", |event| match event {
        Event::Message(message) => {
            let parts = message.parts.as_ref().map(|parts| EventParts {
                namespace: parts.namespace.clone(),
                ack: parts.ack,
                attachments: parts.attachments.clone(),
            });
            Some((message.kind.to_string(), message.data.to_vec(), parts))
        }
        _ => None,
    });
    let data = String::from_utf8(data).unwrap();
    (kind, data, parts.unwrap_or_default())
}

fn send(server: &Server, conn: ConnId, packet: OutgoingPacket) {
    let command = Command::SendPacket(Box::new(packet));
    server.pool.command(conn, command).unwrap();
}

fn packet(kind: Kind, id: Option<u64>, data: &str) -> OutgoingPacket {
    OutgoingPacket {
        kind,
        namespace: "/".into(),
        id,
        data: data.into(),
        attachments: vec![],
        notify: false,
    }
}

#[test]
fn a_heartbeat_introduces_and_is_answered_by_the_core() {
    let mut server = Server::start(settings());
    for (mut caller, conn) in joined(&mut server, AGENTS) {
        caller.say(r#"421["heartbeat",{"clientName":"a"}]"#);
        let text = server.wait("introduction", |event| match event {
            Event::Introduction(introduction) => Some(introduction.text.to_vec()),
            _ => None,
        });
        assert_eq!(text, br#"{"clientName":"a","type":"heartbeat"}"#);
        assert_eq!(caller.hear(), "431[]");
        server.accept(conn, "a", &[]);
        let response = caller.hear();
        let head = r#"42["heartbeat_response",{"status":"ok","timestamp":""#;
        assert!(response.starts_with(head), "{response}");
        assert!(
            response.ends_with(r#","nextHeartbeatIn":30000}]"#),
            "{response}"
        );
        caller.leave();
    }
    server.rest();
}

#[test]
fn agents_of_either_dialect_hear_one_message() {
    let mut server = Server::with(settings(), 2, 1_024);
    let (mut raw, raw_conn) = server.agent("raw");
    let callers = agents(&mut server);
    let conns: Vec<ConnId> = callers.iter().map(|(_, conn)| *conn).collect();
    let frame = text_frame(r#"{"type":"news","n":1}"#);
    let all = [&conns[..], &[raw_conn]].concat();
    server.pool.send_many(&all, &frame).unwrap();
    assert_eq!(raw.text(), r#"{"type":"news","n":1}"#);
    for (mut caller, _) in callers {
        assert_eq!(caller.hear(), r#"42["news",{"n":1}]"#);
        caller.leave();
    }
    drop(raw);
    server.rest();
}

#[test]
fn messages_that_are_sent_in_one_go_are_heard_one_by_one() {
    let mut server = Server::with(settings(), 2, 1_024);
    let (mut raw, raw_conn) = server.agent("raw");
    let callers = agents(&mut server);
    let texts: Vec<String> = (0..300)
        .map(|n| format!(r#"{{"type":"news","n":{n}}}"#))
        .collect();
    let frames: Vec<u8> = texts
        .iter()
        .flat_map(|text| text_frame(text).to_vec())
        .collect();
    let conns: Vec<ConnId> = callers.iter().map(|(_, conn)| *conn).collect();
    let all = [&conns[..], &[raw_conn]].concat();
    server.pool.send_many(&all, &frames.into()).unwrap();
    for text in &texts {
        assert_eq!(raw.text(), *text);
    }
    let receivers = all.len() as u64;
    server.stats_when("all counted", |stats| {
        stats.messages_sent_total >= 300 * receivers
    });
    for (mut caller, _) in callers {
        for n in 0..300 {
            assert_eq!(caller.hear(), format!(r#"42["news",{{"n":{n}}}]"#));
        }
        caller.leave();
    }
    drop(raw);
    server.rest();
}

#[test]
fn nothing_is_said_before_the_main_namespace_was_joined() {
    let mut server = Server::start(settings());
    let mut other = Client::open(server.address(), "/echo");
    let (other_conn, _) = server.opened();
    for mut caller in Caller::both(server.address(), AGENTS) {
        let (conn, _) = server.opened();
        server.send(conn, r#"{"type":"too early"}"#);
        // Commands keep their order: when this is heard that one was dropped.
        server.send(other_conn, "mark");
        assert_eq!(other.text(), "mark");
        caller.say("40");
        assert!(caller.hear().starts_with("40{"));
        server.send(conn, r#"{"type":"in time"}"#);
        assert_eq!(caller.hear(), r#"42["in time",{}]"#);
        caller.leave();
    }
    drop(other);
    server.rest();
}

#[test]
fn events_and_acknowledgements_go_either_way_with_their_attachments() {
    let mut server = Server::start(settings());
    for (mut caller, conn) in agents(&mut server) {
        caller.say(r#"451-7["frame",{"jpeg":{"_placeholder":true,"num":0}}]"#);
        caller.say_binary(b"\x01\x02", "AQI=");
        let (name, data, parts) = event(&mut server);
        let canonical = r#"{"jpeg":{"_placeholder":true,"num":0},"type":"frame"}"#;
        assert_eq!((&*name, &*data), ("frame", canonical));
        assert_eq!((&*parts.namespace, parts.ack), ("/", Some(7)));
        assert_eq!(parts.attachments, [b"\x01\x02"[..].into()]);
        send(&server, conn, packet(Kind::Ack, Some(7), r#"["taken"]"#));
        assert_eq!(caller.hear(), r#"437["taken"]"#);

        let mut question = packet(
            Kind::Event,
            Some(9),
            r#"["ask",{"_placeholder":true,"num":0}]"#,
        );
        question.attachments = vec![b"\x03"[..].into()];
        send(&server, conn, question);
        assert_eq!(
            caller.hear(),
            r#"451-9["ask",{"_placeholder":true,"num":0}]"#
        );
        caller.hear_binary(b"\x03", "Aw==");
        caller.say(r#"439["answer"]"#);
        let reply = server.wait("reply", |event| match event {
            Event::Reply(reply) => Some((reply.conn, reply.id, reply.data.to_vec())),
            _ => None,
        });
        assert_eq!(reply, (conn, 9, br#"["answer"]"#.to_vec()));
        caller.leave();
    }
    server.rest();
}

#[test]
fn a_plain_endpoint_hands_over_events_as_they_come_and_tells_who_leaves() {
    let mut server = Server::start(settings());
    for (mut caller, conn) in joined(&mut server, PLAIN) {
        caller.say("40/unknown,");
        assert_eq!(
            caller.hear(),
            r#"44/unknown,{"message":"Invalid namespace"}"#
        );
        caller.say(r#"40/custom,{"token":"t"}"#);
        assert!(caller.hear().starts_with(r#"40/custom,{"sid":""#));
        let auth = server.wait("join", |event| match event {
            Event::Connected(connected) => Some(connected.auth.to_vec()),
            _ => None,
        });
        assert_eq!(auth, br#"{"token":"t"}"#);
        caller.say(r#"42/custom,3["x",1,[2]]"#);
        let (name, data, parts) = event(&mut server);
        assert_eq!((&*name, &*data), ("x", r#"["x",1,[2]]"#));
        assert_eq!((&*parts.namespace, parts.ack), ("/custom", Some(3)));
        caller.say("41/custom,");
        let left = server.wait("leaving", |event| match event {
            Event::Left(left) => Some((left.conn, left.namespace.to_string())),
            _ => None,
        });
        assert_eq!(left, (conn, "/custom".into()));
        caller.leave();
    }
    server.rest();
}

#[test]
fn a_heartbeat_introduces_only_with_a_token_where_one_is_needed() {
    let mut server = Server::start(Settings {
        introduce_by_heartbeat: false,
        ..settings()
    });
    for (connect, introduces) in [("40", false), (r#"40{"token":"t"}"#, true)] {
        for mut caller in Caller::both(server.address(), AGENTS) {
            caller.say(connect);
            assert!(caller.hear().starts_with("40{"));
            caller.say(r#"42["heartbeat",{"clientName":"a"}]"#);
            if introduces {
                server.introduction();
            } else {
                assert!(caller.hear().contains("not_introduced"));
            }
        }
    }
}

#[test]
fn bad_input_10_what_is_no_message_is_answered_and_lives_on() {
    let mut server = Server::start(settings());
    for (mut caller, _) in agents(&mut server) {
        caller.say(r#"42["x",{broken"#);
        assert!(
            caller
                .hear()
                .starts_with(r#"42["error",{"code":"bad_json""#)
        );
        if let Caller::Polling(_) = caller {
            caller.say_binary(b"\x00", "AA==");
            assert!(
                caller.hear().contains("bad_json"),
                "binary data while polling"
            );
            caller.say(r#"42["x"]"#);
            assert_eq!(event(&mut server).0, "x");
            caller.leave();
        } else {
            caller.say_binary(b"\x00", "AA==");
            caller.hears_end(1003, "text messages only");
        }
    }
    server.rest();
}

#[test]
fn packets_behind_an_introduction_wait_for_its_answer() {
    let mut server = Server::start(settings());
    let mut session = Session::open(server.address(), AGENTS);
    let introduction = r#"42["app_ready",{"instance_id":"a"}]"#;
    session.begin_push(format!("40\x1e{introduction}\x1e42[\"x\"]").as_bytes());
    let conn = server.introduction();
    assert!(session.hear().starts_with("40{"));
    assert!(session.posts.is_silent(), "it is not answered yet");
    server.accept(conn, "a", &[]);
    assert_eq!(event(&mut server).0, "x");
    assert_eq!(session.posts.answer().text(), "ok");
    drop(session);
    server.close(conn, 1000, "");
    server.rest();
}

#[test]
fn clients_of_revision_3_are_joined_by_the_handshake() {
    let mut server = Server::start(settings());
    let mut session = Session::open_v3(server.address(), AGENTS, "EIO=3&b64=1");
    let (conn, _) = server.opened();
    assert_eq!(session.hear(), "40");
    let beat = r#"42["heartbeat",{"clientName":"a"}]"#;
    assert_eq!(session.push(&format!("{}:{beat}", beat.len())).text(), "ok");
    assert_eq!(server.introduction(), conn);
    server.accept(conn, "a", &[r#"{"type":"x"}"#]);
    assert!(session.hear().starts_with(r#"42["heartbeat_response""#));
    assert_eq!(session.hear(), r#"42["x",{}]"#);
    let mut websocket = session.upgrade();
    websocket.send(beat);
    assert!(websocket.text().starts_with(r#"42["heartbeat_response""#));

    let mut client = Client::open(server.address(), "/socket.io/?EIO=3&transport=websocket");
    assert!(client.text().starts_with("0{"));
    assert_eq!(client.text(), "40");
    drop((session, websocket, client));
    server.rest();
}
