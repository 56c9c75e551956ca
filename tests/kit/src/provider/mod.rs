//! The conformance suite of providers: one check for each rule of `docs/spec/provider.md`. A provider crate
//! calls [`Subject::check`] from `tests/contract.rs`; a failing check prints the number and sentence of each
//! broken rule, and how it was broken.

mod answer;
mod descriptor;
mod forgery;
mod genuine;
mod hostile;
mod naming;
mod time;
mod vectors;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hookward_core::plugin::{BuildCx, Plugin, ProviderDescriptor};
use hookward_core::{Provider, Secret, Timestamp};
use hookward_vectors::VectorFile;
use serde_json::Value;

use crate::spec::{self, rule_of};

pub use vectors::{Report, run_vectors};

use genuine::GenuineRequest;

/// The result of one check: `Err` says how the rule is broken.
type Checked = Result<(), String>;

/// A provider under test: made with [`Subject::of`], then adapted to what is special about the provider.
#[derive(Debug)]
pub struct Subject {
    descriptor: ProviderDescriptor,
    with: Value,
    secret: String,
    other_secret: String,
    recordings: Option<VectorFile>,
    tolerance: Option<Duration>,
    future_tolerance: Option<Duration>,
    verified: bool,
    body_is_signed: bool,
    samples: bool,
    body: String,
}

/// A body with type and id in the usual places, and with text and numbers whose bits can be changed.
const BODY: &str =
    r#"{"id":"id_1","type":"thing.happened","text":"naïve – テスト","numbers":[1,2.5,-3e7]}"#;

impl Subject {
    /// The time for which the kit signs.
    pub const NOW: Timestamp = Timestamp::from_secs(1_760_000_000);

    /// The first provider of a crate, with two secrets of the form that it takes:
    /// `Subject::of(hookward_provider_x::PLUGINS, "one", "another")`.
    ///
    /// # Panics
    /// If there is no provider among the plugins.
    pub fn of(plugins: &[Plugin], secret: &str, other_secret: &str) -> Self {
        let descriptor = plugins.iter().find_map(|p| match p {
            Plugin::Provider(descriptor) => Some(*descriptor),
            _ => None,
        });
        assert!(descriptor.is_some(), "no provider among these plugins");
        #[expect(clippy::unwrap_used, reason = "asserted above")]
        let descriptor = descriptor.unwrap();
        Self {
            tolerance: descriptor.tolerance,
            future_tolerance: None,
            descriptor,
            with: Value::Null,
            secret: secret.to_owned(),
            other_secret: other_secret.to_owned(),
            recordings: None,
            verified: true,
            body_is_signed: true,
            samples: true,
            body: BODY.to_owned(),
        }
    }

    /// Builds the provider from this `with:` block.
    #[must_use]
    pub fn with(mut self, with: Value) -> Self {
        self.with = with;
        self
    }

    /// Uses the accepted vectors of this file as genuine recordings.
    #[must_use]
    pub fn recordings(mut self, file: VectorFile) -> Self {
        self.recordings = Some(file);
        self
    }

    /// The tolerance of the signed time, where it differs from the descriptor's; `None`: no time is signed.
    #[must_use]
    pub fn tolerance(mut self, tolerance: Option<Duration>) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// How far ahead a signed time may be without a `tolerance` of the source, where that differs
    /// from how old it may be.
    #[must_use]
    pub fn future_tolerance(mut self, tolerance: Duration) -> Self {
        self.future_tolerance = Some(tolerance);
        self
    }

    /// Signs this body, for senders that require something in it, such as [`Subject::NOW`].
    #[must_use]
    pub fn body(mut self, body: &str) -> Self {
        self.body = body.to_owned();
        self
    }

    /// For a provider whose signature does not cover the body: tokens, and a few old schemes.
    #[must_use]
    pub fn body_is_not_signed(mut self) -> Self {
        self.body_is_signed = false;
        self
    }

    /// For a provider that verifies nothing.
    #[must_use]
    pub fn verifies_nothing(mut self) -> Self {
        self.verified = false;
        self.body_is_signed = false;
        self
    }

