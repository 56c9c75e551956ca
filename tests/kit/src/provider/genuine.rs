//! Genuine requests to start from: the accepted recordings, and one that the provider's signer made.

use std::time::Duration;

use hookward_core::keys::{FixedKeys, NoKeys};
use hookward_core::{
    Body, EventDraft, Proof, Request, SecretSet, Timestamp, Verified, VerifyCx, VerifyError, prove,
};
use hookward_vectors::{Vector, Verdict};

use super::{BuiltSubject, Subject};

/// The time for which the kit signs.
pub(super) const NOW: Timestamp = Subject::NOW;
/// Scheme and host of the requests that the kit signs.
pub(super) const PUBLIC_URL: &str = "https://hooks.example.com";

/// A request that must be accepted, with what its verification needs.
#[derive(Clone)]
pub(super) struct GenuineRequest {
    pub(super) label: String,
    pub(super) request: Request,
    pub(super) secrets: SecretSet,
    pub(super) now: Timestamp,
    pub(super) tolerance: Option<Duration>,
    pub(super) public_url: String,
    /// The keys that a server would fetch.
    pub(super) keys: Option<FixedKeys>,
    /// Signed by the kit: it has one tag and no superfluous header.
    pub(super) signed_by_kit: bool,
    /// Headers without which the request is rejected.
    pub(super) needed: Vec<String>,
    /// Headers without which the event is identified differently.
    pub(super) identifying: Vec<String>,
}

impl GenuineRequest {
    /// Verifies another request with the secrets, time and URL of this one.
    pub(super) async fn prove(
        &self,
        built: &BuiltSubject<'_>,
        other: Request,
    ) -> Result<Proof, VerifyError> {
        prove(built.provider, other, &self.cx(self.now)).await
    }

    pub(super) fn cx(&self, now: Timestamp) -> VerifyCx<'_> {
        VerifyCx::new(
            now,
            self.secrets.active(now),
            match &self.keys {
                Some(keys) => keys,
                None => &NoKeys,
            },
        )
        .with_tolerance(self.tolerance)
        .with_public_url(self.public_url.as_str())
    }

    /// A copy of the request with a change.
    pub(super) fn changed(&self, change: impl FnOnce(&mut Request)) -> Request {
        let mut request = self.request.clone();
        change(&mut request);
        request
    }
}

/// The accepted recordings of the subject.
pub(super) fn recordings<'a>(built: &BuiltSubject<'a>) -> impl Iterator<Item = (&'a Vector, i64)> {
    let files = built.subject.recordings.iter();
    let all = files.flat_map(|file| file.vectors.iter().map(|v| (v, file.now_default)));
    all.filter(|(vector, _)| vector.expect == Verdict::Accept)
}

/// Signs a draft of this type with the subject's first secret; `None` if the provider cannot sign.
pub(super) fn sign(
    built: &BuiltSubject<'_>,
    event_type: &str,
    id: &str,
    body: &str,
) -> Option<Request> {
    let draft = EventDraft::new(
        event_type.to_owned(),
        id.to_owned(),
        Body::new(body.to_owned()),
        format!("{PUBLIC_URL}/webhooks/subject"),
        NOW,
    );
    built.provider.signer()?.sign(&draft, &built.secret()).ok()
}

/// All genuine requests. The headers that matter are found by removing each one.
pub(super) async fn collect(built: &BuiltSubject<'_>) -> Result<Vec<GenuineRequest>, String> {
    let mut genuine_requests = Vec::new();
    let secrets =
        SecretSet::from_texts(Some(built.subject.secret.as_str())).map_err(|e| e.to_string())?;
    if let Some(request) = sign(built, "thing.happened", "id_1", &built.subject.body) {
        genuine_requests.push(GenuineRequest {
            label: "a request signed by the provider's own signer".to_owned(),
            request,
            secrets,
            now: NOW,
            tolerance: None,
            public_url: PUBLIC_URL.to_owned(),
            keys: None,
            signed_by_kit: true,
            needed: Vec::new(),
            identifying: Vec::new(),
        });
    }
    for (vector, now_default) in recordings(built) {
        genuine_requests.push(GenuineRequest {
            label: format!("the recording {}", vector.id),
            request: vector.request.to_request().map_err(|e| e.to_string())?,
            secrets: vector.secret_set().map_err(|e| e.to_string())?,
            now: Timestamp::from_secs(vector.now_unix.unwrap_or(now_default)),
            tolerance: vector.tolerance_s.map(Duration::from_secs),
            public_url: vector.request.public_url().to_owned(),
            keys: vector.inputs.fixed_keys(),
            signed_by_kit: false,
            needed: Vec::new(),
            identifying: Vec::new(),
        });
    }
    if genuine_requests.is_empty() {
        return Err("there is no genuine request: the provider has no signer, and there is no accepted recording".into());
    }
    for genuine in &mut genuine_requests {
        find_relevant_headers(built, genuine).await?;
    }
    Ok(genuine_requests)
}

async fn find_relevant_headers(
    built: &BuiltSubject<'_>,
    genuine: &mut GenuineRequest,
) -> Result<(), String> {
    let proof = genuine.prove(built, genuine.request.clone()).await;
    let original =
        match proof.map_err(|e| format!("PROVIDER-1: {} is rejected: {e}", genuine.label))? {
            Proof::Genuine(delivery) => Some(identities(built, &delivery)),
            Proof::Handshake(_) => None,
        };
    let names: Vec<String> =
        genuine.request.head.headers.keys().map(|name| name.as_str().to_owned()).collect();
    for name in names {
        let without = genuine.changed(|r| drop(r.head.headers.remove(&name)));
        match genuine.prove(built, without).await {
            Err(_) => genuine.needed.push(name),
            Ok(Proof::Genuine(delivery))
                if original.as_ref() != Some(&identities(built, &delivery)) =>
            {
                genuine.identifying.push(name);
            }
            Ok(_) => {}
        }
    }
    Ok(())
}

fn identities(built: &BuiltSubject<'_>, delivery: &Verified) -> Vec<hookward_core::Identity> {
    built.provider.identify(delivery).unwrap_or_default()
}
