//! The fields of a form, `application/x-www-form-urlencoded` or `multipart/form-data` (RFC 7578).

use std::future::{Future as _, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::stream;

use crate::body_error::BodyError;
use crate::form_pairs::form_pairs;

/// The most fields of a form. PHP, which most senders of forms are written for, takes 1,000.
const MAX_FIELDS: usize = 10_000;
/// The most parts of a multipart body. Each takes some hundred bytes beside its content.
const MAX_PARTS: usize = 1000;

/// One field of a form, or one part of a multipart body.
///
/// ```
/// use hookward_core::Body;
///
/// let text = "--x\r\nContent-Disposition: form-data; name=\"doc\"; filename=\"a.txt\"\r\n\r\nhi\r\n--x--\r\n";
/// let body = Body::received(text, Some("multipart/form-data; boundary=x"), None);
/// let fields = body.form_fields().unwrap().unwrap();
/// assert_eq!(fields[0].filename(), Some("a.txt"));
/// assert_eq!(&fields[0].bytes()[..], b"hi");
/// ```
#[derive(Clone)]
pub struct FormField {
    name: String,
    filename: Option<String>,
    content_type: Option<String>,
    bytes: Bytes,
}

impl FormField {
    /// The field's name, decoded. Not unique.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the file, as the sender wrote it: never use it as a path.
    pub fn filename(&self) -> Option<&str> {
        self.filename.as_deref()
    }

    /// The media type of a part; `None` for a field of an urlencoded form.
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// The value, decoded.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn is_json(&self) -> bool {
        self.content_type().is_some_and(|text| {
            let essence = text.split(';').next().unwrap_or_default().trim();
            essence.eq_ignore_ascii_case("application/json")
        })
    }

    pub(crate) fn is_file(&self) -> bool {
        self.filename.is_some()
    }
}

/// Shows name and size, so that no payload reaches a log.
impl std::fmt::Debug for FormField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FormField({}, {} bytes)", self.name, self.bytes.len())
    }
}

/// The fields of an urlencoded form, in order.
pub(crate) fn urlencoded_fields(form: &[u8]) -> Result<Vec<FormField>, BodyError> {
    let mut fields = Vec::new();
    for (name, value) in form_pairs(form) {
        if fields.len() == MAX_FIELDS {
            return Err(BodyError::new(format!("the form has more than {MAX_FIELDS} fields")));
        }
        let name = String::from_utf8_lossy(&name).into_owned();
        let bytes = value.into();
        fields.push(FormField { name, filename: None, content_type: None, bytes });
    }
    Ok(fields)
}

/// The parts of a multipart body, in order.
pub(crate) fn multipart_fields(body: &Bytes, boundary: &str) -> Result<Vec<FormField>, BodyError> {
    let mut reading = pin!(read_parts(body.clone(), boundary));
    match reading.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(fields) => fields,
        // Never: all of the body is there.
        Poll::Pending => Err(BodyError::new("the multipart body cannot be read")),
    }
}

async fn read_parts(body: Bytes, boundary: &str) -> Result<Vec<FormField>, BodyError> {
    let error = |e: multer::Error| BodyError::new(format!("the multipart body: {}", reason(&e)));
    let whole = stream::once(ready(Ok::<_, std::convert::Infallible>(body)));
    let mut multipart = multer::Multipart::new(whole, boundary);
    let mut fields = Vec::new();
    while let Some(part) = multipart.next_field().await.map_err(error)? {
        if fields.len() == MAX_PARTS {
            return Err(BodyError::new(format!("the body has more than {MAX_PARTS} parts")));
        }
        let name = part.name().unwrap_or_default().to_owned();
        let filename = part.file_name().map(str::to_owned);
        let content_type = part.content_type().map(ToString::to_string);
        let bytes = part.bytes().await.map_err(error)?;
        fields.push(FormField { name, filename, content_type, bytes });
    }
    Ok(fields)
}

/// The kind of an error. Its own text may quote the body.
fn reason(error: &multer::Error) -> &'static str {
    match error {
        multer::Error::IncompleteHeaders | multer::Error::ReadHeaderFailed(_) => {
            "the headers of a part are malformed"
        }
        multer::Error::IncompleteFieldData { .. } | multer::Error::IncompleteStream => {
            "it ends within a part"
        }
        multer::Error::DecodeContentType(_) => "the type of a part is malformed",
        multer::Error::DecodeHeaderName { .. } | multer::Error::DecodeHeaderValue { .. } => {
            "a header of a part is not UTF-8"
        }
        _ => "it is malformed",
    }
}
