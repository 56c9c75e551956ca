//! Mistakes with a signed URL: the sender signs the URL of its own settings, and a proxy makes the request look
//! as if it had another one.

use super::{Guess, Trial};

/// Other origins with other paths.
pub(super) fn other_urls<'a>(trial: &Trial<'a>) -> Vec<Guess<'a>> {
    // A provider without a known scheme may sign the URL.
    if trial.scheme_text("/message").is_some_and(|message| !message.contains("{url}")) {
        return Vec::new();
    }
    let mut guesses = Vec::new();
    for (origin, origin_change) in origins(trial) {
        for (target, target_change) in targets(&trial.request.head.target) {
            let changes: Vec<&str> = [origin_change.as_str(), target_change]
                .into_iter()
                .filter(|t| !t.is_empty())
                .collect();
            if changes.is_empty() {
                continue;
            }
            let mut altered = trial.clone();
            altered.public_url = Some(origin.clone());
            altered.request.head.target = target;
            let explanation = format!(
                "The signature fits another URL: the one {}. The sender signs the URL of its own settings, so `server.public_url` and the path must equal it exactly.",
                changes.join(" and ")
            );
            guesses.push(Guess { trial: altered, explanation });
        }
    }
    guesses
}

/// Schemes and hosts that the sender may know, and how they differ from the public URL.
fn origins(trial: &Trial<'_>) -> Vec<(String, String)> {
    let header = |name: &str| trial.request.head.single(name).ok().flatten();
    let public_url = trial.public_url.as_deref().unwrap_or_default();
    let (scheme, host) = public_url.split_once("://").unwrap_or(("https", public_url));
    let swapped = if scheme == "https" { "http" } else { "https" };
    let mut origins = vec![
        (public_url.to_owned(), String::new()),
        (format!("{swapped}://{host}"), format!("with {swapped} in place of {scheme}")),
    ];
    if let Some((bare, _port)) = host.rsplit_once(':') {
        origins.push((format!("{scheme}://{bare}"), "without the port".to_owned()));
        origins.push((format!("https://{bare}"), "with https and without the port".to_owned()));
    } else {
        let port = if scheme == "https" { 443 } else { 80 };
        origins.push((
            format!("{scheme}://{host}:{port}"),
            format!("with the port {port} written out"),
        ));
    }
    match host.strip_prefix("www.") {
        Some(bare) => origins.push((format!("{scheme}://{bare}"), "without `www.`".to_owned())),
        None => origins.push((format!("{scheme}://www.{host}"), "with `www.`".to_owned())),
    }
    for name in ["host", "x-forwarded-host", "x-original-host"] {
        for outer in header(name).into_iter().filter(|outer| *outer != host) {
            for scheme in ["https", "http"] {
                origins.push((
                    format!("{scheme}://{outer}"),
                    format!("with {scheme} and the host of the header {name}"),
                ));
            }
        }
    }
    origins.push((String::new(), "without scheme and host".to_owned()));
    origins
}

/// Paths and queries that the sender may know, and how they differ from those of the request.
fn targets(target: &str) -> Vec<(String, &'static str)> {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, format!("?{query}")),
        None => (target, String::new()),
    };
    let mut targets = vec![(target.to_owned(), "")];
    match path.strip_suffix('/') {
        Some(bare) => {
            targets.push((format!("{bare}{query}"), "without the slash at the end of the path"))
        }
        None => targets.push((format!("{path}/{query}"), "with a slash at the end of the path")),
    }
    if !query.is_empty() {
        targets.push((path.to_owned(), "without the query"));
    }
    targets
}
