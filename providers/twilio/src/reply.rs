//! The answers to Twilio, which reads the body of most of them: the provider calls this module.

use hookward_core::scheme::form_value;
use hookward_core::{Receipt, Reply, Verified};
use http::{HeaderValue, StatusCode, header};

use crate::signature::BODY_HASH_PARAMETER;

/// TwiML without an instruction. It ends a call, and sends no message.
const EMPTY_TWIML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response/>";

/// Returns the answer to a verified delivery.
///
/// - A call or a message: empty TwiML as `text/xml`. Any other media type is error 12300
///   (<https://www.twilio.com/docs/api/errors/12300>), and a missing one error 11200.
/// - A status callback: the same, as the page on error 15003 asks for
///   (<https://www.twilio.com/docs/api/errors/15003>).
/// - Conversations and TaskRouter: `{}`. They read JSON that changes a message or assigns a task,
///   and this changes nothing (<https://www.twilio.com/docs/conversations/conversations-webhooks>,
///   <https://www.twilio.com/docs/taskrouter/handle-assignment-callbacks>).
/// - Event Streams and other JSON: the default answer, of which only the status is read
///   (<https://www.twilio.com/docs/events/webhook-quickstart>).
pub(crate) fn reply(delivery: &Verified, receipt: &Receipt) -> Reply {
    let query = delivery.head().query().unwrap_or_default().as_bytes();
    let body = delivery.body().bytes();
    let has = |bytes: &[u8], name: &str| form_value(bytes, name).is_ok_and(|v| v.is_some());
    if has(query, BODY_HASH_PARAMETER) && !body.is_empty() {
        return Reply::received(receipt);
    }
    let fields: &[u8] = if body.is_empty() { query } else { body };
    let reads_json = ["EventType", "WorkspaceSid"].iter().any(|name| has(fields, name));
    let (media_type, text) =
        if reads_json { ("application/json", "{}") } else { ("text/xml", EMPTY_TWIML) };
    Reply::empty(StatusCode::OK)
        .with_header(header::CONTENT_TYPE, HeaderValue::from_static(media_type))
        .with_body(text)
}
