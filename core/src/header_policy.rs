//! Which headers may be kept with an event: those that carry no credential and no signature.

/// Words in the names of headers whose values are credentials, or useless once they are verified.
const CREDENTIAL_WORDS: [&str; 10] = [
    "authorization",
    "cookie",
    "credential",
    "hmac",
    "password",
    "secret",
    "signature",
    "token",
    "api-key",
    "apikey",
];

/// Whether a header's name says that its value is a credential or a signature. Such a header is
/// never stored with an event, where operators, handlers and backups read it.
///
/// ```
/// use hookward_core::is_credential_header;
///
/// assert!(is_credential_header("Authorization"));
/// assert!(is_credential_header("x-hub-signature-256"));
/// assert!(!is_credential_header("x-shopify-shop-domain"));
/// ```
pub fn is_credential_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    CREDENTIAL_WORDS.iter().any(|word| name.contains(word))
}
