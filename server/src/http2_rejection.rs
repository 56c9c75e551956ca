//! The answer to peers that speak HTTP/2 without asking: "HTTP/1.1 is required", in HTTP/2.
//!
//! This server speaks HTTP/1.1 alone. HTTP/2 would need a second set of every bound that the listener
//! has (heads, idle time, reading of answers, memory for each of many streams), and every sender
//! falls back to HTTP/1.1: over TLS because only that is offered by ALPN, in clear text because an
//! upgrade is optional. Only a peer with prior knowledge begins with the preface.

/// What an HTTP/2 client sends first (RFC 9113, 3.4). The rest of the preface follows it.
pub(crate) const PREFACE_START: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// A SETTINGS frame without settings, which is the preface of a server, and a GOAWAY frame of the
/// last stream 0 with the error HTTP_1_1_REQUIRED and a text (RFC 9113, 3.4, 6.8 and 7).
pub(crate) const HTTP_1_1_REQUIRED: &[u8] = b"\
    \x00\x00\x00\x04\x00\x00\x00\x00\x00\
    \x00\x00\x23\x07\x00\x00\x00\x00\x00\
    \x00\x00\x00\x00\
    \x00\x00\x00\x0d\
    this server speaks HTTP/1.1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rejection_is_two_whole_frames() {
        let (settings, goaway) = HTTP_1_1_REQUIRED.split_at(9);
        assert_eq!(settings[..3], [0, 0, 0]);
        assert_eq!(usize::from(goaway[2]), goaway.len() - 9);
        assert_eq!((settings[3], goaway[3], goaway[16]), (4, 7, 0x0d));
    }
}
