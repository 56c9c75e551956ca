//! Target `http_file`: the command line's parser of `.http` files.

#[path = "../../cli/src/http_file.rs"]
pub(super) mod parser;

/// Parses the bytes as a file. The body must be the end of the file, byte for byte.
pub fn run(data: &[u8]) {
    match parser::parse(data) {
        Ok(captured) => {
            let body = captured.request.body.bytes();
            assert!(data.ends_with(body));
            let head = data.len() - body.len();
            assert!(data[..head].ends_with(b"\n\n") || data[..head].ends_with(b"\n\r\n"));
            assert!(!captured.request.head.target.contains(' '));
            assert!(captured.public_url.is_none_or(|url| url.starts_with("http")));
        }
        Err(error) => {
            let lines = data.iter().filter(|b| **b == b'\n').count() + 1;
            assert!((1..=lines).contains(&error.line), "line {} of {lines}", error.line);
            assert!(!error.to_string().is_empty());
        }
    }
}
