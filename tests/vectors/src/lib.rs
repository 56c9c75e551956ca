#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod format;
mod run;

pub use format::{
    Class, ExpectedResponse, HandshakeVector, RecordedRequest, Vector, VectorFile, VectorInputs,
    Verdict,
};
pub use run::{VectorOutcome, run_handshake, run_vector};
