//! The obvious guard: the first handler stores the future that loads the client, and all
//! handlers await it. The crate does not do this, and the laboratory shows why.

use std::cell::RefCell;
use std::error::Error;
use std::rc::Rc;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, Shared};
use worker_sentry::Handler;
use worker_sentry::laboratory::{Client, Platform};

// ANCHOR: naive
/// The load that everybody awaits.
type Load = Shared<LocalBoxFuture<'static, Option<Client>>>;

/// What the isolate keeps.
#[derive(Clone, Default)]
pub struct Naive(Rc<RefCell<Option<Load>>>);

impl Naive {
    /// One capture: awaits the load, whoever began it, and sends.
    pub async fn capture<E: Error + 'static>(
        &self,
        platform: &Platform,
        class: &'static str,
        handler: Handler,
        error: &E,
    ) {
        if !platform.has_dsn() {
            return;
        }
        let load = {
            let mut kept = self.0.borrow_mut();
            let first = platform.clone();
            let load = kept.get_or_insert_with(|| {
                let load = async move { first.load().await };
                load.boxed_local().shared()
            });
            load.clone()
        };
        if let Some(client) = load.await {
            platform.send(&client, class, handler, error).await;
        }
    }
}
// ANCHOR_END: naive

impl Naive {
    /// The guard's state, by the name of the crate's corresponding state.
    pub fn state(&self) -> &'static str {
        match self.0.borrow().as_ref().map(Shared::peek) {
            None => "absent",
            Some(None) => "loading",
            Some(Some(Some(_))) => "ready",
            Some(Some(None)) => "failed for good",
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::run::{Guard, Run};

    #[test]
    fn a_load_that_all_share_leaves_whoever_did_not_begin_it_with_nothing_to_wait_for() {
        let run = Run::of("naive.alarm.run");
        let waits: Vec<_> = (0..4).map(|lane| run.waits(lane).len()).collect();
        assert_eq!(waits, [2, 1, 1, 0]);
    }

    #[test]
    fn a_load_that_all_share_and_that_failed_silences_the_isolate() {
        let run = Run::of("naive.store-fails-once.alarm.end.alarm.end");
        assert_eq!(run.state(Guard::Ours), "ready");
        assert_eq!(run.state(Guard::Naive), "failed for good");
    }
}
