//! Traces over queues.

use std::future::Future;

use serde::Serialize;
use serde_wasm_bindgen::Serializer;
use worker::wasm_bindgen::JsValue;
use worker::{
    Message, MessageBatch, MessageExt, Queue, QueueContentType, RawMessageBuilder, Result,
    SendMessage,
};

use super::propagation::{TraceHeaders, current_trace};
use super::recording;
#[cfg(feature = "spans")]
use crate::item::transaction::Source;
use crate::scope::{Scope, resume};
use crate::trace::baggage;
use crate::trace::run::{Origin, Position};

/// Sends messages that pass the trace of the current run on.
///
/// ```no_run
/// use serde::Serialize;
/// use worker::{Env, Result};
/// use worker_sentry::TracedQueue;
///
/// #[derive(Serialize)]
/// struct Job {
///     list: String,
/// }
///
/// async fn enqueue(env: &Env, list: String) -> Result<()> {
///     env.queue("JOBS")?.traced_send(&Job { list }).await
/// }
/// ```
pub trait TracedQueue {
    /// Sends a message as JSON, as [`Queue::send`] does, with the trace of the current run in
    /// it.
    ///
    /// The trace is the additional property `__sentry_trace` of the message's object. The consumer
    /// removes it with [`message_traces`] before it reads a message; other consumers see the
    /// property. A message that is not an object (a text, a list) is sent unchanged. Outside of a
    /// wrapper or without a DSN, every message is sent unchanged. Waits as [`current_trace`] does.
    ///
    /// # Errors
    ///
    /// If the message cannot be serialised, or the runtime does not take it.
    fn traced_send<T: Serialize + ?Sized>(&self, message: &T) -> impl Future<Output = Result<()>>;

    /// Sends messages as [`Queue::send_batch`] does, each with the trace of the current run in
    /// it.
    ///
    /// The trace adds about 400 bytes to each message; the limits are 1,200 bytes for one message
    /// and 64 KB for all of them. If the incoming `baggage` is larger, entries are left out, first
    /// those that Sentry does not specify. A queue takes [256 KB at once].
    ///
    /// [256 KB at once]: https://developers.cloudflare.com/queues/platform/limits/
    ///
    /// ```no_run
    /// use worker::{Env, Result};
    /// use worker_sentry::TracedQueue;
    ///
    /// async fn enqueue(env: &Env, lists: &[serde_json::Value]) -> Result<()> {
    ///     env.queue("JOBS")?.traced_send_batch(lists).await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails as [`traced_send`](Self::traced_send) does. If one message cannot be serialised, no
    /// message is sent.
    fn traced_send_batch<T: Serialize>(&self, messages: &[T]) -> impl Future<Output = Result<()>>;
}

impl TracedQueue for Queue {
    async fn traced_send<T: Serialize + ?Sized>(&self, message: &T) -> Result<()> {
        let sending = async { self.send_raw(json(message, 1).await?).await };
        #[cfg(feature = "spans")]
        let sending = super::spans::publish(sending);
        sending.await
    }

    async fn traced_send_batch<T: Serialize>(&self, messages: &[T]) -> Result<()> {
        let sending = async {
            let mut batch = Vec::with_capacity(messages.len());
            for message in messages {
                batch.push(json(message, messages.len()).await?);
            }
            self.send_raw_batch(batch).await
        };
        #[cfg(feature = "spans")]
        let sending = super::spans::publish(sending);
        sending.await
    }
}

/// One message as JSON; `of` is the number of messages that are sent together.
async fn json<T: Serialize + ?Sized>(message: &T, of: usize) -> Result<SendMessage<JsValue>> {
    let message = RawMessageBuilder::new(traced(message, of).await?);
    Ok(message.build_with_content_type(QueueContentType::Json))
}

