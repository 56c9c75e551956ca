//! The pinned cases: `malformed/cases.json`, each with what is sent and what must come back. In `send`
//! a character up to U+00FF is one byte.

use serde_json::Value;

/// One case.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// The statuses of all answers until the server closed; none, it closed without a word.
    pub(crate) answers: Vec<u16>,
    /// The `code` in the last answer's body.
    pub(crate) code: Option<String>,
    send: Vec<Value>,
}

pub(crate) fn cases() -> Vec<Case> {
    let all: Vec<Value> = serde_json::from_str(include_str!("cases.json")).unwrap();
    let case = |case: Value| Case {
        name: case["name"].as_str().unwrap().to_owned(),
        answers: serde_json::from_value(case["answers"].clone()).unwrap(),
        code: case["code"].as_str().map(str::to_owned),
        send: case["send"].as_array().unwrap().clone(),
    };
    all.into_iter().map(case).collect()
}

impl Case {
    /// What is sent: texts, repetitions, and Stripe's signature of a body, as of now.
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
