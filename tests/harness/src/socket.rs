//! A client for a WebSocket, which can also violate the protocol.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use tungstenite::client::IntoClientRequest;
use tungstenite::http::{HeaderName, HeaderValue};
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket};

use crate::wait;

/// A frame with a reserved opcode: final, opcode 3, masked, empty.
/// <https://www.rfc-editor.org/rfc/rfc6455#section-5.2>
const RESERVED: [u8; 6] = [0x83, 0x80, 0, 0, 0, 0];

/// An open WebSocket.
#[derive(Debug)]
pub struct Socket(WebSocket<TcpStream>);

impl Socket {
    /// Opens `path` of a service at `address`, such as `http://127.0.0.1:1`.
    ///
    /// # Panics
    ///
    /// If the service does not open a WebSocket.
    #[track_caller]
    pub(crate) fn open(address: &str, path: &str, headers: &[(&str, &str)]) -> Self {
        let host = address.trim_start_matches("http://").trim_end_matches('/');
        let stream = TcpStream::connect(host).expect("a service that listens");
        stream
            .set_read_timeout(Some(wait::LIMIT))
            .expect("a time that is not zero");
        let mut request = format!("ws://{host}{path}")
            .into_client_request()
            .expect("an address");
        for (name, value) in headers {
            let name = HeaderName::try_from(*name).expect("a header's name");
            let value = HeaderValue::try_from(*value).expect("a header's value");
            request.headers_mut().insert(name, value);
        }
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Socket(socket),
            Err(error) => panic!("{path}: {error}"),
        }
    }

    /// Sends a text.
    ///
    /// # Panics
    ///
    /// If the connection is closed.
    #[track_caller]
    pub fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).expect("an open socket");
    }

    /// Waits for the next message: a text, or `close CODE REASON` for a close.
    ///
    /// # Panics
    ///
    /// If none arrives.
    #[track_caller]
    pub fn read(&mut self) -> String {
        said(self.0.read().expect("a message"))
    }

    /// Closes the socket normally, with a reason.
    ///
    /// # Panics
    ///
    /// If the connection is closed.
    #[track_caller]
    pub fn close(&mut self, reason: &str) {
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: reason.into(),
        };
        self.0.close(Some(frame)).expect("an open socket");
    }

    /// Sends a frame that no client of a WebSocket may send.
    ///
    /// # Panics
    ///
    /// If the connection is closed.
    #[track_caller]
    pub fn break_the_protocol(&mut self) {
        let sent = self.0.get_mut().write_all(&RESERVED);
        sent.expect("an open socket");
    }

    /// The other end's answer to a close, `close CODE REASON`, if it arrives within this time.
    ///
    /// # Panics
    ///
    /// If no time limit can be set on the connection.
    #[track_caller]
    pub fn close_within(mut self, time: Duration) -> Option<String> {
        let limit = self.0.get_ref().set_read_timeout(Some(time));
        limit.expect("a time that is not zero");
        let message = self.0.read().ok()?;
        message.is_close().then(|| said(message))
    }

    /// Every message until the other end closes the socket, and its close.
    ///
    /// The TCP connection may stay open for longer: workerd keeps it as long as the object, which
    /// is ten idle seconds.
    ///
    /// # Panics
    ///
    /// If the other end does not close the socket.
    #[track_caller]
    pub fn until_the_end(mut self) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            match self.0.read() {
                Ok(message) => {
                    let is_the_end = message.is_close();
                    seen.push(said(message));
                    if is_the_end {
                        return seen;
                    }
                }
                Err(Error::Io(error)) if is_patience(&error) => {
                    panic!("still open after {:?}, with {seen:?}", wait::LIMIT)
                }
                Err(error) => {
                    seen.push(error.to_string());
                    return seen;
                }
            }
        }
    }
}

fn said(message: Message) -> String {
    match message {
        Message::Close(Some(frame)) => {
            format!("close {} {}", u16::from(frame.code), frame.reason)
        }
        Message::Close(None) => "close".to_owned(),
        other => other.to_string(),
    }
}

fn is_patience(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    matches!(error.kind(), TimedOut | WouldBlock)
}
