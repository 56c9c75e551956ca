//! Signed timestamps: where they stand, how they are written, how far they may be from now.

use std::borrow::Cow;

use crate::clock::Timestamp;
use crate::exact_json::ExactJson;
use crate::request::Request;
use crate::scheme::compiled_timestamp::{CompiledTimestamp, TimestampLocation};
use crate::scheme::field_location::{BodyJson, FieldLocation, required_json_text};
use crate::scheme::form::{non_empty_header, required_form_text};
use crate::scheme::signature_extract::ExtractedSignature;
use crate::scheme::spec::TimeUnit;
use crate::verification::VerifyCx;
use crate::verify_error::VerifyError;

/// Most digits of a number of seconds or milliseconds: 15 reach the year 33658 in milliseconds.
const MAX_TIMESTAMP_DIGITS: usize = 15;

impl CompiledTimestamp {
    /// The timestamp as received, because that text is what was signed. `None` where it is optional
    /// and the body has none.
    pub(super) fn text<'a>(
        &self,
        signature: &ExtractedSignature<'a>,
        request: &'a Request,
        json: BodyJson<'_>,
    ) -> Result<Option<Cow<'a, str>>, VerifyError> {
        Ok(Some(match &self.location {
            TimestampLocation::SignatureList(key) => Cow::Borrowed(signature.list_value(key)?),
            TimestampLocation::Field(FieldLocation::Header(name)) => {
                Cow::Borrowed(non_empty_header(request.head.required(name)?, name)?)
            }
            TimestampLocation::Field(FieldLocation::Form(field)) => {
                Cow::Owned(required_form_text(request, field)?)
            }
            TimestampLocation::Field(FieldLocation::Pointer(p) | FieldLocation::Root(p)) => {
                let is_absent =
                    |body: ExactJson<'_>| body.pointer(p).is_none_or(|time| time.value().is_null());
                if self.optional && json.read()?.is_none_or(is_absent) {
                    return Ok(None);
                }
                Cow::Owned(required_json_text(json, p)?)
            }
        }))
    }

    /// Checks that the timestamp is within the tolerance of the source, else that of the scheme, on
    /// either side of now.
    pub(super) fn check(&self, text: &str, cx: &VerifyCx<'_>) -> Result<(), VerifyError> {
        cx.check_time(self.parse(text)?, self.past, self.future)
    }

    /// Parses a timestamp in the scheme's unit.
    pub(super) fn parse(&self, text: &str) -> Result<Timestamp, VerifyError> {
        let expected = match self.unit {
            TimeUnit::S => "a number of seconds since 1970",
            TimeUnit::Ms => "a number of milliseconds since 1970",
            TimeUnit::Rfc3339 => "a time by RFC 3339",
        };
        self.parse_text(text)
            .ok_or_else(|| VerifyError::invalid_format(format!("the timestamp is not {expected}")))
    }

    /// `None` for a text of another form. A sign, a fraction and white space are rejected too: the
    /// text is signed as it is, and each time should have one form.
    fn parse_text(&self, text: &str) -> Option<Timestamp> {
        if self.unit == TimeUnit::Rfc3339 {
            return Timestamp::parse_rfc3339(text);
        }
        let is_number = (1..=MAX_TIMESTAMP_DIGITS).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_digit());
        let number = is_number.then(|| text.parse().ok()).flatten()?;
        Some(if self.unit == TimeUnit::S {
            Timestamp::from_secs(number)
        } else {
            Timestamp::from_millis(number)
        })
    }
}
