//! The flags of `sugang up`: Spin's under Spin's names, and the limits of this host.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use bytesize::ByteSize;
use clap::Args;

use crate::{
    Application,
    engine::{Limits, TICK},
    http_trigger::{Origin, RequestLimits, ServerLimits, proxy, public_url},
    least::{all_at_least, at_least},
    platform::Platform,
    redis_trigger::HandlerLimits,
    reuse::{Choice, Reuse, Span},
};

/// Why a client gets at least this time: RFC 6298 has a lost packet sent again after one second.
const ONE_RETRANSMISSION: (Span, &str) =
    (Span(Duration::from_secs(1)), "a packet that the network loses takes that long to be sent again");

/// Why what components do gets at least this time.
const ONE_TICK: (Span, &str) =
    (Span(TICK), "that is how often the host looks, and hardly anything would be done in less");

/// Why an instance has at least this memory: it is what the components of this application need to begin.
const LEAST_MEMORY: (ByteSize, &str) =
    (ByteSize::mib(4), "with less, components do not come as far as their first request");

/// The flags of `sugang up`.
#[derive(Args)]
pub struct Up {
    /// The manifest, the directory it is in, or an image in a registry: REGISTRY/NAME:TAG, …@sha256:DIGEST
    #[arg(short = 'f', long = "from", value_name = "PATH|IMAGE", default_value = "spin.toml")]
    from: PathBuf,

    /// Speak to the image's registry without TLS
    #[arg(short = 'k', long)]
    insecure: bool,

