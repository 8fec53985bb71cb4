use laboratory::EXPERIMENTS;

#[test]
fn print() {
    for it in EXPERIMENTS {
        println!(
            "## {} {}\n{}\n\n{}\n",
            it.id,
            laboratory::Run::of(it.run).view().done.join("."),
            it.outcome(),
            it.steps()
        );
    }
}
