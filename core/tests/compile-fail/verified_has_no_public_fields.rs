//! `Verified` cannot be built from its fields: they are private.

use hookward_core::{Request, Verified};

fn main() {
    let _ = Verified { request: Request::default(), secret_index: 0 };
}
