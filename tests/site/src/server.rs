//! The part of HTTP that a server for clients on this machine needs.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// A server that handles each connection on a thread of its own, until it is dropped.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    closing: Arc<AtomicBool>,
}

impl Listener {
    /// Calls `talk` with each connection. An error in one connection is ignored.
    ///
    /// # Panics
    ///
    /// If the listener has no address.
    pub fn start(
        listener: TcpListener,
        talk: impl Fn(&mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().expect("the address just bound");
        let closing = Arc::<AtomicBool>::default();
        let (is_closing, talk) = (Arc::clone(&closing), Arc::new(talk));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if is_closing.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(mut stream), talk) = (stream, Arc::clone(&talk)) else {
                    continue;
                };
                thread::spawn(move || drop(talk(&mut stream)));
            }
        });
        Listener { address, closing }
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        // Wakes the listener, so that it notices the end.
        let _ = TcpStream::connect(self.address);
    }
}

/// A request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The method in capitals.
    pub method: String,
    /// The path and the query.
    pub target: String,
    /// The headers in their order, with their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(header, _)| header.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Reads the next request. `None` if the client has closed the connection.
///
/// # Errors
///
/// If the connection breaks, or if the data is not HTTP.
pub fn read_request(stream: &TcpStream) -> io::Result<Option<Request>> {
    let mut reader = BufReader::new(stream);
    let Some(start) = read_line(&mut reader)? else {
        return Ok(None);
    };
    let mut words = start.split(' ');
    let mut request = Request {
        method: words.next().unwrap_or_default().to_owned(),
        target: words.next().unwrap_or_default().to_owned(),
        ..Request::default()
    };
    while let Some(line) = read_line(&mut reader)?.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or_else(garbage)?;
        let header = (name.to_ascii_lowercase(), value.trim().to_owned());
        request.headers.push(header);
    }
    if request.header("transfer-encoding").is_some() {
        read_chunks(&mut reader, &mut request.body)?;
    } else if let Some(length) = request.header("content-length") {
        let length = length.parse().map_err(|_| garbage())?;
        request.body.resize(length, 0);
        reader.read_exact(&mut request.body)?;
    }
    Ok(Some(request))
}

fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let size = read_line(reader)?.ok_or_else(garbage)?;
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| garbage())?;
        let start = body.len();
        body.resize(start + size, 0);
        reader.read_exact(&mut body[start..])?;
        read_line(reader)?;
        if size == 0 {
            return Ok(());
        }
    }
}

fn garbage() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not an HTTP request")
}

/// Writes a whole answer and leaves the connection open for the next request.
///
/// # Errors
///
/// If the client has closed the connection.
pub fn write_reply<N: AsRef<str>>(
    mut stream: &TcpStream,
    status: u16,
    headers: &[(N, String)],
    body: &[u8],
) -> io::Result<()> {
    let mut head = format!(
        "HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{}: {value}\r\n", name.as_ref()));
    }
    head.push_str("\r\n");
    stream.write_all(&[head.as_bytes(), body].concat())?;
    stream.flush()
}
