//! A provider identifies proven deliveries alone.

use hookward_core::{Provider, Request};

fn name(provider: &dyn Provider, request: &Request) {
    let _ = provider.identify(request);
}

fn main() {}
