//! Names and values of `application/x-www-form-urlencoded` text.

/// Iterates over the fields of a form body or a query (WHATWG URL, section 5.1), decoded and in
/// order.
///
/// Names and values are bytes, because a signature may cover some that are not UTF-8. A malformed
/// percent escape stays as it is.
///
/// ```
/// use hookward_core::scheme::form_pairs;
///
/// let pairs: Vec<_> = form_pairs(b"name=Ada+L&id=%37").collect();
/// assert_eq!(pairs[0], (b"name".to_vec(), b"Ada L".to_vec()));
/// assert_eq!(pairs[1], (b"id".to_vec(), b"7".to_vec()));
/// ```
pub fn form_pairs(bytes: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> + '_ {
    bytes.split(|b| *b == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = match pair.iter().position(|b| *b == b'=') {
            Some(at) => (pair.get(..at), pair.get(at + 1..)),
            None => (Some(pair), None),
        };
        (percent_decode(name.unwrap_or_default()), percent_decode(value.unwrap_or_default()))
    })
}

/// Decodes `%XX` and `+`.
fn percent_decode(part: &[u8]) -> Vec<u8> {
    let digit = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16));
    let mut out = Vec::with_capacity(part.len());
    let mut at = 0;
    while let Some(byte) = part.get(at) {
        let pair = (digit(part.get(at + 1)), digit(part.get(at + 2)));
        match (byte, pair) {
            (b'%', (Some(high), Some(low))) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or_default());
                at += 3;
                continue;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(*byte),
        }
        at += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_pairs_keep_their_order_and_bytes() {
        let pairs: Vec<_> = form_pairs(b"b=2&&a=%ff+&c").collect();
        let want: [(&[u8], &[u8]); 3] = [(b"b", b"2"), (b"a", b"\xff "), (b"c", b"")];
        assert_eq!(pairs, want.map(|(name, value)| (name.to_vec(), value.to_vec())));
    }
}
