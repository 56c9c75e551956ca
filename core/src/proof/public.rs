//! Signatures under a public key, strictly: what only some libraries would accept is refused.

use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ED25519,
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};

use super::der;
use super::tag::Tag;

/// Bytes of an uncompressed point of P-256.
pub(super) const P256_POINT: usize = 65;

/// What stands before the point in a SubjectPublicKeyInfo of P-256: two lengths and two names.
const P256_SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The y coordinates of the eight points of small order, little-endian: 0, 1, -1 and two others.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    [
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x7f,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

/// The uncompressed point in a SubjectPublicKeyInfo of P-256; `None` for any other key or form.
pub fn p256_point(spki: &[u8]) -> Option<&[u8]> {
    let point = spki.strip_prefix(&P256_SPKI)?;
    (point.len() == P256_POINT && point.first() == Some(&4)).then_some(point)
}

/// The PKCS#1 `RSAPublicKey` in a SubjectPublicKeyInfo; `None` for any other key or form, and for
/// one that is too short to be believed.
pub fn rsa_key(spki: &[u8]) -> Option<&[u8]> {
    der::rsa_in_spki(spki).filter(|key| is_rsa_key(key))
}

/// The PKCS#1 `RSAPublicKey` of a modulus and an exponent, big-endian without leading zeros; `None`
/// where they are no key that is believed.
pub fn rsa_key_of(modulus: &[u8], exponent: &[u8]) -> Option<Vec<u8>> {
    // Longer ones are refused anyway; this keeps their making cheap.
    let short = modulus.len() <= 1024 && exponent.len() <= 8;
    short.then(|| der::rsa_of(modulus, exponent)).filter(|key| is_rsa_key(key))
}

/// Whether this is a `RSAPublicKey` of 2048 to 8192 bits with an odd modulus and an odd exponent
/// of 3 to 2³³ - 1.
pub(super) fn is_rsa_key(key: &[u8]) -> bool {
    let Some((modulus, exponent)) = der::rsa_numbers(key) else { return false };
    let bits = modulus.first().map_or(0, |b| modulus.len() * 8 - b.leading_zeros() as usize);
    let odd = |number: &[u8]| number.last().is_some_and(|b| b % 2 == 1);
    let small = match exponent {
        [e] => *e >= 3,
        [high, _, _, _, _] => *high == 1,
        _ => exponent.len() <= 4,
    };
    (2048..=8192).contains(&bits) && odd(modulus) && odd(exponent) && small
}

/// Whether 32 bytes spell a point in the one canonical way, and not one of small order. Whether
/// there is such a point on the curve is found out when something is verified with it.
pub(super) fn is_ed25519_point(bytes: &[u8]) -> bool {
    let Ok(mut y) = <[u8; 32]>::try_from(bytes) else { return false };
    let [low, middle @ .., high] = &mut y;
    *high &= 0x7f;
    let below_prime = *low < 0xed || *high != 0x7f || middle.iter().any(|b| *b != 0xff);
    below_prime && !SMALL_ORDER.contains(&y)
}

/// Whether any of these is an Ed25519 signature of the message. Its point `R` is held to the same
/// rules as the key; the rest (`S` below the order of the group, no cofactor) is ring's own way.
pub(super) fn ed25519(key: &[u8], message: &[u8], tags: &[Tag]) -> bool {
    let strict = |tag: &&Tag| tag.bytes().get(..32).is_some_and(is_ed25519_point);
    tags.iter().filter(strict).any(|tag| verifies(&ED25519, key, message, tag))
}

/// Whether any of these is an ECDSA signature of the message.
pub(super) fn ecdsa_p256(key: &[u8], message: &[u8], tags: &[Tag]) -> bool {
    tags.iter().any(|tag| verifies(&ECDSA_P256_SHA256_ASN1, key, message, tag))
}

/// Whether any of these is an ECDSA signature of the message, as two numbers of 32 bytes each.
pub(super) fn ecdsa_p256_fixed(key: &[u8], message: &[u8], tags: &[Tag]) -> bool {
    tags.iter().any(|tag| verifies(&ECDSA_P256_SHA256_FIXED, key, message, tag))
}

/// Whether any of these is a PKCS#1 v1.5 signature over the message's SHA-256.
pub(super) fn rsa_sha256(key: &[u8], message: &[u8], tags: &[Tag]) -> bool {
    tags.iter().any(|tag| verifies(&RSA_PKCS1_2048_8192_SHA256, key, message, tag))
}

/// Whether any of these is a PKCS#1 v1.5 signature over the message's SHA-1.
pub(super) fn rsa_sha1(key: &[u8], message: &[u8], tags: &[Tag]) -> bool {
    tags.iter()
        .any(|tag| verifies(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, key, message, tag))
}

fn verifies(
    algorithm: &'static dyn VerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    tag: &Tag,
) -> bool {
    UnparsedPublicKey::new(algorithm, key).verify(message, tag.bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::{Encoding, ProofAlgorithm};

    fn tag(bytes: &[u8]) -> Tag {
        let length = bytes.len();
        Tag::decode(&Encoding::Hex.encode(bytes), Encoding::Hex, length..=length).unwrap()
    }

    /// RFC 8032, section 7.1, second test.
    const KEY: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    const SIGNATURE: &str = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

    #[test]
    fn the_published_signature_verifies_and_no_changed_one_does() {
        let key = Encoding::Hex.decode(KEY).unwrap();
        let right = Encoding::Hex.decode(SIGNATURE).unwrap();
        let matches =
            |bytes: &[u8]| ProofAlgorithm::Ed25519.matches_any(&key, &[b"r"], &[tag(bytes)]);
        assert!(matches(&right));
        for bit in 0..512 {
            let mut changed = right.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches(&changed), "bit {bit}");
        }
    }

    #[test]
    fn keys_under_which_anyone_can_sign_are_refused() {
        let mut weak: Vec<[u8; 32]> = SMALL_ORDER.to_vec();
        weak.extend(SMALL_ORDER.map(|mut y| {
            y[31] |= 0x80;
            y
        }));
        // The second spellings of the least numbers: the prime added to each.
        weak.extend((0xed..=0xff).map(|low| {
            let mut y = [0xff; 32];
            (y[0], y[31]) = (low, 0x7f);
            y
        }));
        for key in weak {
            assert!(!ProofAlgorithm::Ed25519.takes_key(&key), "{key:02x?}");
            for r in [[0; 32], SMALL_ORDER[1], key] {
                let zero_s = [r, [0; 32]].concat();
                assert!(!ProofAlgorithm::Ed25519.matches_any(&key, &[b"any"], &[tag(&zero_s)]));
            }
        }
        assert!(
            !ProofAlgorithm::Ed25519.takes_key(&[7; 31]) && !ProofAlgorithm::Ed25519.takes_key(b"")
        );
    }

    #[test]
    fn rsa_keys_that_are_short_even_or_of_exponent_one_are_refused() {
        let odd = |bytes: usize, first: u8| {
            let mut modulus = vec![0x11; bytes];
            modulus[0] = first;
            modulus
        };
        let takes = |modulus: &[u8], exponent: &[u8]| {
            let key = der::rsa_of(modulus, exponent);
            assert_eq!(rsa_key_of(modulus, exponent).is_some(), is_rsa_key(&key));
            is_rsa_key(&key)
        };
        assert!(takes(&odd(256, 0x80), &[1, 0, 1]) && takes(&odd(256, 0xff), &[3]));
        assert!(takes(&odd(1024, 0xff), &[1, 0, 0, 0, 1]));
        assert!(!takes(&odd(256, 0x7f), &[1, 0, 1]), "2047 bits");
        assert!(!takes(&odd(128, 0xff), &[1, 0, 1]), "1024 bits");
        assert!(!takes(&odd(1025, 1), &[1, 0, 1]), "8193 bits");
        assert!(!takes(&[odd(255, 0x81), vec![2]].concat(), &[1, 0, 1]), "even");
        for bad in [[1].as_slice(), &[2], &[0], &[1, 0, 0], &[2, 0, 0, 0, 1], &[1, 0, 0, 0, 0, 1]] {
            assert!(!takes(&odd(256, 0x81), bad), "exponent {bad:?}");
        }
        assert!(!is_rsa_key(b"") && rsa_key(b"").is_none());
    }

    #[test]
    fn only_keys_of_p256_in_full_are_read() {
        let mut spki = [P256_SPKI.as_slice(), &[4], &[1; 64]].concat();
        assert_eq!(p256_point(&spki).map(<[u8]>::len), Some(65));
        assert!(p256_point(&spki[..90]).is_none());
        spki[26] = 2;
        assert!(p256_point(&spki).is_none());
        spki[26] = 4;
        spki[22] = 8;
        assert!(p256_point(&spki).is_none());
    }
}
