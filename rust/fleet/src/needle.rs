//! A text that agents are searched for by their ids and addresses, in any case.
//!
//! Both the text and the ids are chosen outside, so a search takes time by the sum of their lengths, never by the product.

use caseless::default_case_fold_str;
use memchr::memmem::Finder;

use crate::agent::Agent;

#[derive(Debug)]
pub(crate) struct Needle {
    /// Of the text, folded.
    finder: Finder<'static>,
    /// The id that is looked at, in lower case. Its room is used again.
    lowered: Vec<u8>,
}

impl Needle {
    /// `None` of a text that is in every other one.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let folded = default_case_fold_str(text);
        (!folded.is_empty()).then(|| Self {
            finder: Finder::new(&folded).into_owned(),
            lowered: Vec::new(),
        })
    }

    /// Whether it is part of an agent's id or address.
    pub(crate) fn is_in(&mut self, agent: &Agent) -> bool {
        self.is_in_id(&agent.id)
            || agent
                .ip
                .with_text(|ip| self.finder.find(ip.as_bytes()).is_some())
    }

    fn is_in_id(&mut self, id: &str) -> bool {
        if !id.is_ascii() {
            let folded = default_case_fold_str(id);
            return self.finder.find(folded.as_bytes()).is_some();
        }
        self.lowered.clear();
        self.lowered.extend_from_slice(id.as_bytes());
        self.lowered.make_ascii_lowercase();
        self.finder.find(&self.lowered).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(needle: &str, id: &str) -> bool {
        Needle::new(needle).is_none_or(|mut needle| needle.is_in_id(id))
    }

    #[test]
    fn is_found_anywhere_and_in_any_case() {
        for (needle, id, expected) in [
            ("", "camera-7", true),
            ("camera-7", "camera-7", true),
            ("A-7", "camera-7", true),
            ("ERA", "CAMera-7", true),
            ("camera-70", "camera-7", false),
            ("a-8", "camera-7", false),
            ("STRASSE", "Hauptstraße", true),
            ("ß", "STRASSE 7", true),
            ("대문", "부산-대문-3", true),
            ("é", "cafe", false),
        ] {
            assert_eq!(is_in(needle, id), expected, "{needle} in {id}");
        }
    }

    #[test]
    fn one_that_nearly_fits_at_every_place_is_found_only_where_it_does() {
        // A search that compared at each place anew would take 10^10 steps.
        let (id, needle) = ("A".repeat(200_000), "a".repeat(100_000));
        let mut hostile = Needle::new(&format!("{needle}b")).unwrap_or_else(|| unreachable!());
        assert!(!hostile.is_in_id(&id));
        assert!(hostile.is_in_id(&format!("{id}B")));
        let mut hostile = Needle::new(&format!("b{needle}")).unwrap_or_else(|| unreachable!());
        assert!(!hostile.is_in_id(&id));
        assert!(hostile.is_in_id(&format!("B{id}")));
    }
}
