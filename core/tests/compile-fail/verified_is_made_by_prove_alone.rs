//! `Verified` has neither a default nor a copy.

use hookward_core::Verified;

fn copy(delivery: &Verified) -> Verified {
    delivery.clone()
}

fn main() {
    let _ = Verified::default();
}
