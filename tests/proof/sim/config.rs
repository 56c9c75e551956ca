//! The two configurations of a simulation, between which a reload switches. Each has a route and a
//! step that the other lacks.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hookward_core::Handler;
use hookward_core::plugin::Registry;
use hookward_engine::compiled::{CompiledConfig, Retention, RouteTable};
use hookward_engine::config::{LoadCx, SystemEnvironment, load_text};

use super::handler::ScriptedHandler;
use super::world::START;

fn routes_yaml(second: bool) -> String {
    let (last_step, other_route) = if second { ("third", "audit") } else { ("second", "mail") };
    format!(
        "store: memory
defaults:
  retry: {{ attempts: 4, first_delay: 2s, max_delay: 2m }}
  step_timeout: 20s
sources:
  stripe: {{ secrets: [whsec_sim] }}
  github: {{ secrets: [s] }}
routes:
  - name: orders
    events: stripe/**
    order_by: /data/object/customer
    concurrency: 4
    chain: [{{ handler: scripted, name: first }}, {{ handler: scripted, name: {last_step} }}]
  - name: {other_route}
    events: [stripe/charge.*, github/push]
    concurrency: 2
    chain: [{{ handler: scripted, name: only }}]
"
    )
}

/// Both configurations, compiled once per thread: compiling takes longer than many a run.
pub(crate) struct Configs {
    configs: [CompiledConfig; 2],
    pub(crate) handler: ScriptedHandler,
}

impl Configs {
    pub(crate) fn load() -> Self {
        let mut registry = Registry::empty();
        registry.add(hookward_engine::memory::PLUGINS).expect("unique plugin names");
        registry.add(hookward_provider_github::PLUGINS).expect("unique plugin names");
        registry.add(hookward_provider_stripe::PLUGINS).expect("unique plugin names");
        let handler = ScriptedHandler::default();
        let configs = [false, true].map(|second| {
            let scripted: Arc<dyn Handler> = Arc::new(handler.clone());
            let handlers = BTreeMap::from([("scripted".to_owned(), scripted)]);
            let cx = LoadCx {
                registry: &registry,
                environment: &SystemEnvironment,
                builtin_schemas: &[],
                handlers: &handlers,
                now: START,
            };
            match load_text(Path::new("routes.yaml"), &routes_yaml(second), &cx) {
                Ok(loaded) => loaded.config,
                Err(e) => panic!("{e}"),
            }
        });
        Self { configs, handler }
    }

    /// Returns a copy of one configuration with the retention of this run.
    pub(crate) fn compiled(&self, second: bool, retention_secs: u64) -> CompiledConfig {
        let config = &self.configs[usize::from(second)];
        CompiledConfig {
            file: config.file.clone(),
            base_dir: config.base_dir.clone(),
            store: config.store.clone(),
            server: config.server.clone(),
            admin: config.admin.clone(),
            retention: Retention {
                events: Duration::from_secs(retention_secs),
                dead: Duration::from_secs(retention_secs * 2),
            },
            sources: config.sources.clone(),
            sources_by_path: config.sources_by_path.clone(),
            routes: config.routes.clone(),
            route_table: RouteTable::new(config.route_table.all()),
        }
    }
}
