//! The flags of `sugang up`: Spin's under Spin's names, and the limits of this host.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use bytesize::ByteSize;
use clap::Args;
use ipnet::IpNet;

use crate::{
    Application,
    engine::Limits,
    http_trigger::{Origin, RequestLimits, ServerLimits, public_url},
    redis_trigger::HandlerLimits,
    reuse::{Choice, Reuse, Span},
};

/// The flags of `sugang up`.
#[derive(Args)]
pub struct Up {
    /// The manifest, or the directory it is in
    #[arg(short = 'f', long = "from", value_name = "PATH", default_value = "spin.toml")]
    from: PathBuf,

    /// Start only this component; may be given several times
    #[arg(short = 'c', long = "component-id", value_name = "ID")]
    components: Vec<String>,

    /// Address and port to serve HTTP at; port 0 is any free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:3000")]
    listen: String,

    /// Where clients reach the application, if not at the address it listens at: https://edu.example.com
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,

    /// A proxy, or a network of them, whose X-Forwarded-For, -Proto and -Host count; may be given
    /// several times
    #[arg(long = "trusted-proxy", value_name = "ADDR|CIDR")]
    trusted_proxies: Vec<String>,

    /// Which store is behind which label, and the values of variables
    #[arg(long, value_name = "FILE")]
    runtime_config_file: Option<PathBuf>,

    /// Address and port to answer the host's counters at, as Prometheus text; none by default. Port 0
    /// is any free one, which the log tells. Whoever reaches it may read them
    #[arg(long, value_name = "ADDR:PORT")]
    metrics_listen: Option<String>,

    /// Where stores without a place of their own are kept [default: .spin beside the manifest]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,

    /// Where compiled code is kept [default: $SUGANG_CACHE_DIR, or the user's cache directory]
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,

    /// An application variable; may be given several times. `@FILE` stands for the file's text.
    /// Otherwise the environment's SPIN_VARIABLE_<NAME> counts, then the manifest's default
    #[arg(long = "variable", value_name = "NAME=VALUE|NAME=@FILE")]
    variables: Vec<String>,

    /// An environment variable for all components; may be given several times
    #[arg(short = 'e', long = "env", value_name = "NAME=VALUE")]
    environment: Vec<String>,

    /// Throw away what components print
    #[arg(short = 'q', long)]
    quiet: bool,

    /// The most requests or messages that one instance serves in its life: a number, or a range like
    /// 64..128 from which each instance gets its own
    #[arg(long, value_name = "COUNT", default_value = "128", help_heading = "Instances")]
    max_instance_reuse_count: Choice<usize>,

    /// The most requests that one instance answers at once: a number or a range
    #[arg(long, value_name = "COUNT", default_value = "16", help_heading = "Instances")]
    max_instance_concurrent_reuse_count: Choice<usize>,

    /// How long an instance without work is kept: a time (2s, 500ms; no unit is seconds) or a range
    #[arg(long, value_name = "TIME", default_value = "1s", help_heading = "Instances")]
    idle_instance_timeout: Choice<Span>,

    /// How long a request may take until its answer begins: a time or a range
    #[arg(long, value_name = "TIME", default_value = "30s", help_heading = "Limits")]
    request_timeout: Choice<Span>,

    /// How long a component may compute without once waiting for anything, as a time
    #[arg(long, value_name = "TIME", default_value = "2s", help_heading = "Limits")]
    max_busy_time: Span,

    /// The most memory of one instance, all its memories and tables together: bytes, or with a unit
    #[arg(long, value_name = "SIZE", default_value = "128MiB", help_heading = "Limits")]
    max_memory: ByteSize,

    /// The most instances at once, of all components
    #[arg(long, value_name = "COUNT", default_value_t = 1024, help_heading = "Limits")]
    max_instances: u32,

    /// The longest request body: bytes, or with a unit like KiB or MiB
    #[arg(long, value_name = "SIZE", default_value = "16MiB", help_heading = "Limits")]
    max_request_body: ByteSize,

    /// How long the next 16 KiB of a request's body, or its end, may take to come, as a time
    #[arg(long, value_name = "TIME", default_value = "15s", help_heading = "Limits")]
    body_timeout: Span,

    /// The most requests that are worked on at once, half of them from one client; more wait their turn
    #[arg(long, value_name = "COUNT", default_value_t = 512, help_heading = "Limits")]
    max_concurrent_requests: usize,

    /// How long a client may take to send a request's headers, as a time
    #[arg(long, value_name = "TIME", default_value = "15s", help_heading = "Limits")]
    header_timeout: Span,

