//! The certificate by which a client proved itself in its TLS handshake.

/// Name under which [`ClientCertificate::subject`] is stored with an event. No HTTP header can have
/// it, because of its colon.
pub const TLS_CLIENT_SUBJECT: &str = "tls:client_subject";
/// Name under which the joined [`ClientCertificate::alternative_names`] are stored with an event.
pub const TLS_CLIENT_SAN: &str = "tls:client_san";

/// What separates the alternative names in one text. None of them contains it.
const NAME_SEPARATOR: &str = ", ";

/// Who a client is, by a certificate that an authority of `server.tls.client_ca` vouches for.
///
/// ```
/// use hookward_core::ClientCertificate;
///
/// let names = vec!["DNS:a.example".to_owned(), "URI:spiffe://b/c, d".to_owned()];
/// let certificate = ClientCertificate::new("CN=partner,O=Acme", names);
/// assert_eq!(certificate.joined_names(), "DNS:a.example, URI:spiffe://b/c%2C%20d");
/// assert!(certificate.is_named(&["CN=partner,*".to_owned()]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientCertificate {
    /// The subject in the form of RFC 4514, such as `CN=partner,O=Acme`. Empty where the
    /// certificate has none.
    pub subject: String,
    /// The subject's alternative names, each with its kind: `DNS:…`, `URI:…`, `email:…`, `IP:…`.
    /// Blanks, commas, `%` and everything but visible ASCII are percent-encoded.
    pub alternative_names: Vec<String>,
}

impl ClientCertificate {
    /// The names of a certificate.
    pub fn new(subject: impl Into<String>, alternative_names: Vec<String>) -> Self {
        let alternative_names = alternative_names.iter().map(|name| encode_name(name)).collect();
        Self { subject: subject.into(), alternative_names }
    }

    /// All alternative names in one text, as it is stored with an event.
    pub fn joined_names(&self) -> String {
        self.alternative_names.join(NAME_SEPARATOR)
    }

    /// Splits a text that [`joined_names`](Self::joined_names) made.
    pub fn split_names(joined: &str) -> impl Iterator<Item = &str> {
        joined.split(NAME_SEPARATOR).filter(|name| !name.is_empty())
    }

    /// Whether the subject or an alternative name matches one of the patterns. A `*` in a pattern
    /// stands for any text without a comma, so that it cannot reach into another part of a subject.
    pub fn is_named(&self, patterns: &[String]) -> bool {
        let names = || std::iter::once(&self.subject).chain(&self.alternative_names);
        patterns.iter().any(|pattern| names().any(|name| matches_pattern(pattern, name)))
    }
}

fn encode_name(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_graphic() && byte != b',' && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Matches without backtracking into earlier stars, so in time linear in each pair of lengths.
fn matches_pattern(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // The last star, and how far it reaches so far.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match (pattern.get(p), name.get(n)) {
            (Some(b'*'), _) => {
                star = Some((p, n));
                p += 1;
            }
            (Some(a), Some(b)) if a == b => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, reached)) = star else { return false };
                if name.get(reached) == Some(&b',') {
                    return false;
                }
                star = Some((at, reached + 1));
                p = at + 1;
                n = reached + 1;
            }
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|b| *b == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_matches_within_one_part_of_a_subject() {
        for (pattern, name, expected) in [
            ("CN=a,O=b", "CN=a,O=b", true),
            ("CN=*,O=b", "CN=a,O=b", true),
            ("CN=*,O=b", "CN=,O=b", true),
            ("CN=*", "CN=a,O=b", false),
            ("CN=*,O=b", "CN=a,OU=x,O=b", false),
            ("CN=*.example,O=b", "CN=evil,O=x.example,O=b", false),
            ("DNS:*.a.example", "DNS:x.y.a.example", true),
            ("DNS:*.a.example", "DNS:a.example", false),
            ("DNS:a*e*", "DNS:abcde", true),
            ("DNS:a", "DNS:ab", false),
            ("DNS:ab", "DNS:a", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches_pattern(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_name_cannot_imitate_two() {
        let names = vec!["URI:x, DNS:admin.example".to_owned(), "DNS:ö%2C".to_owned()];
        let certificate = ClientCertificate::new("", names);
        let joined = certificate.joined_names();
        let split: Vec<_> = ClientCertificate::split_names(&joined).collect();
        assert_eq!(split, ["URI:x%2C%20DNS:admin.example", "DNS:%C3%B6%252C"]);
        assert_eq!(ClientCertificate::split_names("").count(), 0);
    }
}
