//! kill -9 under load, again and again, on one store: the page cache survives, so this proves the
//! order of commit and answer, recovery, and that work goes on.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::RunOptions;
use crate::checker::{Found, judge, settled};
use crate::effect_sink::Sink;
use crate::load::{Known, Load};
use crate::server::Place;

/// Kills between two looks at everything.
const ROUND: usize = 25;

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    // A store that forgets: the oracle must see it, or it sees nothing.
    let canary = suite("memory", &RunOptions { runs: 2, until: None, ..options.clone() })?;
    if canary.1.lost == 0 {
        return Err("the canary, a store in memory, lost nothing".to_owned());
    }
    let (kills, found, acknowledged) = suite("sqlite:events.db", options)?;
    if found.lost > 0 {
        return Err(format!(
            "{} of {acknowledged} acknowledged events lost in {kills} kills",
            found.lost
        ));
    }
    Ok(format!(
        "{kills} kills, {acknowledged} acknowledged, {} stored, 0 lost, {} further runs, each with its cause; canary lost {}",
        found.stored, found.second_runs, canary.1.lost
    ))
}

pub(crate) fn routes(store: &str, sink: &Sink) -> String {
    format!(
        "store: {store}\ndefaults: {{ retry: {{ attempts: 50, first_delay: 100ms, max_delay: 1s }} }}\nsources:\n  stripe: {{ secrets: [whsec_e2e_stripe] }}\nroutes:\n  - name: effect\n    events: stripe/**\n    concurrency: 8\n    chain: [{{ handler: http_forward, with: {{ url: \"http://127.0.0.1:{}/\", allow_private: true }} }}]\n",
        sink.port
    )
}

fn suite(store: &str, options: &RunOptions) -> Result<(usize, Found, usize), String> {
    let mut chance = fastrand::Rng::with_seed(options.seed);
    let sink = Sink::start();
    let place = Place::new(&routes(store, &sink));
    let known = Arc::new(Mutex::new(Known::default()));
    let (mut kills, mut found) = (0, Found::default());
    while options.wants_another(kills) {
        for _ in 0..ROUND.min(options.runs) {
            if !options.wants_another(kills) {
                break;
            }
            let server = place.start();
            let load = Load::start(&server.addr, 16, kills, &known);
            std::thread::sleep(Duration::from_millis(chance.u64(20..160)));
            server.kill();
            load.stop();
            kills += 1;
        }
        let server = place.start();
        settled(&server)?;
        found = judge(&server, &known.lock().unwrap(), &sink.counts())?;
        server.kill();
        if found.lost > 0 {
            break;
        }
    }
    let acknowledged = known.lock().unwrap().acknowledged.len();
    Ok((kills, found, acknowledged))
}
