//! Target `keys`: key documents, certificates, tokens signed with their keys, and URLs of documents
//! that a request names.

use hookward_core::crypto::{ProofAlgorithm, p256_point_from_spki, rsa_key_from_spki};
use hookward_core::keys::jwt::{Token, TokenRules, bearer_token};
use hookward_core::keys::x509::{Certificates, TrustedIssuers};
use hookward_core::keys::{Jwks, KeyDocument, PublicKey, split_https_url};

use super::input::{lines, text};
use super::senders::NOW;

/// Lines: a token, a URL, then a document: keys as JSON, certificates as PEM, or a key as DER.
pub fn run(data: &[u8]) {
    let [token, url, document] = lines(data);
    if let Some(url) = text(url) {
        check_url(url);
    }
    if let Some(point) = p256_point_from_spki(document) {
        assert!(ProofAlgorithm::EcdsaP256Der.accepts_key(point));
    }
    if let Some(key) = rsa_key_from_spki(document) {
        assert!(ProofAlgorithm::RsaSha256.accepts_key(key));
    }
    let _ = PublicKey::from_spki(document);
    if let Ok(certificates) = Certificates::from_pem(&KeyDocument::fetched(document.to_vec(), NOW))
    {
        let _ = certificates.is_leaf_only();
        let _ = certificates.check_host(&["certs.example.com"]);
        let _ = certificates.check_validity(NOW);
        let public = certificates.check_chain(&["certs.example.com"], NOW);
        assert!(public.is_err(), "a public authority cannot have signed a fuzzer's certificate");
        if let Some(Ok(issuers)) =
            text(document).map(|pem| TrustedIssuers::from_pem(pem, "/trusted_issuers"))
        {
            let _ = certificates.check_chain_to(&issuers, &["certs.example.com"], NOW);
        }
    }
    if let Some(token) = text(token) {
        check_token(token, document);
    }
}

/// Verifies the token with the document's keys. Claims that pass the rules must have the required
/// values.
fn check_token(token: &str, document: &[u8]) {
    if let Ok(inner) = bearer_token(token) {
        assert!(token.ends_with(inner) || token.trim_end().ends_with(inner));
    }
    let Ok(parsed) = Token::parse(token) else { return };
    let Ok(set) = Jwks::parse(document) else { return };
    let Ok(claims) = parsed.verify_signature(&set) else { return };
    assert!(parsed.has_candidate_in(&set));
    let strict =
        TokenRules::new([]).issuers(["https://issuer.example"]).audiences(["us"]).require_expiry();
    if claims.check(&strict, NOW).is_ok() {
        assert_eq!(claims.non_empty_str("iss"), Some("https://issuer.example"));
        assert!(claims.contains("aud", "us"));
        assert!(claims.get("exp").is_some());
    }
}

/// Checks that the `url` crate reads the same host from an accepted URL, so that the URL that is
/// fetched is the one that was checked.
fn check_url(url: &str) {
    let Some((host, path)) = split_https_url(url) else { return };
    assert_eq!(format!("https://{host}{path}"), url);
    let read = url::Url::parse(url).unwrap_or_else(|e| panic!("{url}: {e}"));
    assert_eq!(read.scheme(), "https");
    assert_eq!(read.host_str(), Some(host.to_ascii_lowercase().as_str()), "{url}");
    assert!(read.domain().is_some(), "{url}: the host is an IP address");
    assert_eq!((read.username(), read.password(), read.port()), ("", None, None), "{url}");
    assert_eq!(read.fragment(), None, "{url}");
}
