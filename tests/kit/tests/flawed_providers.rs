//! The kit bites: each flaw that a provider can have breaks the promises that it should.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::plugin::{
    BuildCx, BuildError, Origin, Plugin, ProviderConfig, ProviderDescriptor,
};
use hookward_core::scheme::{CompiledScheme, Scheme};
use hookward_core::{
    DeliveryOutcome, Head, IdentifyError, Identity, Provider, Receipt, Reply, Request, SampleEvent,
    Signer, Timestamp, Verification, Verified, VerifyCx, VerifyError,
};
use hookward_testkit::provider::Subject;
use schemars::JsonSchema;
use serde::Deserialize;

const SECRET: &str = "the-secret-of-the-orchard";
const SCHEME: &str = r#"{
    "signature": {"in": "header", "name": "x-signature"},
    "message": "{timestamp}.{body}",
    "alg": "hmac-sha256",
    "timestamp": {"from": "header:x-time", "unit": "s"},
    "event_type": "/type",
    "event_id": "header:x-id"
}"#;

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
enum Flaw {
    None,
    AcceptsAll,
    IgnoresTheBody,
    IgnoresTheTime,
    TakesTheFirstOfSeveral,
    MatchesAPrefix,
    SaysTheFirstSecret,
    IsStricterEarly,
    ShowsItsSecret,
    Panics,
    NamesNothing,
    AnswersAnError,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    flaw: Flaw,
}

impl ProviderConfig for Config {
    const NAME: &'static str = "flawed";
    const SUMMARY: &'static str = "A provider with a flaw of one's choice";
    const TOLERANCE: Option<Duration> = Some(Duration::from_secs(300));
    const SAMPLES: &'static [SampleEvent] = &[SampleEvent::new("*", "", r#"{"type":"%TYPE%"}"#)];

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        let scheme = Scheme::from_json(SCHEME)?.compile()?;
        Ok(Arc::new(Flawed { scheme, flaw: self.flaw }))
    }
}

struct Flawed {
    scheme: CompiledScheme,
    flaw: Flaw,
}

impl fmt::Debug for Flawed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.flaw == Flaw::ShowsItsSecret { SECRET } else { "Flawed" })
    }
}

#[async_trait]
impl Provider for Flawed {
    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        match self.flaw {
            Flaw::IsStricterEarly if head.headers.len() > 4 => {
                Err(VerifyError::invalid_format("too many"))
            }
            Flaw::IsStricterEarly | Flaw::None => self.scheme.precheck(head),
            _ => Ok(()),
        }
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        let (mut request, mut cx) = (request.clone(), *cx);
        let headers = &mut request.head.headers;
        match self.flaw {
            Flaw::AcceptsAll => return Ok(Verification::Genuine { secret: 0 }),
            Flaw::IgnoresTheBody => {
                self.scheme.precheck(&request.head)?;
                return Ok(Verification::Genuine { secret: 0 });
            }
            Flaw::IgnoresTheTime => {
                let text = headers.get("x-time").and_then(|v| v.to_str().ok()).unwrap_or_default();
                cx.now = Timestamp::from_secs(text.parse().unwrap_or_default());
            }
            Flaw::TakesTheFirstOfSeveral => {
                for name in ["x-signature", "x-time", "x-id"] {
                    if let Some(first) = headers.get(name).cloned() {
                        headers.insert(name, first);
                    }
                }
            }
            Flaw::MatchesAPrefix => {
                let given = headers.get("x-signature").and_then(|v| v.to_str().ok());
                if given.is_some_and(|text| text.len() < 8) {
                    return Ok(Verification::Genuine { secret: 0 });
                }
            }
            Flaw::Panics => assert!(headers.len() != 2, "a slice index out of range"),
            _ => {}
        }
        let secret = self.scheme.verify(&request, &cx)?;
        let secret = if self.flaw == Flaw::SaysTheFirstSecret { 0 } else { secret };
        Ok(Verification::Genuine { secret })
    }

    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        match self.flaw {
            Flaw::NamesNothing => Ok(vec![Identity::default()]),
            _ => self.scheme.identify(delivery),
        }
    }

    fn reply(&self, _: &Verified, receipt: &Receipt) -> Reply {
        match (self.flaw, receipt.outcome) {
            (Flaw::AnswersAnError, DeliveryOutcome::Invalid) => {
                Reply::error(http::StatusCode::BAD_REQUEST, "INVALID", "The event is not valid")
            }
            _ => Reply::received(receipt),
        }
    }

    fn signer(&self) -> Option<&dyn Signer> {
        Some(&self.scheme)
    }
}

/// The numbers of the promises that the kit says are broken.
fn broken(flaw: Flaw) -> Result<Vec<u8>, String> {
    let origin = Origin::new("flawed", "0");
    let plugins = [Plugin::Provider(ProviderDescriptor::of::<Config>(origin))];
    let subject = Subject::of(&plugins, SECRET, "another-secret")
        .with(serde_json::json!({ "flaw": format!("{flaw:?}") }));
    let Err(panic) = catch_unwind(|| subject.check()) else { return Ok(Vec::new()) };
    let text = match panic.downcast_ref::<String>() {
        Some(text) => text.clone(),
        None => panic.downcast_ref::<&str>().copied().unwrap_or_default().to_owned(),
    };
    let numbers = text.lines().filter_map(|line| line.strip_prefix("PROVIDER-")?.split(':').next());
    let numbers: Vec<u8> = numbers.map(|n| n.parse().unwrap()).collect();
    if numbers.is_empty() { Err(text) } else { Ok(numbers) }
}

#[test]
fn each_flaw_breaks_its_rules_and_a_correct_provider_breaks_none() {
    let cases: [(Flaw, &[u8]); 11] = [
        (Flaw::None, &[]),
        (Flaw::AcceptsAll, &[2, 4, 9, 10, 13]),
        (Flaw::IgnoresTheBody, &[2, 9, 10]),
        (Flaw::IgnoresTheTime, &[9]),
        (Flaw::TakesTheFirstOfSeveral, &[6]),
        (Flaw::MatchesAPrefix, &[3, 5]),
        (Flaw::SaysTheFirstSecret, &[10]),
        (Flaw::IsStricterEarly, &[7, 14]),
        (Flaw::ShowsItsSecret, &[12]),
        (Flaw::NamesNothing, &[11, 16]),
        (Flaw::AnswersAnError, &[19]),
    ];
    for (flaw, want) in cases {
        let found = broken(flaw).unwrap();
        let missed: Vec<_> = want.iter().filter(|n| !found.contains(n)).collect();
        assert!(missed.is_empty(), "{flaw:?} breaks {want:?}, and the kit says {found:?}");
        assert!(!want.is_empty() || found.is_empty(), "{flaw:?}: the kit says {found:?}");
    }
}

#[test]
fn a_panic_is_not_swallowed() {
    assert!(broken(Flaw::Panics).unwrap_err().contains("out of range"));
}
