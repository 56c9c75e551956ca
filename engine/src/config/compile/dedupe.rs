//! `dedupe:` of a source: what makes two deliveries the same event, and for how long.

use std::time::Duration;

use hookward_core::{Provider, RequestPart};

use super::compile_cx::CompileCx;
use crate::compiled::Dedupe;
use crate::config::document::Location;
use crate::config::raw_config;
use crate::routing::DataAddress;

/// How long keys are kept, at least, where a captured request is genuine for as long as its secret
/// is in use. A kept key takes about 80 bytes, and an event of such a source has one to three.
const MIN_REPLAY_WINDOW: Duration = Duration::from_secs(90 * 24 * 3600);

/// Compiles `dedupe:` of the source at `source_at`, whose events are kept for `retention`.
pub(super) fn compile(
    cx: &mut CompileCx<'_>,
    source_at: &str,
    raw: Option<raw_config::Dedupe>,
    provider: &dyn Provider,
    tolerance: Option<Duration>,
    retention: Duration,
) -> (Dedupe, Duration) {
    let at = format!("{source_at}/dedupe");
    let raw = raw.unwrap_or_default();
    if raw.by.is_some() && raw.key.is_some() {
        cx.document
            .error(Location::Key(&format!("{at}/key")), "`dedupe` has both `by` and `key`")
            .help("write `by: id`, or `key: [/order/id]`; each says what identifies an event");
    }
    let dedupe = match (raw.key, raw.by) {
        (Some(key), _) => {
            let key: Vec<_> = key.into_iter().flatten().map(|address| address.0).collect();
            check_key(cx, &at, &key, provider);
            Dedupe::Key(key)
        }
        (None, Some(raw_config::DedupeBy::Id)) => Dedupe::Id,
        (None, Some(raw_config::DedupeBy::Content)) => Dedupe::Content,
        (None, Some(raw_config::DedupeBy::None)) => Dedupe::None,
        (None, Some(raw_config::DedupeBy::IdAndBody) | None) => Dedupe::IdAndBody,
    };
    if dedupe == Dedupe::None && raw.window.is_some() {
        cx.document
            .warn(Location::Key(&format!("{at}/window")), "`window` has no effect beside `none`")
            .help("remove `window`, or say what identifies an event");
    }
    let window = raw.window.map(|window| window.0);
    if let (Some(window), Some(tolerance)) = (window, tolerance)
        && window < tolerance.saturating_mul(2)
    {
        let valid_for = humantime::format_duration(tolerance.saturating_mul(2));
        cx.document
            .warn(
                Location::Value(&format!("{at}/window")),
                "the dedupe window ends while the requests are still valid",
            )
            .label(format!("a signed request is valid for up to {valid_for}"))
            .help("a captured request could be sent again as a new event; set a longer `window`");
    }
    let default = match provider.is_valid_indefinitely() {
        true => retention.max(MIN_REPLAY_WINDOW),
        false => retention,
    };
    (dedupe, window.unwrap_or(default))
}

/// Checks that the parts of a key differ, that they identify an event and not a source, and that
/// one of them is signed.
fn check_key(cx: &mut CompileCx<'_>, at: &str, key: &[DataAddress], provider: &dyn Provider) {
    for (n, address) in key.iter().enumerate() {
        let own = format!("{at}/key/{n}");
        if key.iter().take(n).any(|earlier| earlier == address) {
            cx.document
                .error(Location::Value(&own), format!("`{address}` is in the key twice"))
                .help("remove one of them");
        }
        if *address == DataAddress::Source {
            cx.document
                .error(Location::Value(&own), "`event:source` is the same for all events here")
                .help("remove it; the source is part of every key");
        }
    }
    if !key.is_empty() && !key.iter().any(|address| is_signed(address, provider)) {
        cx.document
            .warn(
                Location::Value(&format!("{at}/key")),
                "the dedupe key is made of words that the sender does not sign",
            )
            .label("whoever captured one request can claim the key of an event to come")
            .help(
                "add a place in the signed body, such as /data/object/id, or use `by: id_and_body`",
            );
    }
}

/// Whether the proof of this provider covers the value at an address.
pub(super) fn is_signed(address: &DataAddress, provider: &dyn Provider) -> bool {
    provider.signs(match address {
        DataAddress::Pointer(_) => RequestPart::Body,
        DataAddress::Header(name) => RequestPart::Header(name),
        DataAddress::EventType => RequestPart::EventType,
        DataAddress::EventId => RequestPart::EventId,
        // The client proved its certificate in the handshake of the connection.
        DataAddress::Source | DataAddress::ClientSubject | DataAddress::ClientNames => return true,
    })
}
