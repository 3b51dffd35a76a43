//! A load balancer before several hosts: haproxy, on this machine.
//!
//! It hands requests round to the hosts that say at `/readyz` that they are ready. What it repeats is only what nobody
//! has heard: a request whose connection could not be made goes to the next host; one that was sent is repeated where
//! its method says that this changes nothing (`GET`, `HEAD`, `OPTIONS`), and never otherwise.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use servers::Process;

use crate::{setup, workspace};

/// How long it may take until it takes connections.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long it may take to end.
const ENDING: Duration = Duration::from_secs(10);

/// How long a host that says it is not ready, as one that is about to stop does, may still be sent requests: three looks
/// at it ([`HOST`]), and how long the third may take. Whoever stops a host has it answer on for longer.
pub const NOTICED_WITHIN: Duration = Duration::from_secs(3);

/// How each host is looked at. One that is told to stop answers 503 at once and is left alone after 900 ms; one that
/// stands still, after 7 s. A single slow answer of a busy host changes nothing.
const HOST: &str = "check inter 500ms fastinter 200ms downinter 200ms fall 3 rise 1";

/// All that is always the same. Times: a live stream says something every 15 s, and a host ends every request within
/// 30 s, so that nobody who is being answered is silent for 90 s; and connections between two requests end here before
/// the host ends them (15 s), so that none ends just when it is used again.
const SETTINGS: &str = "global
    maxconn 4096
defaults
    mode http
    timeout connect 2s
    timeout client 90s
    timeout server 90s
    timeout check 2s
    timeout http-request 15s
    timeout http-keep-alive 10s
    retries 3
    option redispatch 1
    retry-on conn-failure empty-response 503
    option forwardfor
    option httpchk
    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host localhost
    http-check expect status 200
";

/// What is done with each request: what the client says of where it comes from does not count.
const REQUESTS: &str = "    balance roundrobin
    option allbackups
    http-request disable-l7-retry unless { method GET HEAD OPTIONS }
    http-request del-header X-Forwarded-For
    http-request del-header X-Forwarded-Host
    http-request del-header Forwarded
    http-request set-header X-Forwarded-Proto http
";

/// The program on the `PATH`, or where distributions keep what only root is expected to run.
#[must_use]
pub fn program() -> Option<PathBuf> {
    let usual = Path::new("/usr/sbin/haproxy");
    workspace::find_program(&["haproxy"]).or_else(|| usual.exists().then(|| usual.to_owned()))
}

/// A balancer that runs for as long as this value lives.
#[derive(Debug)]
pub struct Balancer {
    process: Process,
    address: SocketAddr,
    log: PathBuf,
}

