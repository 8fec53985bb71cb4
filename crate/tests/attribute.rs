//! What the attribute takes, what it refuses, and where it points then.

#[test]
fn the_attribute_compiles_on_whatever_has_handlers_and_refuses_the_rest_at_its_line() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/attribute/pass/*.rs");
    cases.compile_fail("tests/attribute/fail/*.rs");
}