    /// The longest that an answer's next bytes may wait for the client to take them, as a time
    #[arg(long, value_name = "TIME", default_value = "30s", help_heading = "Limits")]
    response_timeout: Span,

    /// How long a component may take for one Redis message, as a time
    #[arg(long, value_name = "TIME", default_value = "30s", help_heading = "Limits")]
    message_timeout: Span,

    /// The most different Redis messages that wait for one component; more are dropped
    #[arg(long, value_name = "COUNT", default_value_t = 1024, help_heading = "Limits")]
    max_waiting_messages: usize,

    /// How long the host goes on answering after a SIGTERM, while it says at /readyz that it is not
    /// ready, as a time
    #[arg(long, value_name = "TIME", default_value = "0s", help_heading = "Limits")]
    drain_time: Span,

    /// How long requests in flight may take to finish when the host stops, as a time
    #[arg(long, value_name = "TIME", default_value = "5s", help_heading = "Limits")]
    shutdown_timeout: Span,
}

impl Up {
    /// Where stores without a place of their own are kept, if that was said.
    #[must_use]
    pub fn state_dir(&self) -> Option<&Path> {
        self.state_dir.as_deref()
    }

    /// How long to go on answering after a SIGTERM.
    #[must_use]
    pub fn drain_time(&self) -> Duration {
        self.drain_time.0
    }

    /// The application that the flags describe.
    pub fn application(self) -> Result<Application> {
        let mut application = Application::builder(self.from)
            .listen(listen_address("--listen", &self.listen)?)
            .quiet(self.quiet)
            .origin(origin(self.public_url.as_deref(), &self.trusted_proxies)?)
            .limits(Limits {
                max_memory: usize::try_from(self.max_memory.as_u64())?,
                max_instances: self.max_instances,
                max_busy_time: self.max_busy_time.0,
            })
            .request_limits(RequestLimits {
                max_body: self.max_request_body.as_u64(),
                body_timeout: self.body_timeout.0,
                max_concurrent: self.max_concurrent_requests,
            })
            .server_limits(ServerLimits {
                header_timeout: self.header_timeout.0,
                response_timeout: self.response_timeout.0,
                shutdown_timeout: self.shutdown_timeout.0,
            })
            .handler_limits(HandlerLimits {
                timeout: self.message_timeout.0,
                max_waiting: self.max_waiting_messages,
            })
            .reuse(Reuse {
                requests: self.max_instance_reuse_count,
                concurrent: self.max_instance_concurrent_reuse_count,
                request_timeout: self.request_timeout,
                idle_timeout: self.idle_instance_timeout,
            });
        for component in self.components {
            application = application.component(component);
        }
        for variable in &self.variables {
            let (name, value) = read_variable(variable)?;
            application = application.variable(name, value);
        }
        for variable in &self.environment {
            let (name, value) = pair("--env", variable)?;
            application = application.env(name, value);
        }
        if let Some(path) = self.runtime_config_file {
            application = application.runtime_config(path);
        }
        if let Some(address) = &self.metrics_listen {
            application = application.metrics_listen(listen_address("--metrics-listen", address)?);
        }
        if let Some(path) = self.state_dir {
            application = application.state_dir(path);
        }
        if let Some(path) = self.cache_dir {
            application = application.cache_dir(path);
        }
        Ok(application)
    }
}

/// Of the addresses a name stands for, the IPv4 loopback is preferred, as in Spin.
fn listen_address(flag: &str, text: &str) -> Result<SocketAddr> {
    use std::net::{Ipv4Addr, ToSocketAddrs as _};
    let addresses: Vec<SocketAddr> = text
        .to_socket_addrs()
        .with_context(|| format!("{flag} {text}: not an address with a port"))?
        .collect();
    let loopback = addresses.iter().find(|address| address.ip() == Ipv4Addr::LOCALHOST);
    loopback.or(addresses.first()).copied().with_context(|| format!("{flag} {text}: no such address"))
}

fn origin(public: Option<&str>, proxies: &[String]) -> Result<Origin> {
    let public =
        public.map(|url| public_url(url).with_context(|| format!("--public-url {url}"))).transpose()?;
    let network = |proxy: &String| {
        let network = proxy.parse::<IpAddr>().map(IpNet::from).or_else(|_| proxy.parse());
        network.with_context(|| format!("--trusted-proxy {proxy}: neither an address nor a network"))
    };
    Ok(Origin { public, proxies: proxies.iter().map(network).collect::<Result<_>>()? })
}

fn pair<'a>(flag: &str, text: &'a str) -> Result<(&'a str, &'a str)> {
    // The text is not repeated whole: it may be a secret.
    text.split_once('=').with_context(|| format!("{flag}: must be NAME=VALUE, but there is no `=`"))
}

