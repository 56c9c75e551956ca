//! Signed times: where they are, how they are written, how far they may be away. Called by `verify`.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value;

use crate::clock::Timestamp;
use crate::provider::VerifyCx;
use crate::request::Request;
use crate::scheme::compiled::{CompiledTime, TimeSource};
use crate::scheme::field_location::{FieldLocation, json_text};
use crate::scheme::form::{form_text, non_empty};
use crate::scheme::signature_extract::{ExtractedSignature, single_pair};
use crate::scheme::spec::TimeUnit;
use crate::verify_error::VerifyError;

impl CompiledTime {
    /// The text, as it was signed.
    pub(super) fn text<'a>(
        &self,
        given: &ExtractedSignature<'a>,
        request: &'a Request,
        json: Option<&Value>,
    ) -> Result<Cow<'a, str>, VerifyError> {
        Ok(match &self.from {
            TimeSource::Sig(key) => Cow::Borrowed(single_pair(given, key)?),
            TimeSource::At(FieldLocation::Header(name)) => {
                Cow::Borrowed(non_empty(request.head.required(name)?, name)?)
            }
            TimeSource::At(FieldLocation::Form(field)) => Cow::Owned(form_text(request, field)?),
            TimeSource::At(FieldLocation::Pointer(p) | FieldLocation::Root(p)) => {
                Cow::Owned(json_text(json, p)?)
            }
        })
    }
}

/// Judges the signed time: the tolerance of the source, else that of the scheme, both ways.
pub(super) fn check(spec: &CompiledTime, text: &str, cx: &VerifyCx<'_>) -> Result<(), VerifyError> {
    let at = parse(text, spec.unit).ok_or_else(bad)?;
    let (past, future) = cx.tolerance.map_or((spec.past, spec.future), |t| (t, t));
    let (age, ahead) = match spec.unit {
        // Whole seconds against whole seconds: at the edge exactly still passes.
        TimeUnit::S => {
            let diff = cx.now.as_secs().saturating_sub(at.as_secs());
            let secs = |n: i64| Duration::from_secs(u64::try_from(n).unwrap_or(0));
            (secs(diff), secs(diff.saturating_neg()))
        }
        TimeUnit::Ms | TimeUnit::Rfc3339 => (cx.now.since(at), at.since(cx.now)),
    };
    if age > past {
        Err(VerifyError::TimestampTooOld { age, tolerance: past })
    } else if ahead > future {
        Err(VerifyError::TimestampInFuture { ahead, tolerance: future })
    } else {
        Ok(())
    }
}

pub(super) fn parse(text: &str, unit: TimeUnit) -> Option<Timestamp> {
    if unit == TimeUnit::Rfc3339 {
        return Timestamp::parse_rfc3339(text);
    }
    let digits = (1..=15).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten()?;
    Some(if unit == TimeUnit::S {
        Timestamp::from_secs(number)
    } else {
        Timestamp::from_millis(number)
    })
}

pub(super) fn bad() -> VerifyError {
    VerifyError::invalid_format("the timestamp is not of the expected form")
}