/// Serialises a message with the trace of the current run in it, for [`RawMessageBuilder`] and
/// [`Queue::send_raw_batch`]. The trace has at most 1,200 bytes. Waits as [`current_trace`]
/// does.
///
/// ```no_run
/// use worker::{Queue, QueueContentType, RawMessageBuilder, Result};
/// use worker_sentry::traced_message;
///
/// async fn later(queue: &Queue, job: &serde_json::Value) -> Result<()> {
///     let message = RawMessageBuilder::new(traced_message(job).await?).delay_seconds(60);
///     queue.send_raw(message.build_with_content_type(QueueContentType::Json)).await
/// }
/// ```
///
/// # Errors
///
/// If the message cannot be serialised.
pub async fn traced_message<T: Serialize + ?Sized>(message: &T) -> Result<JsValue> {
    traced(message, 1).await
}

async fn traced<T: Serialize + ?Sized>(message: &T, of: usize) -> Result<JsValue> {
    let message = message.serialize(&Serializer::json_compatible())?;
    if let Some(trace) = current_trace().await {
        trace.within(baggage::room(of)).put_into(&message);
    }
    Ok(message)
}

/// Removes the traces from the messages of a batch and returns them. Call it before the
/// messages are read.
///
/// Works without a DSN too, so that the consumer's types never meet the additional property.
///
/// ```no_run
/// use serde::Deserialize;
/// use worker::{MessageBatch, MessageExt, Result};
/// use worker_sentry::message_traces;
///
/// #[derive(Deserialize)]
/// struct Job {
///     list: String,
/// }
///
/// async fn consume(batch: MessageBatch<Job>) -> Result<()> {
///     let traces = message_traces(&batch);
///     for message in batch.messages()? {
///         traces.continue_in(&message, compile(&message.body().list)).await?;
///         message.ack();
///     }
///     Ok(())
/// }
/// # async fn compile(list: &str) -> Result<()> { Ok(()) }
/// ```
pub fn message_traces<T>(batch: &MessageBatch<T>) -> MessageTraces {
    #[cfg(feature = "spans")]
    if let Some(scope) = Scope::current() {
        let queue = batch.queue();
        scope.set_data(
            "messaging.batch.message_count",
            batch.raw_iter().count() as u64,
        );
        scope.suggest_name(["process ", &*queue].concat(), Source::Task);
        scope.set_data("messaging.destination.name", queue);
    }
    let traced = |message: worker::RawMessage| {
        let trace = TraceHeaders::take_from(&message.body())?;
        Some((message.id(), trace))
    };
    MessageTraces(batch.raw_iter().filter_map(traced).collect())
}

/// The traces of a batch's messages. Made by [`message_traces`].
#[derive(Clone, Debug, Default)]
pub struct MessageTraces(Vec<(String, TraceHeaders)>);

impl MessageTraces {
    /// The trace that a message carried, if any.
    pub fn of<T>(&self, message: &Message<T>) -> Option<&TraceHeaders> {
        let id = message.id();
        let mut traces = self.0.iter();
        traces.find(|(each, _)| *each == id).map(|(_, trace)| trace)
    }

    /// Runs `body`, the work for one message, as a part of that message's trace.
    ///
    /// The run of the handler itself continues the trace of the first message that this is called
    /// for, so an error that the handler returns is in that trace. If a batch has several messages,
    /// capture the errors of each message within `body`. A panic of `body` is passed on.
    pub async fn continue_in<T, F: Future>(&self, message: &Message<T>, body: F) -> F::Output {
        let body = std::pin::pin!(body);
        let (Some(scope), Some(trace)) = (Scope::current(), self.of(message)) else {
            return body.await;
        };
        let origin: std::rc::Rc<dyn Origin> = std::rc::Rc::new(trace.clone());
        if scope.position().run().continues(origin.clone()) {
            return body.await;
        }
        let position = Position::default();
        position.run().continues(origin);
        let inner = Scope::at(Some(scope.clone()), scope.place().clone(), position);
        let inner = recording::begin_message(&scope, inner);
        let outcome = inner.run(body).await;
        recording::end_message(&scope, &inner, outcome.is_ok());
        for panic in inner.take_panics() {
            scope.leave_panic(panic);
        }
        if inner.has_errands() {
            scope.send(inner.finish());
        }
        resume(outcome)
    }
}