/// What a `--variable NAME=VALUE|NAME=@FILE` gives to which variable.
pub fn read_variable(text: &str) -> Result<(String, String)> {
    let (name, value) = pair("--variable", text)?;
    let value = match value.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path)
            .with_context(|| format!("--variable {name}: cannot read the file `{path}`"))?,
        None => value.to_owned(),
    };
    Ok((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        up: Up,
    }

    fn up(arguments: &[&str]) -> Result<Application> {
        Cli::try_parse_from([&["sugang"], arguments].concat())?.up.application()
    }

    #[test]
    fn the_flags_of_spin_are_understood() {
        up(&[
            "-f",
            "app",
            "-c",
            "order",
            "-c",
            "pay",
            "--listen",
            "localhost:0",
            "--metrics-listen",
            "localhost:0",
            "--runtime-config-file",
            "r.toml",
            "--state-dir",
            "s",
            "--variable",
            "a=b=c",
            "--env",
            "A=B",
            "-q",
            "--max-instance-reuse-count",
            "1..8",
            "--max-instance-concurrent-reuse-count",
            "2",
            "--request-timeout",
            "1s",
            "--idle-instance-timeout",
            "5ms",
            "--public-url",
            "https://edu.example",
            "--trusted-proxy",
            "10.0.0.0/8",
            "--trusted-proxy",
            "::1",
        ])
        .unwrap();
    }

    #[test]
    fn flags_that_make_no_sense_are_refused() {
        for arguments in [
            ["--listen", "nowhere"],
            ["--metrics-listen", "nowhere"],
            ["--variable", "novalue"],
            ["--variable", "a=@/no/such/file"],
            ["--max-memory", "12parsecs"],
            ["--request-timeout", "2h"],
            ["--public-url", "edu.example"],
            ["--trusted-proxy", "proxy.example"],
            ["--max-instance-reuse-count", "8..1"],
        ] {
            assert!(up(&arguments).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn the_help_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    /// What a table of flags in a README says, by the flag's long name.
    fn told(readme: &str) -> std::collections::BTreeMap<&str, &str> {
        let rows = readme.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
        let flags = rows.filter_map(|row| {
            let (name, _) = row.split_once("--")?.1.split_once('`')?;
            Some((name, row.rsplit_once(" | ")?.1.trim_matches('`')))
        });
        flags.collect()
    }

    #[test]
    fn both_readmes_tell_every_flag_and_its_default() {
        use clap::CommandFactory as _;
        let readmes = [include_str!("../../README.md"), include_str!("../../README.ko.md")];
        for (told, language) in readmes.map(told).iter().zip(["en", "ko"]) {
            for flag in Cli::command().get_arguments() {
                let name = flag.get_long().unwrap();
                let default = told.get(name).unwrap_or_else(|| panic!("{language}: no row for --{name}"));
                if let [value] = flag.get_default_values()
                    && flag.get_action().takes_values()
                {
                    assert_eq!(*default, value.to_str().unwrap(), "{language}: --{name}");
                }
            }
        }
    }

    #[test]
    fn the_limits_on_the_command_line_are_those_of_the_library() {
        let Cli { up } = Cli::try_parse_from(["sugang"]).unwrap();
        assert_eq!(up.max_memory.as_u64(), Limits::default().max_memory as u64);
        assert_eq!(up.max_instances, Limits::default().max_instances);
        assert_eq!(up.max_busy_time.0, Limits::default().max_busy_time);
        assert_eq!(up.max_request_body.as_u64(), RequestLimits::default().max_body);
        assert_eq!(up.body_timeout.0, RequestLimits::default().body_timeout);
        assert_eq!(up.max_concurrent_requests, RequestLimits::default().max_concurrent);
        assert_eq!(up.header_timeout.0, ServerLimits::default().header_timeout);
        assert_eq!(up.response_timeout.0, ServerLimits::default().response_timeout);
        assert_eq!(up.shutdown_timeout.0, ServerLimits::default().shutdown_timeout);
        assert_eq!(up.message_timeout.0, HandlerLimits::default().timeout);
        assert_eq!(up.max_waiting_messages, HandlerLimits::default().max_waiting);
        assert_eq!(up.request_timeout, Reuse::default().request_timeout);
        assert_eq!(up.idle_instance_timeout, Reuse::default().idle_timeout);
        assert_eq!(up.max_instance_reuse_count, Reuse::default().requests);
        assert_eq!(up.max_instance_concurrent_reuse_count, Reuse::default().concurrent);
    }
}
