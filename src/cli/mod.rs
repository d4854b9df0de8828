//! The command line.
//!
//! `run` has flags of its own (below), `grpc-proxy` and `gateway` those of etcd's proxies, read by etcd's
//! rules.

pub mod drop_in;
pub mod gateway;
pub mod grpc_proxy;
mod listen_tls;
pub mod pflag;
mod probe;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

pub use probe::Probe;

use self::listen_tls::ListenTlsFlags;
use crate::config::{Overrides, time};

/// The per-node etcd agent: applications talk to 127.0.0.1:2379 as if etcd ran there.
#[derive(Debug, Parser)]
#[command(name = "etcdlet", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Tells everything that is wrong with a configuration, or what it would do.
    CheckConfig(Box<Run>),
    /// Answers clients on behalf of the cluster; the default.
    Run(Box<Run>),
    /// The job of `etcd grpc-proxy`, with its flags.
    GrpcProxy(Raw),
    /// The job of `etcd gateway`, with its flags.
    Gateway(Raw),
    /// Fails unless a running etcdlet answers its health check.
    Probe(Probe),
    /// Prints the version.
    Version,
}

impl Cli {
    /// What to do; `run` when nothing is named. Ends the process where that can't be told.
    pub fn read(mut arguments: Vec<OsString>) -> Command {
        // First, as in etcd's own `main`: what the environment says to `run` must not end these.
        let make = match arguments.get(1).and_then(|name| name.to_str()) {
            Some("grpc-proxy") => Command::GrpcProxy,
            Some("gateway") => Command::Gateway,
            _ => return Self::parse_from(arguments).command(),
        };
        make(Raw { arguments: arguments.split_off(2) })
    }

    fn command(self) -> Command {
        self.command.unwrap_or_else(|| Command::Run(Box::new(self.run)))
    }
}

/// Arguments that are not read here.
#[derive(Args, Debug)]
pub struct Raw {
    #[arg(hide = true)]
    arguments: Vec<OsString>,
}

impl Raw {
    pub fn into_texts(self) -> Vec<String> {
        self.arguments.into_iter().map(|argument| argument.to_string_lossy().into_owned()).collect()
    }
}

/// Every flag is also a variable of the environment and a key of the file; a flag wins over
/// the environment, the environment over the file.
#[derive(Args, Debug)]
pub struct Run {
    /// Configuration file (YAML).
    #[arg(long, env = "ETCDLET_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where clients connect: http://HOST:PORT, https://HOST:PORT, unix:///PATH, unixs:///PATH, or
    /// tcp://HOST:PORT for connections that pass to a member as they are.
    #[arg(long, env = "ETCDLET_LISTEN_CLIENT_URLS", value_delimiter = ',', value_name = "URL,...")]
    listen_client_urls: Option<Vec<String>>,
    /// Certificate shown to clients of https listeners.
    #[arg(long, env = "ETCDLET_CERT_FILE", value_name = "FILE")]
    cert_file: Option<PathBuf>,
    /// Key of --cert-file.
    #[arg(long, env = "ETCDLET_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Put before every key of clients, and taken off again.
    #[arg(long, env = "ETCDLET_NAMESPACE", value_name = "PREFIX")]
    namespace: Option<String>,
    #[command(flatten)]
    listen_tls: ListenTlsFlags,
    /// The etcd cluster, with or without scheme.
    #[arg(long, env = "ETCDLET_ENDPOINTS", value_delimiter = ',', value_name = "URL,...")]
    endpoints: Option<Vec<String>>,
    /// Where the cluster serves HTTP, if its client URLs serve gRPC only (--listen-client-http-urls).
    #[arg(long, env = "ETCDLET_HTTP_ENDPOINTS", value_delimiter = ',', value_name = "URL,...")]
    http_endpoints: Option<Vec<String>>,
    /// Domain whose SRV records (_etcd-client._tcp, _etcd-client-ssl._tcp) name the cluster.
    #[arg(long, env = "ETCDLET_DISCOVERY_SRV", value_name = "DOMAIN")]
    discovery_srv: Option<String>,
    /// Suffix of the SRV service names, as etcd's flag.
    #[arg(long, env = "ETCDLET_DISCOVERY_SRV_NAME", value_name = "NAME")]
    discovery_srv_name: Option<String>,
    /// CA that signed the cluster's certificates; without it the system's store is trusted.
    #[arg(long, env = "ETCDLET_CACERT", value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// Certificate shown to the cluster.
    #[arg(long, env = "ETCDLET_CERT", value_name = "FILE")]
    cert: Option<PathBuf>,
    /// Key of --cert.
    #[arg(long, env = "ETCDLET_KEY", value_name = "FILE")]
    key: Option<PathBuf>,
    /// Where health, metrics and the like are served.
    #[arg(long, env = "ETCDLET_ADMIN_URL", value_name = "URL")]
    admin_url: Option<String>,
    /// Clients without TLS that ping more often are sent away.
    #[arg(long, env = "ETCDLET_GRPC_KEEPALIVE_MIN_TIME", value_name = "TIME", value_parser = time)]
    grpc_keepalive_min_time: Option<Duration>,
    /// A client that has sent nothing for so long is pinged.
    #[arg(long, env = "ETCDLET_GRPC_KEEPALIVE_INTERVAL", value_name = "TIME", value_parser = positive)]
    grpc_keepalive_interval: Option<Duration>,
    /// How long a client may take to answer such a ping.
    #[arg(long, env = "ETCDLET_GRPC_KEEPALIVE_TIMEOUT", value_name = "TIME", value_parser = positive)]
    grpc_keepalive_timeout: Option<Duration>,
    /// Threads of the data path.
    #[arg(long, env = "ETCDLET_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// error, warn, info or debug.
    #[arg(long, env = "ETCDLET_LOG_LEVEL", value_name = "LEVEL")]
    log_level: Option<String>,
    /// json or text.
    #[arg(long, env = "ETCDLET_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<String>,
}

