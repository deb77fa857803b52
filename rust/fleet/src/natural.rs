//! The order in which people read ids: `cam-9` before `cam-10`.

use std::cmp::Ordering;

/// Runs of ASCII digits by their value, everything else byte by byte without the case of ASCII; texts that are alike in
/// that, byte by byte. A total order, without allocation.
pub(crate) fn compare(one: &str, other: &str) -> Ordering {
    let (mut left, mut right) = (one.as_bytes(), other.as_bytes());
    loop {
        let (Some(&a), Some(&b)) = (left.first(), right.first()) else {
            return left.len().cmp(&right.len()).then_with(|| one.cmp(other));
        };
        if a.is_ascii_digit() && b.is_ascii_digit() {
            let (number, rest) = split_number(left);
            let (other_number, other_rest) = split_number(right);
            // Without zeros in front the longer one is the larger.
            let by_length = number.len().cmp(&other_number.len());
            let ordering = by_length.then_with(|| number.cmp(other_number));
            if ordering.is_ne() {
                return ordering;
            }
            (left, right) = (rest, other_rest);
        } else {
            let ordering = a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase());
            if ordering.is_ne() {
                return ordering;
            }
            (left, right) = (&left[1..], &right[1..]);
        }
    }
}

/// The beginning of a text as a number: of two texts, the one whose number is less comes first; where they are alike,
/// `compare` knows.
pub(crate) fn beginning(text: &str) -> u128 {
    let mut left = text.as_bytes();
    let mut number: &[u8] = &[];
    let mut length = None;
    packed(std::iter::from_fn(|| {
        if let Some(length) = length.take() {
            return Some(length);
        }
        if let Some((&digit, rest)) = number.split_first() {
            number = rest;
            return Some(digit);
        }
        let (&byte, rest) = left.split_first()?;
        if byte.is_ascii_digit() {
            (number, left) = split_number(left);
            // Where a number and something else meet, any digit says which comes first.
            length = Some(u8::try_from(number.len()).unwrap_or(u8::MAX));
            return Some(b'0');
        }
        left = rest;
        Some(byte.to_ascii_lowercase())
    }))
}

/// As many of these bytes as there is room for, the first one the most significant.
pub(crate) fn packed(bytes: impl Iterator<Item = u8>) -> u128 {
    let mut packed = [0; size_of::<u128>()];
    for (place, byte) in packed.iter_mut().zip(bytes) {
        *place = byte;
    }
    u128::from_be_bytes(packed)
}

/// The digits at the beginning without zeros in front, and what comes behind them.
fn split_number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit());
    let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
    let zeros = digits.iter().take_while(|&&byte| byte == b'0').count();
    (&digits[zeros..], rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_by_their_value() {
        let mut ids = [
            "cam-10", "cam-9", "Cam-9b", "cam-09", "cam", "cam-9-2", "cam-9-10", "äcam", "9", "10",
            "",
        ];
        ids.sort_unstable_by(|one, other| compare(one, other));
        assert_eq!(
            ids,
            [
                "", "9", "10", "cam", "cam-09", "cam-9", "cam-9-2", "cam-9-10", "Cam-9b", "cam-10",
                "äcam"
            ]
        );
    }

    #[test]
    fn longer_numbers_than_a_word_holds_are_compared() {
        assert!(compare("x99999999999999999999999", "x100000000000000000000000").is_lt());
    }

    #[test]
    fn is_a_total_order() {
        let long = format!("a{}1", "0".repeat(300));
        let longest = format!("a{}", "9".repeat(300));
        let ids = [
            "a1",
            "A1",
            "a01",
            "a1b",
            "a",
            "1",
            "01",
            "1a",
            "é1",
            "",
            "0",
            "00",
            "/",
            ":",
            "a/",
            "a:",
            "a0",
            "a\u{1}",
            "1-2",
            "1-10",
            "cam-000000000009",
            "cam-000000000010",
            &long,
            &longest,
            "a99999999999999999999999",
            "a99999999999999999999998",
            "camera-of-the-north-9",
            "camera-of-the-north-10",
        ];
        for (at, one) in ids.iter().enumerate() {
            for (also_at, other) in ids.iter().enumerate() {
                let by_beginning = beginning(one).cmp(&beginning(other));
                assert!(
                    by_beginning.is_eq() || by_beginning == compare(one, other),
                    "{one:?} {other:?}"
                );
                let bytes = packed(one.bytes()).cmp(&packed(other.bytes()));
                assert!(
                    bytes.is_eq() || bytes == one.cmp(other),
                    "{one:?} {other:?}"
                );
                assert_eq!(compare(one, other), compare(other, one).reverse());
                assert_eq!(compare(one, other).is_eq(), at == also_at, "{one} {other}");
            }
        }
    }
}
