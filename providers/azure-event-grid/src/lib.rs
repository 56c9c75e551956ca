//! Azure Event Grid: a secret in the query or a header, or tokens of Microsoft Entra, over batches of
//! events in Event Grid's own schema or as CloudEvents.
#![warn(missing_docs)]

mod entra;
mod handshake;
mod naming;
mod samples;

use std::sync::Arc;

use async_trait::async_trait;
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::{CompiledScheme, Scheme};
use hookward_core::{
    Draft, Head, IdentifyError, Identity, Provider, Request, Sample, Secret, SignError, Signer,
    Verification, Verified, VerifyCx, VerifyError,
};
use http::{HeaderMap, HeaderValue, Method, header};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use entra::Entra;

hookward_core::register_provider!(AzureEventGridConfig);

/// The `with:` block.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AzureEventGridConfig {
    /// What proves a delivery: `secret` (the default), a text in the query or a header, or `entra`,
    /// tokens of Microsoft Entra ID.
    #[serde(default)]
    pub scheme: Way,
    /// With `secret`: the query parameter that holds it; `code` without this key.
    #[serde(default)]
    pub parameter: Option<String>,
    /// With `secret`: the header that holds it, instead of a query parameter.
    #[serde(default)]
    pub header: Option<String>,
    /// With `entra`: the id or URI of the application that the tokens are made for.
    #[serde(default)]
    pub audience: Option<String>,
    /// With `entra`: the id of the directory (tenant) that issues the tokens.
    #[serde(default)]
    pub tenant: Option<String>,
    /// With `entra`: the id of the application that delivers; without this key, Event Grid itself.
    #[serde(default)]
    pub application: Option<String>,
}

/// What proves a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Way {
    // Without comments of their own the schema lists the two as one enumeration.
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
    const SAMPLES: &'static [Sample] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        let entra = self.audience.is_some() || self.tenant.is_some() || self.application.is_some();
        let proof = match self.scheme {
            Way::Secret if entra => {
                let message = "`audience`, `tenant` and `application` go with `scheme: entra`";
                return Err(BuildError::at("", message));
            }
            Way::Secret => ProofBy::secret(self.parameter, self.header)?,
            Way::Entra if self.parameter.is_some() || self.header.is_some() => {
                let message = "`parameter` and `header` go with `scheme: secret`";
                return Err(BuildError::at("", message));
            }
            Way::Entra => ProofBy::Entra(Entra::new(self.audience, self.tenant, self.application)?),
        };
        Ok(Arc::new(AzureEventGrid { proof }))
    }
}

/// What proves a delivery.
#[derive(Debug)]
enum ProofBy {
    Secret {
        scheme: Box<CompiledScheme>,
        /// The query parameter that holds it; `None`: it is in a header.
        parameter: Option<String>,
    },
    Entra(Entra),
}

impl ProofBy {
    /// The secret as a token in its place.
    fn secret(parameter: Option<String>, header: Option<String>) -> Result<Self, BuildError> {
        let (place, name) = match (&parameter, header) {
            (Some(_), Some(_)) => {
                let message = "the secret is in a `parameter` or in a `header`, not in both";
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
            // It may have to be answered before there is a secret.
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
        naming::identify(delivery)
    }

    /// Publishers choose ids of their own, and several topics may deliver here.
    fn scope(&self, delivery: &Verified, event: &Identity) -> Option<String> {
        naming::scope(delivery, event)
    }

    fn check_secret(&self, secret: &Secret) -> Result<(), String> {
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
    fn sign(&self, draft: &Draft, secret: &Secret) -> Result<Request, SignError> {
        let mut request = match &self.proof {
            ProofBy::Entra(_) => {
                return Err(SignError { reason: "its sender holds a private key".to_owned() });
            }
            ProofBy::Secret { scheme, parameter: None } => scheme.sign(draft, secret)?,
            ProofBy::Secret { parameter: Some(name), .. } => {
                let joint = if draft.target().contains('?') { '&' } else { '?' };
                let (name, value) = (naming::escaped(name), naming::escaped(secret.expose()));
                let target = format!("{}{joint}{name}={value}", draft.target());
                let headers = HeaderMap::new();
                Request::new(
                    Head { method: Method::POST, target, headers, client: None },
                    draft.body.clone(),
                )
            }
        };
        let headers = &mut request.head.headers;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(handshake::KIND, HeaderValue::from_static("Notification"));
        Ok(request)
    }
}
