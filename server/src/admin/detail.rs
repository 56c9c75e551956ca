//! One event as JSON: everything that is known of it.

use data_encoding::BASE64;
use hookward_core::store::{EventDetail, JobDetail, JobState};
use serde_json::{Map, Value, json};

/// Kept headers whose values are shown shortened: they can identify a person or a session.
const REDACTED: &[&str] =
    &["authorization", "cookie", "set-cookie", "x-forwarded-for", "proxy-authorization"];

pub(crate) fn of(detail: &EventDetail) -> Value {
    let mut value = json!(detail.summary);
    let Some(page) = value.as_object_mut() else { return value };
    page.insert("headers".to_owned(), headers(detail));
    let bytes = detail.event.body().bytes();
    match std::str::from_utf8(bytes) {
        Ok(text) => page.insert("body".to_owned(), text.into()),
        Err(_) => page.insert("bodyBase64".to_owned(), BASE64.encode(bytes).into()),
    };
    page.insert("bodyBytes".to_owned(), bytes.len().into());
    page.insert("notes".to_owned(), json!(detail.notes));
    page.insert("duplicatesByContent".to_owned(), json!(detail.content_duplicates));
    // `jobs` of a listing are counts; here they are the jobs themselves, and the counts move aside.
    if let Some(counts) = page.remove("jobs") {
        page.insert("jobCounts".to_owned(), counts);
    }
    page.insert("jobs".to_owned(), detail.jobs.iter().map(|job| job_of(detail, job)).collect());
    page.insert("attempts".to_owned(), attempts(detail));
    value
}

fn headers(detail: &EventDetail) -> Value {
    let shown = |(name, value): &(String, String)| {
        let hidden = REDACTED.contains(&name.as_str());
        let value = if hidden { "[redacted]" } else { value };
        (name.clone(), Value::from(value))
    };
    Value::Object(detail.event.headers().iter().map(shown).collect::<Map<_, _>>())
}

fn job_of(detail: &EventDetail, job: &JobDetail) -> Value {
    let mut value = json!(job);
    if let Some(object) = value.as_object_mut() {
        object.insert("id".to_owned(), format!("{}.{}", detail.event.id(), job.n).into());
    }
    value
}

/// Every attempt of every job, in the order of their jobs.
fn attempts(detail: &EventDetail) -> Value {
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

/// The dead jobs, with why they died.
pub(crate) fn dead_jobs(detail: &EventDetail) -> Value {
    let dead = detail.jobs.iter().filter(|job| job.state == JobState::Dead);
    let line = |job: &JobDetail| {
        json!({
            "id": format!("{}.{}", detail.event.id(), job.n),
            "route": job.route, "step": job.step, "attempt": job.attempt, "reason": job.reason,
        })
    };
    dead.map(line).collect()
}
