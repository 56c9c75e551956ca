//! A handler takes events, and only a proven delivery becomes one.

use hookward_core::{Handler, HandlerCx, Request};

async fn run(handler: &dyn Handler, request: Request, cx: &HandlerCx) {
    let _ = handler.handle(request, cx).await;
}

fn main() {}
