//! Keeping what is kept, and no longer: purges in small batches and tells how much waits.

use std::sync::Arc;
use std::time::Duration;

use hookward_core::Timestamp;
use hookward_core::store::{Filter, Purge};
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::telemetry;

/// How often the depth is told.
const TELL: Duration = Duration::from_secs(5);
/// Between looks for what is past its time, at most; a tenth of what is kept where that is less.
const LOOK: Duration = Duration::from_secs(60);
/// Events in one batch: small, because the single writer of an embedded store does nothing else
/// meanwhile.
const BATCH: usize = 100;
/// Between two batches.
const BREATH: Duration = Duration::from_millis(50);

pub(crate) async fn run(engine: Arc<Engine>, stop: CancellationToken) {
    let mut since_purge = LOOK;
    let mut was_ahead = false;
    if let Some(newest) = newest(&engine).await {
        engine.start_retention_clock(newest);
    }
    loop {
        engine.clock_is_suspect();
        tell(&engine).await;
        let retention = engine.config().retention;
        let look = (retention.events.min(retention.dead) / 10).clamp(Duration::from_secs(1), LOOK);
        if since_purge >= look {
            let (now, ahead) = engine.retention_now();
            if ahead > Duration::ZERO && !was_ahead {
                telemetry::clock_ahead(ahead);
            }
            was_ahead = ahead > Duration::ZERO;
            purge(&engine, now, &stop).await;
            since_purge = Duration::ZERO;
        }
        let pause = look.min(TELL);
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => since_purge += pause,
        }
    }
}

/// When the newest event of the store was received, where it can tell.
async fn newest(engine: &Engine) -> Option<Timestamp> {
    let page = engine.store().browse()?.list(&Filter::default(), 1, None).await.ok()?;
    page.events.first().map(|event| event.received_at)
}

async fn purge(engine: &Engine, now: Timestamp, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        let retention = engine.config().retention;
        let what = Purge {
            events_before: now.minus(retention.events),
            dead_before: now.minus(retention.dead),
            limit: BATCH,
        };
        match engine.store().purge(what).await {
            Ok(removed) if removed >= BATCH as u64 => tokio::time::sleep(BREATH).await,
            Ok(_) => return,
            Err(e) => return engine.store_failed("purge", &e),
        }
    }
}

async fn tell(engine: &Engine) {
    let Ok(depth) = engine.store().depth().await else { return };
    for (route, compiled) in &engine.config().routes {
        engine.breakers.tell_all(compiled, engine.now());
        let open = depth.routes.iter().find(|d| d.route == *route).map_or(0, |d| d.open);
        telemetry::queue_depth(route, open);
    }
    let age = depth.oldest.map_or(Duration::ZERO, |oldest| engine.now().since(oldest));
    telemetry::oldest_pending(age);
}
