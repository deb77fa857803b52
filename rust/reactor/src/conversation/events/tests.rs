#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use dscore_proto::close::CloseCode;
use dscore_proto::connection::{Connection, Role as Side};
use dscore_proto::engineio::Revision;
use dscore_proto::socketio::{Kind, MAX_ATTACHMENTS};
use dscore_traffic::Endpoint;
use dscore_traffic::command::OutgoingPacket;
use dscore_traffic::event::OutcomeKind;
use uuid::Uuid;

use super::*;
use crate::agent::identity::Role;
use crate::agent::termination::Termination;
use crate::broadcast::{TerminateFrame, send_terminate};
use crate::conversation::Conversation;
use crate::conversation::transport::Transport;
use crate::dialect::Dialect;
use crate::testing::{Bench, CONN, table_rows};

const NAMESPACE: &str = "/custom";

fn conversation(endpoint: Endpoint, revision: Revision, bench: &mut Bench) -> Conversation {
    let transport = Transport::WebSocket(Connection::new(Side::Server));
    let dialect = Dialect::new(endpoint, revision, bench.cx.now_ms, &bench.cx.settings);
    Conversation::new(endpoint, transport, dialect, &mut bench.cx)
}

/// A client that has joined "/" and another namespace; on an agents' endpoint this agent, or unauthenticated.
fn joined(endpoint: Endpoint, agent: Option<&str>, bench: &mut Bench) -> Conversation {
    let mut conversation = conversation(endpoint, Revision::V4, bench);
    for connect in ["0", "0/custom,"] {
        assert_eq!(hears(&mut conversation, connect, bench), Ok(()));
    }
    if let Some(agent) = agent {
        let identity = &mut conversation.identity;
        identity.become_agent(agent.into(), false, &mut bench.cx);
    }
    bench.told();
    bench.said();
    conversation
}

fn hears(conversation: &mut Conversation, text: &str, bench: &mut Bench) -> Result<(), Stop> {
    let (packet, cx) = (format!("4{text}"), &mut bench.cx);
    let mut hearing = conversation.hearing(CONN);
    let heard = hearing
        .dialect
        .hear_text(&packet, &cx.settings, &mut cx.out)?;
    hearing.act(heard, cx)
}

fn hears_binary(
    conversation: &mut Conversation,
    data: &[u8],
    bench: &mut Bench,
) -> Result<(), Stop> {
    let cx = &mut bench.cx;
    let mut hearing = conversation.hearing(CONN);
    let heard = hearing
        .dialect
        .hear_binary(data, &cx.settings, &mut cx.out)?;
    hearing.act(heard, cx)
}

fn is_violation(result: &Result<(), Stop>) -> bool {
    matches!(result, Err(stop) if stop.is_violation())
}

/// What became of a packet, in the words of the table.
fn outcome(conversation: &mut Conversation, text: &str, bench: &mut Bench) -> &'static str {
    let result = hears(conversation, text, bench);
    let (told, said) = (bench.told(), bench.said());
    if result == Err(Stop::Left) {
        assert_eq!((told.len(), &*said), (0, &["1".to_owned()][..]));
        return "the end";
    }
    assert_eq!(result, Ok(()), "{text}");
    match (&*told, &*said) {
        ([Event::Connected(_)], [answer]) if answer.starts_with("40") => "answered, told",
        ([], [error]) if error.starts_with("44/") => "answered with an error",
        ([], [error]) if error.contains("not_introduced") => "refused",
        ([], []) if waits(conversation) => "waits",
        ([Event::Left(_) | Event::Reply(_)], []) => "told",
        ([Event::Message(message)], []) => match &*message.data {
            br#"{"a":1,"type":"x"}"# => "a message of that `type`",
            br#"["x",{"a":1}]"# => "delivered",
            other => panic!("{}", String::from_utf8_lossy(other)),
        },
        ([], []) => "nothing",
        other => panic!("{text} led to {other:?}"),
    }
}

