//! Signatures under a sender's public key, verified with ring. Stricter than some libraries: a
//! signature or a key that only some of them accept is rejected here.

use ring::signature::{UnparsedPublicKey, VerificationAlgorithm};

use super::der;
use super::tag::Tag;

/// Length of an uncompressed point of P-384: the byte 4 and two coordinates of 48 bytes (SEC 1,
/// section 2.3.3).
const P384_POINT_BYTES: usize = 97;

/// DER of a SubjectPublicKeyInfo of P-384 up to the point (RFC 5480): the lengths,
/// `id-ecPublicKey`, `secp384r1` and the head of the bit string.
const P384_SPKI_PREFIX: [u8; 23] = [
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
    0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00,
];

/// Length of an uncompressed point of P-256: the byte 4 and two coordinates of 32 bytes (SEC 1,
/// section 2.3.3).
const P256_POINT_BYTES: usize = 65;

/// First byte of an uncompressed point (SEC 1, section 2.3.3).
const UNCOMPRESSED_POINT_TAG: u8 = 4;

/// DER of a SubjectPublicKeyInfo of P-256 up to the point (RFC 5480): the lengths,
/// `id-ecPublicKey`, `secp256r1` and the head of the bit string.
const P256_SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Longest modulus that is encoded, in bytes. Longer keys are rejected later; this bounds the work.
const MAX_RSA_MODULUS_BYTES: usize = 1024;
/// Longest exponent that is encoded, in bytes.
const MAX_RSA_EXPONENT_BYTES: usize = 8;

