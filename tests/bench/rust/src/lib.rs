//! The hosts of `tests/bench/js/hosts.mjs`, in Rust.
//!
//! `POST /<host>/<op>?run=R&count=N` makes a host do something N times, from inside its wrapper.
//! The Worker tells the receiver when it begins and when it is done, so the receiver takes the
//! time.

#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "workflow")]
mod flow;
mod object;
mod reporting;

use std::future::Future;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use worker::wasm_bindgen::JsCast;
use worker::{Context, Env, Fetch, Method, Request, RequestInit, Response, Result, Url, event};

use crate::reporting::Place;

/// The error of the hosts.
#[derive(Debug, Error)]
#[error("line {0} of the list is broken: a bracket is not closed")]
struct BrokenLine(usize);

impl From<BrokenLine> for worker::Error {
    fn from(error: BrokenLine) -> Self {
        worker::Error::RustError(error.to_string())
    }
}

/// The work that a host is asked to do.
#[derive(Clone, Serialize, Deserialize)]
pub struct Order {
    op: String,
    run: String,
    count: usize,
}

impl Order {
    fn of(url: &Url) -> Self {
        let query = |name: &str| {
            let mut pairs = url.query_pairs();
            pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
        };
        Order {
            op: url.path().split('/').nth(2).unwrap_or_default().to_owned(),
            run: query("run").unwrap_or_default(),
            count: query("count")
                .and_then(|count| count.parse().ok())
                .unwrap_or(0),
        }
    }
}

#[event(fetch, respond_with_errors)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
    let url = request.url()?;
    match url.path().split('/').nth(1) {
        Some("fetch") => {
            let order = Order::of(&url);
            if order.op == "wrapped" {
                measured(&env, &order, async {
                    for _ in 0..order.count {
                        let _ = reporting::in_main(&env, &context, idle()).await;
                    }
                })
                .await;
            } else if matches!(order.op.as_str(), "fail" | "panic" | "said") {
                let body = work(&env, Place::Fetch, &order);
                reporting::in_main(&env, &context, body).await?;
            } else if order.op == "crumbs" {
                #[cfg(feature = "more")]
                measured(&env, &order, async {
                    for n in 0..order.count {
                        let body = reporting::capture_after_ten(&env, Place::Fetch, n);
                        let _ = reporting::in_main(&env, &context, body).await;
                    }
                })
                .await;
            } else if order.op == "cron" {
                #[cfg(feature = "more")]
                measured(&env, &order, async {
                    for _ in 0..order.count {
                        let _ = reporting::in_cron(&env, &context, idle()).await;
                    }
                })
                .await;
            } else if order.op.starts_with("axum") {
                #[cfg(feature = "axum")]
                axum::calls(&env, &context, &order).await?;
            } else {
                // This call is outside of a run, which would report at most 25 captures.
                work(&env, Place::Fetch, &order).await?;
            }
            Response::ok("done\n")
        }
        Some("alarm") => {
            let object = env.durable_object("BENCH")?.get_by_name("bench")?;
            object.fetch_with_request(request).await
        }
        #[cfg(feature = "workflow")]
        Some("run") => flow::create(&env, Order::of(&url)).await,
        Some("memory") => Response::from_json(&memory()),
        _ => Response::ok("bench\n"),
    }
}

/// Does the work in a host.
async fn work(env: &Env, place: Place, order: &Order) -> Result<(), BrokenLine> {
    match order.op.as_str() {
        "fail" => return Err(BrokenLine(order.count)),
        "panic" => panic!("{}", BrokenLine(order.count)),
        "said" => reporting::said(order.count).await,
        "captures" => {
            measured(env, order, async {
                for n in 0..order.count {
                    reporting::capture(env, place, &BrokenLine(n)).await;
                }
            })
            .await;
        }
        "same" => {
            let error = BrokenLine(0);
            measured(env, order, async {
                for _ in 0..order.count {
                    reporting::capture(env, place, &error).await;
                }
            })
            .await;
        }
        "at-once" => {
            let one = |n| async move { reporting::capture(env, place, &BrokenLine(n)).await };
            measured(env, order, async {
                join_all((0..order.count).map(one)).await;
            })
            .await;
        }
        "nothing" => measured(env, order, async {}).await,
        _ => {}
    }
    Ok(())
}

/// A body that does not fail.
async fn idle() -> Result<(), BrokenLine> {
    Ok(())
}

async fn measured(env: &Env, order: &Order, body: impl Future<Output = ()>) {
    mark(env, "begin", &order.run).await;
    body.await;
    mark(env, "end", &order.run).await;
}

/// Sends a mark to the receiver. The receiver notices a lost mark.
async fn mark(env: &Env, what: &str, run: &str) {
    let told = async {
        let marks = env.var("MARKS")?.to_string();
        let init = RequestInit {
            method: Method::Post,
            ..RequestInit::default()
        };
        let request = Request::new_with_init(&format!("{marks}/mark/{what}/{run}"), &init)?;
        Fetch::Request(request).send().await?.text().await
    };
    let _ = told.await;
}

/// The size of this instance's memory in bytes.
fn memory() -> usize {
    let memory = worker::wasm_bindgen::memory();
    let memory = memory.dyn_into::<worker::js_sys::WebAssembly::Memory>();
    let buffer = memory.map(|memory| memory.buffer().unchecked_into());
    buffer.map_or(0, |buffer: worker::js_sys::ArrayBuffer| {
        buffer.byte_length() as usize
    })
}
