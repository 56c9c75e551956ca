//! Runs a file of vectors and reports the vectors that disagree.

use std::fmt::Write as _;
use std::sync::Arc;

use hookward_core::Provider;
use hookward_vectors::{Class, Vector, VectorFile, VectorOutcome, run_handshake, run_vector};

use super::block_on;

/// The result of running a file of vectors.
#[derive(Debug, Default)]
pub struct Report {
    /// Number of vectors in the file.
    pub vectors: usize,
    /// Number of vectors that got their expected verdict.
    pub agree: usize,
    /// Number of set-up requests in the file.
    pub handshakes: usize,
    /// Number of set-up requests that got their expected answer.
    pub handshakes_agree: usize,
    /// For each vector that disagrees: its id, its class, and the expected and the found verdict.
    pub disagreements: Vec<(String, Class, String)>,
}

impl Report {
    /// Fails if a vector disagrees whose id is not in `known`, or if one of `known` agrees.
    ///
    /// # Panics
    /// With the list of these vectors.
    pub fn assert_agrees_but_for(&self, known: &[&str]) {
        let mut wrong = String::new();
        for (id, class, how) in &self.disagreements {
            if !known.contains(&id.as_str()) {
                let _ = writeln!(wrong, "{id} ({class:?}): {how}");
            }
        }
        for id in known {
            if !self.disagreements.iter().any(|(other, ..)| other == id) {
                let _ = writeln!(wrong, "{id} is listed as disagreeing, but agrees");
            }
        }
        assert!(wrong.is_empty(), "vectors disagree:\n{wrong}");
        assert!(self.vectors + self.handshakes > 0, "there are no vectors in this file");
    }

    /// Fails if a vector disagrees.
    ///
    /// # Panics
    /// With the list of these vectors.
    pub fn assert_agrees(&self) {
        self.assert_agrees_but_for(&[]);
    }
}

/// Runs every vector and set-up request of a file. `make` builds the provider for a scheme, or, for a
/// set-up request, for the provider's name.
pub fn run_vectors(make: impl Fn(&str) -> Option<Arc<dyn Provider>>, file: &VectorFile) -> Report {
    let mut report = Report::default();
    for vector in &file.vectors {
        report.vectors += 1;
        let how = match make(&vector.scheme) {
            None => format!("no provider for the scheme {}", vector.scheme),
            Some(provider) => {
                let outcome = block_on(run_vector(&*provider, vector, file.now_default));
                if outcome.matches(vector) {
                    report.agree += 1;
                    continue;
                }
                describe_disagreement(vector, &outcome)
            }
        };
        report.disagreements.push((vector.id.clone(), vector.class, how));
    }
    for handshake in &file.handshakes {
        report.handshakes += 1;
        let how = match make(&handshake.provider) {
            None => format!("no provider for {}", handshake.provider),
            Some(provider) => {
                match block_on(run_handshake(&*provider, handshake, file.now_default)) {
                    Ok(Some(reply)) if handshake.response.matches(&reply) => {
                        report.handshakes_agree += 1;
                        continue;
                    }
                    Err(e) if handshake.response.matches_rejection(&e) => {
                        report.handshakes_agree += 1;
                        continue;
                    }
                    other => format!("{}: {other:?}", handshake.name),
                }
            }
        };
        report.disagreements.push((handshake.id.clone(), Class::Normative, how));
    }
    report
}

fn describe_disagreement(vector: &Vector, outcome: &VectorOutcome) -> String {
    format!(
        "{}: expected {:?} type {:?} id {:?}, found {:?} ({:?}) type {:?} id {:?} answer {:?}",
        vector.name,
        vector.expect,
        vector.event_type,
        vector.event_id,
        outcome.verdict,
        outcome.code,
        outcome.event_type,
        outcome.event_id,
        outcome.reply,
    )
}