    /// For a `with:` block under which type and id are not where the samples have them.
    #[must_use]
    pub fn samples_do_not_fit(mut self) -> Self {
        self.samples = false;
        self
    }

    /// Builds the provider as the engine does.
    ///
    /// # Errors
    /// The `with:` block is invalid; the text says where.
    pub fn build(&self) -> Result<Arc<dyn Provider>, String> {
        let cx = BuildCx::new(Path::new("."), "subject");
        (self.descriptor.build)(self.with.clone(), &cx).map_err(|e| e.to_string())
    }

    /// Checks every rule.
    ///
    /// # Panics
    /// If a rule is broken, with the number, sentence and finding of each broken rule.
    pub fn check(self) {
        let broken = block_on(self.run());
        assert!(
            broken.is_empty(),
            "the provider `{}` breaks the specification:\n{}",
            self.descriptor.name,
            broken.join("\n")
        );
    }

    async fn run(&self) -> Vec<String> {
        let provider = match self.build() {
            Ok(provider) => provider,
            Err(reason) => return vec![format!("it cannot be built: {reason}")],
        };
        let built = BuiltSubject { subject: self, provider: &*provider };
        let genuine_requests = match genuine::collect(&built).await {
            Ok(genuine_requests) => genuine_requests,
            Err(reason) => return vec![reason],
        };
        let mut broken = BrokenRules::default();
        broken.record(1, forgery::recordings_are_accepted(&built).await);
        if self.verified {
            broken.record(2, forgery::body_bits_are_covered(&built, &genuine_requests).await);
            broken.record(3, forgery::head_bits_are_covered(&built, &genuine_requests).await);
            broken
                .record(4, forgery::missing_headers_are_rejected(&built, &genuine_requests).await);
            broken.record(5, forgery::empty_headers_are_rejected(&built, &genuine_requests).await);
            broken.record(
                6,
                forgery::different_duplicates_are_rejected(&built, &genuine_requests).await,
            );
            broken
                .record(7, forgery::same_duplicates_are_accepted(&built, &genuine_requests).await);
            broken.record(8, forgery::long_headers_are_rejected(&built, &genuine_requests).await);
            broken.record(9, time::tolerance_edges(&built, &genuine_requests).await);
            broken.record(10, time::secret_rotation(&built, &genuine_requests).await);
        }
        broken.record(11, naming::round_trip(&built).await);
        broken.record(12, hostile::nothing_shows_a_secret(&built, &genuine_requests).await);
        broken.record(13, hostile::arbitrary_bytes(&built, &genuine_requests).await);
        broken.record(14, hostile::precheck_agrees(&built, &genuine_requests).await);
        broken.record(15, descriptor::unknown_keys(&built));
        broken.record(16, naming::samples(&built).await);
        broken.record(17, descriptor::self_description(&built));
        broken.record(18, descriptor::secrets_are_checked(&built));
        broken.record(19, answer::deliveries_are_accepted(&built, &genuine_requests).await);
        broken.0
    }
}

/// A subject whose provider is built.
#[derive(Clone, Copy)]
struct BuiltSubject<'a> {
    subject: &'a Subject,
    provider: &'a dyn Provider,
}

impl BuiltSubject<'_> {
    fn secret(&self) -> Secret {
        Secret::new(self.subject.secret.clone())
    }
}

/// The broken rules so far, each with its sentence and what was found.
#[derive(Default)]
struct BrokenRules(Vec<String>);

impl BrokenRules {
    fn record(&mut self, number: u8, checked: Checked) {
        if let Err(how) = checked {
            let rule = rule_of(spec::PROVIDER, &format!("PROVIDER-{number}"));
            self.0.push(format!("{rule}\n    found: {how}"));
        }
    }
}

/// Runs a future to its end on a runtime of its own, so that callers need no async test.
fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    #[expect(clippy::unwrap_used, reason = "a test machine that cannot start a runtime")]
    runtime.unwrap().block_on(future)
}

/// `Ok` if the condition holds, otherwise the text as the finding.
fn ensure(holds: bool, finding: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(finding()) }
}
