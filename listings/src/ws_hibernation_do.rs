//! A Durable Object that tells subscribers the progress of a compilation.
//!
//! Its WebSockets hibernate: between two messages the object may leave memory
//! while its sockets stay open. The object therefore stores what it knows of a
//! socket in the socket's attachment.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use worker::{
    DurableObject, Env, Method, Request, Response, Result, State, WebSocket,
    WebSocketIncomingMessage, WebSocketPair, WebSocketRequestResponsePair, durable_object,
};
use worker_sentry::{Handler, Report, capture_exception_in_background};

use crate::compilation::Progress;

const LAST: &str = "last";
/// A close code: <https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1>
const UNSUPPORTED_DATA: u16 = 1003;
const INTERNAL_ERROR: u16 = 1011;

/// The attachment of a socket, which is kept while the object is not in memory.
#[derive(Debug, Serialize, Deserialize)]
struct Subscriber {
    list: String,
}

// ANCHOR: socket_error
/// A subscriber's socket broke.
#[derive(Debug, Error)]
#[error("the socket of a subscriber to list `{list}` failed")]
pub struct SocketError {
    /// The list.
    pub list: String,
    /// What the runtime said.
    pub source: worker::Error,
}
// ANCHOR_END: socket_error

/// The subscribers to one list, the one it is named after.
#[durable_object(websocket)]
pub struct WsHibernationDo {
    state: State,
    env: Env,
}

impl DurableObject for WsHibernationDo {
    fn new(state: State, env: Env) -> Self {
        // The runtime answers a `ping` itself, without waking the object.
        if let Ok(ping) = WebSocketRequestResponsePair::new("ping", "pong") {
            state.set_websocket_auto_response(&ping);
        }
        WsHibernationDo { state, env }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let path = request.path();
        let path: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (request.method(), path.as_slice()) {
            (Method::Get, ["subscribe", list]) => self.subscribe(&request, list).await,
            (Method::Post, ["publish"]) => {
                self.publish(&request.json().await?).await?;
                Response::empty()
            }
            (Method::Post, ["drill"]) => self.break_sockets().await,
            _ => Response::error("Not Found", 404),
        }
    }

    /// Refuses any message. The only valid one is `ping`, which the runtime answers itself.
    async fn websocket_message(&self, ws: WebSocket, _: WebSocketIncomingMessage) -> Result<()> {
        ws.close(Some(UNSUPPORTED_DATA), Some("this socket only talks"))
    }

    /// Completes the closing handshake. Codes that only say how a connection ended (1005, 1006, …)
    /// must not be sent.
    async fn websocket_close(
        &self,
        ws: WebSocket,
        code: usize,
        reason: String,
        _was_clean: bool,
    ) -> Result<()> {
        let code = u16::try_from(code).ok();
        let code = code.filter(|code| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999));
        // Closing fails if the runtime has closed the socket already, which is fine.
        let _ = ws.close(code, Some(reason));
        Ok(())
    }

    // ANCHOR: error
    /// Reports in the background: the socket's teardown does not wait for it.
    async fn websocket_error(&self, ws: WebSocket, error: worker::Error) -> Result<()> {
        let subscriber: Option<Subscriber> = ws.deserialize_attachment().unwrap_or_default();
        let error = SocketError {
            list: subscriber.map(|it| it.list).unwrap_or_default(),
            source: error,
        };
        let report = Report::new(&error).in_handler("WsHibernationDo", Handler::WebsocketError);
        capture_exception_in_background(&self.env, &self.state, report);
        let _ = ws.close(Some(INTERNAL_ERROR), Some("socket error"));
        Ok(())
    }
    // ANCHOR_END: error
}

impl WsHibernationDo {
    // ANCHOR: subscribe
    /// Accepts a socket and tells it where things stand.
    async fn subscribe(&self, request: &Request, list: &str) -> Result<Response> {
        let upgrade = request.headers().get("Upgrade")?.unwrap_or_default();
        if !upgrade.eq_ignore_ascii_case("websocket") {
            return Response::error("this is a WebSocket", 426);
        }
        let pair = WebSocketPair::new()?;
        self.state.accept_web_socket(&pair.server);
        pair.server.serialize_attachment(Subscriber {
            list: list.to_owned(),
        })?;
        let last: Option<String> = self.state.storage().get(LAST).await?;
        if let Some(last) = last {
            pair.server.send_with_str(last)?;
        }
        Response::from_websocket(pair.client)
    }
    // ANCHOR_END: subscribe

    // ANCHOR: publish
    /// Tells every subscriber. One that cannot be told is on its way out.
    async fn publish(&self, progress: &Progress) -> Result<()> {
        let text = serde_json::to_string(progress)?;
        for socket in self.state.get_websockets() {
            let _ = socket.send_with_str(&text);
        }
        self.state.storage().put(LAST, text).await
    }
    // ANCHOR_END: publish

    /// The drill: calls, for every open socket, the handler that the runtime calls when a
    /// subscriber breaks the protocol. A Worker cannot break the protocol as a client.
    async fn break_sockets(&self) -> Result<Response> {
        let sockets = self.state.get_websockets();
        let broken = sockets.len();
        for socket in sockets {
            let error = worker::Error::JsError("WebSocket protocol error".to_owned());
            DurableObject::websocket_error(self, socket, error).await?;
        }
        Response::from_json(&broken)
    }
}
