use dscore_traffic::Endpoint;

use super::*;
use crate::testing::{Bench, CONN, table_rows};

const TAKEN: &str = "/custom";

fn session(endpoint: Endpoint, revision: Revision, bench: &Bench) -> Session {
    let dialect = Dialect::new(endpoint, revision, bench.cx.now_ms, &bench.cx.settings);
    Session::new(endpoint, dialect, bench.cx.now_ms)
}

/// Somebody who has joined "/" and another namespace; on an agents' endpoint this agent, or nobody yet.
fn joined(endpoint: Endpoint, agent: Option<&str>, bench: &mut Bench) -> Session {
    let mut session = session(endpoint, Revision::V4, bench);
    for connect in ["0", "0/custom,"] {
        assert_eq!(hears(&mut session, connect, bench), Verdict::Go);
    }
    if let Some(agent) = agent {
        bench.cx.stats.connections_unauthenticated += 1;
        session.become_agent(agent.into(), false, &mut bench.cx);
    }
    bench.told();
    bench.said();
    session
}

fn hears(session: &mut Session, text: &str, bench: &mut Bench) -> Verdict {
    on_text(session, CONN, text, &mut bench.cx)
}

/// What became of a packet, in the words of the table.
fn outcome(session: &mut Session, text: &str, bench: &mut Bench) -> &'static str {
    let verdict = hears(session, text, bench);
    let (told, said) = (bench.told(), bench.said());
    if verdict == Verdict::Left {
        assert_eq!((told.len(), &*said), (0, &["1".to_owned()][..]));
        return "the end";
    }
    assert_eq!(verdict, Verdict::Go, "{text}");
    match (&*told, &*said) {
        ([Event::Connected(_)], [answer]) if answer.starts_with("40") => "answered, told",
        ([], [error]) if error.starts_with("44/") => "answered with an error",
        ([], [error]) if error.contains("not_introduced") => "refused",
        ([], []) if waits(session) => "waits",
        ([Event::Left(_) | Event::Reply(_)], []) => "told",
        ([Event::Message(message)], []) => match &*message.data {
            br#"{"a":1,"type":"x"}"# => "a message of that `type`",
            br#"["x",{"a":1}]"# => "handed over",
            other => panic!("{}", String::from_utf8_lossy(other)),
        },
        ([], []) => "nothing",
        other => panic!("{text} led to {other:?}"),
    }
}

fn waits(session: &mut Session) -> bool {
    socket_io(session).is_some_and(|socket_io| socket_io.early.is_some())
}

