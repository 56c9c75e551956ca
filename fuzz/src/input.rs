//! Splits an input into lines and sections, a form in which people can read and write seeds.

/// The line between two sections.
const SECTION_SEPARATOR: &[u8] = b"\n---\n";

/// Splits into sections. Missing ones are empty; the last one is the rest.
pub fn sections<const N: usize>(data: &[u8]) -> [&[u8]; N] {
    split(data, SECTION_SEPARATOR)
}

/// Splits into lines. Missing ones are empty; the last one is the rest.
pub fn lines<const N: usize>(data: &[u8]) -> [&[u8]; N] {
    split(data, b"\n")
}

/// Returns the bytes as text if they are UTF-8.
pub fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn split<'a, const N: usize>(data: &'a [u8], separator: &[u8]) -> [&'a [u8]; N] {
    let mut rest = Some(data);
    let mut left = N;
    [(); N].map(|()| {
        left -= 1;
        let Some(all) = rest else { return &[][..] };
        match all.windows(separator.len()).position(|w| w == separator).filter(|_| left > 0) {
            Some(at) => {
                let (part, after) = all.split_at(at);
                rest = after.get(separator.len()..);
                part
            }
            None => {
                rest = None;
                all
            }
        }
    })
}
