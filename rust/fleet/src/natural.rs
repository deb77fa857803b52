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
        let ids = ["a1", "A1", "a01", "a1b", "a", "1", "01", "1a", "é1", ""];
        for (at, one) in ids.iter().enumerate() {
            for (also_at, other) in ids.iter().enumerate() {
                assert_eq!(compare(one, other), compare(other, one).reverse());
                assert_eq!(compare(one, other).is_eq(), at == also_at, "{one} {other}");
            }
        }
    }
}
