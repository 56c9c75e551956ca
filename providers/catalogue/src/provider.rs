//! A sender of the catalogue as a provider: its scheme, and what its data file says about probes and
//! answers.

use async_trait::async_trait;
use hookward_core::scheme::{CompiledScheme, form_pairs};
use hookward_core::{
    Head, Provider, Receipt, Reply, Request, Verification, Verified, VerifyCx, VerifyError,
    may_be_unsigned_probe, parse_strict, unsigned_probe_body,
};
use http::{Method, StatusCode};
use serde_json::Value;

use crate::entry::Probe;

/// The most digits of a number in a probe.
const MAX_NUMBER_DIGITS: usize = 20;

/// The provider of one data file.
#[derive(Debug)]
pub(crate) struct DataProvider {
    pub(crate) scheme: CompiledScheme,
    /// The header of the signature, in lower case.
    pub(crate) signature_header: String,
    pub(crate) probe: Option<Probe>,
    /// Whether the sender tries a URL with HEAD.
    pub(crate) answers_head: bool,
    /// Whether the answer is an empty 200.
    pub(crate) empty_answer: bool,
}

impl DataProvider {
    fn is_head_probe(&self, head: &Head) -> bool {
        self.answers_head && head.method == Method::HEAD
    }

    /// Whether a request is the sender's probe without a signature. The whole body is compared, so
    /// that no event can be taken for it.
    fn is_unsigned_probe(&self, request: &Request) -> bool {
        let Some(probe) = &self.probe else { return false };
        let Some(body) = unsigned_probe_body(request, &self.signature_header) else { return false };
        probe.fits_head(&request.head) && probe.fits_body(body)
    }
}

impl Probe {
    fn fits_head(&self, head: &Head) -> bool {
        self.header.as_ref().is_none_or(|(name, value)| {
            head.single(name).is_ok_and(|found| found == Some(value.as_str()))
        })
    }

    fn fits_body(&self, body: &[u8]) -> bool {
        let is_number = |value: &[u8]| {
            (1..=MAX_NUMBER_DIGITS).contains(&value.len()) && value.iter().all(u8::is_ascii_digit)
        };
        let fits_form = |field: &String| {
            let mut pairs = form_pairs(body);
            let only = (pairs.next(), pairs.next());
            matches!(only, (Some((name, value)), None) if name == field.as_bytes() && is_number(&value))
        };
        let fits_json = |json: &Value| parse_strict(body).is_ok_and(|found| found == *json);
        self.form_number.as_ref().is_none_or(fits_form) && self.json.as_ref().is_none_or(fits_json)
    }
}

#[async_trait]
impl Provider for DataProvider {
    fn scheme(&self) -> Option<&CompiledScheme> {
        Some(&self.scheme)
    }

    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        let may_be_probe = |probe: &Probe| {
            may_be_unsigned_probe(head, &self.signature_header) && probe.fits_head(head)
        };
        if self.is_head_probe(head) || self.probe.as_ref().is_some_and(may_be_probe) {
            return Ok(());
        }
        self.scheme.precheck(head)
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        if self.is_head_probe(&request.head) || self.is_unsigned_probe(request) {
            return Ok(Verification::Handshake(Reply::empty(StatusCode::OK).into()));
        }
        self.scheme.verify(request, cx).map(|secret| Verification::Genuine { secret })
    }

    fn reply(&self, _: &Verified, receipt: &Receipt) -> Reply {
        if self.empty_answer { Reply::empty(StatusCode::OK) } else { Reply::received(receipt) }
    }
}
