//! Targets `records` and `vectors`: the text forms of stored ids, states, attempts and answers, and
//! files of test vectors.

use hookward_core::EventId;
use hookward_core::store::{AttemptRecord, EventStatus, JobId};
use hookward_vectors::{VectorFile, run_vector};

use super::input::text;
use super::senders::{self, poll_once};

#[path = "../../stores/sqlite/src/reply_codec.rs"]
mod reply_codec;

/// Parses the bytes as each record. What parses must encode and parse to the same value.
pub fn run(data: &[u8]) {
    if let Some(reply) = reply_codec::decode(data) {
        assert_eq!(reply_codec::decode(&reply_codec::encode(&reply)), Some(reply));
    }
    let Some(text) = text(data) else { return };
    if let Ok(job) = text.parse::<JobId>() {
        assert_eq!(job.to_string().parse(), Ok(job));
    }
    if let Ok(id) = text.parse::<EventId>() {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    if let Ok(status) = text.parse::<EventStatus>() {
        assert_eq!(status.as_str().parse(), Ok(status));
    }
    if let Ok(attempts) = serde_json::from_str::<Vec<AttemptRecord>>(&format!("[{text}]")) {
        let written: Vec<_> =
            attempts.iter().filter_map(|a| serde_json::to_string(a).ok()).collect();
        let again: Vec<AttemptRecord> =
            serde_json::from_str(&format!("[{}]", written.join(","))).unwrap_or_default();
        assert_eq!(format!("{attempts:?}"), format!("{again:?}"));
    }
}

/// Runs a file of test vectors, as `hookward verify --vectors` does.
pub fn vectors(data: &[u8]) {
    let Ok(file) = serde_json::from_slice::<VectorFile>(data) else { return };
    for vector in file.vectors.iter().take(4) {
        let Some(sender) = senders::by_name_or_hash(vector.provider.as_bytes()) else { return };
        let Some(outcome) = poll_once(run_vector(&*sender.provider, vector, file.now_default))
        else {
            return;
        };
        let _ = outcome.matches(vector);
    }
}
