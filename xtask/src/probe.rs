//! One look at a host from outside: what it answers to a path, over a connection of its own.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The status that `path` is answered with; none where no answer begins within `patience`.
#[must_use]
pub fn status(address: SocketAddr, path: &str, patience: Duration) -> Option<u16> {
    let mut stream = TcpStream::connect_timeout(&address, patience).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    stream.set_write_timeout(Some(patience)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").ok()?;
    let mut line = [0; "HTTP/1.1 200".len()];
    stream.read_exact(&mut line).ok()?;
    std::str::from_utf8(&line).ok()?.strip_prefix("HTTP/1.1 ")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn answered(answer: &'static str) -> Option<u16> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            // Held until the other side has gone, whatever it made of this.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        status(address, "/livez", Duration::from_millis(200))
    }

    #[test]
    fn a_status_is_what_the_first_line_says() {
        assert_eq!(answered("HTTP/1.1 503 Service Unavailable\r\n\r\n"), Some(503));
        assert_eq!(answered("SSH-2.0-OpenSSH_9.2 and more\r\n"), None);
        assert_eq!(answered(""), None);
    }
}
