//! The way to `pay`, with everything that can happen on a network and behind it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::api::Api;

/// What becomes of a request on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// It is passed on, and so is its answer.
    #[default]
    Fair,
    /// It arrives late.
    SlowRequest(Duration),
    /// It is executed at once; its answer arrives late.
    LateAnswer(Duration),
    /// It is executed, and then answered with a 500.
    Failing,
    /// It is executed, and then answered with what is not JSON.
    Garbage,
    /// The connection breaks before it arrives.
    CutBefore,
    /// The connection breaks after it was executed.
    CutAfter,
    /// It is executed twice, one after the other.
    Twice,
    /// It is executed twice at the same time.
    TwiceAtOnce,
}

impl Mood {
    /// What reports call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fair => "fair",
            Self::SlowRequest(_) => "pay reached late",
            Self::LateAnswer(_) => "pay answering after the deadline",
            Self::Failing => "pay answering 500",
            Self::Garbage => "pay answering garbage",
            Self::CutBefore => "pay unreachable",
            Self::CutAfter => "pay's answer cut off",
            Self::Twice => "pay asked twice",
            Self::TwiceAtOnce => "pay asked twice at once",
        }
    }
}

/// A proxy in front of `pay`, for as long as this value lives.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    pay: Api,
    mood: Mutex<Mood>,
    troubled: AtomicU64,
    over: AtomicBool,
}

impl Proxy {
    /// Listens on a port of its own for requests to `pay`.
    pub fn start(port: u16, pay: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).context("no port for the proxy")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            pay: Api::new(pay),
            mood: Mutex::default(),
            troubled: AtomicU64::new(0),
            over: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        let thread = thread::Builder::new().name("proxy".to_owned()).spawn(move || {
            for stream in listener.incoming() {
                if accepting.over.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let shared = Arc::clone(&accepting);
                thread::spawn(move || {
                    // A client that has gone away is no concern of ours.
                    let _ = shared.serve(&stream);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        })?;
        Ok(Self { address, shared, thread: Some(thread) })
    }

    /// The URL that `order` is given for `pay`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What becomes of requests from now on.
    pub fn set(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }

    /// How many requests had another fate than to be passed on.
    #[must_use]
    pub fn troubled(&self) -> u64 {
        self.shared.troubled.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        // Wakes whoever waits for the next connection.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A request as it was read.
struct Incoming {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Shared {
    fn serve(&self, stream: &TcpStream) -> Result<()> {
        let Some(request) = read(stream)? else { return Ok(()) };
        let mood = *self.mood.lock().unwrap_or_else(PoisonError::into_inner);
        if mood != Mood::Fair {
            self.troubled.fetch_add(1, Ordering::Relaxed);
        }
        match mood {
            Mood::Fair => self.forward(&request)?.write(stream),
            Mood::SlowRequest(delay) => {
                thread::sleep(delay);
                self.forward(&request)?.write(stream)
            }
            Mood::LateAnswer(delay) => {
                let answer = self.forward(&request)?;
                thread::sleep(delay);
                answer.write(stream)
            }
            Mood::Failing => {
                self.forward(&request)?;
                Outgoing::new(500, "text/plain", "an unexpected condition was encountered").write(stream)
            }
            Mood::Garbage => {
                self.forward(&request)?;
                Outgoing::new(200, "application/hal+json", "{\"status\":\"Paid\",\"ver\u{fffd}").write(stream)
            }
            Mood::CutBefore => Ok(()),
            Mood::CutAfter => self.forward(&request).map(drop),
            Mood::Twice => {
                self.forward(&request)?;
                self.forward(&request)?.write(stream)
            }
            Mood::TwiceAtOnce => thread::scope(|scope| {
                let other = scope.spawn(|| self.forward(&request));
                let answer = self.forward(&request);
                // Either may have been the one that charged.
                let _ = other.join();
                answer?.write(stream)
            }),
        }
    }

    fn forward(&self, incoming: &Incoming) -> Result<Outgoing> {
        let mut request = self.pay.request(&incoming.method, &incoming.path);
        for (name, value) in &incoming.headers {
            request = request.header(name, value);
        }
        let body = Some(incoming.body.clone()).filter(|body| !body.is_empty());
        let answer = self.pay.attempt(request, body)?;
        Ok(Outgoing::new(answer.status, answer.header("content-type"), &answer.body))
    }
}

/// Reads one request; none where the connection was only opened.
fn read(stream: &TcpStream) -> Result<Option<Incoming>> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = words.next().zip(words.next()).context("not a request")?;
    let (mut headers, mut length, mut chunked) = (Vec::new(), 0, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse()?,
            "transfer-encoding" => chunked = value.contains("chunked"),
            "host" | "connection" => {}
            name => headers.push((name.to_owned(), value.trim().to_owned())),
        }
    }
    let body = if chunked { read_chunks(&mut reader)? } else { read_exactly(&mut reader, length)? };
    Ok(Some(Incoming { method, path, headers, body: String::from_utf8(body)? }))
}

fn read_exactly(reader: &mut impl Read, length: usize) -> Result<Vec<u8>> {
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(body)
}

fn read_chunks(reader: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim(), 16).context("not the length of a chunk")?;
        body.append(&mut read_exactly(reader, length)?);
        reader.read_line(&mut String::new())?;
        if length == 0 {
            return Ok(body);
        }
    }
}

/// An answer to be written.
struct Outgoing {
    status: u16,
    media_type: String,
    body: String,
}

impl Outgoing {
    fn new(status: u16, media_type: &str, body: &str) -> Self {
        Self { status, media_type: media_type.to_owned(), body: body.to_owned() }
    }

    fn write(&self, mut stream: &TcpStream) -> Result<()> {
        let Self { status, media_type, body } = self;
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status} Answer\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )?;
        Ok(())
    }
}