fn waits(conversation: &mut Conversation) -> bool {
    let socket_io = conversation.dialect.socket_io();
    socket_io.is_some_and(|socket_io| socket_io.has_early())
}

/// Events over the raw dialect and the other one lead to the same message.
#[test]
fn agents_hear_and_say_the_same_in_either_dialect() {
    for (endpoint, words) in [
        (Endpoint::Raw, r#"{"a":1,"type":"client_status_request"}"#),
        (Endpoint::SocketIo, r#"42["client_status_request",{"a":1}]"#),
    ] {
        let mut bench = Bench::new();
        let mut conversation = conversation(endpoint, Revision::V4, &mut bench);
        if endpoint.speaks_socket_io() {
            assert_eq!(hears(&mut conversation, "0", &mut bench), Ok(()));
            bench.told();
        }
        let mut hearing = conversation.hearing(CONN);
        let (settings, out) = (&bench.cx.settings, &mut bench.cx.out);
        let heard = hearing.dialect.hear_text(words, settings, out).unwrap();
        assert_eq!(hearing.act(heard, &mut bench.cx), Ok(()));
        let told = bench.told();
        let [Event::Message(message)] = &*told else {
            panic!("{told:?}");
        };
        let (kind, data) = (&message.kind, &message.data);
        assert_eq!(&**kind, "client_status_request");
        assert_eq!(&**data, br#"{"a":1,"type":"client_status_request"}"#);
    }
}

#[test]
fn packets_lead_where_the_documented_table_says() {
    let rows = table_rows(include_str!("../events.rs"));
    assert_eq!(rows.len(), 7);
    for row in rows {
        let (text, is_first) = match row[0] {
            "CONNECT" => ("0", true),
            "CONNECT to a namespace that is not taken" => ("0/unknown,", false),
            "DISCONNECT from a namespace" => ("1", false),
            "DISCONNECT from the last namespace" => ("1/custom,", false),
            "EVENT" => (r#"2["x",{"a":1}]"#, false),
            "EVENT in another namespace" => (r#"2/custom,["x",{"a":1}]"#, false),
            "ACK" => ("37[1]", false),
            other => panic!("no packet is called {other}"),
        };
        for (column, endpoint) in [(1, Endpoint::SocketIo), (2, Endpoint::PlainSocketIo)] {
            let mut bench = Bench::new();
            let mut client = match (is_first, endpoint) {
                (true, _) => conversation(endpoint, Revision::V4, &mut bench),
                (false, Endpoint::SocketIo) => joined(endpoint, Some("a"), &mut bench),
                (false, _) => joined(endpoint, None, &mut bench),
            };
            if row[0].ends_with("the last namespace") {
                assert_eq!(hears(&mut client, "1", &mut bench), Ok(()));
                bench.told();
            }
            let led_to = outcome(&mut client, text, &mut bench);
            let expected = match row[column] {
                // A message of that `type`, as agents send it.
                "delivered, once introduced" => "a message of that `type`",
                "told, once introduced" => "told",
                always => always,
            };
            assert_eq!(led_to, expected, "{row:?}, {endpoint:?}");
            if row[column].ends_with("once introduced") {
                let mut bench = Bench::new();
                let mut client = joined(endpoint, None, &mut bench);
                let led_to = outcome(&mut client, text, &mut bench);
                // An acknowledgement of nothing that was sent has nothing to wait for.
                let expected = if row[0] == "ACK" { "refused" } else { "waits" };
                assert_eq!(led_to, expected, "{row:?}");
            }
        }
    }
}

#[test]
fn what_cannot_be_read_or_was_not_joined_ends_the_connection() {
    for (endpoint, agent) in [
        (Endpoint::SocketIo, Some("a")),
        (Endpoint::SocketIo, None),
        (Endpoint::PlainSocketIo, None),
    ] {
        for text in [
            "",
            "abc",
            "9",
            "2{}",
            "2",
            r#"2["connect"]"#,
            "2[1]",
            "2[]",
            "3x[]",
            "4",
            "0",
            "0/custom,",
            "0[]",
            "1{}",
            r#"5["x"]"#,
            r#"5999-["x"]"#,
            "51-[1]",
            r#"2/other,["x"]"#,
            "3/other,1[]",
            "1/other,",
        ] {
            let mut bench = Bench::new();
            let mut session = joined(endpoint, agent, &mut bench);
            let result = hears(&mut session, text, &mut bench);
            assert!(is_violation(&result), "{text} led to {result:?}");
            assert!(bench.told().is_empty(), "{text}");
        }
        // Before anything was joined nothing can be said but CONNECT.
        let mut bench = Bench::new();
        let mut session = conversation(endpoint, Revision::V4, &mut bench);
        let result = hears(&mut session, r#"2["x"]"#, &mut bench);
        assert!(is_violation(&result));
    }
}

#[test]
fn an_event_that_is_no_message_is_refused_and_lives_on() {
    for (text, code) in [
        (r#"2["x",{broken"#, "bad_json"),
        (r#"2["x",[]]"#, "bad_json"),
        (r#"2["x",1]"#, "bad_json"),
        (r#"2["x",{},{}]"#, "bad_json"),
        (r#"2/custom,["x","text"]"#, "bad_json"),
        (r#"2["heartbeat"]"#, "missing_field"),
        (r#"2["heartbeat",{"clientName":"b"}]"#, "wrong_id"),
    ] {
        let mut bench = Bench::new();
        let mut session = joined(Endpoint::SocketIo, Some("a"), &mut bench);
        assert_eq!(hears(&mut session, text, &mut bench), Ok(()));
        assert!(bench.told().is_empty(), "{text}");
        let said = bench.said();
        assert_eq!(said.len(), 1, "{said:?}");
        // Where it was said.
        let namespace = if text.contains("/custom,") {
            "/custom,"
        } else {
            ""
        };
        let error = format!(r#"42{namespace}["error",{{"code":"{code}""#);
        assert!(said[0].starts_with(&error), "{text}: {said:?}");
    }
}

#[test]
fn the_name_of_an_event_wins_over_a_type_within_it() {
    let mut bench = Bench::new();
    let mut session = joined(Endpoint::SocketIo, Some("a"), &mut bench);
    assert_eq!(
        hears(&mut session, r#"2["x",{"type":"y"}]"#, &mut bench),
        Ok(())
    );
    assert_eq!(
        hears(&mut session, r#"2["no argument"]"#, &mut bench),
        Ok(())
    );
    let told = bench.told();
    let messages = told.iter().map(|event| match event {
        Event::Message(message) => (&*message.kind, std::str::from_utf8(&message.data)),
        other => panic!("{other:?}"),
    });
    let expected = [
        ("x", Ok(r#"{"type":"y","type":"x"}"#)),
        ("no argument", Ok(r#"{"type":"no argument"}"#)),
    ];
    assert!(messages.eq(expected));
}

#[test]
fn events_of_the_cores_own_types_are_acknowledged_at_once_and_no_others() {
    for (agent, text, is_acknowledged) in [
        (Some("a"), r#"25["heartbeat",{"clientName":"a"}]"#, true),
        (Some("a"), r#"25["app_ready",{"instance_id":"a"}]"#, true),
        (
            Some("a"),
            r#"25["app_terminated",{"request_id":"x","status":"OK"}]"#,
            true,
        ),
        (None, r#"25["heartbeat",{"clientName":"a"}]"#, true),
        (
            None,
            r#"25["client_status_request",{"clientName":"a"}]"#,
            true,
        ),
        // What is refused is dealt with.
        (Some("a"), r#"25["heartbeat",{}]"#, true),
        (Some("a"), r#"25["x",{broken"#, true),
        (Some("a"), r#"25["x",{}]"#, false),
    ] {
        let mut bench = Bench::new();
        let mut session = joined(Endpoint::SocketIo, agent, &mut bench);
        assert_eq!(hears(&mut session, text, &mut bench), Ok(()));
        let acks = bench.said().iter().filter(|said| *said == "435[]").count();
        assert_eq!(acks, usize::from(is_acknowledged), "{agent:?}, {text}");
        let passed_on = bench.told().into_iter().find_map(|event| match event {
            Event::Message(message) => message.parts,
            _ => None,
        });
        let asked = passed_on.and_then(|parts| parts.ack);
        assert_eq!(asked, (!is_acknowledged).then_some(5), "{agent:?}, {text}");
    }
}

#[test]
fn an_event_is_whole_when_its_attachments_have_come() {
    let mut bench = Bench::new();
    let mut session = joined(Endpoint::SocketIo, Some("a"), &mut bench);
    let text = r#"52-/custom,9["x",{"a":{"_placeholder":true,"num":1}}]"#;
    assert_eq!(hears(&mut session, text, &mut bench), Ok(()));
    assert!(session.dialect.expects_binary());
    for data in [&b"\x00"[..], b"\xff\xff"] {
        assert!(bench.told().is_empty());
        assert_eq!(hears_binary(&mut session, data, &mut bench), Ok(()));
    }
    assert!(!session.dialect.expects_binary());
    let told = bench.told();
    let [Event::Message(message)] = &*told else {
        panic!("{told:?}");
    };
    assert_eq!(
        *message.data,
        *br#"{"a":{"_placeholder":true,"num":1},"type":"x"}"#
    );
    let expected = EventParts {
        namespace: NAMESPACE.into(),
        ack: Some(9),
        attachments: vec![b"\x00"[..].into(), b"\xff\xff"[..].into()],
    };
    assert_eq!(message.parts.as_deref(), Some(&expected));
}

#[test]
fn attachments_come_when_they_are_due_and_no_larger_than_a_message() {
    let mut bench = Bench::new();
    let mut session = joined(Endpoint::SocketIo, Some("a"), &mut bench);
    let untimely = hears_binary(&mut session, b"x", &mut bench);
    assert_eq!(code(&untimely), CloseCode::UNSUPPORTED);
    assert_eq!(hears(&mut session, r#"51-["x"]"#, &mut bench), Ok(()));
    let untimely = hears(&mut session, r#"2["y"]"#, &mut bench);
    assert!(is_violation(&untimely));

    let mut session = joined(Endpoint::SocketIo, Some("a"), &mut bench);
    assert_eq!(hears(&mut session, r#"5256-["x"]"#, &mut bench), Ok(()));
    let limit = bench.cx.settings.messages.max_message_size;
    let held = |session: &Conversation| session.dialect.held_input();
    for _ in 0..255 {
        assert_eq!(hears_binary(&mut session, b"x", &mut bench), Ok(()));
        assert!(held(&session) < limit + 64 * MAX_ATTACHMENTS);
    }
    let too_much = vec![0; limit];
    let result = hears_binary(&mut session, &too_much, &mut bench);
    assert_eq!(code(&result), CloseCode::TOO_BIG);
    assert_eq!(held(&session), 0);
}

fn code(result: &Result<(), Stop>) -> CloseCode {
    match result {
        Err(Stop::Close(close_frame)) => close_frame.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_client_of_revision_3_is_in_the_main_namespace_from_the_beginning() {
    for (revision, joined) in [(Revision::V3, true), (Revision::V4, false)] {
        let mut bench = Bench::new();
        let mut session = conversation(Endpoint::SocketIo, revision, &mut bench);
        session.greet(CONN, None, &mut bench.cx);
        assert_eq!(session.dialect.is_ready(), joined);
        assert_eq!(bench.said()[1..] == ["40"], joined, "without a sid");
        assert_eq!(bench.told().len(), usize::from(joined));
        let waits = session.dialect.deadline() != u64::MAX;
        assert_eq!(waits, !joined, "for a CONNECT");
    }
}

#[test]
fn packets_of_ours_go_to_namespaces_that_were_joined() {
    let mut bench = Bench::new();
    let mut session = joined(Endpoint::PlainSocketIo, None, &mut bench);
    let mut packet = OutgoingPacket {
        kind: Kind::Event,
        namespace: NAMESPACE.into(),
        id: Some(3),
        data: r#"["x",{"_placeholder":true,"num":0}]"#.into(),
        attachments: vec![b"data"[..].into()],
        notify: false,
    };
    session.send_packet(&packet, &mut bench.cx);
    let event = r#"451-/custom,3["x",{"_placeholder":true,"num":0}]"#;
    assert_eq!(bench.said(), [event, "data"]);
    packet.attachments.clear();
    (packet.kind, packet.data, packet.namespace) = (Kind::Ack, "[]".into(), "/".into());
    session.send_packet(&packet, &mut bench.cx);
    assert_eq!(bench.said(), ["433[]"]);
    assert_eq!(hears(&mut session, "1", &mut bench), Ok(()));
    session.send_packet(&packet, &mut bench.cx);
    assert!(bench.said().is_empty(), "it has left");
}

#[test]
fn goodbye_is_said_in_every_namespace_that_was_joined() {
    let mut bench = Bench::new();
    let mut session = joined(Endpoint::PlainSocketIo, None, &mut bench);
    for (text, said) in [
        ("", &["41", "41/custom,"][..]),
        ("1", &["41/custom,"]),
        ("1/custom,", &[]),
    ] {
        if !text.is_empty() {
            assert_eq!(hears(&mut session, text, &mut bench), Ok(()));
        }
        session.dialect.say_goodbye(&mut bench.cx.out);
        assert_eq!(bench.said(), said);
    }
}

#[test]
fn a_namespace_that_is_not_taken_counts_as_an_error() {
    let mut bench = Bench::new();
    let mut session = joined(Endpoint::SocketIo, Some("a"), &mut bench);
    Arc::make_mut(&mut bench.cx.settings).max_errors = 1;
    let result = hears(&mut session, "0/unknown,", &mut bench);
    assert_eq!(
        bench.said(),
        [r#"44/unknown,{"message":"Invalid namespace"}"#]
    );
    assert_eq!(code(&result), CloseCode::POLICY);
}

#[test]
fn an_acknowledgement_without_an_id_leads_to_nothing() {
    let mut bench = Bench::new();
    let mut session = joined(Endpoint::PlainSocketIo, None, &mut bench);
    assert_eq!(hears(&mut session, "3[]", &mut bench), Ok(()));
    assert!(bench.told().is_empty() && bench.said().is_empty());
    // One that has an id is told of, unless it cannot be read.
    assert_eq!(hears(&mut session, "37[broken", &mut bench), Ok(()));
    assert!(bench.told().is_empty());
    assert!(bench.said()[0].contains("bad_json"));
}

/// What waited for the introduction as this agent, each as its result.
fn introduced(session: &mut Conversation, bench: &mut Bench) -> Vec<Result<(), Stop>> {
    session.identity.role = Role::Unauthenticated(0);
    bench.cx.stats.connections_unauthenticated = 1;
    let identity = &mut session.identity;
    identity.become_agent("a".into(), false, &mut bench.cx);
    let early = take_early(session);
    let handle = |event| session.hearing(CONN).on_early_event(event, &mut bench.cx);
    early.into_iter().map(handle).collect()
}

fn take_early(session: &mut Conversation) -> Vec<HeardEvent<'static>> {
    let socket_io = session.dialect.socket_io();
    socket_io.map_or_else(Vec::new, |socket_io| socket_io.take_early())
}

#[test]
fn events_before_the_introduction_wait_for_it_in_order() {
    let mut bench = Bench::new();
    let mut session = joined(Endpoint::SocketIo, None, &mut bench);
    assert_eq!(
        hears(&mut session, r#"21["x",{"n":1}]"#, &mut bench),
        Ok(())
    );
    assert_eq!(
        hears(
            &mut session,
            r#"51-/custom,2["x",{"n":{"_placeholder":true,"num":0}}]"#,
            &mut bench,
        ),
        Ok(())
    );
    assert_eq!(hears_binary(&mut session, b"\xff", &mut bench), Ok(()));
    assert_eq!(
        hears(
            &mut session,
            r#"23["app_terminated",{"request_id":"r","status":"OK"}]"#,
            &mut bench,
        ),
        Ok(())
    );
    assert!(
        bench.told().is_empty() && bench.said().is_empty(),
        "unanswered"
    );
    assert!(session.dialect.held_input() > 100);
    assert_eq!(
        introduced(&mut session, &mut bench),
        [Ok(()), Ok(()), Ok(())]
    );
    let told = bench.told();
    let heard = told.iter().map(|event| match event {
        Event::Message(message) => {
            let parts = message.parts.as_deref();
            let parts = parts.map(|parts| (&*parts.namespace, parts.ack, parts.attachments.len()));
            (&*message.kind, parts)
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(
        heard.collect::<Vec<_>>(),
        [
            ("x", Some(("/", Some(1), 0))),
            ("x", Some(("/custom", Some(2), 1))),
            ("app_terminated", None),
        ]
    );
    assert_eq!(
        bench.said(),
        ["433[]"],
        "the core's own is acknowledged by the core"
    );
    assert_eq!(session.dialect.held_input(), 0);
}

#[test]
fn what_waits_is_bounded_in_number_and_in_bytes() {
    let long = "x".repeat(20_000);
    for (text, fitting) in [
        (r#"2["x",{}]"#.to_owned(), 32),
        (format!(r#"2["x",{{"long":"{long}"}}]"#), 3),
        (format!(r#"2/custom,["x",{{"long":"{long}"}}]"#), 3),
    ] {
        let mut bench = Bench::new();
        let mut session = joined(Endpoint::SocketIo, None, &mut bench);
        for _ in 0..fitting {
            assert_eq!(hears(&mut session, &text, &mut bench), Ok(()));
            assert!(bench.said().is_empty());
        }
        assert_eq!(hears(&mut session, &text, &mut bench), Ok(()));
        assert!(bench.said()[0].contains("not_introduced"), "{text}");
        assert_eq!(bench.cx.stats.errors_total, 1);
        assert_eq!(introduced(&mut session, &mut bench).len(), fitting);
    }
}

#[test]
fn what_waits_is_forgotten_with_its_connection_and_keeps_no_ack_of_what_was_left() {
    let mut bench = Bench::new();
    let mut session = joined(Endpoint::SocketIo, None, &mut bench);
    assert_eq!(
        hears(&mut session, r#"2/custom,7["x",{}]"#, &mut bench),
        Ok(())
    );
    assert_eq!(hears(&mut session, "1/custom,", &mut bench), Ok(()));
    assert!(matches!(&*bench.told(), [Event::Left(_)]));
    introduced(&mut session, &mut bench);
    let told = bench.told();
    let [Event::Message(message)] = &*told else {
        panic!("{told:?}");
    };
    assert_eq!(message.parts.as_ref().and_then(|parts| parts.ack), None);

    let mut session = joined(Endpoint::SocketIo, None, &mut bench);
    assert_eq!(hears(&mut session, r#"2["x",{}]"#, &mut bench), Ok(()));
    session.dialect.drop_input();
    assert_eq!(session.dialect.held_input(), 0);
    assert!(take_early(&mut session).is_empty());
}

#[test]
fn early_heartbeats_and_what_a_watcher_buffered_are_no_errors_that_count() {
    let mut bench = Bench::new();
    {
        let settings = Arc::make_mut(&mut bench.cx.settings);
        (settings.max_errors, settings.introduce_by_heartbeat) = (1, false);
    }
    let mut session = joined(Endpoint::SocketIo, None, &mut bench);
    let beat = r#"2["heartbeat",{"clientName":"a"}]"#;
    for _ in 0..32 {
        assert_eq!(hears(&mut session, beat, &mut bench), Ok(()));
        assert!(bench.said()[0].contains("not_introduced"));
    }
    assert_eq!(
        code(&hears(&mut session, beat, &mut bench)),
        CloseCode::POLICY
    );

    let mut session = joined(Endpoint::SocketIo, None, &mut bench);
    for _ in 0..3 {
        assert_eq!(hears(&mut session, r#"2["x",{}]"#, &mut bench), Ok(()));
    }
    bench.cx.stats.connections_unauthenticated = 1;
    session.identity.become_watcher(&mut bench.cx);
    session.handle_early(CONN, &mut bench.cx);
    assert_eq!(bench.told().len(), 3);
    // The owner refuses each.
    for _ in 0..3 {
        let identity = &mut session.identity;
        assert_eq!(identity.count_error(&mut bench.cx), Ok(()));
    }
    let too_many = session.identity.count_error(&mut bench.cx);
    assert_eq!(too_many.map_err(|frame| frame.code), Err(CloseCode::POLICY));
}

#[test]
fn a_client_that_leaves_the_main_namespace_keeps_the_others_and_may_come_back() {
    let mut bench = Bench::new();
    let mut session = joined(Endpoint::SocketIo, Some("a"), &mut bench);
    assert_eq!(hears(&mut session, "1", &mut bench), Ok(()));
    assert!(!session.dialect.is_ready(), "nothing is sent to it there");
    assert_eq!(
        hears(&mut session, r#"2/custom,["x",{}]"#, &mut bench),
        Ok(())
    );
    let told = bench.told();
    assert!(
        matches!(&*told, [Event::Left(_), Event::Message(_)]),
        "it is the same agent there: {told:?}"
    );
    assert_eq!(hears(&mut session, "0", &mut bench), Ok(()));
    assert!(session.dialect.is_ready());
    assert_eq!(
        hears(
            &mut session,
            r#"2["heartbeat",{"clientName":"a"}]"#,
            &mut bench,
        ),
        Ok(())
    );
    assert!(
        bench
            .said()
            .iter()
            .any(|said| said.contains("heartbeat_response"))
    );
}

#[test]
fn one_that_has_left_the_main_namespace_owes_no_answer_there() {
    let mut bench = Bench::new();
    let mut session = joined(Endpoint::SocketIo, Some("a"), &mut bench);
    terminate(&mut session, &mut bench);
    assert_eq!((bench.told().len(), bench.said().len()), (0, 1));
    assert_eq!(hears(&mut session, "1/custom,", &mut bench), Ok(()));
    assert!(matches!(&*bench.told(), [Event::Left(_)]), "it still waits");
    assert_eq!(hears(&mut session, "0/custom,", &mut bench), Ok(()));
    bench.told();
    assert_eq!(hears(&mut session, "1", &mut bench), Ok(()));
    match &*bench.told() {
        [Event::Outcome(outcome), Event::Left(_)] => {
            assert_eq!(outcome.kind, OutcomeKind::Vanished);
        }
        other => panic!("{other:?}"),
    }
    bench.said();
    terminate(&mut session, &mut bench);
    assert!(bench.said().is_empty(), "nothing gets to it");
    match &*bench.told() {
        [Event::Outcome(outcome)] => {
            assert_eq!(outcome.kind, OutcomeKind::Failed);
            assert_eq!(outcome.message, "the agent has left its namespace");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(hears(&mut session, "0", &mut bench), Ok(()));
    bench.told();
    bench.said();
    terminate(&mut session, &mut bench);
    assert_eq!((bench.told().len(), bench.said().len()), (0, 1));
}

fn terminate(conversation: &mut Conversation, bench: &mut Bench) {
    let termination = Termination {
        request: Uuid::from_u128(7),
        deadline: 10_000,
        latest: 10_000,
        drain: false,
        notice: false,
        sent_us: 0,
        refused: None,
    };
    let frame = &mut TerminateFrame::new("enough");
    send_terminate(CONN, conversation, termination, frame, &mut bench.cx);
}
