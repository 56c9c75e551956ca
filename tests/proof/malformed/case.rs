//! The pinned cases of `cases.json`, each with the bytes to send and the expected answers. In
//! `send`, each character up to U+00FF stands for one byte.

use serde_json::Value;

/// One pinned case.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// Statuses of all answers until the server closes; empty if it closes without an answer.
    pub(crate) answers: Vec<u16>,
    /// Expected `code` in the last answer's body.
    pub(crate) code: Option<String>,
    /// Whether the last answer says that the connection is closed.
    pub(crate) closes: bool,
    /// Statuses of all answers with `server.strict_framing`, where they are others.
    pub(crate) strict: Option<Vec<u16>>,
    send: Vec<Value>,
}

/// Returns all pinned cases.
pub(crate) fn cases() -> Vec<Case> {
    let all: Vec<Value> = serde_json::from_str(include_str!("cases.json")).unwrap();
    let case = |case: Value| Case {
        name: case["name"].as_str().unwrap().to_owned(),
        answers: serde_json::from_value(case["answers"].clone()).unwrap(),
        code: case["code"].as_str().map(str::to_owned),
        closes: case["closes"] == true,
        strict: serde_json::from_value(case["strict"].clone()).unwrap(),
        send: case["send"].as_array().unwrap().clone(),
    };
    all.into_iter().map(case).collect()
}

impl Case {
    /// Returns the bytes to send: texts, repetitions, and Stripe signatures with the current time.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for part in &self.send {
            if let Some(body) = part["stripe"].as_str() {
                let now = crate::sender::now();
                let signed = crate::sender::stripe_raw("evt", "x.y", body.as_bytes(), now);
                let value = signed.headers.iter().find(|(name, _)| name == "stripe-signature");
                all.extend_from_slice(value.unwrap().1.as_bytes());
                continue;
            }
            let text = part.as_str().or(part["repeat"].as_str()).unwrap();
            let bytes: Vec<u8> =
                text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
            let times = part["times"].as_u64().unwrap_or(1);
            (0..times).for_each(|_| all.extend_from_slice(&bytes));
        }
        all
    }
}