impl Run {
    /// The file, and what wins over it.
    pub fn into_parts(self) -> (Option<PathBuf>, Overrides) {
        let Self {
            config,
            listen_client_urls,
            cert_file,
            key_file,
            namespace,
            listen_tls,
            endpoints,
            http_endpoints,
            discovery_srv,
            discovery_srv_name,
            cacert,
            cert,
            key,
            admin_url,
            grpc_keepalive_min_time,
            grpc_keepalive_interval,
            grpc_keepalive_timeout,
            threads,
            log_level,
            log_format,
        } = self;
        let overrides = Overrides {
            listen_client_urls,
            cert_file,
            key_file,
            namespace,
            listen_tls: listen_tls.into(),
            endpoints,
            http_endpoints,
            discovery_srv,
            discovery_srv_name,
            cacert,
            cert,
            key,
            admin_url,
            grpc_keepalive_min_time,
            grpc_keepalive_interval,
            grpc_keepalive_timeout,
            threads: threads.map(usize::from),
            log_level,
            log_format,
        };
        (config, overrides)
    }
}

fn positive(text: &str) -> Result<Duration, String> {
    match time(text)? {
        Duration::ZERO => Err("it must be above zero".to_owned()),
        duration => Ok(duration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::reference;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as CommandFactory>::command().debug_assert();
    }

    #[test]
    fn every_flag_has_a_key_and_a_variable_that_is_named_after_it() {
        let mut command = <Cli as CommandFactory>::command();
        let run = command.find_subcommand_mut("run").unwrap();
        let flags = run.get_arguments().filter(|flag| !["config", "help"].contains(&flag.get_id().as_str()));
        let mut flags: Vec<String> = flags
            .map(|flag| {
                let name = flag.get_long().unwrap();
                let variable = format!("ETCDLET_{}", name.to_uppercase().replace('-', "_"));
                assert_eq!(flag.get_env().unwrap(), variable.as_str());
                format!("--{name}")
            })
            .collect();
        let mut documented: Vec<&str> = reference::keys().filter_map(|key| key.flag).collect();
        flags.sort();
        documented.sort_unstable();
        assert_eq!(flags, documented);
    }

    #[test]
    fn a_time_that_no_clock_could_be_added_to_is_refused() {
        let parsed = |time: &str| Cli::try_parse_from(["etcdlet", "run", "--grpc-keepalive-interval", time]);
        assert!(parsed("100years").is_ok() && parsed("10000000000000000000s").is_err());
    }

    #[test]
    fn the_arguments_of_etcds_commands_are_left_as_they_are() {
        let line = ["etcdlet", "grpc-proxy", "--help", "start", "--version", "-x", "--", "--endpoints=a:1"];
        let Command::GrpcProxy(raw) = Cli::read(line.map(OsString::from).into()) else {
            panic!("not grpc-proxy")
        };
        assert_eq!(raw.into_texts(), &line[2..]);
    }

    #[test]
    fn run_is_the_default() {
        for line in
            [["etcdlet", "--endpoints", "a:1,b:2"].as_slice(), &["etcdlet", "run", "--endpoints", "a:1,b:2"]]
        {
            let Command::Run(run) = Cli::parse_from(line).command() else { panic!("not run: {line:?}") };
            let (_, overrides) = run.into_parts();
            assert_eq!(overrides.endpoints.unwrap(), ["a:1", "b:2"]);
        }
    }
}
