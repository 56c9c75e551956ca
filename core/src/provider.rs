//! A provider: one kind of sender. Implemented by provider crates, called through [`crate::prove`]
//! and, for what is proven, by the engine.

use std::fmt;

use async_trait::async_trait;

use crate::identity::{IdentifyError, Identity, RequestPart};
use crate::prove::Verified;
use crate::reply::{Receipt, Reply};
use crate::request::{Head, Request};
#[cfg(feature = "scheme")]
use crate::scheme::CompiledScheme;
use crate::secret::{Secret, SecretError};
use crate::signer::Signer;
use crate::verification::{Verification, VerifyCx};
use crate::verify_error::VerifyError;

/// Knows how one kind of sender signs its requests and names its events.
///
/// A sender that signs in a way the scheme grammar can express needs only [`scheme`](Self::scheme):
/// the other methods default to what the scheme says. A provider overrides the methods in which its
/// sender differs, such as [`verify`](Self::verify) for a set-up handshake, and the rest still
/// follows the scheme:
///
/// ```
/// use async_trait::async_trait;
/// use hookward_core::scheme::CompiledScheme;
/// use hookward_core::{Provider, Request, Verification, VerifyCx, VerifyError};
///
/// #[derive(Debug)]
/// struct Acme {
///     scheme: CompiledScheme,
/// }
///
/// #[async_trait]
/// impl Provider for Acme {
///     fn scheme(&self) -> Option<&CompiledScheme> {
///         Some(&self.scheme)
///     }
///
///     async fn verify(
///         &self,
///         request: &Request,
///         cx: &VerifyCx<'_>,
///     ) -> Result<Verification, VerifyError> {
///         let secret = self.scheme.verify(request, cx)?;
///         // A hash with the secret in front can be extended over padding, which holds a zero byte.
///         if request.body.bytes().contains(&0) {
///             return Err(VerifyError::invalid_format("the body holds a zero byte"));
///         }
///         Ok(Verification::Genuine { secret })
///     }
/// }
/// ```
///
/// Without a scheme, [`verify`](Self::verify) and [`identify`](Self::identify) must be implemented:
/// their defaults then reject every request.
#[async_trait]
pub trait Provider: fmt::Debug + Send + Sync + 'static {
    /// The scheme that the default methods follow; `None` where the provider implements them
    /// itself.
    #[cfg(feature = "scheme")]
    fn scheme(&self) -> Option<&CompiledScheme> {
        None
    }

    /// Rejects, from the head alone, a request that cannot carry a valid signature: the signature
    /// is missing or malformed. Must be cheap, because it runs before the body is read.
    ///
    /// The engine and [`crate::prove`] run it exactly once per request, through [`crate::precheck`]
    /// and before [`Provider::verify`]. `verify` does not rely on it: it rejects the same heads
    /// with the same code (PROVIDER-14).
    ///
    /// By default that of the scheme, and `Ok` without one.
    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        #[cfg(feature = "scheme")]
        if let Some(scheme) = self.scheme() {
            return scheme.precheck(head);
        }
        let _ = head;
        Ok(())
    }

    /// Proves that the sender wrote exactly these bytes, or recognises a set-up handshake.
    ///
    /// By default that of the scheme. Without one it rejects every request.
    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        #[cfg(feature = "scheme")]
        if let Some(scheme) = self.scheme() {
            return scheme.verify(request, cx).map(|secret| Verification::Genuine { secret });
        }
        let _ = (request, cx);
        Err(VerifyError::InvalidSignature)
    }

    /// Names what a proven delivery carries: one identity per event, several where the sender
    /// batches. Pure: the same delivery always gives the same identities.
    ///
    /// An empty list means that the sender's batch is empty: the delivery is answered with 200, and
    /// nothing is stored. A delivery in which no batch can be found is an error instead.
    ///
    /// By default that of the scheme. Without one it fails.
    ///
    /// # Errors
    /// [`IdentifyError`] where the delivery cannot be read as events. It is stored as invalid.
    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        #[cfg(feature = "scheme")]
        if let Some(scheme) = self.scheme() {
            return scheme.identify(delivery);
        }
        let _ = delivery;
        Err(IdentifyError::new("this provider names no events"))
    }

    /// A text that the proof covers and that no other delivery of the sender carries, for senders
    /// whose signature does not cover the whole body. Whoever captured such a request could send
    /// its signature again with another body and another id; the engine takes a second delivery
    /// with the same token for a duplicate of the first.
    ///
    /// By default that of the scheme (its `replay_token`), and none without one.
    fn replay_token(&self, delivery: &Verified) -> Option<String> {
        #[cfg(feature = "scheme")]
        if let Some(scheme) = self.scheme() {
            return scheme.replay_token(delivery);
        }
        let _ = delivery;
        None
    }

    /// Whether two deliveries with the same bytes and without an id are the same one, sent twice.
    /// False for a sender that only reports that something changed: it sends the same bytes again
    /// after the next change.
    fn dedupe_by_content(&self) -> bool {
        true
    }

    /// The field of a form in which the sender puts the JSON of an event, for senders that send
    /// forms as well as JSON. Routes, schemas and handlers then read the same JSON in both.
    fn form_json_field(&self) -> Option<&'static str> {
        None
    }

    /// Whether the proof covers a part of the request, so that a change of it breaks the proof.
    /// `hookward check` warns where a route or a dedupe key depends on a part that it does not
    /// cover.
    ///
    /// By default what the scheme says, and false without one.
    fn signs(&self, part: RequestPart<'_>) -> bool {
        #[cfg(feature = "scheme")]
        if let Some(scheme) = self.scheme() {
            return scheme.signs_part(part);
        }
        let _ = part;
        false
    }

    /// Whether a captured request is genuine for as long as its secret is in use, because the proof
    /// holds no time that is checked. The engine then keeps dedupe keys for longer than events, so
    /// that the request is not a new event once the first one was removed. False for a bare token:
    /// whoever captured it needs no captured request.
    ///
    /// By default what the scheme says, and true without one.
    fn is_valid_indefinitely(&self) -> bool {
        #[cfg(feature = "scheme")]
        if let Some(scheme) = self.scheme() {
            return scheme.is_valid_indefinitely();
        }
        true
    }

    /// Whether a request of any method can be an event, because the proof is a token beside the body
    /// or the source proves nothing. The event of a GET is its query.
    ///
    /// By default whether that of the scheme is.
    fn proves_any_method(&self) -> bool {
        #[cfg(feature = "scheme")]
        if let Some(scheme) = self.scheme() {
            return scheme.is_head_token();
        }
        false
    }

    /// The answer to the sender, once everything is stored. Called once per accepted delivery and
    /// before it is stored; the store keeps the answer, and repetitions receive the same bytes.
    ///
    /// `delivery` is what the sender sent, for senders whose kinds of request want different
    /// answers; `receipt` says what the events are and what became of them. The status must be a
    /// 2xx. The source's `reply:` in routes.yaml overrides this answer.
    ///
    /// By default [`Reply::received`], for senders that read nothing but the status.
    fn reply(&self, delivery: &Verified, receipt: &Receipt) -> Reply {
        let _ = delivery;
        Reply::received(receipt)
    }

    /// Checks that a configured secret can be used at all: that it decodes and has the right
    /// length.
    ///
    /// By default the check of the scheme, and `Ok` without one.
    ///
    /// # Errors
    /// [`SecretError`], which says what is wrong and never holds the secret.
    fn check_secret(&self, secret: &Secret) -> Result<(), SecretError> {
        #[cfg(feature = "scheme")]
        if let Some(scheme) = self.scheme() {
            return scheme.check_secret(secret);
        }
        let _ = secret;
        Ok(())
    }

    /// Whether this configuration proves every request without a secret, although the sender's
    /// usual signature needs one: by tokens signed with the sender's private key.
    fn proves_without_secret(&self) -> bool {
        false
    }

    /// Whether no request can be verified without the public URL, because the sender signs the URL
    /// that it calls. A configuration without `server.public_url` is then an error.
    ///
    /// By default that of the scheme, and `false` without one.
    fn needs_public_url(&self) -> bool {
        #[cfg(feature = "scheme")]
        if let Some(scheme) = self.scheme() {
            return scheme.needs_public_url();
        }
        false
    }

    /// The attacks that this configuration leaves open, one sentence each, ending with the setting
    /// that closes it. `hookward check` prints them as warnings.
    fn config_warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Signs the way the sender does, where that is possible: for `hookward send`, tests and the
    /// kit.
    ///
    /// By default the scheme, if its messages can be made; none without one.
    fn signer(&self) -> Option<&dyn Signer> {
        #[cfg(feature = "scheme")]
        if let Some(scheme) = self.scheme().filter(|scheme| scheme.can_sign()) {
            return Some(scheme);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_used_as_dyn() {
        fn takes(_: Option<&dyn Provider>, _: Option<&dyn Signer>) {}
        takes(None, None);
    }

    /// A provider that forgets to implement its proof.
    #[derive(Debug)]
    struct Unfinished;

    impl Provider for Unfinished {}

    #[tokio::test]
    async fn a_provider_that_implements_nothing_rejects_every_request() {
        let secrets = crate::SecretSet::from_texts(["s"]).unwrap();
        let now = crate::Timestamp::default();
        let cx = VerifyCx::new(now, secrets.active(now), &crate::keys::NoKeys);
        let verdict = crate::prove(&Unfinished, Request::default(), &cx).await;
        assert_eq!(verdict.unwrap_err(), VerifyError::InvalidSignature);
    }
}