#[test]
fn packets_lead_where_the_documented_table_says() {
    let rows = table_rows(include_str!("../socket_io.rs"));
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
            let mut somebody = match (is_first, endpoint) {
                (true, _) => session(endpoint, Revision::V4, &bench),
                (false, Endpoint::SocketIo) => joined(endpoint, Some("a"), &mut bench),
                (false, _) => joined(endpoint, None, &mut bench),
            };
            if row[0].ends_with("the last namespace") {
                hears(&mut somebody, "1", &mut bench);
                bench.told();
            }
            let led_to = outcome(&mut somebody, text, &mut bench);
            let expected = match row[column] {
                // A message of that `type`, as agents send it.
                "handed over, once introduced" => "a message of that `type`",
                "told, once introduced" => "told",
                always => always,
            };
            assert_eq!(led_to, expected, "{row:?}, {endpoint:?}");
            if row[column].ends_with("once introduced") {
                let mut bench = Bench::new();
                let mut stranger = joined(endpoint, None, &mut bench);
                let led_to = outcome(&mut stranger, text, &mut bench);
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
            let verdict = hears(&mut session, text, &mut bench);
            assert!(verdict.is_violation(), "{text} led to {verdict:?}");
            assert!(bench.told().is_empty(), "{text}");
        }
        // Before anything was joined nothing can be said but CONNECT.
        let mut bench = Bench::new();
        let mut session = session(endpoint, Revision::V4, &bench);
        assert!(hears(&mut session, r#"2["x"]"#, &mut bench).is_violation());
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
        assert_eq!(hears(&mut session, text, &mut bench), Verdict::Go);
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
    hears(&mut session, r#"2["x",{"type":"y"}]"#, &mut bench);
    hears(&mut session, r#"2["no argument"]"#, &mut bench);
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
        assert_eq!(hears(&mut session, text, &mut bench), Verdict::Go);
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
    assert_eq!(hears(&mut session, text, &mut bench), Verdict::Go);
    assert!(!session.wants_no_binary());
    for data in [&b"\x00"[..], b"\xff\xff"] {
        assert!(bench.told().is_empty());
        assert_eq!(
            on_binary(&mut session, CONN, data, &mut bench.cx),
            Verdict::Go
        );
    }
    assert!(session.wants_no_binary());
    let told = bench.told();
    let [Event::Message(message)] = &*told else {
        panic!("{told:?}");
    };
    assert_eq!(
        *message.data,
        *br#"{"a":{"_placeholder":true,"num":1},"type":"x"}"#
    );
    let expected = EventParts {
        namespace: TAKEN.into(),
        ack: Some(9),
        attachments: vec![b"\x00"[..].into(), b"\xff\xff"[..].into()],
    };
    assert_eq!(message.parts.as_deref(), Some(&expected));
}

#[test]
fn attachments_come_when_they_are_due_and_no_larger_than_a_message() {
    let mut bench = Bench::new();
    let mut session = joined(Endpoint::SocketIo, Some("a"), &mut bench);
    let untimely = on_binary(&mut session, CONN, b"x", &mut bench.cx);
    assert_eq!(code(&untimely), CloseCode::UNSUPPORTED);
    hears(&mut session, r#"51-["x"]"#, &mut bench);
    assert!(hears(&mut session, r#"2["y"]"#, &mut bench).is_violation());

    let mut session = joined(Endpoint::SocketIo, Some("a"), &mut bench);
    hears(&mut session, r#"5256-["x"]"#, &mut bench);
    let limit = bench.cx.settings.messages.max_message_size;
    let held = |session: &Session| session.dialect.held_input();
    for _ in 0..255 {
        assert_eq!(
            on_binary(&mut session, CONN, b"x", &mut bench.cx),
            Verdict::Go
        );
        assert!(held(&session) < limit + 256 * ATTACHMENT_COST);
    }
    let too_much = vec![0; limit];
    let verdict = on_binary(&mut session, CONN, &too_much, &mut bench.cx);
    assert_eq!(code(&verdict), CloseCode::TOO_BIG);
    assert_eq!(held(&session), 0);
}

fn code(verdict: &Verdict) -> CloseCode {
    match verdict {
        Verdict::Close(close_frame) => close_frame.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_client_of_revision_3_is_in_the_main_namespace_from_the_beginning() {
    for (revision, joined) in [(Revision::V3, true), (Revision::V4, false)] {
        let mut bench = Bench::new();
        let mut session = session(Endpoint::SocketIo, revision, &bench);
        greet(&mut session, CONN, &mut bench.cx);
        assert_eq!(session.dialect.is_ready(), joined);
        assert_eq!(bench.said() == ["40"], joined, "without a sid");
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
        namespace: TAKEN.into(),
        id: Some(3),
        data: r#"["x",{"_placeholder":true,"num":0}]"#.into(),
        attachments: vec![b"data"[..].into()],
        notify: false,
    };
    send(&session, &packet, &mut bench.cx);
    let event = r#"451-/custom,3["x",{"_placeholder":true,"num":0}]"#;
    assert_eq!(bench.said(), [event, "data"]);
    packet.attachments.clear();
    (packet.kind, packet.data, packet.namespace) = (Kind::Ack, "[]".into(), MAIN.into());
    send(&session, &packet, &mut bench.cx);
    assert_eq!(bench.said(), ["433[]"]);
    hears(&mut session, "1", &mut bench);
    send(&session, &packet, &mut bench.cx);
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
            hears(&mut session, text, &mut bench);
        }
        if let Some(socket_io) = socket_io(&mut session) {
            socket_io.disconnect(&mut bench.cx);
        }
        assert_eq!(bench.said(), said);
    }
}

#[test]
fn a_namespace_that_is_not_taken_counts_as_an_error() {
    let mut bench = Bench::new();
    let mut session = joined(Endpoint::SocketIo, Some("a"), &mut bench);
    std::sync::Arc::make_mut(&mut bench.cx.settings).max_errors = 1;
    let verdict = hears(&mut session, "0/unknown,", &mut bench);
    assert_eq!(
        bench.said(),
        [r#"44/unknown,{"message":"Invalid namespace"}"#]
    );
    assert_eq!(code(&verdict), CloseCode::POLICY);
}

#[test]
fn an_acknowledgement_without_an_id_is_for_nobody() {
    let mut bench = Bench::new();
    let mut session = joined(Endpoint::PlainSocketIo, None, &mut bench);
    assert_eq!(hears(&mut session, "3[]", &mut bench), Verdict::Go);
    assert!(bench.told().is_empty() && bench.said().is_empty());
    // Of one that has an id somebody is told, unless it cannot be read.
    assert_eq!(hears(&mut session, "37[broken", &mut bench), Verdict::Go);
    assert!(bench.told().is_empty());
    assert!(bench.said()[0].contains("bad_json"));
}

/// What waited for the introduction as this agent, each as its verdict.
fn introduced(session: &mut Session, bench: &mut Bench) -> Vec<Verdict> {
    session.who = Who::Stranger(0);
    bench.cx.stats.connections_unauthenticated = 1;
    session.become_agent("a".into(), false, &mut bench.cx);
    let early = early::take(session);
    let handle = |event| early::handle(session, CONN, event, &mut bench.cx);
    early.into_iter().map(handle).collect()
}

#[test]
fn events_before_the_introduction_wait_for_it_in_order() {
    let mut bench = Bench::new();
    let mut session = joined(Endpoint::SocketIo, None, &mut bench);
    hears(&mut session, r#"21["x",{"n":1}]"#, &mut bench);
    hears(
        &mut session,
        r#"51-/custom,2["x",{"n":{"_placeholder":true,"num":0}}]"#,
        &mut bench,
    );
    assert_eq!(
        on_binary(&mut session, CONN, b"\xff", &mut bench.cx),
        Verdict::Go
    );
    hears(
        &mut session,
        r#"23["app_terminated",{"request_id":"r","status":"OK"}]"#,
        &mut bench,
    );
    assert!(
        bench.told().is_empty() && bench.said().is_empty(),
        "unanswered"
    );
    assert!(session.dialect.held_input() > 100);
    assert_eq!(
        introduced(&mut session, &mut bench),
        [Verdict::Go, Verdict::Go, Verdict::Go]
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
            assert_eq!(hears(&mut session, &text, &mut bench), Verdict::Go);
            assert!(bench.said().is_empty());
        }
        hears(&mut session, &text, &mut bench);
        assert!(bench.said()[0].contains("not_introduced"), "{text}");
        assert_eq!(bench.cx.stats.errors_total, 1);
        assert_eq!(introduced(&mut session, &mut bench).len(), fitting);
    }
}

#[test]
fn what_waits_is_forgotten_with_its_connection_and_keeps_no_ack_of_what_was_left() {
    let mut bench = Bench::new();
    let mut session = joined(Endpoint::SocketIo, None, &mut bench);
    hears(&mut session, r#"2/custom,7["x",{}]"#, &mut bench);
    hears(&mut session, "1/custom,", &mut bench);
    introduced(&mut session, &mut bench);
    let told = bench.told();
    let [Event::Message(message)] = &*told else {
        panic!("{told:?}");
    };
    assert_eq!(message.parts.as_ref().and_then(|parts| parts.ack), None);

    let mut session = joined(Endpoint::SocketIo, None, &mut bench);
    hears(&mut session, r#"2["x",{}]"#, &mut bench);
    session.dialect.drop_input();
    assert_eq!(session.dialect.held_input(), 0);
    assert!(early::take(&mut session).is_empty());
}

#[test]
fn early_heartbeats_and_what_a_watcher_buffered_are_no_errors_that_count() {
    let mut bench = Bench::new();
    {
        let settings = std::sync::Arc::make_mut(&mut bench.cx.settings);
        (settings.max_errors, settings.introduce_by_heartbeat) = (1, false);
    }
    let mut session = joined(Endpoint::SocketIo, None, &mut bench);
    let beat = r#"2["heartbeat",{"clientName":"a"}]"#;
    for _ in 0..32 {
        assert_eq!(hears(&mut session, beat, &mut bench), Verdict::Go);
        assert!(bench.said()[0].contains("not_introduced"));
    }
    assert_eq!(
        code(&hears(&mut session, beat, &mut bench)),
        CloseCode::POLICY
    );

    let mut session = joined(Endpoint::SocketIo, None, &mut bench);
    for _ in 0..3 {
        hears(&mut session, r#"2["x",{}]"#, &mut bench);
    }
    bench.cx.stats.connections_unauthenticated = 1;
    session.become_watcher(&mut bench.cx);
    assert_eq!(early::take(&mut session).len(), 3);
    // Our owner refuses each.
    for _ in 0..3 {
        assert_eq!(session.count_error(&mut bench.cx), Verdict::Go);
    }
    assert_eq!(code(&session.count_error(&mut bench.cx)), CloseCode::POLICY);
}

#[test]
fn a_client_that_leaves_the_main_namespace_keeps_the_others_and_may_come_back() {
    let mut bench = Bench::new();
    let mut session = joined(Endpoint::SocketIo, Some("a"), &mut bench);
    assert_eq!(hears(&mut session, "1", &mut bench), Verdict::Go);
    assert!(!session.dialect.is_ready(), "nothing is sent to it there");
    hears(&mut session, r#"2/custom,["x",{}]"#, &mut bench);
    assert_eq!(bench.told().len(), 1, "it is the same agent there");
    assert_eq!(hears(&mut session, "0", &mut bench), Verdict::Go);
    assert!(session.dialect.is_ready());
    hears(
        &mut session,
        r#"2["heartbeat",{"clientName":"a"}]"#,
        &mut bench,
    );
    assert!(
        bench
            .said()
            .iter()
            .any(|said| said.contains("heartbeat_response"))
    );
}
