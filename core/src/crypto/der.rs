//! A reader of the part of DER (ITU-T X.690) that public keys and certificates use: definite
//! lengths of up to two bytes, in their shortest form. Called by [`super::public_key`] and the
//! certificates of [`crate::keys`].

/// A reader over DER; holds the bytes that are not read yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Der<'a>(pub(crate) &'a [u8]);

/// Tag byte of a `SEQUENCE`.
pub(crate) const SEQUENCE: u8 = 0x30;
/// Tag byte of an `INTEGER`.
pub(crate) const INTEGER: u8 = 0x02;
/// Tag byte of a `BIT STRING`.
const BIT_STRING: u8 = 0x03;

/// Object identifier `rsaEncryption` with its NULL parameters (RFC 8017, appendix A.1).
const RSA_ENCRYPTION: &[u8] =
    &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// Object identifier `id-RSASSA-PSS` without parameters (RFC 8017, appendix A.2.3).
const RSASSA_PSS: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];

impl<'a> Der<'a> {
    /// The tag byte of the next value; `None` at the end.
    pub(crate) fn peek(self) -> Option<u8> {
        self.0.first().copied()
    }

    /// Reads the next value and returns its content; `None` where its tag is another one or its
    /// length is not in the shortest form.
    pub(crate) fn read_value(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_first_chunk::<2>()?;
        let (length, rest) = match head {
            [t, _] if *t != tag => return None,
            [_, short @ 0..=0x7f] => (usize::from(*short), rest),
            // The long form must not say what a shorter form can: each value has one encoding.
            [_, 0x81] => {
                let ([length], rest) = rest.split_first_chunk::<1>()?;
                (usize::from(*length), Some(rest).filter(|_| *length >= 0x80)?)
            }
            [_, 0x82] => {
                let (length, rest) = rest.split_first_chunk::<2>()?;
                let length = usize::from(u16::from_be_bytes(*length));
                (length, Some(rest).filter(|_| length >= 0x100)?)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }

    /// Reads a positive `INTEGER` and returns its bytes, without the zero byte that keeps its sign.
    fn read_positive_integer(&mut self) -> Option<&'a [u8]> {
        match self.read_value(INTEGER)? {
            [0, number @ ..] if number.first().is_some_and(|b| *b >= 0x80) => Some(number),
            number if number.first().is_some_and(|b| (1..0x80).contains(b)) => Some(number),
            _ => None,
        }
    }
}

/// Modulus and exponent of a PKCS#1 `RSAPublicKey`; `None` where the bytes are anything else.
pub(super) fn rsa_components(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut outer = Der(key);
    let mut inner = Der(outer.read_value(SEQUENCE)?);
    let components = (inner.read_positive_integer()?, inner.read_positive_integer()?);
    (outer.0.is_empty() && inner.0.is_empty()).then_some(components)
}

/// The `RSAPublicKey` in a SubjectPublicKeyInfo; `None` for a key of another kind.
pub(super) fn rsa_key_in_spki(spki: &[u8]) -> Option<&[u8]> {
    let mut outer = Der(spki);
    let mut inner = Der(outer.read_value(SEQUENCE)?);
    // A key for PSS alone may name the scheme instead (RFC 4055, section 1.2).
    let is_rsa = [RSA_ENCRYPTION, RSASSA_PSS].contains(&inner.read_value(SEQUENCE)?);
    let (unused_bits, key) = inner.read_value(BIT_STRING)?.split_first()?;
    let at_end = outer.0.is_empty() && inner.0.is_empty();
    (is_rsa && *unused_bits == 0 && at_end).then_some(key)
}

/// Encodes an `RSAPublicKey` of these numbers, which must not have leading zeros.
pub(super) fn encode_rsa_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let sign: &[u8] = if bytes.first().is_some_and(|b| *b >= 0x80) { &[0] } else { &[] };
        encode_value(INTEGER, &[sign, bytes].concat())
    };
    encode_value(SEQUENCE, &[integer(modulus), integer(exponent)].concat())
}

/// Encodes a value: tag, length in its shortest form, content.
fn encode_value(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let leading_zeros = length.iter().take_while(|b| **b == 0).count();
    let digits = length.get(leading_zeros..).unwrap_or_default();
    let mut out = vec![tag];
    match digits {
        [] => out.push(0),
        [short @ 0..=0x7f] => out.push(*short),
        _ => {
            out.push(0x80 | u8::try_from(digits.len()).unwrap_or(0x7f));
            out.extend_from_slice(digits);
        }
    }
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_rsa_key_reads_back_and_other_encodings_of_it_are_rejected() {
        for modulus in [vec![0xc1; 256], vec![0x41; 300], vec![0xff; 3]] {
            let key = encode_rsa_key(&modulus, &[1, 0, 1]);
            assert_eq!(rsa_components(&key), Some((modulus.as_slice(), [1, 0, 1].as_slice())));
            assert!(rsa_components(&[key.as_slice(), &[0]].concat()).is_none(), "trailing");
            for end in 0..key.len() {
                assert!(rsa_components(&key[..end]).is_none(), "cut at {end}");
            }
        }
        for odd in [
            [0x30, 6, 2, 1, 0x80, 2, 1, 3].as_slice(),
            &[0x30, 7, 2, 2, 0, 5, 2, 1, 3],
            &[0x30, 6, 2, 1, 0, 2, 1, 3],
            &[0x30, 0x81, 6, 2, 1, 5, 2, 1, 3],
            &[0x30, 0x80, 2, 1, 5, 2, 1, 3, 0, 0],
            // A length of 6 in the long form, before 128 bytes.
            &[[0x30, 0x81, 6].as_slice(), &[0x02, 1, 5, 0x02, 0x7b], &[1; 123]].concat(),
        ] {
            assert!(rsa_components(odd).is_none(), "{odd:02x?}");
        }
        assert!(rsa_components(&[0x30, 6, 2, 1, 5, 2, 1, 3]).is_some());
    }
}
