//! Its fields are out of reach.

use hookward_core::{Request, Verified};

fn main() {
    let _ = Verified { request: Request::default(), secret: 0 };
}
