//! A configuration that replaces another one while the process runs.

use super::*;

#[tokio::test]
async fn a_rejected_reload_names_the_store_without_its_password() {
    let pipeline = pipeline("", ALL_EVENTS, vec![]);
    let mut config = super::pipeline("", ALL_EVENTS, vec![]).into_config();
    for (url, shown) in [
        ("postgres://app:hunter2@db.example/hooks", "postgres://***@db.example/hooks"),
        ("postgres:app:hunter2@db.example/hooks", "postgres://***@db.example/hooks"),
        ("redis://h/0?password=hunter2", "redis://h/0?***"),
        ("sqlite:other.db", "sqlite:other.db"),
    ] {
        config.store.url = url.to_owned();
        let (store, error) = (config.store.clone(), pipeline.engine.reload(config).unwrap_err());
        assert!(error.to_string().contains(&format!("to `{shown}`")), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
        config = super::pipeline("", ALL_EVENTS, vec![]).into_config();
        config.store = store;
    }
}
