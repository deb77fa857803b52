//! The scan of agent messages against literal texts, hostile ones and a full JSON parser.
#![allow(
    clippy::unwrap_used,
    reason = "a test that panics has failed as it should"
)]

use std::borrow::Cow;

use dscore_proto::agent::{
    Kind, MAX_AGENT_ID, Refusal, RefusalCode, Scanned, TERMINATE_HEAD, encode_connection_check,
    encode_error, encode_heartbeat_response, encode_string, encode_terminate_tail, is_heartbeat_of,
    scan,
};
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

fn code_of(text: &str) -> Option<RefusalCode> {
    scan(text).err().map(|refusal| refusal.code)
}

/// Why a question to the message with these members is refused.
fn refusal_of(
    members: &str,
    ask: impl FnOnce(&Scanned<'_>) -> Option<Refusal>,
) -> (RefusalCode, Option<&'static str>, String) {
    let text = format!("{{{members}}}");
    let refusal = ask(&scan(&text).unwrap()).unwrap();
    (refusal.code, refusal.field, refusal.to_string())
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn tells_the_types_apart() {
    let cases = [
        ("app_ready", Kind::AppReady),
        ("heartbeat", Kind::Heartbeat),
        ("connection_check_response", Kind::ConnectionCheckResponse),
        ("app_terminated", Kind::AppTerminated),
        ("termination_progress", Kind::TerminationProgress),
        ("client_status_request", Kind::ClientStatusRequest),
        ("reconnection_success", Kind::ReconnectionSuccess),
        ("watch", Kind::Watch),
        ("unwatch", Kind::Other),
        ("Heartbeat", Kind::Other),
        ("heartbeat ", Kind::Other),
        ("", Kind::Other),
        ("detections", Kind::Other),
    ];
    for (name, kind) in cases {
        let text = json!({ "type": name }).to_string();
        let message = scan(&text).unwrap();
        assert_eq!((message.kind, &*message.type_name), (kind, name));
    }
}

#[test]
fn finds_the_agent_id_under_the_name_it_has_in_each_type() {
    let cases = [
        ("app_ready", "a"),
        ("heartbeat", "b"),
        ("client_status_request", "b"),
        ("reconnection_success", "b"),
        ("connection_check_response", "c"),
    ];
    for (kind, id) in cases {
        let text =
            format!(r#"{{"instance_id":"a","clientName":"b","client_name":"c","type":"{kind}"}}"#);
        let message = scan(&text).unwrap();
        assert_eq!(message.agent_id().unwrap(), id);
    }
}

#[test]
fn borrows_what_holds_no_escapes() {
    let message = scan(r#" { "type" : "heartbeat" , "clientName" : "edge-7 é" } "#).unwrap();
    assert!(matches!(message.type_name, Cow::Borrowed("heartbeat")));
    assert!(matches!(message.agent_id(), Ok(Cow::Borrowed("edge-7 é"))));
}

#[test]
fn reads_escapes_in_names_and_values() {
    let text = r#"{"\u0074ype":"heart\u0062eat","client\u004eame":"a\"\\\/\ud83d\ude00\"}"}"#;
    let message = scan(text).unwrap();
    assert_eq!(message.kind, Kind::Heartbeat);
    assert_eq!(message.agent_id().unwrap(), "a\"\\/😀\"}");
}

#[test]
fn takes_the_last_of_two_values() {
    let text = r#"{"type":"watch","type":"heartbeat","clientName":"a","clientName":"b"}"#;
    let message = scan(text).unwrap();
    assert_eq!(
        (message.kind, &*message.agent_id().unwrap()),
        (Kind::Heartbeat, "b")
    );
    assert_eq!(
        code_of(r#"{"type":"watch","type":1}"#),
        Some(RefusalCode::BadType)
    );
    assert_eq!(code_of(r#"{"type":1,"type":"watch"}"#), None);
}

#[test]
fn looks_only_at_the_top_level() {
    let text =
        r#"{"config":{"type":"watch","instance_id":"no"},"type":"app_ready","instance_id":"yes"}"#;
    let message = scan(text).unwrap();
    assert_eq!(
        (message.kind, &*message.agent_id().unwrap()),
        (Kind::AppReady, "yes")
    );
    assert_eq!(
        code_of(r#"{"a":{"type":"watch"}}"#),
        Some(RefusalCode::BadType)
    );
    assert_eq!(
        code_of(r#"{"a":"\"type\":\"watch\""}"#),
        Some(RefusalCode::BadType)
    );
}

#[test]
fn refuses_what_is_not_one_json_object() {
    let not_an_object = [
        "",
        " ",
        "[]",
        "\"type\"",
        "1",
        "null",
        "true",
        "\u{feff}{}",
        "}",
        "x",
        "\0",
    ];
    for text in not_an_object {
        let refusal = scan(text).err().unwrap();
        assert_eq!(refusal.code, RefusalCode::BadJson, "{text:?}");
        assert_eq!(refusal.to_string(), "the message is not a JSON object");
    }
    let not_json = [
        "{",
        "{\"type\"",
        "{\"type\":",
        "{\"type\":\"watch\"",
        "{\"type\":\"watch",
        "{type:\"watch\"}",
        "{'type':'watch'}",
        "{\"type\":\"watch\",}",
        "{,}",
        "{\"type\":\"watch\" \"a\":1}",
        "{\"type\":\"watch\"}}",
        "{\"type\":\"watch\"}{}",
        "{\"type\":\"watch\"} x",
        "{\"type\":\"watch\"}\0",
        "{\"type\":\"watch\",\"a\":01}",
        "{\"type\":\"watch\",\"a\":+1}",
        "{\"type\":\"watch\",\"a\":.5}",
        "{\"type\":\"watch\",\"a\":1.}",
        "{\"type\":\"watch\",\"a\":NaN}",
        "{\"type\":\"watch\",\"a\":tru}",
        "{\"type\":\"watch\",\"a\":[1}",
        "{\"type\":\"watch\",\"a\":[}",
        "{\"type\":\"wa\ntch\"}",
        "{\"type\":\"watch\",\"a\":\"\\x\"}",
        "{\"type\":\"watch\",\"a\":\"\\u12\"}",
        "{\"a\nb\":1}",
        "{\"a\\ud80\":1}",
        "{\"type\":\"watch\",1:2}",
        "{\"type\":\"watch\",\"a\"}",
        "{//\n\"type\":\"watch\"}",
    ];
    for text in not_json {
        let refusal = scan(text).err().unwrap();
        assert_eq!(refusal.code, RefusalCode::BadJson, "{text:?}");
        assert!(
            refusal
                .to_string()
                .starts_with("the message is not valid JSON (column ")
        );
    }
}

#[test]
fn refuses_a_type_that_is_missing_or_no_string() {
    let cases = [
        "{}",
        r#"{"Type":"watch"}"#,
        r#"{"type":null}"#,
        r#"{"type":5}"#,
        r#"{"type":["watch"]}"#,
        r#"{"type":{"type":"watch"}}"#,
        r#"{"type":true}"#,
    ];
    for text in cases {
        assert_eq!(code_of(text), Some(RefusalCode::BadType), "{text}");
    }
}

#[test]
fn leaves_fields_that_are_not_its_own_alone() {
    let cases = [
        r#"{"type":"x","a":1e999,"b":-0.0,"c":123456789012345678901234567890}"#,
        r#"{"type":"x","a":"\ud800","\ud800":1}"#,
        r#"{"type":"x","instance_id":1e999,"clientName":[{}],"need_ms":"soon"}"#,
        r#"{"type":"x","":""}"#,
    ];
    for text in cases {
        assert_eq!(scan(text).unwrap().kind, Kind::Other, "{text}");
    }
}

#[test]
fn survives_any_depth_and_any_length_of_number() {
    let nested = |open: &str, close: &str| {
        format!(
            r#"{{"type":"x","status":{}1{}}}"#,
            open.repeat(200_000),
            close.repeat(200_000)
        )
    };
    assert_eq!(code_of(&nested("[", "]")), None);
    assert_eq!(code_of(&nested(r#"{"a":"#, "}")), None);
    assert_eq!(code_of(&nested("[", "")), Some(RefusalCode::BadJson));
    assert_eq!(code_of(&"[".repeat(400_000)), Some(RefusalCode::BadJson));
    assert_eq!(
        code_of(&"{\"type\":".repeat(400_000)),
        Some(RefusalCode::BadJson)
    );
    assert_eq!(
        code_of(&format!(r#"{{"type":"x","a":{}}}"#, "9".repeat(400_000))),
        None
    );
    let many = format!(r#"{{"type":"x"{}}}"#, r#","status":"OK""#.repeat(50_000));
    assert_eq!(scan(&many).unwrap().status().unwrap(), "OK");
}

#[test]
fn refuses_agent_ids_that_are_missing_empty_wrong_or_long() {
    let heartbeat = |members: &str| {
        refusal_of(&format!(r#""type":"heartbeat"{members}"#), |message| {
            message.agent_id().err()
        })
    };
    let name = Some("clientName");
    let missing = (
        RefusalCode::MissingField,
        name,
        "`clientName` is missing".to_owned(),
    );
    assert_eq!(heartbeat(""), missing);
    assert_eq!(heartbeat(r#","clientName":"""#), missing);
    assert_eq!(
        heartbeat(r#","client_name":"a","instance_id":"a""#),
        missing
    );

    let wrong = (
        RefusalCode::BadField,
        name,
        "`clientName` must be a string".to_owned(),
    );
    for value in ["1", "null", "true", "[\"a\"]", "{\"a\":\"b\"}", "1e999"] {
        assert_eq!(
            heartbeat(&format!(r#","clientName":{value}"#)),
            wrong,
            "{value}"
        );
    }
    let long = "é".repeat(MAX_AGENT_ID / 2);
    let text = format!(r#"{{"type":"heartbeat","clientName":"{long}"}}"#);
    assert_eq!(scan(&text).unwrap().agent_id().unwrap(), long);
    let longer = heartbeat(&format!(r#","clientName":"{long}x""#));
    assert_eq!(longer.0, RefusalCode::BadField);
    assert_eq!(longer.2, "`clientName` is longer than 128 bytes");
    // Measured as text, not as JSON.
    let escaped = format!(
        r#"{{"type":"heartbeat","clientName":"{}"}}"#,
        "\\u0041".repeat(MAX_AGENT_ID)
    );
    assert_eq!(
        scan(&escaped).unwrap().agent_id().unwrap().len(),
        MAX_AGENT_ID
    );
}

#[test]
fn reads_every_agent_id_of_the_vectors_as_it_says() {
    let vectors = include_str!("../../../tests/vectors/agent_ids.json");
    let cases: Vec<Value> = serde_json::from_str(vectors).unwrap();
    assert!(cases.len() > 50);
    for case in &cases {
        for (kind, field) in [
            ("app_ready", "instance_id"),
            ("heartbeat", "clientName"),
            ("connection_check_response", "client_name"),
        ] {
            let text = json!({"type": kind, field: case["sent"]}).to_string();
            let message = scan(&text).unwrap();
            match message.agent_id() {
                Ok(id) => assert_eq!(case["id"], *id, "{case}"),
                Err(refusal) => assert_eq!(case["code"], refusal.code.as_str(), "{case}"),
            }
            if let Some(id) = case["id"].as_str() {
                assert_eq!(message.is_of(id), Ok(true), "{case}");
                assert_eq!(message.is_of("another"), Ok(false), "{case}");
            }
        }
    }
}

#[test]
fn reads_lone_surrogates_as_the_replacement_character() {
    let text = r#"{"type":"app_\ud800","request_id":"\udc00","status":"a\ud800\ud83d\ude00"}"#;
    let message = scan(text).unwrap();
    assert_eq!(message.type_name, "app_\u{fffd}");
    assert_eq!(message.request_id().unwrap(), "\u{fffd}");
    assert_eq!(message.status().unwrap(), "a\u{fffd}😀");
}

#[test]
fn names_the_field_of_each_type_that_is_missing() {
    let cases = [
        ("app_ready", "instance_id"),
        ("heartbeat", "clientName"),
        ("client_status_request", "clientName"),
        ("reconnection_success", "clientName"),
        ("connection_check_response", "client_name"),
    ];
    for (kind, field) in cases {
        let found = refusal_of(&format!(r#""type":"{kind}""#), |message| {
            message.agent_id().err()
        });
        assert_eq!((found.0, found.1), (RefusalCode::MissingField, Some(field)));
    }
}

#[test]
fn reads_an_answer_to_terminate_app() {
    let text = r#"{"type":"app_terminated","request_id":"r-1","status":"OK","message":"done"}"#;
    let message = scan(text).unwrap();
    assert_eq!(message.kind, Kind::AppTerminated);
    assert_eq!(message.request_id().unwrap(), "r-1");
    assert_eq!(message.status().unwrap(), "OK");
    assert_eq!(message.message().unwrap(), "done");
    assert_eq!(message.complete(), Ok(true), "silence means complete");
    for (said, complete) in [("true", true), ("false", false)] {
        let text = format!(r#"{{"type":"app_terminated","complete":{said}}}"#);
        assert_eq!(scan(&text).unwrap().complete(), Ok(complete));
    }
    for wrong in ["null", "0", r#""false""#, "[]"] {
        let wrong = refusal_of(
            &format!(r#""type":"app_terminated","complete":{wrong}"#),
            |message| message.complete().err(),
        );
        assert_eq!(
            (wrong.0, wrong.1),
            (RefusalCode::BadField, Some("complete"))
        );
    }

    let message = scan(r#"{"type":"app_terminated","message":5}"#).unwrap();
    assert_eq!(message.message(), None);
    assert_eq!(
        message.request_id().err().unwrap().code,
        RefusalCode::MissingField
    );
    assert_eq!(message.status().err().unwrap().field, Some("status"));
    let wrong = refusal_of(r#""type":"app_terminated","status":1"#, |message| {
        message.status().err()
    });
    assert_eq!((wrong.0, wrong.1), (RefusalCode::BadField, Some("status")));
    let wrong = refusal_of(r#""type":"app_terminated","request_id":null"#, |m| {
        m.request_id().err()
    });
    assert_eq!(
        (wrong.0, wrong.1),
        (RefusalCode::BadField, Some("request_id"))
    );
}

#[test]
fn reads_a_plea_for_more_time() {
    let text = r#"{"type":"termination_progress","request_id":"r","stage":"flush","need_ms":2500}"#;
    let message = scan(text).unwrap();
    assert_eq!(message.kind, Kind::TerminationProgress);
    assert_eq!(message.stage().unwrap(), "flush");
    assert_eq!(message.need_ms(), Ok(2500));

    let need = |value: &str| {
        let text = format!(r#"{{"type":"termination_progress","need_ms":{value}}}"#);
        scan(&text)
            .unwrap()
            .need_ms()
            .map_err(|refusal| refusal.code)
    };
    assert_eq!(need("0"), Ok(0));
    assert_eq!(need("18446744073709551615"), Ok(u64::MAX));
    for bad in [
        "18446744073709551616",
        "-1",
        "-0",
        "1.5",
        "1e3",
        "\"5\"",
        "null",
        "true",
        "[]",
    ] {
        assert_eq!(need(bad), Err(RefusalCode::BadField), "{bad}");
    }
    let missing = refusal_of(r#""type":"termination_progress""#, |message| {
        message.need_ms().err()
    });
    assert_eq!(
        (missing.0, missing.1),
        (RefusalCode::MissingField, Some("need_ms"))
    );
    let missing = refusal_of(r#""type":"termination_progress""#, |message| {
        message.stage().err()
    });
    assert_eq!(
        (missing.0, missing.1),
        (RefusalCode::MissingField, Some("stage"))
    );
}

#[test]
fn every_code_has_its_wire_name_and_a_sentence() {
    let cases = [
        (RefusalCode::BadJson, "bad_json"),
        (RefusalCode::BadType, "bad_type"),
        (RefusalCode::MissingField, "missing_field"),
        (RefusalCode::BadField, "bad_field"),
        (RefusalCode::WrongId, "wrong_id"),
        (RefusalCode::NotIntroduced, "not_introduced"),
        (RefusalCode::Forbidden, "forbidden"),
    ];
    for (code, name) in cases {
        assert_eq!(code.as_str(), name);
        assert!(!Refusal::new(code).to_string().is_empty());
    }
}

#[test]
fn writes_errors() {
    let text = written(|out| {
        encode_error(
            RefusalCode::WrongId,
            "a \"b\"\n\u{1}é",
            Some("heart\\beat"),
            out,
        );
    });
    assert_eq!(
        text,
        r#"{"type":"error","code":"wrong_id","message":"a \"b\"\n\u0001é","request_type":"heart\\beat"}"#
    );
    let text = written(|out| encode_error(RefusalCode::BadJson, "no", None, out));
    assert_eq!(text, r#"{"type":"error","code":"bad_json","message":"no"}"#);
}

#[test]
fn does_not_repeat_an_endless_type() {
    let long = "x".repeat(129);
    let text = written(|out| encode_error(RefusalCode::BadField, "no", Some(&long), out));
    assert_eq!(
        text,
        r#"{"type":"error","code":"bad_field","message":"no"}"#
    );
    let text = written(|out| encode_error(RefusalCode::BadField, "no", Some(&long[1..]), out));
    assert!(text.contains("request_type"));
}

#[test]
fn writes_heartbeat_responses_with_their_keys_in_order() {
    let message = written(|out| encode_string("heartbeat \"received\"", out));
    let text = written(|out| {
        encode_heartbeat_response("2026-01-02T03:04:05.678Z", &message, 30_000, out);
    });
    assert_eq!(
        text,
        r#"{"type":"heartbeat_response","status":"ok","timestamp":"2026-01-02T03:04:05.678Z","message":"heartbeat \"received\"","nextHeartbeatIn":30000}"#
    );
}

#[test]
fn writes_connection_checks() {
    let text = written(|out| {
        encode_connection_check("edge \"7\"", "2026-01-02T03:04:05.678Z", 30_000, out);
    });
    assert_eq!(
        text,
        r#"{"type":"connection_check","client_name":"edge \"7\"","timestamp":"2026-01-02T03:04:05.678Z","expect_response_within":30000}"#
    );
}

#[test]
fn terminate_app_is_whole_with_an_id_between_its_halves() {
    let mut text = TERMINATE_HEAD.to_vec();
    text.extend_from_slice(b"123e4567-e89b-42d3-a456-426614174000");
    encode_terminate_tail("Server \"shutting\" down", &mut text);
    assert_eq!(
        String::from_utf8(text).unwrap(),
        r#"{"type":"terminate_app","request_id":"123e4567-e89b-42d3-a456-426614174000","reason":"Server \"shutting\" down"}"#
    );
}

/// Any JSON value, with the scan's own names among the members.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(Value::from("heartbeat")),
    ];
    let name = prop_oneof![
        Just("type".to_owned()),
        Just("clientName".to_owned()),
        Just("instance_id".to_owned()),
        any::<String>(),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((name.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// All that is read of a message, or why none is.
fn reading(text: &str) -> Result<impl PartialEq + std::fmt::Debug + use<>, RefusalCode> {
    let message = scan(text).map_err(|refusal| refusal.code)?;
    let owned = |text: Result<Cow<'_, str>, Refusal>| text.map(Cow::into_owned);
    Ok((
        (message.kind, message.type_name.to_string()),
        owned(message.agent_id()),
        (owned(message.request_id()), owned(message.status())),
        (owned(message.stage()), message.need_ms()),
        (message.message().map(Cow::into_owned), message.complete()),
    ))
}

/// Objects of strings, whole and broken: what they are made of, in any order.
fn nearly_flat() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => Just("\""), 2 => Just(":"), 2 => Just(","), 1 => Just("{"), 1 => Just("}"),
        1 => Just("type"), 1 => Just("heartbeat"), 1 => Just("\\"), 1 => Just(" "), 1 => Just("\u{1}"),
        1 => Just("\u{7f}é"), 1 => Just("1"), 1 => Just("null"),
    ];
    let name = prop_oneof![
        Just("type"),
        Just("clientName"),
        Just("instance_id"),
        Just("request_id"),
        Just("status"),
        Just("complete"),
        Just("other"),
        Just(""),
        Just("ty\\u0070e"),
    ];
    let value = prop_oneof![
        3 => "[ -~é\u{7f}]{0,9}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        2 => Just(r#""heartbeat""#.to_owned()), 1 => Just("\"\u{1}\"".to_owned()),
        1 => Just("true".to_owned()), 1 => Just(" \"x\"".to_owned()),
    ];
    let pair = (name, value).prop_map(|(name, value)| format!("\"{name}\":{value}"));
    let pairs = proptest::collection::vec(pair, 0..6).prop_map(|pairs| pairs.join(","));
    let pieces = proptest::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat());
    prop_oneof![pairs, pieces].prop_map(|inner| format!("{{{inner}}}"))
}

proptest! {
    /// Behind white space serde_json alone reads it.
    #[test]
    fn the_shortcut_for_plain_strings_reads_as_the_parser_does(text in nearly_flat(), end in "[} ,x]{0,1}") {
        let text = text + &end;
        prop_assert_eq!(reading(&text), reading(&format!(" {text}")));
    }

    #[test]
    fn agrees_with_a_full_parser_on_json(value in any_json(), pretty in any::<bool>()) {
        let text = if pretty { format!("{value:#}") } else { value.to_string() };
        match (scan(&text), &value["type"]) {
            (Ok(message), Value::String(name)) => {
                prop_assert_eq!(&*message.type_name, name);
                let field = if message.kind == Kind::Heartbeat { "clientName" } else { "instance_id" };
                let id = value[field].as_str().filter(|id| (1..=MAX_AGENT_ID).contains(&id.len()));
                let found = message.agent_id().ok();
                prop_assert_eq!(found.as_deref(), id);
            }
            (Err(refusal), name) => {
                prop_assert!(!name.is_string());
                let code = if value.is_object() { RefusalCode::BadType } else { RefusalCode::BadJson };
                prop_assert_eq!(refusal.code, code);
            }
            (Ok(_), name) => prop_assert!(false, "took {name} for a type"),
        }
    }

    #[test]
    fn a_cut_message_is_never_taken_for_a_whole_one(value in any_json(), cut in any::<prop::sample::Index>()) {
        let text = json!({ "type": "x", "a": value }).to_string();
        let mut end = cut.index(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        prop_assert_eq!(code_of(&text[..end]), Some(RefusalCode::BadJson));
    }

    #[test]
    fn noise_never_panics_and_passes_only_if_it_is_json(text in r#"[{}\[\]",:\\a-cu0-9+.e \n-]{0,40}"#) {
        for text in [text.clone(), format!(r#"{{"type":"x","status":{text}}}"#)] {
            if scan(&text).is_ok() {
                prop_assert!(serde_json::from_str::<IgnoredAny>(&text).is_ok());
            }
        }
    }

    #[test]
    fn what_is_written_reads_back(text in any::<String>(), kind in any::<Option<String>>()) {
        let json = written(|out| encode_error(RefusalCode::BadField, &text, kind.as_deref(), out));
        let value: Value = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(&value["message"], &text);
        let kept = kind.filter(|kind| kind.len() <= 128);
        prop_assert_eq!(value["request_type"].as_str(), kept.as_deref());

        let json = written(|out| encode_connection_check(&text, "t", 1, out));
        let value: Value = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(&value["client_name"], &text);
    }
}

/// Heartbeats, nearly heartbeats and what is none, in pieces.
fn nearly_heartbeats() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        r#"{"type":"heartbeat","clientName":""#,
        "edge-7",
        "\"",
        "\\",
        "\n",
        ",",
        "}",
        "{",
        " ",
        r#"","timestamp":"t""#,
        r#","type":"watch""#,
        r#","clientName":"b""#,
        r#","ip_address":7"#,
        r#","x":"y"}"#,
        "é",
    ]);
    prop::collection::vec(piece, 1..7).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_heartbeat_that_is_told_without_a_scan_is_one_by_a_scan(
        text in nearly_heartbeats(),
        id in prop::sample::select(vec!["edge-7", "é", "edge-7\"", "\\", "edge-7\n", ""]),
    ) {
        if is_heartbeat_of(&text, id) {
            let scanned = scan(&text).unwrap();
            prop_assert_eq!(scanned.kind, Kind::Heartbeat);
            prop_assert_eq!(id.is_empty(), scanned.is_of(id).is_err(), "{}", text);
        }
    }
}

#[test]
fn the_usual_heartbeat_of_an_agent_needs_no_scan() {
    for (text, expected) in [
        (r#"{"type":"heartbeat","clientName":"a"}"#, true),
        (
            r#"{"type":"heartbeat","clientName":"a","timestamp":"t","ip_address":"é"}"#,
            true,
        ),
        (
            r#"{"type":"heartbeat","clientName":"a","timestamp":"t","type":"watch"}"#,
            false,
        ),
        (
            r#"{"type":"heartbeat","clientName":"a","clientName":"b"}"#,
            false,
        ),
        (r#"{"type":"heartbeat","clientName":"a","n":1}"#, false),
        (r#"{"type":"heartbeat","clientName":"a",}"#, false),
        (r#"{"type":"heartbeat","clientName":"a"}x"#, false),
        (r#"{"type":"heartbeat","clientName":"ab"}"#, false),
        (r#"{"type":"heartbeat","clientName":""}"#, false),
        (r#"{"type": "heartbeat","clientName":"a"}"#, false),
        (r#"{"type":"app_ready","instance_id":"a"}"#, false),
        ("", false),
    ] {
        assert_eq!(is_heartbeat_of(text, "a"), expected, "{text}");
    }
    assert!(!is_heartbeat_of(
        r#"{"type":"heartbeat","clientName":"a"b"}"#,
        r#"a"b"#
    ));
}
