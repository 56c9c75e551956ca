//! Azure Event Grid: a secret in the query or a header, or tokens of Microsoft Entra, over batches
//! of events in Event Grid's own schema or as CloudEvents.
#![warn(missing_docs)]

mod entra;
mod handshake;
mod identity;
mod samples;

use std::sync::Arc;

use async_trait::async_trait;
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::{CompiledScheme, Scheme};
use hookward_core::{
    EventDraft, Head, IdentifyError, Identity, Provider, Request, RequestPart, SampleEvent, Secret,
    SecretError, SignError, Signer, Verification, Verified, VerifyCx, VerifyError,
};
use http::{HeaderMap, HeaderValue, Method, header};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use entra::Entra;

hookward_core::register_provider!(AzureEventGridConfig);

/// Settings of the provider: the keys of its `with:` block.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AzureEventGridConfig {
    /// What verifies a delivery: `secret` (the default), a text in the query or a header, or
    /// `entra`, tokens of Microsoft Entra ID.
    #[serde(default)]
    pub scheme: SchemeChoice,
    /// With `secret`: the query parameter that contains it; `code` without this key.
    #[serde(default)]
    pub parameter: Option<String>,
    /// With `secret`: the header that contains it, instead of a query parameter.
    #[serde(default)]
    pub header: Option<String>,
    /// With `entra`: the id or URI of the application that the tokens are for.
    #[serde(default)]
    pub audience: Option<String>,
    /// With `entra`: the id of the directory (tenant) that issues the tokens.
    #[serde(default)]
    pub tenant: Option<String>,
    /// With `entra`: the id of the application that delivers; without this key, Event Grid itself.
    #[serde(default)]
    pub application: Option<String>,
}

/// What verifies a delivery; a key of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum SchemeChoice {
    // The variants have no doc comments, so that the JSON Schema lists them as one enumeration.
    #[default]
    #[allow(missing_docs, reason = "described at the key")]
    Secret,
    #[allow(missing_docs, reason = "described at the key")]
    Entra,
}

impl ProviderConfig for AzureEventGridConfig {
    const NAME: &'static str = "azure_event_grid";
    const SUMMARY: &'static str = "Azure Event Grid, with a secret or tokens of Microsoft Entra ID";
    const METHODS: &'static [&'static str] = &["POST", "OPTIONS"];
    const MEDIA_TYPES: &'static [&'static str] =
        &["application/json", "application/cloudevents+json", "application/cloudevents-batch+json"];
    const KEEP_HEADERS: &'static [&'static str] =
        &["aeg-event-type", "aeg-subscription-name", "aeg-delivery-count"];
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        let entra = self.audience.is_some() || self.tenant.is_some() || self.application.is_some();
        let proof = match self.scheme {
            SchemeChoice::Secret if entra => {
                let message = "`audience`, `tenant` and `application` need `scheme: entra`";
                return Err(BuildError::at("", message));
            }
            SchemeChoice::Secret => ProofBy::secret(self.parameter, self.header)?,
            SchemeChoice::Entra if self.parameter.is_some() || self.header.is_some() => {
                let message = "`parameter` and `header` need `scheme: secret`";
                return Err(BuildError::at("", message));
            }
            SchemeChoice::Entra => {
                ProofBy::Entra(Box::new(Entra::new(self.audience, self.tenant, self.application)?))
            }
        };
        Ok(Arc::new(AzureEventGrid { proof }))
    }
}

/// The check that verifies a delivery, ready to use.
#[derive(Debug)]
enum ProofBy {
    Secret {
        scheme: Box<CompiledScheme>,
        /// The query parameter that contains the secret; `None` if it is in a header.
        parameter: Option<String>,
    },
    Entra(Box<Entra>),
}

