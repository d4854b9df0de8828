//! The flags of `etcd grpc-proxy start`, of every release from 3.4 on.

use super::super::pflag::Fate::{Done, Idle, Refused};
use super::super::pflag::Kind::{Bool, Duration, Int, Strings, Text, Uint, Uint32};
use super::super::pflag::{Fate, Flag, Group};

pub static GROUP: Group = Group {
    name: "grpc-proxy",
    about: "What etcd grpc-proxy does, done by etcdlet",
    start: "start the gRPC proxy, with the flags of etcd grpc-proxy start",
    flags: &FLAGS,
};

const PINGS: Fate = Idle("a member that does not answer is noticed within a second, by probes");
const SIZES: Fate = Idle("messages of any size pass, and etcd refuses what is too large for it");

#[rustfmt::skip]
static FLAGS: [Flag; 39] = [
    Flag::new("advertise-client-url", Text, "127.0.0.1:23790", Done, "where clients reach this proxy; empty: MemberList is answered by the cluster"),
    Flag::new("auto-tls", Bool, "false", Done, "serve TLS with a certificate made at start"),
    Flag::new("cacert", Text, "", Done, "CA that signed the cluster's certificates"),
    Flag::new("cert", Text, "", Done, "certificate shown to the cluster; it may have a Common Name"),
    Flag::new("cert-file", Text, "", Done, "certificate shown to clients"),
    Flag::new("client-crl-file", Text, "", Done, "revocation list for the certificates of clients"),
    Flag::new("data-dir", Text, "default.proxy", Idle("nothing is stored"), ""),
    Flag::new("debug", Bool, "false", Done, "log at debug"),
    Flag::new("dial-keepalive-time", Duration, "0s", PINGS, ""),
    Flag::new("dial-keepalive-timeout", Duration, "20s", PINGS, ""),
    Flag::new("discovery-srv", Text, "", Done, "domain whose SRV records name the cluster; --endpoints does not count then"),
    Flag::new("discovery-srv-name", Text, "", Done, "suffix of the SRV service names"),
    Flag::new("enable-pprof", Bool, "false", Refused("there is no Go runtime to look at; leave it out, and use /proxy/metrics, or perf on the process"), ""),
    Flag::new("endpoints", Strings, "127.0.0.1:2379", Done, "the cluster, with commas between"),
    Flag::new("endpoints-auto-sync-interval", Duration, "0s", Done, "follow the cluster's member list, asked for so often; 0: use --endpoints only"),
    Flag::new("experimental-enable-grpc-logging", Bool, "false", Idle("keys' values never stand in the log; --debug tells more of calls"), ""),
    Flag::new("experimental-leasing-prefix", Text, "", Refused("every other writer would have to go through leases too; leave it out, reads are answered by the cluster"), ""),
    Flag::new("experimental-serializable-ordering", Bool, "false", Idle("revisions never go back, with or without it"), ""),
    Flag::new("grpc-keepalive-interval", Duration, "2h0m0s", Done, "ping clients that are silent for so long"),
    Flag::new("grpc-keepalive-min-time", Duration, "5s", Done, "clients may ping no more often than this"),
    Flag::new("grpc-keepalive-timeout", Duration, "20s", Done, "close a connection whose client does not answer a ping for so long"),
    Flag::new("insecure-discovery", Bool, "false", Done, "use SRV records without TLS too"),
    Flag::new("insecure-skip-tls-verify", Bool, "false", Done, "do not verify the cluster's certificates (only for tests)"),
    Flag::new("key", Text, "", Done, "key of --cert"),
    Flag::new("key-file", Text, "", Done, "key of --cert-file"),
    Flag::new("listen-addr", Text, "127.0.0.1:23790", Done, "where clients connect"),
    Flag::new("listen-cipher-suites", Strings, "", Done, "TLS 1.2 cipher suites offered to clients"),
    Flag::new("max-concurrent-streams", Uint32, "4294967295", Done, "streams that a client may have open on one connection"),
    Flag::new("max-recv-bytes", Int, "2147483647", SIZES, ""),
    Flag::new("max-send-bytes", Int, "1572864", SIZES, ""),
    Flag::new("metrics-addr", Text, "", Done, "URL of another listener, for /metrics and /health only"),
    Flag::new("namespace", Text, "", Done, "prefix of every key"),
    Flag::new("permit-without-stream", Bool, "false", PINGS, ""),
    Flag::new("resolver-prefix", Text, "", Done, "register below this prefix, together with other proxies"),
    Flag::new("resolver-ttl", Int, "0", Done, "seconds after which the registration of a proxy that died is gone"),
    Flag::new("self-signed-cert-validity", Uint, "1", Done, "years that the certificate of --auto-tls is valid"),
    Flag::new("tls-max-version", Text, "", Done, "highest TLS version for clients: TLS1.2 or TLS1.3"),
    Flag::new("tls-min-version", Text, "TLS1.2", Done, "lowest TLS version for clients: TLS1.2 or TLS1.3"),
    Flag::new("trusted-ca-file", Text, "", Done, "CA that signed clients' certificates, which are demanded then"),
];
