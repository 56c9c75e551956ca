//! What every provider must keep, as numbered promises. A provider crate calls [`Subject::check`]
//! from `tests/contract.rs`; a failing run prints the number and the promise that is broken.
//!
//! | number | a provider must |
//! | --- | --- |
//! | PROVIDER-1 | accept every good recording, and name its event as recorded |
//! | PROVIDER-2 | refuse every change of one bit of a signed body |
//! | PROVIDER-3 | refuse every change of one bit of a tag or of anything signed in the head |
//! | PROVIDER-4 | refuse a request from which a header that the proof uses was taken, as `MISSING_SIGNATURE` |
//! | PROVIDER-5 | refuse it where such a header is empty |
//! | PROVIDER-6 | refuse it where such a header, or one that names the event, came with different values |
//! | PROVIDER-7 | accept it where such a header came twice with one value |
//! | PROVIDER-8 | refuse it where such a header has 20 KB |
//! | PROVIDER-9 | accept a signed time up to the edge of the tolerance, both ways, and not beyond |
//! | PROVIDER-10 | accept each secret until its end, say which matched, and accept nothing without a secret |
//! | PROVIDER-11 | prove what its own signer signed, under the identity that was asked for |
//! | PROVIDER-12 | never show a secret in `Debug`, an error or a sample |
//! | PROVIDER-13 | never panic and never accept, whatever bytes come |
//! | PROVIDER-14 | refuse in `verify`, with the same code, what it refuses in `precheck` |
//! | PROVIDER-15 | refuse unknown keys of its `with:` block, in the type and in the JSON Schema |
//! | PROVIDER-16 | have samples that are JSON, can be signed and are identified as what they are |
//! | PROVIDER-17 | describe itself in the words that the rest of the house uses, and keep no signature or token |
//! | PROVIDER-18 | judge secrets without showing them |

mod descriptor;
mod forgery;
mod good;
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

pub use vectors::{Report, run_vectors};

use good::Good;

/// A promise kept, or how it was broken.
type Kept = Result<(), String>;

/// A provider under test. Made with [`Subject::of`], then told what is special about it.
#[derive(Debug)]
pub struct Subject {
    descriptor: ProviderDescriptor,
    with: Value,
    secret: String,
    other_secret: String,
    recordings: Option<VectorFile>,
    tolerance: Option<Duration>,
    verified: bool,
    body_is_signed: bool,
    samples: bool,
    body: String,
}

/// A body that is long enough to be worth changing and names its event in the usual places.
const BODY: &str =
    r#"{"id":"id_1","type":"thing.happened","text":"naïve – テスト","numbers":[1,2.5,-3e7]}"#;

impl Subject {
    /// The moment for which the kit signs.
    pub const NOW: Timestamp = Timestamp::from_secs(1_760_000_000);

    /// The first provider of a crate, `Subject::of(hookward_provider_x::PLUGINS)`, with two secrets
    /// of the form that it takes.
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

    /// With this `with:` block.
    #[must_use]
    pub fn with(mut self, with: Value) -> Self {
        self.with = with;
        self
    }

    /// With the accepted ones of these vectors as good recordings.
    #[must_use]
    pub fn recordings(mut self, file: VectorFile) -> Self {
        self.recordings = Some(file);
        self
    }

    /// With a signed time and this tolerance, where the descriptor does not say so.
    #[must_use]
    pub fn tolerance(mut self, tolerance: Option<Duration>) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// With this body to sign, for senders that have something in it, such as [`Subject::NOW`].
    #[must_use]
    pub fn body(mut self, body: &str) -> Self {
        self.body = body.to_owned();
        self
    }

    /// A provider whose signature does not cover the body: tokens, and a few old schemes.
    #[must_use]
    pub fn body_is_not_signed(mut self) -> Self {
        self.body_is_signed = false;
        self
    }

    /// A provider that verifies nothing.
    #[must_use]
    pub fn verifies_nothing(mut self) -> Self {
        self.verified = false;
        self.body_is_signed = false;
        self
    }

    /// Where the `with:` block says that type and id are somewhere else than in the samples.
    #[must_use]
    pub fn samples_do_not_fit(mut self) -> Self {
        self.samples = false;
        self
    }

    /// Builds the provider as the engine does.
    ///
    /// # Errors
    /// What is wrong with the `with:` block.
    pub fn build(&self) -> Result<Arc<dyn Provider>, String> {
        let cx = BuildCx { base_dir: Path::new("."), name: "subject" };
        (self.descriptor.build)(self.with.clone(), &cx).map_err(|e| e.to_string())
    }

    /// Checks every promise.
    ///
    /// # Panics
    /// If one is broken, with the numbers and reasons of all that are.
    pub fn check(self) {
        let broken = block_on(self.run());
        assert!(
            broken.is_empty(),
            "the provider `{}` breaks the contract:\n{}",
            self.descriptor.name,
            broken.join("\n")
        );
    }

    async fn run(&self) -> Vec<String> {
        let provider = match self.build() {
            Ok(provider) => provider,
            Err(reason) => return vec![format!("it cannot be built: {reason}")],
        };
        let trial = Trial { subject: self, provider: &*provider };
        let goods = match good::gather(&trial).await {
            Ok(goods) => goods,
            Err(reason) => return vec![reason],
        };
        let mut broken = Broken::default();
        broken.note(1, forgery::recordings_are_accepted(&trial).await);
        if self.verified {
            broken.note(2, forgery::bits_of_the_body(&trial, &goods).await);
            broken.note(3, forgery::bits_of_the_head(&trial, &goods).await);
            broken.note(4, forgery::missing_headers(&trial, &goods).await);
            broken.note(5, forgery::empty_headers(&trial, &goods).await);
            broken.note(6, forgery::different_duplicates(&trial, &goods).await);
            broken.note(7, forgery::same_duplicates(&trial, &goods).await);
            broken.note(8, forgery::long_headers(&trial, &goods).await);
            broken.note(9, time::edges(&trial, &goods).await);
            broken.note(10, time::rotation(&trial, &goods).await);
        }
        broken.note(11, naming::round_trip(&trial).await);
        broken.note(12, hostile::nothing_shows_a_secret(&trial, &goods).await);
        broken.note(13, hostile::arbitrary_bytes(&trial, &goods).await);
        broken.note(14, hostile::precheck_agrees(&trial, &goods).await);
        broken.note(15, descriptor::unknown_keys(&trial));
        broken.note(16, naming::samples(&trial).await);
        broken.note(17, descriptor::words(&trial));
        broken.note(18, descriptor::secrets_are_judged(&trial));
        broken.0
    }
}

/// A subject that is built.
#[derive(Clone, Copy)]
struct Trial<'a> {
    subject: &'a Subject,
    provider: &'a dyn Provider,
}

impl Trial<'_> {
    fn secret(&self) -> Secret {
        Secret::new(self.subject.secret.clone())
    }
}

#[derive(Default)]
struct Broken(Vec<String>);

impl Broken {
    fn note(&mut self, number: u8, kept: Kept) {
        if let Err(how) = kept {
            self.0.push(format!("PROVIDER-{number}: {how}"));
        }
    }
}

/// Runs a future to its end on a small runtime of its own, so that tests need none.
fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    #[expect(clippy::unwrap_used, reason = "a test machine that cannot start a runtime")]
    runtime.unwrap().block_on(future)
}

/// `Ok` where the condition holds.
fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Kept {
    if holds { Ok(()) } else { Err(otherwise()) }
}
