//! Plugins, variables and files for the tests of loading.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::plugin::{
    BuildCx, BuildError, HandlerConfig, HandlerDescriptor, Origin, Plugin, ProviderConfig,
    ProviderDescriptor, Registry, StoreConfig, StoreDescriptor,
};
use hookward_core::scheme::Scheme;
use hookward_core::store::OpenError;
use hookward_core::store::{OpenCx, OpenFuture};
use hookward_core::{
    Event, Flow, Handler, HandlerCx, HandlerError, Head, HumanDuration, IdentifyError, Identity,
    Provider, Request, RequestPart, Secret, SecretError, Verification, Verified, VerifyCx,
    VerifyError,
};
use hookward_engine::config::{AccessOfOthers, Environment};
use schemars::JsonSchema;
use serde::Deserialize;

/// Variables, files in memory, and the files of a folder.
pub(crate) struct TestEnvironment {
    pub(crate) variables: BTreeMap<&'static str, String>,
    pub(crate) files: BTreeMap<&'static str, Vec<u8>>,
    /// What others can do with a file, by its name.
    pub(crate) access: BTreeMap<&'static str, AccessOfOthers>,
    pub(crate) root: PathBuf,
}

impl Environment for TestEnvironment {
    fn var(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let in_memory = path.to_str().and_then(|path| self.files.get(path));
        in_memory.map_or_else(|| std::fs::read(self.root.join(path)), |bytes| Ok(bytes.clone()))
    }
    fn access_of_others(&self, path: &Path) -> AccessOfOthers {
        let name = path.file_name().and_then(|name| name.to_str());
        name.and_then(|name| self.access.get(name)).copied().unwrap_or_default()
    }
}

#[derive(Debug)]
struct PrefixProvider {
    prefix: &'static str,
}

#[async_trait]
impl Provider for PrefixProvider {
    fn precheck(&self, _: &Head) -> Result<(), VerifyError> {
        Ok(())
    }
    async fn verify(&self, _: &Request, _: &VerifyCx<'_>) -> Result<Verification, VerifyError> {
        Ok(Verification::Genuine { secret: 0 })
    }
    fn signs(&self, part: RequestPart<'_>) -> bool {
        !matches!(part, RequestPart::Header(_))
    }
    fn identify(&self, _: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        Ok(vec![])
    }
    fn check_secret(&self, secret: &Secret) -> Result<(), SecretError> {
        match secret.expose().starts_with(self.prefix) {
            true => Ok(()),
            false => Err(SecretError::new(format!("it does not start with `{}`", self.prefix))),
        }
    }
}

/// No settings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StripeConfig {}

impl ProviderConfig for StripeConfig {
    const NAME: &'static str = "stripe";
    const SUMMARY: &'static str = "for tests";
    const KEEP_HEADERS: &'static [&'static str] = &["stripe-version"];
    const TOLERANCE: Option<Duration> = Some(Duration::from_secs(300));
    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        Ok(Arc::new(PrefixProvider { prefix: "whsec_" }))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GithubConfig {}

impl ProviderConfig for GithubConfig {
    const NAME: &'static str = "github";
    const SUMMARY: &'static str = "for tests";
    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        Ok(Arc::new(PrefixProvider { prefix: "" }))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoneConfig {
    /// Where the event type is.
    event_type: Option<String>,
}

impl ProviderConfig for NoneConfig {
    const NAME: &'static str = "none";
    const SUMMARY: &'static str = "for tests";
    const NEEDS_SECRET: bool = false;
    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        match self.event_type {
            Some(place) if !place.starts_with('/') => {
                Err(BuildError::at("/event_type", format!("`{place}` is not a JSON pointer"))
                    .help("write one such as /type"))
            }
            _ => Ok(Arc::new(PrefixProvider { prefix: "" })),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
struct HmacConfig(Scheme);

impl ProviderConfig for HmacConfig {
    const NAME: &'static str = "hmac";
    const SUMMARY: &'static str = "for tests";
    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        let _ = self.0;
        Ok(Arc::new(PrefixProvider { prefix: "" }))
    }
}

#[derive(Debug)]
struct NoopHandler;

#[async_trait]
impl Handler for NoopHandler {
    async fn handle(&self, _: Event, _: &HandlerCx) -> Result<Flow, HandlerError> {
        Ok(Flow::Next)
    }
}

/// A handler that an app brings as a function.
pub(crate) fn function() -> Arc<dyn Handler> {
    Arc::new(NoopHandler)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LogConfig {}

impl HandlerConfig for LogConfig {
    const NAME: &'static str = "log";
    const SUMMARY: &'static str = "for tests";
    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Handler>, BuildError> {
        Ok(Arc::new(NoopHandler))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct ForwardConfig {
    /// Where the event goes.
    url: String,
    method: Option<Method>,
    #[serde(default)]
    allow_private: bool,
    pause: Option<HumanDuration>,
    signing_key: Option<Secret>,
}

/// How it goes there.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Method {
    /// A new thing.
    Post,
    /// The same thing again.
    Put,
}

impl HandlerConfig for ForwardConfig {
    const NAME: &'static str = "http_forward";
    const SUMMARY: &'static str = "for tests";
    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Handler>, BuildError> {
        match self.url.starts_with("http") {
            true => Ok(Arc::new(NoopHandler)),
            false => {
                Err(BuildError::at("/url", format!("`{}` is not an http or https URL", self.url))
                    .help("write one such as https://app.example.com/hooks"))
            }
        }
    }
}

struct Sqlite;

impl StoreConfig for Sqlite {
    const NAME: &'static str = "sqlite";
    const SUMMARY: &'static str = "for tests";
    const URL: &'static str = "sqlite:PATH";
    fn check(rest: &str) -> Result<(), BuildError> {
        match rest.is_empty() {
            true => Err(BuildError::at("", "the path is missing")),
            false => Ok(()),
        }
    }
    fn open(_: String, _: OpenCx) -> OpenFuture {
        Box::pin(async { Err::<_, OpenError>(OpenError::new("never opened here")) })
    }
}

/// The plugins of the tests.
pub(crate) fn registry() -> Registry {
    const ORIGIN: Origin = Origin::new("tests", "0.0.0");
    let mut registry = Registry::empty();
    registry
        .add(&[
            Plugin::Provider(ProviderDescriptor::of::<StripeConfig>(ORIGIN)),
            Plugin::Provider(ProviderDescriptor::of::<GithubConfig>(ORIGIN)),
            Plugin::Provider(ProviderDescriptor::of::<NoneConfig>(ORIGIN)),
            Plugin::Provider(ProviderDescriptor::of::<HmacConfig>(ORIGIN)),
            Plugin::Handler(HandlerDescriptor::of::<LogConfig>(ORIGIN)),
            Plugin::Handler(HandlerDescriptor::of::<ForwardConfig>(ORIGIN)),
            Plugin::Store(StoreDescriptor::of::<Sqlite>(ORIGIN)),
        ])
        .unwrap();
    registry
}
