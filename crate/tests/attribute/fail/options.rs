use worker_sentry::with_sentry;

#[with_sentry(klass = "Other")]
impl DurableObject for Klass {}

#[with_sentry(class = "One", class = "Two")]
impl DurableObject for Twice {}

#[with_sentry(skip(new), background(new))]
impl DurableObject for Both {
    fn new() {}
}

#[with_sentry(fetch)]
impl DurableObject for Event {}

#[with_sentry]
impl DurableObject for Macro {
    handlers!();
}

#[with_sentry]
impl DurableObject for Sync {
    fn fetch(&self) {}
}

#[with_sentry]
struct Thing;

fn main() {}
