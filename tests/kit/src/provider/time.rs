//! PROVIDER-9 and -10: tolerance of signed times, and rotation of secrets.

use std::time::Duration;

use hookward_core::{Proof, Secret, SecretSet, TimedSecret, Timestamp, VerifyError, prove};

use super::{BuiltSubject, Checked, GenuineRequest, ensure};

const SECOND: Duration = Duration::from_secs(1);

pub(super) async fn tolerance_edges(
    built: &BuiltSubject<'_>,
    genuine_requests: &[GenuineRequest],
) -> Checked {
    for genuine in genuine_requests.iter().filter(|g| g.signed_by_kit) {
        let Some(own) = built.subject.tolerance else {
            let much_later = genuine.now.plus(Duration::from_secs(10 * 365 * 86_400));
            return expect_code(built, genuine, much_later, None, "").await;
        };
        let given = Duration::from_secs(90);
        let own_future = built.subject.future_tolerance.unwrap_or(own);
        for (tolerance, past, future) in [(None, own, own_future), (Some(given), given, given)] {
            let latest = genuine.now.plus(past);
            let earliest = genuine.now.minus(future);
            expect_code(built, genuine, latest, tolerance, "").await?;
            // The edge lasts a whole second: a sender that signs whole seconds knows no less.
            let end_of_second = latest.plus(SECOND - Duration::from_millis(1));
            expect_code(built, genuine, end_of_second, tolerance, "").await?;
            expect_code(built, genuine, earliest, tolerance, "").await?;
            expect_code(built, genuine, latest.plus(SECOND), tolerance, "TIMESTAMP_TOO_OLD")
                .await?;
            expect_code(built, genuine, earliest.minus(SECOND), tolerance, "TIMESTAMP_IN_FUTURE")
                .await?;
        }
    }
    Ok(())
}

async fn expect_code(
    built: &BuiltSubject<'_>,
    genuine: &GenuineRequest,
    now: Timestamp,
    tolerance: Option<Duration>,
    code: &str,
) -> Checked {
    let cx = genuine.cx(now).with_tolerance(tolerance);
    let found = prove(built.provider, genuine.request.clone(), &cx).await;
    let found = found.err().map_or("", |e| e.code());
    ensure(found == code, || {
        let at = now.as_secs() - genuine.now.as_secs();
        format!(
            "{at} s after it was signed, tolerance {tolerance:?}: `{found}` instead of `{code}`"
        )
    })
}

pub(super) async fn secret_rotation(
    built: &BuiltSubject<'_>,
    genuine_requests: &[GenuineRequest],
) -> Checked {
    for genuine in genuine_requests.iter().filter(|g| g.signed_by_kit) {
        let (own, other) = (&built.subject.secret, &built.subject.other_secret);
        let later = genuine.now.plus(SECOND);
        let timed = |text: &str, until| TimedSecret { secret: Secret::new(text), until };
        let cases = [
            ("alone", vec![timed(own, None)], Some(0)),
            ("second of two", vec![timed(other, None), timed(own, None)], Some(1)),
            ("until later", vec![timed(own, Some(later)), timed(other, None)], Some(0)),
            ("until now", vec![timed(own, Some(genuine.now)), timed(other, None)], None),
            ("not among them", vec![timed(other, None)], None),
            ("and no other", Vec::new(), None),
        ];
        for (case, secrets, expected) in cases {
            let secrets = SecretSet::new(secrets).map_err(|e| e.to_string())?;
            let cx = genuine.cx(genuine.now).with_secrets(secrets.active(genuine.now));
            let found = match prove(built.provider, genuine.request.clone(), &cx).await {
                Ok(Proof::Genuine(delivery)) => Some(delivery.secret_index()),
                Ok(Proof::Handshake(_)) => return Err("an event is treated as a handshake".into()),
                Err(VerifyError::InvalidSignature) => None,
                Err(other) => return Err(format!("the secret {case}: {}", other.code())),
            };
            ensure(found == expected, || {
                format!("the secret {case}: matched {found:?} instead of {expected:?}")
            })?;
        }
    }
    Ok(())
}
