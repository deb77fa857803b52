//! JSON strings as peers write them.

use std::borrow::Cow;

/// What a JSON string says: borrowed, unless it holds escapes. `None` if the JSON is no string.
///
/// A lone surrogate escape, which is no character, is read as U+FFFD: JavaScript before
/// well-formed `JSON.stringify` (ES2019) sends it.
pub(crate) fn string(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.as_bytes().contains(&b'\\') {
        return Some(Cow::Borrowed(inner));
    }
    let text: Result<String, _> = serde_json::from_str(raw);
    let text = text.or_else(|_| serde_json::from_str(&without_lone_surrogates(raw)));
    text.ok().map(Cow::Owned)
}

/// The same JSON with every lone surrogate escape written as U+FFFD.
fn without_lone_surrogates(json: &str) -> String {
    let mut whole = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        whole.push_str(before);
        let length = match (unit(escape), escape.get(6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                whole.push_str("\\ufffd");
                rest = escape.get(6..).unwrap_or_default();
                continue;
            }
            // A backslash and what it escapes, which may be another one.
            _ => 1 + escape.chars().nth(1).map_or(0, char::len_utf8),
        };
        let (kept, behind) = escape.split_at(length.min(escape.len()));
        whole.push_str(kept);
        rest = behind;
    }
    whole.push_str(rest);
    whole
}

/// The UTF-16 code unit of the `\uXXXX` that `json` begins with, if it does.
fn unit(json: &str) -> Option<u32> {
    let digits = json.strip_prefix("\\u")?.get(..4)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| is_hex)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    const VECTORS: &str = include_str!("../../../tests/vectors/surrogates.json");

    #[test]
    fn reads_every_vector_as_it_says() {
        let cases: Vec<(String, String)> = serde_json::from_str(VECTORS).unwrap();
        assert!(cases.len() > 10);
        for (json, expected) in cases {
            assert_eq!(string(&json).as_deref(), Some(&*expected), "{json}");
        }
    }

    #[test]
    fn what_is_no_string_is_none() {
        for json in [
            "",
            "1",
            "\"",
            r#""\""#,
            r#""\x""#,
            r#""\ud80""#,
            r#""\ud800\""#,
        ] {
            assert_eq!(string(json), None, "{json}");
        }
    }
}
