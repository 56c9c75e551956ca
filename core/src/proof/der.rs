//! The little of DER that public keys and certificates need: one spelling for each value, lengths
//! of up to two bytes. Called by [`super::public`] and the certificates of [`crate::keys`].

/// What is still to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Der<'a>(pub(crate) &'a [u8]);

/// `SEQUENCE`.
pub(crate) const SEQUENCE: u8 = 0x30;
/// `INTEGER`.
pub(crate) const INTEGER: u8 = 0x02;
/// `BIT STRING`.
const BIT_STRING: u8 = 0x03;

/// The name of `rsaEncryption` with its empty parameters.
const RSA: [u8; 13] =
    [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

impl<'a> Der<'a> {
    /// The tag of the next value.
    pub(crate) fn peek(self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The content of the next value, which must have this tag.
    pub(crate) fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_first_chunk::<2>()?;
        let (length, rest) = match head {
            [t, _] if *t != tag => return None,
            [_, short @ 0..=0x7f] => (usize::from(*short), rest),
            [_, 0x81] => {
                let ([length], rest) = rest.split_first_chunk::<1>()?;
                (usize::from(*length).max(0x80), rest)
            }
            [_, 0x82] => {
                let (length, rest) = rest.split_first_chunk::<2>()?;
                (usize::from(u16::from_be_bytes(*length)).max(0x100), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }

    /// The bytes of a positive number, without the zero that its sign may need.
    fn positive(&mut self) -> Option<&'a [u8]> {
        match self.take(INTEGER)? {
            [0, number @ ..] if number.first().is_some_and(|b| *b >= 0x80) => Some(number),
            number if number.first().is_some_and(|b| (1..0x80).contains(b)) => Some(number),
            _ => None,
        }
    }
}

/// Modulus and exponent of a PKCS#1 `RSAPublicKey`.
pub(super) fn rsa_numbers(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut outer = Der(key);
    let mut inner = Der(outer.take(SEQUENCE)?);
    let numbers = (inner.positive()?, inner.positive()?);
    (outer.0.is_empty() && inner.0.is_empty()).then_some(numbers)
}

/// The `RSAPublicKey` in a SubjectPublicKeyInfo.
pub(super) fn rsa_in_spki(spki: &[u8]) -> Option<&[u8]> {
    let mut outer = Der(spki);
    let mut inner = Der(outer.take(SEQUENCE)?);
    let named = inner.take(SEQUENCE)? == RSA;
    let (unused, key) = inner.take(BIT_STRING)?.split_first()?;
    let whole = outer.0.is_empty() && inner.0.is_empty();
    (named && *unused == 0 && whole).then_some(key)
}

/// A `RSAPublicKey` of these numbers, which have no leading zeros.
pub(super) fn rsa_of(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let number = |bytes: &[u8]| {
        let sign: &[u8] = if bytes.first().is_some_and(|b| *b >= 0x80) { &[0] } else { &[] };
        wrap(INTEGER, &[sign, bytes].concat())
    };
    wrap(SEQUENCE, &[number(modulus), number(exponent)].concat())
}

fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let skip = length.iter().take_while(|b| **b == 0).count();
    let digits = length.get(skip..).unwrap_or_default();
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
    fn a_key_made_of_numbers_reads_back_and_has_one_spelling() {
        for modulus in [vec![0xc1; 256], vec![0x41; 300], vec![0xff; 3]] {
            let key = rsa_of(&modulus, &[1, 0, 1]);
            assert_eq!(rsa_numbers(&key), Some((modulus.as_slice(), [1, 0, 1].as_slice())));
            assert!(rsa_numbers(&[key.as_slice(), &[0]].concat()).is_none(), "trailing");
            for end in 0..key.len() {
                assert!(rsa_numbers(&key[..end]).is_none(), "cut at {end}");
            }
        }
        for odd in [
            [0x30, 6, 2, 1, 0x80, 2, 1, 3].as_slice(),
            &[0x30, 7, 2, 2, 0, 5, 2, 1, 3],
            &[0x30, 6, 2, 1, 0, 2, 1, 3],
            &[0x30, 0x81, 6, 2, 1, 5, 2, 1, 3],
            &[0x30, 0x80, 2, 1, 5, 2, 1, 3, 0, 0],
        ] {
            assert!(rsa_numbers(odd).is_none(), "{odd:02x?}");
        }
        assert!(rsa_numbers(&[0x30, 6, 2, 1, 5, 2, 1, 3]).is_some());
    }
}
