//! Suite `kill`: `kill -9` under load, again and again over one store. The page cache survives a
//! kill, so this proves that commits come before answers, that recovery works, and that work
//! continues after it. The oracle is [`crate::checker`], the canaries are a store in memory, which
//! loses events, and records that do not explain all effects.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::RunOptions;
use crate::checker::{Findings, check, wait_until_settled};
use crate::effect_sink::EffectSink;
use crate::load::{Load, SentEvents};
use crate::server::Place;

/// Kills between two checks of all events.
const KILLS_PER_CHECK: usize = 25;
/// Threads that send events.
const SENDERS: usize = 16;

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    crate::causes::check_canaries()?;
    let canary =
        kill_repeatedly("memory", &RunOptions { runs: 2, until: None, ..options.clone() })?;
    if canary.1.lost == 0 {
        return Err("the canary, a store in memory, lost nothing".to_owned());
    }
    let (kills, findings, acknowledged) = kill_repeatedly("sqlite:events.db", options)?;
    if findings.lost > 0 {
        return Err(format!(
            "{} of {acknowledged} acknowledged events lost in {kills} kills",
            findings.lost
        ));
    }
    Ok(format!(
        "{kills} kills, {acknowledged} acknowledged, {} stored, 0 lost, {} further runs, each with its cause; canary lost {}",
        findings.stored, findings.further_runs, canary.1.lost
    ))
}

/// Returns a configuration whose one route has an effect in the sink.
pub(crate) fn routes_yaml(store: &str, sink: &EffectSink) -> String {
    format!(
        "store: {store}\ndefaults: {{ retry: {{ attempts: 50, first_delay: 100ms, max_delay: 1s }} }}\nsources:\n  stripe: {{ secrets: [whsec_e2e_stripe] }}\nroutes:\n  - name: effect\n    events: stripe/**\n    concurrency: 8\n    chain: [{{ handler: http_forward, with: {{ url: \"http://127.0.0.1:{}/\", allow_private: true }} }}]\n",
        sink.port
    )
}

/// Returns the number of kills, what the last check found, and the number of acknowledged events.
fn kill_repeatedly(store: &str, options: &RunOptions) -> Result<(usize, Findings, usize), String> {
    let mut rng = fastrand::Rng::with_seed(options.seed);
    let sink = EffectSink::start();
    let place = Place::new(&routes_yaml(store, &sink));
    let sent = Arc::new(Mutex::new(SentEvents::default()));
    let (mut kills, mut findings) = (0, Findings::default());
    while options.wants_another(kills) {
        for _ in 0..KILLS_PER_CHECK.min(options.runs) {
            if !options.wants_another(kills) {
                break;
            }
            let server = place.start();
            let load = Load::start(&server.addr, SENDERS, kills, &sent);
            std::thread::sleep(Duration::from_millis(rng.u64(20..160)));
            server.kill();
            load.stop();
            kills += 1;
        }
        let server = place.start();
        wait_until_settled(&server)?;
        findings = check(&server, &sent.lock().unwrap(), &sink.effects())?;
        server.kill();
        if findings.lost > 0 {
            break;
        }
    }
    let acknowledged = sent.lock().unwrap().acknowledged.len();
    Ok((kills, findings, acknowledged))
}
