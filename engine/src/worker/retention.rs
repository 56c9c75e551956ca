//! The retention loop: purges expired events in small batches. Between purges it publishes the
//! queue's gauges and watches the wall clock.

use std::sync::Arc;
use std::time::Duration;

use hookward_core::Timestamp;
use hookward_core::store::{KeepKeys, PurgeRequest, StoreError};

use super::Shared;
use crate::compiled::{Retention, Source};
use crate::engine::Engine;
use crate::retention_clock::RetentionTime;
use crate::telemetry;

/// How often the queue's gauges are published.
const GAUGE_INTERVAL: Duration = Duration::from_secs(5);
/// The longest time between two purges. A tenth of the shortest retention where that is less, so
/// that events outlive their retention by a tenth at most.
const MAX_PURGE_INTERVAL: Duration = Duration::from_secs(60);
const MIN_PURGE_INTERVAL: Duration = Duration::from_secs(1);
/// Events in one batch. Small, because the single writer of an embedded store does nothing else
/// meanwhile.
const PURGE_BATCH_EVENTS: usize = 100;
/// The pause between two batches, in which the writer serves senders.
const PURGE_BATCH_PAUSE: Duration = Duration::from_millis(50);

/// Purges and publishes gauges until the worker stops.
pub(super) async fn retention_loop(shared: Arc<Shared>) {
    let engine = &shared.engine;
    // A purge is due immediately: events may have expired while no process ran.
    let mut since_purge = MAX_PURGE_INTERVAL;
    let mut was_in_doubt = false;
    loop {
        // Without requests nobody else would notice that the clock was set.
        engine.observe_clock();
        publish_gauges(&shared).await;
        // Read anew each time: a reload may have changed it.
        let interval = purge_interval(engine.config().retention);
        if since_purge >= interval {
            match save_retention_state(engine).await {
                Ok(()) => {
                    let time = engine.retention_clock().read();
                    // Logged once, not with each purge of the day that it lasts.
                    if let (Some(doubt), false) = (time.doubt, was_in_doubt) {
                        telemetry::log_clock_in_doubt(doubt);
                    }
                    was_in_doubt = time.doubt.is_some();
                    purge(&shared, time).await;
                    since_purge = Duration::ZERO;
                }
                // Nothing is purged by a clock that the next process would not know.
                Err(error) => engine.run_state().report_store_error("retention_state", &error),
            }
        }
        let pause = interval.min(GAUGE_INTERVAL);
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => {
                // The next process starts from it; from an older one after an error.
                let _ = save_retention_state(engine).await;
                return;
            }
            // Added up from sleeps, because the wall clock may be set meanwhile.
            () = tokio::time::sleep(pause) => since_purge += pause,
        }
    }
}

fn purge_interval(retention: Retention) -> Duration {
    let shortest = retention.events.min(retention.dead);
    (shortest / 10).clamp(MIN_PURGE_INTERVAL, MAX_PURGE_INTERVAL)
}

/// Starts the retention clock where that failed before, and saves its state.
async fn save_retention_state(engine: &Engine) -> Result<(), StoreError> {
    engine.start_retention_clock().await?;
    // Read once more, so that a wall clock that is in doubt is noticed before the state is saved.
    engine.retention_clock().read();
    match engine.retention_clock().state() {
        Some(state) => engine.store().save_retention_state(state).await,
        None => Ok(()),
    }
}

/// Purges batch after batch until nothing more has expired.
async fn purge(shared: &Shared, time: RetentionTime) {
    let (engine, now) = (&shared.engine, time.now);
    let never = Timestamp::from_millis(i64::MIN);
    while !shared.stop.is_cancelled() {
        let config = engine.config();
        let retention = config.retention;
        // While the clock is in doubt, no key goes either: a captured request must not become new.
        let keep = |source: &Arc<Source>| {
            let since = now.minus(source.dedupe_window);
            let since = if time.doubt.is_some() { never } else { since };
            (source.dedupe_window > retention.events)
                .then(|| KeepKeys::new(source.name.clone(), since))
        };
        let keep_keys = config.sources.values().filter_map(keep).collect();
        let batch = PurgeRequest::new(
            now.minus(retention.events),
            // A dead letter is the only trace of what was not done, and none is removed by a clock
            // that may be wrong.
            if time.doubt.is_some() { never } else { now.minus(retention.dead) },
            PURGE_BATCH_EVENTS,
        )
        .with_keep_keys(keep_keys);
        match engine.store().purge(batch).await {
            // A full batch: there is probably more.
            Ok(removed) if removed >= PURGE_BATCH_EVENTS as u64 => {
                tokio::time::sleep(PURGE_BATCH_PAUSE).await;
            }
            Ok(_) => return,
            // The next purge is due in a minute; nothing depends on this one.
            Err(error) => return engine.run_state().report_store_error("purge", &error),
        }
    }
}

/// Publishes the depth of each route's queue, the age of its oldest job, and the state of its
/// breakers.
async fn publish_gauges(shared: &Shared) {
    let engine = &shared.engine;
    // A failure is reported by the loops that need the store; the gauges keep their last values.
    let Ok(depth) = engine.store().depth().await else { return };
    for (name, route) in &engine.config().routes {
        shared.breakers.publish_states(route, engine.now());
        // Routes without open jobs are set to zero, so that each configured label exists from the
        // start.
        let open_jobs = depth.routes.iter().find(|d| d.route == *name).map_or(0, |d| d.open);
        telemetry::set_queue_depth(name, open_jobs);
    }
    let age = depth.oldest.map_or(Duration::ZERO, |oldest| engine.now().since(oldest));
    telemetry::set_oldest_pending_age(age);
}
