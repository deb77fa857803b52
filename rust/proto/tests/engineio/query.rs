//! Targets as clients send them, and as they do not.

use dscore_proto::engineio::{Query, Revision};
use proptest::prelude::*;

#[test]
fn reads_what_clients_ask_for() {
    let query = Query::of("/socket.io/?EIO=4&transport=polling&t=P0x&sid=lv_VI97HAXpY6yYWAAAC");
    assert_eq!(query.revision, Some("4"));
    assert_eq!(query.revision(), Some(Revision::V4));
    assert_eq!(query.transport, Some("polling"));
    assert_eq!(query.sid, Some("lv_VI97HAXpY6yYWAAAC"));
    assert!(!query.has_jsonp);

    let query = Query::of("http://host/socket.io/?EIO=3&transport=websocket&b64=1");
    assert_eq!(query.revision(), Some(Revision::V3));
    assert_eq!((query.transport, query.sid), (Some("websocket"), None));
}

#[test]
fn finds_nothing_where_nothing_is() {
    for target in [
        "",
        "/",
        "/socket.io/",
        "/socket.io/?",
        "*",
        "/?&&",
        "/EIO=4&sid=x",
        "/?eio=4",
    ] {
        assert_eq!(Query::of(target), Query::default(), "{target}");
    }
}

#[test]
fn speaks_revisions_3_and_4_only() {
    for value in ["", "2", "5", "04", "4.0", "%34", "4 ", "34"] {
        let target = format!("/?EIO={value}");
        assert_eq!(Query::of(&target).revision(), None, "{value}");
        assert_eq!(Query::of(&target).revision, Some(value));
    }
    assert_eq!(Query::of("/?EIO").revision, Some(""));
}

#[test]
fn counts_the_first_of_a_repeated_name() {
    let query = Query::of("/?EIO=3&EIO=4&transport=polling&transport=websocket&sid=a&sid=b");
    assert_eq!(query.revision(), Some(Revision::V3));
    assert_eq!((query.transport, query.sid), (Some("polling"), Some("a")));
}

#[test]
fn takes_an_empty_session_id_for_none() {
    for target in ["/?sid=", "/?sid", "/?sid=&sid=x"] {
        assert_eq!(Query::of(target).sid, None, "{target}");
    }
}

#[test]
fn keeps_what_follows_a_second_mark() {
    assert_eq!(Query::of("/?transport=a=b&sid=x?y").transport, Some("a=b"));
    assert_eq!(Query::of("/?transport=a=b&sid=x?y").sid, Some("x?y"));
}

#[test]
fn sees_who_wants_javascript() {
    for target in ["/?j=0", "/?EIO=3&j=", "/?j"] {
        assert!(Query::of(target).has_jsonp, "{target}");
    }
    assert!(!Query::of("/?J=0&jj=1&t=j").has_jsonp);
}

proptest! {
    #[test]
    fn no_target_panics(target: String, pairs in "[EIOsidtranpoj=&?%é]{0,40}") {
        let _ = Query::of(&target).revision();
        let _ = Query::of(&format!("/?{pairs}")).revision();
    }
}
