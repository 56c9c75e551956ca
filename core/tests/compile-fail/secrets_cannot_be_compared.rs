//! Secrets are compared in constant time, in `hookward_core::crypto` alone.

use hookward_core::Secret;

fn main() {
    let _ = Secret::new("a") == Secret::new("b");
}
