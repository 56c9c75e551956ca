//! Comparing goes through the one room that does it in constant time.

use hookward_core::Secret;

fn main() {
    let _ = Secret::new("a") == Secret::new("b");
}
