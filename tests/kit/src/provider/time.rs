//! PROVIDER-9 and -10: tolerance of signed times, and rotation of secrets.

use std::time::Duration;

use hookward_core::{Proof, Secret, SecretSet, TimedSecret, Timestamp, VerifyError, prove};

use super::{Checked, Good, Trial, ensure};

const SECOND: Duration = Duration::from_secs(1);

pub(super) async fn tolerance_edges(trial: &Trial<'_>, goods: &[Good]) -> Checked {
    for good in goods.iter().filter(|g| g.signed_here) {
        let Some(own) = trial.subject.tolerance else {
            let much_later = good.now.plus(Duration::from_secs(10 * 365 * 86_400));
            return expect_code(trial, good, much_later, None, "").await;
        };
        let given = Duration::from_secs(90);
        for (tolerance, span) in [(None, own), (Some(given), given)] {
            let latest = good.now.plus(span);
            let earliest = good.now.minus(span);
            expect_code(trial, good, latest, tolerance, "").await?;
            expect_code(trial, good, earliest, tolerance, "").await?;
            expect_code(trial, good, latest.plus(SECOND), tolerance, "TIMESTAMP_TOO_OLD").await?;
            expect_code(trial, good, earliest.minus(SECOND), tolerance, "TIMESTAMP_IN_FUTURE")
                .await?;
        }
    }
    Ok(())
}

async fn expect_code(
    trial: &Trial<'_>,
    good: &Good,
    now: Timestamp,
    tolerance: Option<Duration>,
    code: &str,
) -> Checked {
    let cx = good.cx(now).with_tolerance(tolerance);
    let found = prove(trial.provider, good.request.clone(), &cx).await;
    let found = found.err().map_or("", |e| e.code());
    ensure(found == code, || {
        let at = now.as_secs() - good.now.as_secs();
        format!(
            "{at} s after it was signed, tolerance {tolerance:?}: `{found}` instead of `{code}`"
        )
    })
}

pub(super) async fn secret_rotation(trial: &Trial<'_>, goods: &[Good]) -> Checked {
    for good in goods.iter().filter(|g| g.signed_here) {
        let (own, other) = (&trial.subject.secret, &trial.subject.other_secret);
        let later = good.now.plus(SECOND);
        let timed = |text: &str, until| TimedSecret { secret: Secret::new(text), until };
        let cases = [
            ("alone", vec![timed(own, None)], Some(0)),
            ("second of two", vec![timed(other, None), timed(own, None)], Some(1)),
            ("until later", vec![timed(own, Some(later)), timed(other, None)], Some(0)),
            ("until now", vec![timed(own, Some(good.now)), timed(other, None)], None),
            ("not among them", vec![timed(other, None)], None),
            ("and no other", Vec::new(), None),
        ];
        for (how, secrets, want) in cases {
            let secrets = SecretSet::new(secrets).map_err(|e| e.to_string())?;
            let cx = good.cx(good.now).with_secrets(secrets.active(good.now));
            let found = match prove(trial.provider, good.request.clone(), &cx).await {
                Ok(Proof::Genuine(delivery)) => Some(delivery.secret_index()),
                Ok(Proof::Handshake(_)) => return Err("an event is treated as a handshake".into()),
                Err(VerifyError::InvalidSignature) => None,
                Err(other) => return Err(format!("the secret {how}: {}", other.code())),
            };
            ensure(found == want, || {
                format!("the secret {how}: matched {found:?} instead of {want:?}")
            })?;
        }
    }
    Ok(())
}
