//! What entries of timelines say again and again, in a byte each.
//!
//! Most of an entry's JSON are its keys, the same for every agent. A JSON text has no control character in it, so these
//! bytes stand for phrases; data that has one all the same is given back as it was too, behind an [`ESCAPE`].

/// The byte behind it is itself.
const ESCAPE: u8 = 0;
/// One above the largest byte that may stand for a phrase.
const PHRASE_BYTES: u8 = 0x20;
/// No phrase is shorter.
const BEGINNING: usize = 7;

/// In the order in which they follow one another, so that each is looked for behind the one before it. Byte 1 is the first.
const PHRASES: [&[u8]; 27] = [
    b"{\"ip\":\"",
    b"\",\"dialect\":\"raw\",\"introduced_by\":\"app_ready\",\"generation\":",
    b"\",\"dialect\":\"socketio\",\"introduced_by\":\"app_ready\",\"generation\":",
    b"\",\"dialect\":\"",
    b"\",\"introduced_by\":\"",
    b"\",\"generation\":",
    b",\"took_over\":false,\"session_restored\":false}",
    b",\"took_over\":false,\"session_restored\":true}",
    b",\"took_over\":true,\"session_restored\":",
    b"{\"code\":1000,\"answer\":1000,\"reason\":\"",
    b"{\"code\":1006,\"answer\":0,\"reason\":\"\",\"initiator\":\"",
    b"{\"code\":",
    b",\"answer\":",
    b",\"reason\":\"",
    b"\",\"initiator\":\"",
    b"\",\"cause\":\"",
    b"\",\"ip\":\"",
    b"\",\"lasted_ms\":",
    b",\"heartbeat_at\":",
    b",\"rtt_us\":",
    b",\"stale\":false}",
    b"{\"latency_ms\":",
    b",\"drain\":true}",
    b",\"drain\":false}",
    b"{\"reason_code\":\"",
    b"{\"misses\":",
    b",\"silent_ms\":",
];
const _: () = assert!(PHRASES.len() < PHRASE_BYTES as usize);
/// The bytes of `{"latency_ms":` and of what follows it.
const LATENCY: u8 = 22;
const DRAIN: u8 = 23;
const NO_DRAIN: u8 = 24;

/// Appends a text with its phrases packed.
pub(crate) fn pack(text: &[u8], packed: &mut Vec<u8>) {
    let (mut rest, mut likely) = (text, 0);
    while let [byte, behind @ ..] = rest {
        if let Some(index) = found(rest, likely) {
            packed.push(index as u8 + 1);
            rest = &rest[PHRASES[index].len()..];
            likely = index + 1;
            continue;
        }
        if *byte < PHRASE_BYTES {
            packed.push(ESCAPE);
        }
        packed.push(*byte);
        rest = behind;
    }
}

/// Appends `{"latency_ms":…,"drain":…}`, packed: what a drain writes of each agent, without the text between.
pub(crate) fn pack_terminated(latency_ms: f64, drain: bool, packed: &mut Vec<u8>) {
    packed.push(LATENCY);
    // A number, into memory, has no way to fail.
    let _whole = serde_json::to_writer(&mut *packed, &latency_ms);
    packed.push(if drain { DRAIN } else { NO_DRAIN });
}

/// Appends the text that was packed.
pub(crate) fn unpack(packed: &[u8], text: &mut Vec<u8>) {
    let mut rest = packed;
    while let Some(plain) = rest.iter().position(|&byte| byte < PHRASE_BYTES) {
        let (before, behind) = rest.split_at(plain);
        text.extend_from_slice(before);
        rest = match behind {
            [ESCAPE, byte, behind @ ..] => {
                text.push(*byte);
                behind
            }
            [phrase, behind @ ..] => {
                let phrase = usize::from(*phrase).checked_sub(1);
                let phrase = phrase.and_then(|index| PHRASES.get(index));
                text.extend_from_slice(phrase.unwrap_or(&&b""[..]));
                behind
            }
            [] => &[],
        };
    }
    text.extend_from_slice(rest);
}

/// The phrase that a text begins with, those from `likely` on looked at first.
fn found(text: &[u8], likely: usize) -> Option<usize> {
    if !matches!(text.first(), Some(b'{' | b'"' | b',')) {
        return None;
    }
    // A whole phrase is compared only where its beginning is right: most are not even that.
    let begins = |phrase: &[u8]| phrase.first_chunk::<BEGINNING>() == text.first_chunk();
    let mut indices = (likely..PHRASES.len()).chain(0..likely);
    indices.find(|&index| begins(PHRASES[index]) && text.starts_with(PHRASES[index]))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Whether every key of an entry is in a phrase: keys are what stands in quotes, and so are words that hardly differ.
    pub(crate) fn has_no_key(entry: &impl serde::Serialize) -> bool {
        let text = serde_json::to_vec(entry).unwrap_or_default();
        !text.is_empty() && !packed(&text).windows(2).any(|pair| pair == b"\":")
    }

    const CONNECTED: &[u8] = br#"{"ip":"10.0.0.7","dialect":"raw","introduced_by":"app_ready","generation":1,"took_over":false,"session_restored":false}"#;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        pack(text, &mut packed);
        assert_eq!(unpacked(&packed), text);
        packed
    }

    fn unpacked(packed: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        unpack(packed, &mut text);
        text
    }

    #[test]
    fn leave_what_differs_between_agents() {
        assert_eq!(packed(CONNECTED), b"\x0110.0.0.7\x021\x07");
    }

    #[test]
    fn of_a_termination_are_those_of_its_text() {
        for latency_us in [0, 1, 999, 1_000, 1_500, 123_456_789, u64::MAX] {
            for drain in [true, false] {
                let latency_ms = latency_us as f64 / 1_000.0;
                let text = serde_json::json!(latency_ms);
                let text = format!(r#"{{"latency_ms":{text},"drain":{drain}}}"#);
                let mut directly = Vec::new();
                pack_terminated(latency_ms, drain, &mut directly);
                assert_eq!(directly, packed(text.as_bytes()));
            }
        }
    }

    #[test]
    fn give_back_what_is_no_json() {
        for text in [
            &b""[..],
            b"\0",
            b"\x01\x02{\"ip\":\"",
            b"{\"ip\":",
            b"\x1f\x20\xff",
            b"\x15\0\0",
        ] {
            packed(text);
        }
    }

    #[test]
    fn cut_short_are_read_as_far_as_they_go() {
        assert_eq!(unpacked(&[b'x', ESCAPE]), b"x");
        assert_eq!(unpacked(&[b'x', PHRASES.len() as u8 + 1, b'y']), b"xy");
    }
}
