//! Not by a default, not from a copy.

use hookward_core::Verified;

fn copy(delivery: &Verified) -> Verified {
    delivery.clone()
}

fn main() {
    let _ = Verified::default();
}
