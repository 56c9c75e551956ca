//! Trust is a type: what nobody has proven cannot be handed to what needs a proof. Each file in
//! `compile-fail` is a way around it that must not compile.

#[test]
fn nothing_unproven_compiles() {
    trybuild::TestCases::new().compile_fail("tests/compile-fail/*.rs");
}
