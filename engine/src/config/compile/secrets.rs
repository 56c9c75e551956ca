//! `secrets:` and `secret_file:` of a source.

use std::sync::Arc;

use hookward_core::plugin::ProviderDescriptor;
use hookward_core::{Provider, Secret, SecretSet, TimedSecret};

use super::compile_cx::CompileCx;
use super::file_access;
use super::plugin::NO_VERIFICATION;
use crate::compiled::SecretFile;
use crate::config::document::Location;
use crate::config::environment::read_error;
use crate::config::raw_config;

/// Compiles `secrets:` of the source at `at`, and reports secrets that are empty, malformed,
/// expired, missing or unused. The provider is `None` where it could not be built.
pub(super) fn compile(
    cx: &mut CompileCx<'_>,
    at: &str,
    items: Option<Vec<Option<raw_config::SecretItem>>>,
    descriptor: Option<&ProviderDescriptor>,
    provider: Option<&dyn Provider>,
) -> SecretSet {
    let list = format!("{at}/secrets");
    let place = cx.document.place_name(at);
    let mut valid = Vec::new();
    let mut has_errors = cx.document.has_error_at(&list);
    for (n, item) in items.into_iter().flatten().enumerate() {
        let Some(raw_config::SecretItem { value: Some(secret), until }) = item else {
            has_errors = true;
            continue;
        };
        let item_at = format!("{list}/{n}");
        let name = format!("secret {} of {place}", n + 1);
        if !check_secret(cx, &item_at, &name, &secret, provider) {
            has_errors = true;
            continue;
        }
        let until = until.map(|u| u.0);
        if until.is_some_and(|until| until <= cx.load.now) {
            cx.document
                .warn(
                    Location::Value(&format!("{item_at}/until")),
                    format!("{name} is past its `until` and no longer accepted"),
                )
                .help("remove the secret, or write a later `until`");
        }
        valid.push(TimedSecret { secret, until });
    }
    if valid.is_empty() && !has_errors && needs_secret(cx, at, descriptor, provider) {
        report_missing_secret(cx, at, &list, &place, descriptor);
    }
    if descriptor.is_some_and(|d| d.name == NO_VERIFICATION) && cx.contains(&list) {
        cx.document
            .warn(
                Location::Key(&list),
                format!("{place} has secrets that `provider: none` does not use"),
            )
            .help("name the provider that signs with them, or remove them");
    }
    SecretSet::new(valid).unwrap_or_default()
}

/// Reports a secret that is empty or that the provider cannot use; `false` for such a one.
fn check_secret(
    cx: &mut CompileCx<'_>,
    item_at: &str,
    name: &str,
    secret: &Secret,
    provider: Option<&dyn Provider>,
) -> bool {
    let at = format!("{item_at}/value");
    if secret.expose().is_empty() {
        let reference = cx.document.filled.get(&at).map(|f| f.written.clone());
        let diagnostic = cx.document.error(Location::Value(&at), format!("{name} is empty"));
        if let Some(reference) = reference {
            diagnostic.label(format!("`{reference}` is empty"));
        }
        diagnostic
            .help("set it, or remove the line; with an empty secret anyone can sign a request");
        return false;
    }
    let joined = secret.joined_secrets().len();
    if joined > 0 {
        cx.document
            .error(Location::Value(&at), format!("{name} holds {joined} secrets"))
            .label("a signature is made with one of them")
            .help("write each as an item of its own, the newest first: `secrets: [\"${NEW}\", \"${OLD}\"]`");
        return false;
    }
    let surrounding = surrounding_characters(secret.expose());
    if let Some(Err(reason)) = provider.map(|p| p.check_secret(secret)) {
        let help = match surrounding {
            Some(found) => format!("it {found}; remove that where the secret is stored"),
            None => "copy the secret again from the sender's settings".to_owned(),
        };
        cx.document
            .error(Location::Value(&at), format!("{name} cannot be used: {reason}"))
            .help(help);
        return false;
    }
    if let Some(found) = surrounding {
        cx.document
            .warn(
                Location::Value(&at),
                format!("{name} {found}, so a signature made without it is rejected"),
            )
            .help("remove it where the secret is stored, if the sender's secret does not have it");
    }
    true
}

/// Names what files, shells and exports leave around a secret; `None` for a secret without that.
/// Only a warning: a sender may have such a secret.
fn surrounding_characters(text: &str) -> Option<&'static str> {
    let in_quotes =
        |quote: char| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
    if text.starts_with('\u{feff}') {
        Some("starts with a byte order mark")
    } else if text.ends_with('\n') {
        Some("ends with a newline")
    } else if text.ends_with('\r') {
        Some("ends with a carriage return")
    } else if text.starts_with(char::is_whitespace) {
        Some("starts with white space")
    } else if text.ends_with(char::is_whitespace) {
        Some("ends with white space")
    } else if ['"', '\'', '`'].into_iter().any(in_quotes) {
        Some("is in quotes")
    } else {
        None
    }
}

fn needs_secret(
    cx: &CompileCx<'_>,
    at: &str,
    descriptor: Option<&ProviderDescriptor>,
    provider: Option<&dyn Provider>,
) -> bool {
    descriptor.is_some_and(|d| d.needs_secret)
        && !cx.contains(&format!("{at}/secret_file"))
        && !provider.is_some_and(|p| p.proves_without_secret())
}

fn report_missing_secret(
    cx: &mut CompileCx<'_>,
    at: &str,
    list: &str,
    place: &str,
    descriptor: Option<&ProviderDescriptor>,
) {
    let location = if cx.contains(list) { Location::Key(list) } else { Location::Key(at) };
    let help = match descriptor.is_some_and(|d| d.secret_from_handshake) {
        true => {
            "this sender sends its secret at set-up: add `secret_file: FILE`, to which the server then writes it, or `secrets:` if you already have it"
        }
        false => "add `secrets: [\"${NAME}\"]` with the name of the variable that holds it",
    };
    cx.document
        .error(
            location,
            format!("{place} has no secret, and its provider cannot verify requests without one"),
        )
        .help(help);
}

/// Compiles `secret_file:` of the source at `at`, and reads the secret that the file may hold by
/// now.
pub(super) fn compile_secret_file(
    cx: &mut CompileCx<'_>,
    at: &str,
    file: Option<String>,
    descriptor: Option<&ProviderDescriptor>,
) -> Option<Arc<SecretFile>> {
    let (file, descriptor) = (file?, descriptor?);
    let key = format!("{at}/secret_file");
    if !descriptor.secret_from_handshake {
        cx.document
            .error(
                Location::Key(&key),
                format!("senders of `{}` do not send a secret at set-up", descriptor.name),
            )
            .help("remove this line and write `secrets:` with the one from the sender's settings");
        return None;
    }
    let path = cx.base_dir.join(&file);
    file_access::warn_secret(cx, Location::Value(&key), &path, &file);
    let known = match cx.load.environment.read(&path) {
        Ok(bytes) => Some(String::from_utf8(bytes).unwrap_or_default().trim().to_owned()),
        // The sender has not been set up yet.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => {
            let reason = read_error(&e);
            cx.document
                .error(Location::Value(&key), format!("`{file}` cannot be read: {reason}"))
                .help("write a path where the server may create and read a file");
            return None;
        }
    };
    if known.as_deref() == Some("") {
        cx.document
            .error(Location::Value(&key), format!("`{file}` holds no secret"))
            .help("remove the file, and let the sender set the webhook up again");
        return None;
    }
    let known = known.and_then(|text| SecretSet::from_texts([text]).ok());
    Some(Arc::new(SecretFile::new(path, known)))
}
