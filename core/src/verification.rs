//! Input and result of [`Provider::verify`](crate::Provider::verify).

use std::time::Duration;

use crate::clock::Timestamp;
use crate::handshake::Handshake;
use crate::key_source::KeySource;
use crate::secret::ActiveSecrets;
use crate::verify_error::VerifyError;

/// Everything a proof may use besides the request: time, secrets, the source's settings, and keys
/// that live with the sender.
///
/// ```
/// use hookward_core::keys::NoKeys;
/// use hookward_core::{SecretSet, Timestamp, VerifyCx};
///
/// let now = Timestamp::from_secs(1_760_000_000);
/// let secrets = SecretSet::from_texts(["a shared secret"])?;
/// let cx = VerifyCx::new(now, secrets.active(now), &NoKeys)
///     .with_public_url("https://hooks.example.com");
/// assert_eq!(cx.tolerance, None);
/// # Ok::<(), hookward_core::EmptySecret>(())
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct VerifyCx<'a> {
    /// The current time. A provider reads no clock of its own.
    pub now: Timestamp,
    /// The secrets that are active now. With several, a match under any one proves the request.
    pub secrets: ActiveSecrets<'a>,
    /// How far a signed time may differ from `now`, in either direction. `None`: the provider's
    /// documented default applies.
    pub tolerance: Option<Duration>,
    /// Scheme and host under which senders call, such as `https://hooks.example.com`. Some sign the
    /// whole URL, and the server behind a proxy cannot know it from the request.
    pub public_url: Option<&'a str>,
    /// Fetches public keys that live with the sender.
    pub keys: &'a dyn KeySource,
}

impl<'a> VerifyCx<'a> {
    /// A context without tolerance and public URL. Pass
    /// [`NoKeys`](crate::keys::NoKeys) where the proof needs no key of the sender.
    pub fn new(now: Timestamp, secrets: ActiveSecrets<'a>, keys: &'a dyn KeySource) -> Self {
        Self { now, secrets, tolerance: None, public_url: None, keys }
    }

    /// Checks that a signed time is at most `past` ago and at most `future` ahead; the tolerance of
    /// the source takes the place of both. A time exactly at the edge passes. Both times count by their
    /// whole seconds: many senders sign whole seconds, and with the fraction of the clock such a
    /// time would be too old for all but the first instant of the second at the edge.
    ///
    /// # Errors
    /// [`VerifyError::TimestampTooOld`] and [`VerifyError::TimestampInFuture`].
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use hookward_core::keys::NoKeys;
    /// use hookward_core::{SecretSet, Timestamp, VerifyCx};
    ///
    /// let secrets = SecretSet::from_texts(["a shared secret"])?;
    /// let now = Timestamp::from_millis(1_760_000_600_900);
    /// let cx = VerifyCx::new(now, secrets.active(now), &NoKeys);
    /// let limit = Duration::from_secs(600);
    /// assert!(cx.check_time(Timestamp::from_secs(1_760_000_000), limit, limit).is_ok());
    /// assert!(cx.check_time(Timestamp::from_secs(1_759_999_999), limit, limit).is_err());
    /// # Ok::<(), hookward_core::EmptySecret>(())
    /// ```
    pub fn check_time(
        &self,
        signed_at: Timestamp,
        past: Duration,
        future: Duration,
    ) -> Result<(), VerifyError> {
        let (past, future) = self.tolerance.map_or((past, future), |t| (t, t));
        let age_seconds = self.now.as_secs().saturating_sub(signed_at.as_secs());
        let non_negative = |n: i64| Duration::from_secs(u64::try_from(n).unwrap_or(0));
        let (age, ahead) = (non_negative(age_seconds), non_negative(age_seconds.saturating_neg()));
        if age > past {
            Err(VerifyError::TimestampTooOld { age, tolerance: past })
        } else if ahead > future {
            Err(VerifyError::TimestampInFuture { ahead, tolerance: future })
        } else {
            Ok(())
        }
    }

    setters! {
        with_now => now: Timestamp;
        with_secrets => secrets: ActiveSecrets<'a>;
        with_tolerance => tolerance: into Option<Duration>;
        with_public_url => public_url: into Option<&'a str>;
        with_keys => keys: &'a dyn KeySource;
    }
}

/// What a request that passed its proof is. Closed on purpose: the engine decides by it, and a
/// third case would need a new stage.
#[derive(Debug, Clone)]
pub enum Verification {
    /// A delivery that the sender wrote, with events to name.
    Genuine {
        /// Index of the secret that matched, in the order of the configuration; 0 where the proof
        /// uses no secret.
        secret: usize,
    },
    /// A set-up handshake with its answer. It has no event.
    Handshake(Handshake),
}
