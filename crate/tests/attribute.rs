//! What the attribute takes, what it refuses, and where it points then.

/// What it takes. This is compiled with the tests, which says enough: nothing in it runs.
#[allow(dead_code)]
mod attribute {
    mod pass {
        mod events_with_the_attribute_above;
        mod events_with_the_attribute_below;
        mod object;
        mod scheduled_that_returns_nothing;
        mod workflow;
    }
}

/// `cargo check` is enough for this, because no case has to run.
#[test]
fn the_attribute_compiles_on_whatever_has_handlers_and_refuses_the_rest_at_its_line() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/attribute/fail/*.rs");
}
