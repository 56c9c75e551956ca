//! How a target takes its input apart: in lines and sections, so that seeds can be read and written
//! by hand. Used by all targets.

/// A line of its own between two sections.
const MARK: &[u8] = b"\n---\n";

/// The parts between the marks; those that are not there are empty, the last one takes the rest.
pub fn sections<const N: usize>(data: &[u8]) -> [&[u8]; N] {
    split(data, MARK)
}

/// The first lines; the last one takes the rest.
pub fn lines<const N: usize>(data: &[u8]) -> [&[u8]; N] {
    split(data, b"\n")
}

/// The bytes as text, if they are one.
pub fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn split<'a, const N: usize>(data: &'a [u8], mark: &[u8]) -> [&'a [u8]; N] {
    let mut rest = Some(data);
    let mut left = N;
    [(); N].map(|()| {
        left -= 1;
        let Some(all) = rest else { return &[][..] };
        match all.windows(mark.len()).position(|w| w == mark).filter(|_| left > 0) {
            Some(at) => {
                let (part, after) = all.split_at(at);
                rest = after.get(mark.len()..);
                part
            }
            None => {
                rest = None;
                all
            }
        }
    })
}