/// The y coordinates of the eight points of small order of edwards25519, little-endian: 0, 1, -1
/// and those of the points of order 8. The sign of x is not a part of them.
const SMALL_ORDER_Y_COORDINATES: [[u8; 32]; 5] = [
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

/// The uncompressed point in a SubjectPublicKeyInfo (RFC 5480) of P-256; `None` for a key of
/// another kind or in another form.
pub fn p256_point_from_spki(spki: &[u8]) -> Option<&[u8]> {
    spki.strip_prefix(&P256_SPKI_PREFIX).filter(|point| is_p256_point(point))
}

/// The uncompressed point in a SubjectPublicKeyInfo (RFC 5480) of P-384; `None` for a key of
/// another kind or in another form.
pub fn p384_point_from_spki(spki: &[u8]) -> Option<&[u8]> {
    spki.strip_prefix(&P384_SPKI_PREFIX).filter(|point| is_p384_point(point))
}

/// The PKCS#1 `RSAPublicKey` in a SubjectPublicKeyInfo (RFC 8017, appendix A.1.1); `None` for a key
/// of another kind, and for one that [`ProofAlgorithm::accepts_key`] rejects.
///
/// [`ProofAlgorithm::accepts_key`]: crate::crypto::ProofAlgorithm::accepts_key
pub fn rsa_key_from_spki(spki: &[u8]) -> Option<&[u8]> {
    der::rsa_key_in_spki(spki).filter(|key| is_rsa_key(key))
}

/// The PKCS#1 `RSAPublicKey` of a modulus and an exponent, both big-endian without leading zeros,
/// as a JWK has them (RFC 7518, section 6.3.1); `None` where [`ProofAlgorithm::accepts_key`]
/// rejects it.
///
/// [`ProofAlgorithm::accepts_key`]: crate::crypto::ProofAlgorithm::accepts_key
pub fn rsa_key_from_components(modulus: &[u8], exponent: &[u8]) -> Option<Vec<u8>> {
    let bounded =
        modulus.len() <= MAX_RSA_MODULUS_BYTES && exponent.len() <= MAX_RSA_EXPONENT_BYTES;
    bounded.then(|| der::encode_rsa_key(modulus, exponent)).filter(|key| is_rsa_key(key))
}

/// Whether these bytes have the form of an uncompressed point of P-256. Whether the point is on the
/// curve shows when a signature is verified with it.
pub(super) fn is_p256_point(bytes: &[u8]) -> bool {
    bytes.len() == P256_POINT_BYTES && bytes.first() == Some(&UNCOMPRESSED_POINT_TAG)
}

/// Whether these bytes have the form of an uncompressed point of P-384.
pub(super) fn is_p384_point(bytes: &[u8]) -> bool {
    bytes.len() == P384_POINT_BYTES && bytes.first() == Some(&UNCOMPRESSED_POINT_TAG)
}

/// Whether this is an `RSAPublicKey` of 2048 to 8192 bits, with an odd modulus and an odd exponent
/// of 3 to 2³³ - 1, the bounds of ring.
pub(super) fn is_rsa_key(key: &[u8]) -> bool {
    let Some((modulus, exponent)) = der::rsa_components(key) else { return false };
    let bits = modulus.first().map_or(0, |b| modulus.len() * 8 - b.leading_zeros() as usize);
    let is_odd = |number: &[u8]| number.last().is_some_and(|b| b % 2 == 1);
    let exponent_in_bounds = match exponent {
        [e] => *e >= 3,
        [high, _, _, _, _] => *high == 1,
        _ => exponent.len() <= 4,
    };
    // An exponent of 1 makes every message its own signature, and an even modulus is factored
    // immediately.
    (2048..=8192).contains(&bits) && is_odd(modulus) && is_odd(exponent) && exponent_in_bounds
}

/// Whether 32 bytes are the canonical encoding of a point (RFC 8032, section 5.1.3) that is not of
/// small order. Whether the point is on the curve shows when a signature is verified with it.
pub(super) fn is_ed25519_point(bytes: &[u8]) -> bool {
    let Ok(mut y) = <[u8; 32]>::try_from(bytes) else { return false };
    let [low, middle @ .., high] = &mut y;
    // The highest bit is the sign of x; the rest is y, which must be below the prime 2²⁵⁵ - 19.
    *high &= 0x7f;
    let below_prime = *low < 0xed || *high != 0x7f || middle.iter().any(|b| *b != 0xff);
    below_prime && !SMALL_ORDER_Y_COORDINATES.contains(&y)
}

/// Whether any of these is a signature of the message under this public key.
pub(super) fn verifies_any(
    algorithm: &'static dyn VerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    signatures: &[Tag],
) -> bool {
    let public_key = UnparsedPublicKey::new(algorithm, key);
    signatures.iter().any(|signature| public_key.verify(message, signature.bytes()).is_ok())
}

/// Whether the point `R` of an Ed25519 signature satisfies the same rules as a key. ring checks the
/// rest of RFC 8032: `S` below the order of the group, the equation without the cofactor.
pub(super) fn has_strict_point(signature: &Tag) -> bool {
    signature.bytes().get(..32).is_some_and(is_ed25519_point)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Encoding, ProofAlgorithm};

    fn decode_tag(bytes: &[u8]) -> Tag {
        let length = bytes.len();
        Tag::decode(&Encoding::Hex.encode(bytes), Encoding::Hex, length..=length).unwrap()
    }

    /// RFC 8032, section 7.1, test 2.
    const KEY: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    const SIGNATURE: &str = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

    #[test]
    fn an_ed25519_signature_of_rfc_8032_verifies_and_no_signature_with_a_changed_bit_does() {
        let key = Encoding::Hex.decode(KEY).unwrap();
        let right = Encoding::Hex.decode(SIGNATURE).unwrap();
        let matches =
            |bytes: &[u8]| ProofAlgorithm::Ed25519.matches_any(&key, &[b"r"], &[decode_tag(bytes)]);
        assert!(matches(&right));
        for bit in 0..512 {
            let mut changed = right.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches(&changed), "bit {bit}");
        }
    }

    #[test]
    fn ed25519_keys_of_small_order_and_non_canonical_ones_are_rejected() {
        let mut weak: Vec<[u8; 32]> = SMALL_ORDER_Y_COORDINATES.to_vec();
        weak.extend(SMALL_ORDER_Y_COORDINATES.map(|mut y| {
            y[31] |= 0x80;
            y
        }));
        // Non-canonical encodings of the numbers 0 to 18: the prime is added to each.
        weak.extend((0xed..=0xff).map(|low| {
            let mut y = [0xff; 32];
            (y[0], y[31]) = (low, 0x7f);
            y
        }));
        for key in weak {
            assert!(!ProofAlgorithm::Ed25519.accepts_key(&key), "{key:02x?}");
            for r in [[0; 32], SMALL_ORDER_Y_COORDINATES[1], key] {
                let zero_s = [r, [0; 32]].concat();
                assert!(!ProofAlgorithm::Ed25519.matches_any(
                    &key,
                    &[b"any"],
                    &[decode_tag(&zero_s)]
                ));
            }
        }
        assert!(
            !ProofAlgorithm::Ed25519.accepts_key(&[7; 31])
                && !ProofAlgorithm::Ed25519.accepts_key(b"")
        );
    }

    #[test]
    fn rsa_keys_that_are_short_or_even_or_have_a_bad_exponent_are_rejected() {
        let odd = |bytes: usize, first: u8| {
            let mut modulus = vec![0x11; bytes];
            modulus[0] = first;
            modulus
        };
        let takes = |modulus: &[u8], exponent: &[u8]| {
            let key = der::encode_rsa_key(modulus, exponent);
            assert_eq!(rsa_key_from_components(modulus, exponent).is_some(), is_rsa_key(&key));
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
        assert!(!is_rsa_key(b"") && rsa_key_from_spki(b"").is_none());
    }

    #[test]
    fn p256_points_are_read_from_whole_keys_of_p256_alone() {
        let mut spki = [P256_SPKI_PREFIX.as_slice(), &[4], &[1; 64]].concat();
        assert_eq!(p256_point_from_spki(&spki).map(<[u8]>::len), Some(65));
        assert!(p256_point_from_spki(&spki[..90]).is_none());
        spki[26] = 2;
        assert!(p256_point_from_spki(&spki).is_none());
        spki[26] = 4;
        spki[22] = 8;
        assert!(p256_point_from_spki(&spki).is_none());
    }
}