impl Balancer {
    /// Starts one that listens on `listen` and knows these hosts, and waits until it takes connections. Its settings and
    /// its log are in `folder`; the `lease`, if any, is held by it too.
    pub fn start(
        folder: &Path,
        listen: SocketAddr,
        hosts: &[SocketAddr],
        lease: Option<&File>,
    ) -> Result<Self> {
        let Some(program) = program() else { bail!("{}", setup::HAPROXY.how_to_get()) };
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let (settings, log) = (folder.join("haproxy.cfg"), folder.join("haproxy.log"));
        fs::write(&settings, configuration(listen, hosts))
            .with_context(|| format!("cannot write {}", settings.display()))?;
        let output = File::options().create(true).append(true).open(&log)?;
        let mut command = Command::new(program);
        command.arg("-db").arg("-f").arg(&settings);
        command.stdin(match lease {
            Some(lease) => Stdio::from(lease.try_clone()?),
            None => Stdio::null(),
        });
        command.stdout(output.try_clone()?).stderr(output);
        let mut process = Process::start("haproxy", &mut command)?;
        let listens = |_| TcpStream::connect_timeout(&listen, Duration::from_secs(1)).is_ok();
        let is_there = process.wait_until(PATIENCE, listens);
        if !is_there.with_context(|| format!("on {listen}; see {}", log.display()))? {
            bail!("haproxy does not start: {}", fs::read_to_string(&log).unwrap_or_default().trim());
        }
        Ok(Self { process, address: listen, log })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it writes what it has to say.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The process, to see it end.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Takes no more connections; requests in flight go on, until their hosts have ended.
    pub fn leave(&mut self) -> Result<()> {
        self.process.signal(Signal::USR1)
    }

    /// Ends it, now that nobody is answered any more.
    pub fn stop(&mut self) -> Result<()> {
        self.process.stop(ENDING).map(drop)
    }
}

/// The settings for these hosts. Where none of them is ready, all are asked all the same (the same hosts as backups,
/// unlooked at): better a slow answer than none.
fn configuration(listen: SocketAddr, hosts: &[SocketAddr]) -> String {
    let mut text = format!("{SETTINGS}listen sugang\n    bind {listen}\n{REQUESTS}");
    for (index, host) in hosts.iter().enumerate() {
        let number = index + 1;
        // Writing to a text cannot fail.
        let _ = writeln!(text, "    server host-{number} {host} {HOST}");
    }
    for (index, host) in hosts.iter().enumerate() {
        let number = index + 1;
        let _ = writeln!(text, "    server any-{number} {host} backup");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Instant;

    use super::*;

    /// What becomes of a connection on which a request was heard.
    #[derive(Clone, Copy)]
    enum Then {
        Answer(&'static str),
        HangUp,
    }

    /// Something that is always ready, and counts the other requests it hears.
    fn host(then: Then) -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, heard) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let count = heard.clone();
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let count = count.clone();
                thread::spawn(move || {
                    let mut request = Vec::new();
                    let mut part = [0; 1024];
                    while !request.ends_with(b"\r\n\r\n") {
                        match stream.read(&mut part) {
                            Ok(read @ 1..) => request.extend_from_slice(&part[..read]),
                            _ => return,
                        }
                    }
                    let ready = request.starts_with(b"GET /readyz ");
                    if !ready {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    if let (true, _) | (_, Then::Answer(_)) = (ready, then) {
                        let status = match then {
                            Then::Answer(status) if !ready => status,
                            _ => "200 OK",
                        };
                        let _ = write!(
                            stream,
                            "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
                        );
                    }
                });
            }
        });
        (address, heard)
    }

    fn before(hosts: &[SocketAddr]) -> (Balancer, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let listen = ([127, 0, 0, 1], servers::free_port().unwrap()).into();
        (Balancer::start(folder.path(), listen, hosts, None).unwrap(), folder)
    }

    fn ask(balancer: &Balancer, method: &str) -> String {
        let mut stream = TcpStream::connect(balancer.address()).unwrap();
        write!(stream, "{method} /x HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_whitespace().nth(1).unwrap_or_default().to_owned()
    }

    #[test]
    fn a_request_that_was_heard_is_sent_to_nobody_else_unless_that_changes_nothing() {
        for (then, reading, writing) in
            [(Then::HangUp, "200", "502"), (Then::Answer("503 Service Unavailable"), "200", "503")]
        {
            let ((broken, heard_by_broken), (sound, heard_by_sound)) =
                (host(then), host(Then::Answer("200 OK")));
            let (balancer, _folder) = before(&[broken, sound]);
            let answers: Vec<_> = (0..4).map(|_| ask(&balancer, "POST")).collect();
            assert_eq!(answers.iter().filter(|answer| *answer == writing).count(), 2, "{answers:?}");
            let heard = || heard_by_broken.load(Ordering::Relaxed) + heard_by_sound.load(Ordering::Relaxed);
            assert_eq!(heard(), 4, "each was heard once");
            let answers: Vec<_> = (0..4).map(|_| ask(&balancer, "GET")).collect();
            assert!(answers.iter().all(|answer| answer == reading), "{answers:?}");
        }
    }

    #[test]
    fn a_host_that_is_not_there_costs_no_request() {
        let (sound, heard) = host(Then::Answer("200 OK"));
        let gone = ([127, 0, 0, 1], servers::free_port().unwrap()).into();
        let (balancer, _folder) = before(&[gone, sound]);
        for _ in 0..6 {
            assert_eq!(ask(&balancer, "POST"), "200");
        }
        assert_eq!(heard.load(Ordering::Relaxed), 6);
    }

    #[test]
    fn where_no_host_is_ready_they_are_asked_all_the_same() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut part = [0; 1024];
                let read = stream.read(&mut part).unwrap_or_default();
                let status = if part[..read].starts_with(b"GET /readyz ") { "503 No" } else { "200 OK" };
                let _ = write!(stream, "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            }
        });
        let (balancer, _folder) = before(&[address]);
        let deadline = Instant::now() + NOTICED_WITHIN;
        while Instant::now() < deadline {
            assert_eq!(ask(&balancer, "POST"), "200");
            thread::sleep(Duration::from_millis(50));
        }
    }

    #[test]
    fn what_a_client_says_of_where_it_comes_from_is_not_passed_on() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (balancer, _folder) = before(&[address]);
        let asked = thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut request = String::new();
                let mut part = [0; 1024];
                while !request.ends_with("\r\n\r\n") {
                    let read = stream.read(&mut part).unwrap();
                    assert!(read > 0);
                    request.push_str(std::str::from_utf8(&part[..read]).unwrap());
                }
                let _ = write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
                if request.starts_with("GET /x ") {
                    return request.to_ascii_lowercase();
                }
            }
            String::new()
        });
        let mut stream = TcpStream::connect(balancer.address()).unwrap();
        let head = "GET /x HTTP/1.1\r\nhost: edu.example\r\nx-forwarded-for: 6.6.6.6\r\nx-forwarded-host: evil\r\n\
            x-forwarded-proto: https\r\nforwarded: for=6.6.6.6\r\nconnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
        let asked = asked.join().unwrap();
        assert!(!asked.contains("6.6.6.6") && !asked.contains("evil"), "{asked}");
        assert!(asked.contains("\r\nhost: edu.example\r\n"), "{asked}");
        assert!(asked.contains("\r\nx-forwarded-for: 127.0.0.1\r\n"), "{asked}");
        assert!(asked.contains("\r\nx-forwarded-proto: http\r\n"), "{asked}");
    }
}