    /// Start only this component; may be given several times
    #[arg(
        short = 'c',
        long = "component-id",
        value_name = "ID",
        env = "SPIN_COMPONENTS_TO_RETAIN",
        value_delimiter = ','
    )]
    components: Vec<String>,

    /// Address and port to serve HTTP at; port 0 is any free one
    #[arg(long, value_name = "ADDR:PORT", env = "SPIN_HTTP_LISTEN_ADDR", default_value = "127.0.0.1:3000")]
    listen: String,

    /// Where clients reach the application, if not at the address it listens at: https://edu.example.com
    #[arg(long, value_name = "URL", env = "SUGANG_PUBLIC_URL")]
    public_url: Option<String>,

    /// A proxy, or a network of them, whose X-Forwarded-For, -Proto and -Host count; may be given
    /// several times
    #[arg(
        long = "trusted-proxy",
        value_name = "ADDR|CIDR",
        env = "SUGANG_TRUSTED_PROXY",
        value_delimiter = ','
    )]
    trusted_proxies: Vec<String>,

    /// Which store is behind which label, and the values of variables
    #[arg(long, value_name = "FILE")]
    runtime_config_file: Option<PathBuf>,

    /// Address and port to answer the host's counters at, as Prometheus text; none by default. Port 0
    /// is any free one, which the log tells. Whoever reaches it may read them
    #[arg(long, value_name = "ADDR:PORT")]
    metrics_listen: Option<String>,

    /// Where stores without a place of their own are kept [default: .spin beside the manifest]. Where it is given,
    /// relative paths of SQLite databases start in it too; else in the working directory, as Spin's do
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

    /// Refuse what this platform lacks, by name, and have no more than it gives: memory, time and bodies. `functions` is
    /// Akamai Functions
    #[arg(long, value_name = "PLATFORM", value_enum)]
    restrict: Option<Platform>,

    /// Throw away what components print
    #[arg(short = 'q', long)]
    quiet: bool,

    /// The most requests or messages that one instance serves in its life: a number, or a range like
    /// 64..128 from which each instance gets its own
    #[arg(long, value_name = "COUNT", default_value = "128", help_heading = "Instances", value_parser = all_at_least(1_usize, "an instance that may serve nothing is of no use"))]
    max_instance_reuse_count: Choice<usize>,

    /// The most requests that one instance answers at once: a number or a range
    #[arg(long, value_name = "COUNT", default_value = "16", help_heading = "Instances", value_parser = all_at_least(1_usize, "an instance that may serve nothing is of no use"))]
    max_instance_concurrent_reuse_count: Choice<usize>,

    /// How long an instance without work is kept: a time (2s, 500ms; no unit is seconds) or a range
    #[arg(long, value_name = "TIME", default_value = "1s", help_heading = "Instances")]
    idle_instance_timeout: Choice<Span>,

    /// How long a request may take until its answer begins: a time or a range
    #[arg(long, value_name = "TIME", default_value = "30s", help_heading = "Limits", value_parser = all_at_least(ONE_TICK.0, ONE_TICK.1))]
    request_timeout: Choice<Span>,

    /// How long a component may compute without once waiting for anything, as a time
    #[arg(long, value_name = "TIME", default_value = "2s", help_heading = "Limits", value_parser = at_least(ONE_TICK.0, ONE_TICK.1))]
    max_busy_time: Span,

    /// The most memory of one instance, all its memories and tables together: bytes, or with a unit
    #[arg(
        long,
        value_name = "SIZE",
        env = "SPIN_MAX_INSTANCE_MEMORY",
        default_value = "128MiB",
        help_heading = "Limits",
        value_parser = at_least(LEAST_MEMORY.0, LEAST_MEMORY.1)
    )]
    max_memory: ByteSize,

    /// The most instances at once, of all components
    #[arg(long, value_name = "COUNT", default_value_t = 1024, help_heading = "Limits", value_parser = at_least(2_u32, "a component that calls another needs one beside its own"))]
    max_instances: u32,

    /// The longest request body: bytes, or with a unit like KiB or MiB
    #[arg(long, value_name = "SIZE", default_value = "16MiB", help_heading = "Limits")]
    max_request_body: ByteSize,

    /// How long the next 16 KiB of a request's body, or its end, may take to come, as a time
    #[arg(long, value_name = "TIME", default_value = "15s", help_heading = "Limits", value_parser = at_least(ONE_RETRANSMISSION.0, ONE_RETRANSMISSION.1))]
    body_timeout: Span,

    /// The most requests that are worked on at once, of which one client may have as many as are free; more wait
    /// their turn
    #[arg(long, value_name = "COUNT", default_value_t = 512, help_heading = "Limits", value_parser = at_least(1_usize, "with none, no request would ever be answered"))]
    max_concurrent_requests: usize,

    /// How long a client may take to send a request's headers, as a time
    #[arg(long, value_name = "TIME", default_value = "15s", help_heading = "Limits", value_parser = at_least(ONE_RETRANSMISSION.0, ONE_RETRANSMISSION.1))]
    header_timeout: Span,

    /// The longest that an answer's next bytes may wait for the client to take them, as a time
    #[arg(long, value_name = "TIME", default_value = "30s", help_heading = "Limits", value_parser = at_least(ONE_RETRANSMISSION.0, ONE_RETRANSMISSION.1))]
    response_timeout: Span,

    /// How long a component may take for one Redis message, as a time
    #[arg(long, value_name = "TIME", default_value = "30s", help_heading = "Limits", value_parser = at_least(ONE_TICK.0, ONE_TICK.1))]
    message_timeout: Span,

    /// The most different Redis messages that wait for one component; more are dropped
    #[arg(long, value_name = "COUNT", default_value_t = 1024, help_heading = "Limits", value_parser = at_least(1_usize, "with none, every message would be dropped, and no worker would wake up"))]
    max_waiting_messages: usize,

    /// How long the host goes on answering after a SIGTERM, while it says at /readyz that it is not
    /// ready, as a time
    #[arg(
        long,
        value_name = "TIME",
        env = "SUGANG_DRAIN_TIME",
        default_value = "0s",
        help_heading = "Limits"
    )]
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
        let metrics_listen = self.metrics_listen.as_deref();
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Ok(Application {
            manifest: self.from,
            insecure: self.insecure,
            runtime_config: self.runtime_config_file,
            listen: listen_address("--listen", &self.listen)?,
            metrics_listen: metrics_listen
                .map(|address| listen_address("--metrics-listen", address))
                .transpose()?,
            state_dir: self.state_dir,
            cache_dir: self.cache_dir,
            variables: self.variables.iter().map(|text| read_variable(text)).collect::<Result<_>>()?,
            environment: self
                .environment
                .iter()
                .map(|text| pair("--env", text).map(owned))
                .collect::<Result<_>>()?,
            components: self.components,
            quiet: self.quiet,
            limits: Limits {
                max_memory: usize::try_from(self.max_memory.as_u64())?,
                max_instances: self.max_instances,
                max_busy_time: self.max_busy_time.0,
            },
            origin: origin(self.public_url.as_deref(), &self.trusted_proxies)?,
            request_limits: RequestLimits {
                max_body: self.max_request_body.as_u64(),
                body_timeout: self.body_timeout.0,
                max_concurrent: self.max_concurrent_requests,
                answers: None,
            },
            server_limits: ServerLimits {
                header_timeout: self.header_timeout.0,
                response_timeout: self.response_timeout.0,
                shutdown_timeout: self.shutdown_timeout.0,
            },
            handler_limits: HandlerLimits {
                timeout: self.message_timeout.0,
                max_waiting: self.max_waiting_messages,
            },
            reuse: Reuse {
                requests: self.max_instance_reuse_count,
                concurrent: self.max_instance_concurrent_reuse_count,
                request_timeout: self.request_timeout,
                idle_timeout: self.idle_instance_timeout,
            },
            precheck: None,
            platform: self.restrict,
        })
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
    // The URL is not repeated: there may be a password in it.
    let public = public.map(|url| public_url(url).context("--public-url")).transpose()?;
    let network = |text: &String| proxy(text).with_context(|| format!("--trusted-proxy {text}"));
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
            "-k",
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

    /// As `internal/controller/spinapp_controller.go` of the operator puts them together.
    #[test]
    fn the_command_line_of_the_spinkube_operator_is_understood() {
        let image =
            "ghcr.io/sugang/sugang@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let arguments =
            ["--listen", "0.0.0.0:80", "-f", image, "--runtime-config-file", "/runtime-config.toml"];
        let selected = ["--component-id", "order-worker", "--component-id", "pay-worker"];
        up(&[&arguments[..], &selected].concat()).unwrap();
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
    fn a_limit_at_which_nothing_is_served_is_refused_with_the_least_and_the_reason() {
        for (flag, too_small, least) in [
            ("--max-concurrent-requests", "0", "1"),
            ("--request-timeout", "0", "10ms"),
            ("--request-timeout", "0..5s", "10ms"),
            ("--max-busy-time", "9ms", "10ms"),
            ("--max-instances", "0", "2"),
            ("--max-instances", "1", "2"),
            ("--max-memory", "1", "4.0 MiB"),
            ("--max-instance-reuse-count", "0", "1"),
            ("--max-instance-concurrent-reuse-count", "0..2", "1"),
            ("--body-timeout", "0", "1s"),
            ("--header-timeout", "999ms", "1s"),
            ("--response-timeout", "0", "1s"),
            ("--message-timeout", "0s", "10ms"),
            ("--max-waiting-messages", "0", "1"),
        ] {
            let refusal = format!("{:#}", up(&[flag, too_small]).err().unwrap());
            assert!(refusal.contains(&format!("must be at least {least}: ")), "{flag}: {refusal}");
            assert!(refusal.contains(flag), "{refusal}");
            assert!(up(&[flag, &least.replace(' ', "")]).is_ok(), "{flag} {least}");
        }
        // Nothing at all is something to choose here.
        for flag in ["--idle-instance-timeout", "--drain-time", "--shutdown-timeout", "--max-request-body"] {
            assert!(up(&[flag, "0"]).is_ok(), "{flag}");
        }
    }

    #[test]
    fn what_is_wrong_with_the_public_url_is_said_without_its_password() {
        for url in ["https://u:s3cret@x", "https://x/?key=s3cret", "https://u:s3cret@x y", "s3cret"] {
            let refusal = format!("{:#}", up(&["--public-url", url]).err().unwrap());
            assert!(refusal.contains("--public-url: ") && !refusal.contains("s3cret"), "{refusal}");
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
