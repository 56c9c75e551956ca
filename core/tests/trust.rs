//! Code that would bypass the proof must not compile. Each file in `compile-fail` tries one bypass, and
//! its `.stderr` is the compiler's answer.

#[test]
fn code_that_bypasses_the_proof_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile-fail/*.rs");
}
