//! One event as JSON: its summary, headers, body, notes, content duplicates, jobs and attempts.

use data_encoding::BASE64;
use hookward_core::store::{EventDetail, JobDetail, JobState};
use serde_json::{Map, Value, json};

/// Kept headers whose values are replaced by `[redacted]`: they can identify a person or a session.
const REDACTED_HEADERS: &[&str] =
    &["authorization", "cookie", "set-cookie", "x-forwarded-for", "proxy-authorization"];

/// Everything that the store holds of an event.
pub(crate) fn event_json(detail: &EventDetail) -> Value {
    let mut value = json!(detail.summary);
    let Some(object) = value.as_object_mut() else { return value };
    object.insert("headers".to_owned(), headers_json(detail));
    let bytes = detail.event.body().bytes();
    match std::str::from_utf8(bytes) {
        Ok(text) => object.insert("body".to_owned(), text.into()),
        Err(_) => object.insert("bodyBase64".to_owned(), BASE64.encode(bytes).into()),
    };
    object.insert("bodyBytes".to_owned(), bytes.len().into());
    object.insert("notes".to_owned(), json!(detail.notes));
    object.insert("contentDuplicates".to_owned(), json!(detail.content_duplicates));
    // `jobs` of a listing are counts; here they are the jobs themselves, and the counts get a name
    // of their own.
    if let Some(counts) = object.remove("jobs") {
        object.insert("jobCounts".to_owned(), counts);
    }
    let jobs = detail.jobs.iter().map(|job| job_json(detail, job)).collect();
    object.insert("jobs".to_owned(), jobs);
    object.insert("attempts".to_owned(), attempts_json(detail));
    value
}

fn headers_json(detail: &EventDetail) -> Value {
    let header = |(name, value): &(String, String)| {
        let is_redacted = REDACTED_HEADERS.contains(&name.as_str());
        let value = if is_redacted { "[redacted]" } else { value };
        (name.clone(), Value::from(value))
    };
    Value::Object(detail.event.headers().iter().map(header).collect::<Map<_, _>>())
}

fn job_json(detail: &EventDetail, job: &JobDetail) -> Value {
    let mut value = json!(job);
    if let Some(object) = value.as_object_mut() {
        object.insert("id".to_owned(), format!("{}.{}", detail.event.id(), job.n).into());
    }
    value
}

/// The attempts of all jobs in one list, in the order of the jobs, each with its route.
fn attempts_json(detail: &EventDetail) -> Value {
    let of_job = |job: &JobDetail| {
        let route = job.route.clone();
        job.attempts.clone().into_iter().map(move |attempt| {
            let mut value = json!(attempt);
            if let Some(object) = value.as_object_mut() {
                object.insert("route".to_owned(), route.clone().into());
            }
            value
        })
    };
    detail.jobs.iter().flat_map(of_job).collect()
}

/// The dead jobs of an event, each with the step that failed and the reason.
pub(crate) fn dead_jobs_json(detail: &EventDetail) -> Value {
    let dead = detail.jobs.iter().filter(|job| job.state == JobState::Dead);
    let job_json = |job: &JobDetail| {
        json!({
            "id": format!("{}.{}", detail.event.id(), job.n),
            "route": job.route, "step": job.step, "attempt": job.attempt, "reason": job.reason,
        })
    };
    dead.map(job_json).collect()
}
