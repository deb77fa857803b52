//! Objects of nothing but plain strings, as nearly every heartbeat and answer is one: read in one walk over their bytes.
//!
//! A shortcut and no second opinion: only what is surely JSON is read, and serde_json would read it alike. White space,
//! escapes, control characters and values of other types are left to it.

/// Calls `take` with each name of the object and the JSON of its value. False where the text is not of this kind: what was
/// taken by then counts for nothing.
pub(super) fn read<'a>(text: &'a str, take: impl FnMut(&'a str, &'a str)) -> bool {
    text.strip_prefix('{')
        .is_some_and(|members| read_members(members, take))
}

/// The same of what is behind its brace, or behind a comma in it.
pub(super) fn read_members<'a>(members: &'a str, mut take: impl FnMut(&'a str, &'a str)) -> bool {
    let mut rest = members;
    loop {
        let Some((name, behind)) = string(rest) else {
            return false;
        };
        let Some((value, behind)) = behind.strip_prefix(':').and_then(string) else {
            return false;
        };
        take(&name[1..name.len() - 1], value);
        match behind.strip_prefix(',') {
            Some(behind) => rest = behind,
            None => return behind == "}",
        }
    }
}

/// The plain string that a text begins with, quotes included, and what is behind it.
fn string(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('"')?;
    let length = inner.bytes().position(|byte| !is_plain_byte(byte))?;
    (inner.as_bytes()[length] == b'"').then(|| text.split_at(length + 2))
}

/// Whether a text stands in JSON as it is.
pub(super) fn is_plain(text: &str) -> bool {
    text.bytes().all(is_plain_byte)
}

fn is_plain_byte(byte: u8) -> bool {
    !matches!(byte, b'"' | b'\\' | 0..0x20)
}
