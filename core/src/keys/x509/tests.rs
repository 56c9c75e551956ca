//! Certificates made for these tests: a chain of three, and others.

use super::*;

const CHAIN: &str = include_str!("../../../tests/keys/chain.pem");
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const HOST: &str = "certs.example.com";

fn read_pem(pem: &str) -> Result<Certificates, VerifyError> {
    Certificates::from_pem(&KeyDocument::fetched(pem.to_owned(), NOW))
}

fn chain(certificates: &Certificates, hosts: &[&str], now: Timestamp) -> bool {
    let pem = include_str!("../../../tests/keys/root.pem");
    let root = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let anchor = anchor_from_trusted_cert(&root).unwrap();
    certificates.check_chain_to_roots(&[anchor], hosts, now).is_ok()
}

#[test]
fn a_certificate_chain_is_trusted_for_its_hosts_and_within_its_validity_alone() {
    let certificates = read_pem(CHAIN).unwrap();
    assert!(matches!(certificates.key(), PublicKey::Rsa(_)));
    assert!(chain(&certificates, &[HOST], NOW));
    assert!(chain(&certificates, &["other.example.com", HOST], NOW));
    assert!(!chain(&certificates, &["other.example.com"], NOW));
    assert!(!chain(&certificates, &[], NOW));
    for years in [-20, 40] {
        let then = Timestamp::from_secs(NOW.as_secs() + years * 365 * 86_400);
        assert!(!chain(&certificates, &[HOST], then), "{years} years");
        assert!(certificates.check_validity(then).is_err(), "{years} years");
    }
    assert!(certificates.check_validity(NOW).is_ok());
    assert!(certificates.check_chain(&[HOST], NOW).is_err(), "no public root");
}

#[test]
fn a_leaf_alone_a_self_signed_and_a_changed_certificate_have_no_trusted_chain() {
    let end = "-----END CERTIFICATE-----\n";
    let first = CHAIN.split_inclusive(end).next().unwrap();
    assert!(!chain(&read_pem(first).unwrap(), &[HOST], NOW));
    let own = read_pem(include_str!("../../../tests/keys/self-signed.pem")).unwrap();
    assert!(!chain(&own, &[HOST], NOW));
    // Another subject of the same length, under the old signature.
    let der = CertificateDer::from_pem_slice(CHAIN.as_bytes()).unwrap().to_vec();
    let at = der.windows(5).rposition(|name| name == b"certs").unwrap();
    let mut changed = der.clone();
    changed[at] = b'C';
    let above = read_pem(CHAIN).unwrap().chain[1..].to_vec();
    let certificates = Certificates {
        chain: [vec![CertificateDer::from(changed)], above].concat(),
        ..read_pem(CHAIN).unwrap()
    };
    assert!(!chain(&certificates, &[HOST], NOW));
}

#[test]
fn chain_and_validity_of_a_certificate_that_is_trusted_offline_are_not_checked() {
    let document =
        KeyDocument { trusted_offline: true, ..KeyDocument::fetched(CHAIN.to_owned(), NOW) };
    let certificates = Certificates::from_pem(&document).unwrap();
    assert!(certificates.check_validity(Timestamp::from_secs(0)).is_ok());
    assert!(certificates.check_chain(&["any"], Timestamp::from_secs(0)).is_ok());
    let root = TrustedIssuers::from_pem(include_str!("../../../tests/keys/root.pem"), "").unwrap();
    assert!(certificates.check_chain_to(&root, &["any"], Timestamp::from_secs(0)).is_ok());
}

#[test]
fn trusted_issuers_vouch_directly_or_through_the_certificates_that_came_with_the_leaf() {
    let end = "-----END CERTIFICATE-----\n";
    let mut parts = CHAIN.split_inclusive(end);
    let (leaf, intermediate) = (parts.next().unwrap(), parts.next().unwrap());
    let root = include_str!("../../../tests/keys/root.pem");
    let check = |document: &str, issuers: &str, hosts: &[&str], now: Timestamp| {
        let issuers = TrustedIssuers::from_pem(issuers, "").unwrap();
        read_pem(document).unwrap().check_chain_to(&issuers, hosts, now).is_ok()
    };
    assert!(check(leaf, intermediate, &[HOST], NOW));
    assert!(check(CHAIN, intermediate, &[HOST], NOW));
    assert!(check(CHAIN, root, &[HOST], NOW));
    assert!(check(leaf, &format!("{root}{intermediate}"), &[HOST], NOW), "one of several");
    assert!(!check(leaf, root, &[HOST], NOW), "a link is missing");
    assert!(!check(leaf, intermediate, &["other.example.com"], NOW));
    assert!(!check(&format!("{intermediate}{leaf}"), root, &[HOST], NOW), "wrong order");
    let later = Timestamp::from_secs(NOW.as_secs() + 40 * 365 * 86_400);
    assert!(!check(leaf, intermediate, &[HOST], later));
}

#[test]
fn only_certificates_of_authorities_can_be_trusted_issuers() {
    let leaf = CHAIN.split_inclusive("-----END CERTIFICATE-----\n").next().unwrap();
    let root = include_str!("../../../tests/keys/root.pem");
    let garbage = "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n";
    for wrong in [leaf, &format!("{root}{leaf}"), &format!("{root}{garbage}"), "", "root.pem"] {
        let error = TrustedIssuers::from_pem(wrong, "/trusted_issuers").unwrap_err();
        assert_eq!(error.at, "/trusted_issuers");
        assert!(error.help.is_some_and(|help| help.contains("${file:")), "{wrong}");
    }
    assert!(TrustedIssuers::from_pem(root, "").is_ok());
}

#[test]
fn documents_that_are_not_certificates_and_certificates_with_short_keys_are_rejected() {
    let short = include_str!("../../../tests/keys/short.pem");
    let cut = &CHAIN[..200];
    let empty = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
    let garbage = "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n";
    for wrong in [short, cut, empty, garbage, "", "<html>"] {
        assert_eq!(read_pem(wrong).map_err(|e| e.code()).err(), Some("KEY_UNAVAILABLE"), "{wrong}");
    }
}

#[test]
fn validity_is_read_from_utc_time_and_generalized_time_alone() {
    let read = |tag: u8, text: &str| {
        let length = u8::try_from(text.len()).unwrap();
        read_time(&mut Der(&[&[tag, length], text.as_bytes()].concat())).map(|t| t.to_string())
    };
    assert_eq!(read(0x17, "500101000000Z").as_deref(), Some("1950-01-01T00:00:00Z"));
    assert_eq!(read(0x17, "491231235959Z").as_deref(), Some("2049-12-31T23:59:59Z"));
    assert_eq!(read(0x18, "20561118195900Z").as_deref(), Some("2056-11-18T19:59:00Z"));
    for (tag, text) in [
        (0x17, "500101000000"),
        (0x17, "501301000000Z"),
        (0x17, "5001010000+0000Z"),
        (0x18, "500101000000Z"),
        (0x18, "2056111819590\u{660}Z"),
        (0x04, "500101000000Z"),
    ] {
        assert_eq!(read(tag, text), None, "{text}");
    }
}