impl ProofBy {
    /// Builds the check of a secret in the query or in a header.
    fn secret(parameter: Option<String>, header: Option<String>) -> Result<Self, BuildError> {
        let (place, name) = match (&parameter, header) {
            (Some(_), Some(_)) => {
                let message = "`parameter` and `header` are both set; set one of them";
                return Err(BuildError::at("", message));
            }
            (None, Some(header)) => ("header", header),
            (parameter, None) => ("query", parameter.clone().unwrap_or_else(|| "code".to_owned())),
        };
        let parameter = (place == "query").then(|| name.clone());
        let scheme = json!({ "signature": { "in": place, "name": name }, "alg": "equal" });
        let compiled = Scheme::from_json(&scheme.to_string()).and_then(Scheme::compile);
        let scheme = compiled.map_err(|e| BuildError::at("", e.message))?;
        Ok(Self::Secret { scheme: Box::new(scheme), parameter })
    }
}

#[derive(Debug)]
struct AzureEventGrid {
    proof: ProofBy,
}

#[async_trait]
impl Provider for AzureEventGrid {
    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        if head.method == Method::OPTIONS {
            return handshake::permission(head).map(drop);
        }
        match &self.proof {
            // Event Grid validates the URL when the subscription is created, which may be before
            // the source has a secret.
            ProofBy::Secret { .. } if handshake::may_be_validation(head)? => Ok(()),
            ProofBy::Secret { scheme, .. } => scheme.precheck(head),
            ProofBy::Entra(entra) => entra.precheck(head),
        }
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        let head = &request.head;
        self.precheck(head)?;
        if head.method == Method::OPTIONS {
            return Ok(Verification::Handshake(handshake::permission(head)?.into()));
        }
        let secret = match &self.proof {
            ProofBy::Secret { .. }
                if cx.secrets.is_empty() && handshake::may_be_validation(head)? =>
            {
                0
            }
            ProofBy::Secret { scheme, .. } => scheme.verify(request, cx)?,
            ProofBy::Entra(entra) => entra.verify(head, cx).await.map(|()| 0)?,
        };
        if handshake::is_validation(head)? {
            return Ok(Verification::Handshake(handshake::validation(request)?.into()));
        }
        Ok(Verification::Genuine { secret })
    }

    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        identity::identify(delivery)
    }

    /// A secret or a token vouches for the body as the sender's.
    fn signs(&self, part: RequestPart<'_>) -> bool {
        !matches!(part, RequestPart::Header(_))
    }

    fn is_valid_indefinitely(&self) -> bool {
        false
    }

    fn check_secret(&self, secret: &Secret) -> Result<(), SecretError> {
        match &self.proof {
            ProofBy::Secret { scheme, .. } => scheme.check_secret(secret),
            ProofBy::Entra(_) => Ok(()),
        }
    }

    fn proves_without_secret(&self) -> bool {
        matches!(self.proof, ProofBy::Entra(_))
    }

    fn signer(&self) -> Option<&dyn Signer> {
        match &self.proof {
            ProofBy::Secret { .. } => Some(self),
            ProofBy::Entra(_) => None,
        }
    }
}

impl Signer for AzureEventGrid {
    fn sign(&self, draft: &EventDraft, secret: &Secret) -> Result<Request, SignError> {
        let mut request = match &self.proof {
            ProofBy::Entra(_) => {
                return Err(SignError::new(
                    "the sender signs tokens with a private key".to_owned(),
                ));
            }
            ProofBy::Secret { scheme, parameter: None } => scheme.sign(draft, secret)?,
            ProofBy::Secret { parameter: Some(name), .. } => {
                let separator = if draft.target().contains('?') { '&' } else { '?' };
                let (name, value) =
                    (identity::percent_encode(name), identity::percent_encode(secret.expose()));
                let target = format!("{}{separator}{name}={value}", draft.target());
                let headers = HeaderMap::new();
                Request::new(Head::new(Method::POST, target, headers), draft.body.clone())
            }
        };
        let headers = &mut request.head.headers;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(handshake::EVENT_TYPE_HEADER, HeaderValue::from_static("Notification"));
        Ok(request)
    }
}
