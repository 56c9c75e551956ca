//! Slack: `X-Slack-Signature: v0=…` over time and body, HMAC-SHA-256.
//!
//! Its signature scheme is data (`scheme.json`). The set-up handshake, in which Slack sends a
//! signed challenge that the reply must return as text, and the forms of slash commands and
//! interactivity need code, and so do the answers: Slack reads them.
#![warn(missing_docs)]

mod forms;
mod handshake;
mod samples;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::{CompiledScheme, Scheme};
use hookward_core::{
    Head, IdentifyError, Identity, Provider, Receipt, Reply, Request, SampleEvent, Verification,
    Verified, VerifyCx, VerifyError, may_be_unsigned_probe,
};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

/// The header that carries the signature.
const SIGNATURE_HEADER: &str = "x-slack-signature";

hookward_core::register_provider!(SlackConfig);

/// Settings of the provider: its `with:` block has no keys.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlackConfig {}

impl ProviderConfig for SlackConfig {
    const NAME: &'static str = "slack";
    const SUMMARY: &'static str =
        "Slack events, slash commands and interactivity, signed with the app's signing secret";
    const MEDIA_TYPES: &'static [&'static str] =
        &["application/json", "application/x-www-form-urlencoded"];
    const KEEP_HEADERS: &'static [&'static str] = &["x-slack-retry-num", "x-slack-retry-reason"];
    const TOLERANCE: Option<Duration> = Some(Duration::from_secs(300));
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        let scheme = Scheme::from_json(include_str!("scheme.json"))?.compile()?;
        Ok(Arc::new(Slack { scheme }))
    }
}

#[derive(Debug)]
struct Slack {
    scheme: CompiledScheme,
}

#[async_trait]
impl Provider for Slack {
    fn scheme(&self) -> Option<&CompiledScheme> {
        Some(&self.scheme)
    }

    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        if may_be_unsigned_probe(head, SIGNATURE_HEADER) && handshake::is_form(head) {
            return Ok(());
        }
        self.scheme.precheck(head)
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        if handshake::is_unsigned_ssl_check(request) {
            return Ok(Verification::Handshake(Reply::empty(StatusCode::OK).into()));
        }
        let secret = self.scheme.verify(request, cx)?;
        // The body is read after the signature is verified: a challenge that Slack did not sign is
        // never returned.
        Ok(match handshake::answer(request)? {
            Some(reply) => Verification::Handshake(reply.into()),
            None => Verification::Genuine { secret },
        })
    }

    /// Interactivity is a form whose field `payload` is JSON (docs.slack.dev, "Handling user
    /// interaction"). Slash commands have no such field.
    fn form_json_field(&self) -> Option<&'static str> {
        Some("payload")
    }

    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        if delivery.body().is_form() || delivery.json().is_err() {
            return Ok(vec![forms::identify(delivery.body().bytes())]);
        }
        self.scheme.identify(delivery)
    }

    /// An empty 200 to every kind of request, because Slack reads the body of most of them. It
    /// closes the view of a `view_submission` and the dialog of a `dialog_submission`, and shows
    /// an error to the user for a body that it does not know
    /// (<https://docs.slack.dev/surfaces/modals>, <https://docs.slack.dev/legacy/legacy-dialogs>).
    /// The body of an answer to a slash command is shown to the user as a message
    /// (<https://docs.slack.dev/interactivity/implementing-slash-commands>). The Events API reads
    /// the status alone (<https://docs.slack.dev/apis/events-api>).
    fn reply(&self, _: &Verified, _: &Receipt) -> Reply {
        Reply::empty(StatusCode::OK)
    }
}
