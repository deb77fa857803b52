//! Names in certificates: those a server's is chosen by (RFC 6066 §3), and those a client's is known by.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Names of one client certificate that are told: more would only be memory.
const MAX_NAMES: usize = 64;

/// Host names that a server's certificate is for, in lower case.
pub(crate) fn host_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    alternatives(certificate, |name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    })
}

/// Every name that a client's certificate gives it: the alternative names in their order, then the common name.
pub(crate) fn client_names(der: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return Vec::new();
    };
    let mut names = alternatives(&certificate, |name| match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) | GeneralName::RFC822Name(name) => {
            Some((*name).to_owned())
        }
        _ => None,
    });
    let common = certificate.subject().iter_common_name();
    names.extend(common.filter_map(|name| name.as_str().ok().map(str::to_owned)));
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| !name.is_empty() && seen.insert(name.clone()));
    names.truncate(MAX_NAMES);
    names
}

fn alternatives(
    certificate: &X509Certificate<'_>,
    take: impl Fn(&GeneralName<'_>) -> Option<String>,
) -> Vec<String> {
    let extension = certificate.subject_alternative_name().ok().flatten();
    let names = extension.map(|extension| &extension.value.general_names);
    names.into_iter().flatten().filter_map(take).collect()
}

/// Which certificate is shown to whom. Of several that fit, the first whose key the client takes.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    by_name: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// By the name less its first label.
    by_wildcard: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// For clients that name none, or one that is not ours: their own check tells them so best.
    all: Vec<Arc<CertifiedKey>>,
}

impl Shown {
    pub(crate) fn add(&mut self, names: &[String], certified: &Arc<CertifiedKey>) {
        self.all.push(certified.clone());
        for name in names {
            let (map, name) = match name.strip_prefix("*.") {
                Some(parent) => (&mut self.by_wildcard, parent),
                None => (&mut self.by_name, &**name),
            };
            map.entry(name.to_owned())
                .or_default()
                .push(certified.clone());
        }
    }

    /// Those for a name, the exact ones before the wildcards.
    fn of(&self, name: Option<&str>) -> impl Iterator<Item = &Arc<CertifiedKey>> {
        let name = name.unwrap_or_default().to_ascii_lowercase();
        let exact = self.by_name.get(&name);
        let parent = name.split_once('.').map_or("", |(_, parent)| parent);
        let wildcard = self.by_wildcard.get(parent);
        exact
            .into_iter()
            .flatten()
            .chain(wildcard.into_iter().flatten())
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        let takes = |certified: &&Arc<CertifiedKey>| certified.key.choose_scheme(schemes).is_some();
        let named = self.of(hello.server_name()).find(takes);
        named.or_else(|| self.all.iter().find(takes)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_matched_exactly_or_by_one_label() {
        let key =
            rustls::crypto::ring::sign::any_ecdsa_type(&rustls::pki_types::PrivateKeyDer::Pkcs8(
                ring::signature::EcdsaKeyPair::generate_pkcs8(
                    &ring::signature::ECDSA_P256_SHA256_ASN1_SIGNING,
                    &ring::rand::SystemRandom::new(),
                )
                .map(|document| document.as_ref().to_vec())
                .unwrap_or_default()
                .into(),
            ));
        let Ok(key) = key else { panic!("no key") };
        let certified =
            |number: u8| Arc::new(CertifiedKey::new(vec![vec![number].into()], key.clone()));
        let mut shown = Shown::default();
        for (number, names) in [
            (0, vec!["a.example"]),
            (1, vec!["*.b.example"]),
            (2, vec!["x.b.example"]),
        ] {
            let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            shown.add(&names, &certified(number));
        }
        let found =
            |name: Option<&str>| -> Vec<u8> { shown.of(name).map(|one| one.cert[0][0]).collect() };
        assert_eq!(found(Some("a.example")), [0]);
        assert_eq!(found(Some("A.Example")), [0]);
        assert_eq!(found(Some("y.b.example")), [1]);
        assert_eq!(found(Some("x.b.example")), [2, 1]);
        for unknown in [Some("b.example"), Some("z.y.b.example"), Some(""), None] {
            assert_eq!(found(unknown), [0u8; 0], "{unknown:?}");
        }
    }
}
