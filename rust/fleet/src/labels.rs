//! Labels: what a fleet calls its agents by, besides their ids (`dscore.labels` has the rules, and says of a config's
//! author what is left out here).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

const MAX_LABELS: usize = 16;
/// Characters.
const MAX_NAME: usize = 63;
/// Characters.
const MAX_VALUE: usize = 128;

#[derive(Deserialize)]
struct Config<'a> {
    #[serde(borrow, default)]
    labels: Option<&'a RawValue>,
}

/// The labels in a config as `name=value`, sorted; what is too much or no string is left out. `None`: there are none.
pub(crate) fn read(config: &[u8]) -> Option<Box<[Box<str>]>> {
    let config: Config<'_> = serde_json::from_slice(config).ok()?;
    let labels: BTreeMap<String, &RawValue> = serde_json::from_str(config.labels?.get()).ok()?;
    let mut found: Vec<Box<str>> = labels
        .iter()
        .filter_map(|(name, value)| {
            let value: String = serde_json::from_str(value.get()).ok()?;
            fits(name, &value).then(|| format!("{name}={value}").into())
        })
        .collect();
    found.sort_unstable();
    found.truncate(MAX_LABELS);
    (!found.is_empty()).then(|| found.into())
}

fn fits(name: &str, value: &str) -> bool {
    !name.is_empty()
        && !name.contains('=')
        && name.chars().count() <= MAX_NAME
        && value.chars().count() <= MAX_VALUE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(config: &str) -> Vec<String> {
        let read = read(config.as_bytes()).unwrap_or_default();
        read.iter().map(|label| label.to_string()).collect()
    }

    #[test]
    fn are_sorted_and_what_does_not_fit_is_left_out() {
        let config =
            r#"{"labels":{"site":"busan","line":"3","n":7,"":"x","a=b":"c","e":""},"fps":25}"#;
        assert_eq!(labels(config), ["e=", "line=3", "site=busan"]);
        let long = "ä".repeat(MAX_VALUE);
        assert_eq!(
            labels(&format!(r#"{{"labels":{{"x":"{long}"}}}}"#)).len(),
            1
        );
        assert!(labels(&format!(r#"{{"labels":{{"x":"{long}ä"}}}}"#)).is_empty());
    }

    #[test]
    fn of_no_object_are_none() {
        for config in [
            "{}",
            r#"{"labels":null}"#,
            r#"{"labels":[1]}"#,
            "not JSON",
            r#"{"labels":{}}"#,
        ] {
            assert!(labels(config).is_empty(), "{config}");
        }
    }

    #[test]
    fn are_bounded_in_number() {
        let many: Vec<String> = (0..100).map(|n| format!(r#""{n:03}":"v""#)).collect();
        let found = labels(&format!(r#"{{"labels":{{{}}}}}"#, many.join(",")));
        assert_eq!((found.len(), found[15].as_str()), (MAX_LABELS, "015=v"));
    }
}
