//! Events against literal texts, hostile ones and a full JSON parser, and the way to canonical
//! messages and back.

use std::borrow::Cow;

use dscore_proto::socketio::{
    Event, EventError, canonical, encode_event, event, has_token, is_array,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const RESERVED: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// Deeper than any stack could take.
const DEPTH: usize = 1 << 20;

fn canonical_of(data: &str) -> Result<String, EventError> {
    let event = event(data)?;
    append(|out| canonical(&event, out))
}

fn event_of(message: &str) -> Result<String, EventError> {
    append(|out| encode_event(message, out))
}

/// What was appended; where it failed, nothing was.
fn append(
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), EventError>,
) -> Result<String, EventError> {
    let mut out = b"before ".to_vec();
    let written = write(&mut out);
    let text = String::from_utf8(out.split_off(b"before ".len())).unwrap();
    assert!(written.is_ok() || text.is_empty());
    written.map(|()| text)
}

#[test]
fn takes_an_event_apart() {
    let cases = [
        (r#"["a"]"#, "a", None, 0),
        (r#"["a",{"b":[1,2]}]"#, "a", Some(r#"{"b":[1,2]}"#), 0),
        (r#"["a",1,2,3]"#, "a", Some("1"), 2),
        (r#"["",null]"#, "", Some("null"), 0),
        (
            "[ \"a b\" ,\n {\"c\" : 1 }\t, [] ] ",
            "a b",
            Some(r#"{"c" : 1 }"#),
            1,
        ),
        (r#"["a","]\",[",{}]"#, "a", Some(r#""]\",[""#), 1),
    ];
    for (data, name, first, further) in cases {
        let name = Cow::Borrowed(name);
        assert_eq!(
            event(data),
            Ok(Event {
                name,
                first,
                further
            }),
            "{data}"
        );
    }
}

#[test]
fn reads_escapes_in_the_name() {
    let name = |data| event(data).unwrap().name;
    assert_eq!(name(r#"["a\"b\\",1]"#), "a\"b\\");
    assert_eq!(name(r#"["\u0068eartbeat\ud83d\ude00"]"#), "heartbeat😀");
    assert!(matches!(name(r#"["plain é"]"#), Cow::Borrowed("plain é")));
}

#[test]
fn refuses_what_is_not_one_json_array() {
    let none = [
        "",
        "[",
        "]",
        "[,]",
        r#"["a",]"#,
        r#"["a" 1]"#,
        r#"["a"]]"#,
        r#"["a"] x"#,
        r#"["a",{broken]"#,
        r#"["a",01]"#,
        r#"["a",NaN]"#,
        "['a']",
        r#"["a"#,
        "{}",
        r#""a""#,
        "null",
        "1",
        "\u{feff}[\"a\"]",
        "[\"a\nb\"]",
        r#"["\x"]"#,
        r#"[1,{broken"#,
    ];
    for data in none {
        assert_eq!(event(data), Err(EventError::NotJson), "{data:?}");
        assert!(!is_array(data), "{data:?}");
    }
}

#[test]
fn refuses_names_that_are_none() {
    for data in [
        "[]",
        "[1]",
        "[null]",
        r#"[["a"]]"#,
        r#"[{"a":1},"b"]"#,
        "[true]",
    ] {
        assert_eq!(event(data), Err(EventError::BadName), "{data}");
    }
    for name in RESERVED {
        let data = json!([name, {}]).to_string();
        assert_eq!(event(&data), Err(EventError::BadName), "{data}");
    }
    assert_eq!(event(r#"["a\ud800"]"#).unwrap().name, "a\u{fffd}");
    assert_eq!(event(r#"["dis\u0063onnect"]"#), Err(EventError::BadName));
    assert!(event(r#"["connected"]"#).is_ok());
}

#[test]
fn knows_the_arrays_of_acks() {
    for data in ["[]", "[ 1, {} ] ", r#"[{"a":"]"}]"#] {
        assert!(is_array(data), "{data}");
    }
    for data in ["", "{}", " []", "[]]", "[1,]", "1"] {
        assert!(!is_array(data), "{data}");
    }
}

#[test]
fn makes_the_name_the_type() {
    let cases = [
        (
            r#"["heartbeat",{"clientName":"a"}]"#,
            r#"{"clientName":"a","type":"heartbeat"}"#,
        ),
        (r#"["watch"]"#, r#"{"type":"watch"}"#),
        (r#"["watch",{}]"#, r#"{"type":"watch"}"#),
        ("[\"watch\",{ \n}]", r#"{"type":"watch"}"#),
        (r#"["x",{"type":"y"}]"#, r#"{"type":"y","type":"x"}"#),
        (
            r#"["x",{"a":{"type":"y"} }]"#,
            r#"{"a":{"type":"y"},"type":"x"}"#,
        ),
        (r#"["a\"},{\"b",{"c":1}]"#, r#"{"c":1,"type":"a\"},{\"b"}"#),
        (r#"["\u0061\n",{}]"#, r#"{"type":"a\n"}"#),
        (r#"["x",{"a":1},2]"#, r#"{"a":1,"type":"x"}"#),
    ];
    for (data, message) in cases {
        assert_eq!(canonical_of(data).as_deref(), Ok(message), "{data}");
    }
}

#[test]
fn wants_an_object_for_a_message() {
    for first in ["null", "1", r#""{}""#, "[]", r#"[{"a":1}]"#, "true"] {
        let data = format!(r#"["x",{first}]"#);
        assert_eq!(canonical_of(&data), Err(EventError::NotObject), "{data}");
    }
}

#[test]
fn makes_the_type_the_name() {
    let cases = [
        (r#"{"type":"x"}"#, r#"["x",{}]"#),
        (r#"{"type":"x","a":1}"#, r#"["x",{"a":1}]"#),
        (r#"{"a":1,"type":"x"}"#, r#"["x",{"a":1}]"#),
        (
            r#"{"a":1,"type":"x","b":[2, 3]}"#,
            r#"["x",{"a":1,"b":[2, 3]}]"#,
        ),
        (" { \"type\" : \"x\" , \"a\" : { } } ", r#"["x",{"a":{ }}]"#),
        (r#"{"type":"a\"b","c":"d"}"#, r#"["a\"b",{"c":"d"}]"#),
        (r#"{"type":"a\\","c":"d"}"#, r#"["a\\",{"c":"d"}]"#),
        (r#"{"\u0074ype":"x","a":1}"#, r#"["x",{"a":1}]"#),
        (
            r#"{"type":"x","a":{"type":"y"}}"#,
            r#"["x",{"a":{"type":"y"}}]"#,
        ),
        (
            r#"{"type":"x","a":"\"type\":\"y\""}"#,
            r#"["x",{"a":"\"type\":\"y\""}]"#,
        ),
        (r#"{"type":"é","a":"\ud55c"}"#, r#"["é",{"a":"\ud55c"}]"#),
        (r#"{"a\u0022b":1,"type":"x"}"#, r#"["x",{"a\u0022b":1}]"#),
        (r#"{"types":1,"type":"x"}"#, r#"["x",{"types":1}]"#),
    ];
    for (message, data) in cases {
        assert_eq!(event_of(message).as_deref(), Ok(data), "{message}");
    }
}

#[test]
fn takes_the_last_of_two_types() {
    let cases = [
        (r#"{"type":"x","type":"y"}"#, Ok(r#"["y",{}]"#)),
        (
            r#"{"type":"x","a":1,"type":"y","b":2}"#,
            Ok(r#"["y",{"a":1,"b":2}]"#),
        ),
        (r#"{"type":"x","\u0074ype":"y"}"#, Ok(r#"["y",{}]"#)),
        (r#"{"type":1,"type":"y"}"#, Ok(r#"["y",{}]"#)),
        (r#"{"type":"x","type":1}"#, Err(EventError::BadName)),
    ];
    for (message, data) in cases {
        assert_eq!(event_of(message), data.map(str::to_owned), "{message}");
    }
}

#[test]
fn refuses_messages_that_are_none() {
    for message in [
        "{}",
        r#"{"a":1}"#,
        r#"{"type":1}"#,
        r#"{"type":null}"#,
        r#"{"type":["x"]}"#,
        r#"{"a":{"type":"x"}}"#,
    ] {
        assert_eq!(event_of(message), Err(EventError::BadName), "{message}");
    }
    for message in [
        "",
        "[]",
        "1",
        r#""type""#,
        r#"["type","x"]"#,
        r#"{"type":"x""#,
        r#"{"type":"x"}}"#,
        r#"{"type":"x",}"#,
        r#"{"type":"x" "a":1}"#,
        r#"{"type":"x"}{"type":"y"}"#,
        r#"{"type":"x"#,
        r#"{"type":"#,
        r#"{"type":""#,
        r#"{"type":"\"#,
        r#"{"a":1,"type":"x""#,
        r#"{"a":1,"type":"x"} x"#,
    ] {
        assert_eq!(event_of(message), Err(EventError::NotJson), "{message}");
    }
}

#[test]
fn finds_a_token() {
    for auth in [
        r#"{"token":"t"}"#,
        r#"{"token":""}"#,
        r#" { "a":{}, "token" : "\u0074" }"#,
        r#"{"token":1,"token":"t"}"#,
        r#"{"\u0074oken":"t"}"#,
    ] {
        assert!(has_token(auth), "{auth}");
    }
    for auth in [
        "",
        "{}",
        "null",
        r#"["token"]"#,
        r#"{"token":1}"#,
        r#"{"token":null}"#,
        r#"{"token":["t"]}"#,
        r#"{"a":{"token":"t"}}"#,
        r#"{"Token":"t"}"#,
        r#"{"token":"t","token":1}"#,
        r#"{"token":"t""#,
        r#"{"token":"t"} x"#,
    ] {
        assert!(!has_token(auth), "{auth}");
    }
}

#[test]
fn reads_deep_json_without_a_deep_stack() {
    let (open, close) = ("[".repeat(DEPTH), "]".repeat(DEPTH));
    assert!(is_array(&format!("{open}{close}")));
    assert!(!is_array(&open));
    assert_eq!(event(&open), Err(EventError::NotJson));
    let data = format!(r#"["x",{{"a":{open}{close}}},{open}{close}]"#);
    assert_eq!(event(&data).unwrap().further, 1);
    let message = canonical_of(&data).unwrap();
    assert_eq!(
        event_of(&message).unwrap().len(),
        data.len() - 2 * DEPTH - 1
    );
    assert!(has_token(&format!(r#"{{"a":{open}{close},"token":"t"}}"#)));
    let objects = r#"{"type":"#.repeat(DEPTH);
    assert_eq!(event_of(&objects), Err(EventError::NotJson));
    assert!(!has_token(&objects));
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[\\\\\"\\[\\]{},:a]{0,6}".prop_map(Value::from),
        prop::sample::select(RESERVED.to_vec()).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("type|token|[a\"\\\\é]{0,3}", inner, 0..4)
                .prop_map(Value::from_iter),
        ]
    })
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The same JSON with every character of its strings that may be escaped written as an escape.
fn escaped(value: &Value) -> String {
    let text = value.to_string();
    let mut units = [0; 2];
    text.chars()
        .map(|c| match c {
            'p' | '\u{80}'.. => c
                .encode_utf16(&mut units)
                .iter()
                .map(|unit| format!("\\u{unit:04x}"))
                .collect(),
            c => c.to_string(),
        })
        .collect()
}

proptest! {
    #[test]
    fn agrees_with_a_full_parser(elements in prop::collection::vec(json_value(), 0..5)) {
        let value = Value::from(elements.clone());
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let name = elements.first().and_then(Value::as_str).filter(|name| !RESERVED.contains(name));
            match (event(&text), name) {
                (Ok(event), Some(name)) => {
                    prop_assert_eq!(event.name, name);
                    prop_assert_eq!(event.first.map(parsed), elements.get(1).cloned());
                    prop_assert_eq!(event.further, elements.len().saturating_sub(2));
                }
                (Err(error), None) => prop_assert_eq!(error, EventError::BadName),
                (event, _) => prop_assert!(false, "{:?} of {}", event, text),
            }
        }
    }

    #[test]
    fn makes_messages_as_a_full_parser_would(name in "[^\\p{C}]{0,6}x", argument in json_value()) {
        let data = json!([name, argument]).to_string();
        let message = canonical_of(&data).map(|text| parsed(&text));
        match argument {
            Value::Object(mut members) => {
                members.insert("type".into(), name.clone().into());
                prop_assert_eq!(message, Ok(Value::from(members.clone())));
            }
            _ => prop_assert_eq!(message, Err(EventError::NotObject)),
        }
    }

    #[test]
    fn makes_events_as_a_full_parser_would(value in json_value(), name in json_value(), front: bool) {
        let mut members = match value {
            Value::Object(members) => members,
            other => serde_json::Map::from_iter([("a".to_owned(), other)]),
        };
        members.remove("type");
        let rest = Value::from(members.clone());
        let text = rest.to_string();
        let text = match (front, members.is_empty()) {
            (_, true) => format!(r#"{{"type":{name}}}"#),
            (true, false) => format!(r#"{{"type":{name},{}"#, &text[1..]),
            (false, false) => format!(r#"{},"type":{name}}}"#, &text[..text.len() - 1]),
        };
        let expected = name.is_string().then(|| json!([name, rest]));
        prop_assert_eq!(event_of(&text).ok().map(|text| parsed(&text)), expected);
    }

    /// Whatever way a member's name is spelt.
    #[test]
    fn sees_through_escapes(value in json_value(), name in "[a-z]{0,4}") {
        let message = json!({"type": name, "value": value});
        let event = json!([name, {"value": value}]);
        prop_assert_eq!(parsed(&event_of(&escaped(&message)).unwrap()), event);
        let auth = json!({"a": value, "token": "p"});
        prop_assert!(has_token(&escaped(&auth)));
    }

    #[test]
    fn comes_back_as_it_went(name in "[a-z\"\\\\é]{0,6}", value in json_value()) {
        let data = json!([name, {"value": value}]).to_string();
        let message = canonical_of(&data).unwrap();
        prop_assert_eq!(event_of(&message), Ok(data));
    }

    #[test]
    fn no_text_panics(
        text: String,
        likely in r#"[\[{]?["a,:\]}\\u0-9]{0,12}"#,
        cut: prop::sample::Index,
        value in json_value(),
    ) {
        let whole = json!(["x", value]).to_string();
        let (cut, _) = whole.char_indices().nth(cut.index(whole.chars().count())).unwrap();
        for text in [&text, &likely, &whole[..cut]] {
            let _ = (canonical_of(text), event_of(text), has_token(text));
            let typed = format!(r#"{{"type":"{text}"#);
            let _ = event_of(&typed);
            let is_valid = serde_json::from_str::<Value>(text).is_ok();
            prop_assert_eq!(is_array(text), text.starts_with('[') && is_valid);
        }
    }
}
