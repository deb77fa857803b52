//! The vectors that Python reads too (tests/vectors/origins.json), and settings that are none.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use dscore_proto::origin::{Addressed, Admitted, OriginRefusal, OriginRules};
use serde_json::Value;

const VECTORS: &str = include_str!("../../../tests/vectors/origins.json");

fn strings(case: &Value, name: &str) -> Vec<String> {
    let list = case[name].as_array().unwrap();
    list.iter()
        .map(|entry| entry.as_str().unwrap().to_owned())
        .collect()
}

fn judged(case: &Value) -> &'static str {
    let (origins, names) = (strings(case, "origins"), strings(case, "names"));
    let rules = OriginRules::new(&origins, &names).unwrap();
    let sent = strings(case, "origin");
    let request = Addressed {
        host: case["host"].as_str().map(str::as_bytes),
        local: case["local"].as_str().unwrap().parse().unwrap(),
        check_host: case["check_host"].as_bool().unwrap(),
    };
    match rules.judge(sent.iter().map(|origin| origin.as_bytes()), &request) {
        Ok(Admitted::SameOrigin) => "same",
        Ok(Admitted::Any) => "any",
        Ok(Admitted::Named(origin)) => {
            assert_eq!(origin, sent[0].as_bytes());
            "named"
        }
        Err(OriginRefusal::Repeated) => "repeated",
        Err(OriginRefusal::Foreign) => "foreign",
        Err(OriginRefusal::Host) => "host",
    }
}

#[test]
fn judges_every_vector_as_it_says() {
    let cases: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    assert!(cases.len() > 100);
    for case in &cases {
        assert_eq!(judged(case), case["expect"], "{case}");
    }
}

#[test]
fn refuses_settings_that_name_no_origin_or_host() {
    let list = |entry: &str| vec![entry.to_owned()];
    for entry in ["", "fleet.example", "https://a/", "https://*.a", "SELF"] {
        assert_eq!(OriginRules::new(&list(entry), &[]), Err(entry));
    }
    for entry in ["", "a/b", "a:80", "*.a", "[::1", "a b"] {
        assert_eq!(OriginRules::new(&[], &list(entry)), Err(entry));
    }
    for entry in ["fleet.example", "10.0.0.1", "::1", "[::1]", "a_b"] {
        assert!(OriginRules::new(&[], &list(entry)).is_ok(), "{entry}");
    }
}

#[test]
fn bytes_that_are_no_text_are_no_origin() {
    let rules = OriginRules::new(&[], &[]).unwrap();
    let request = Addressed {
        host: Some(b"\xff"),
        local: "127.0.0.1:1".parse().unwrap(),
        check_host: true,
    };
    let origins = [&b"http://\xff"[..]];
    assert_eq!(
        rules.judge(origins.into_iter(), &request),
        Err(OriginRefusal::Foreign)
    );
    assert_eq!(
        rules.judge([].into_iter(), &request),
        Err(OriginRefusal::Host)
    );
}
