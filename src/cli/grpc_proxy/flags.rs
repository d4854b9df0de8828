//! The flags of `etcd grpc-proxy start`, of every release from 3.4 on.

use super::super::pflag::Fate::{Done, Idle, Refused};
use super::super::pflag::Kind::{Bool, Duration, Int, Strings, Text, Uint, Uint32};
use super::super::pflag::{Fate, Flag, Group, Kind};

pub static GROUP: Group = Group {
    name: "grpc-proxy",
    about: "What etcd grpc-proxy does, done by etcdlet",
    start: "start the gRPC proxy, with the flags of etcd grpc-proxy start",
    flags: &FLAGS,
};

const fn flag(name: &'static str, kind: Kind, default: &'static str, fate: Fate, help: &'static str) -> Flag {
    Flag { name, kind, default, help, fate }
}

const PINGS: Fate = Idle("a member that does not answer is noticed within a second, by probes");
const SIZES: Fate = Idle("messages of any size pass, and etcd refuses what is too large for it");

#[rustfmt::skip]
static FLAGS: [Flag; 39] = [
    flag("advertise-client-url", Text, "127.0.0.1:23790", Done, "where clients reach this proxy; empty: MemberList is answered by the cluster"),
    flag("auto-tls", Bool, "false", Done, "serve TLS with a certificate made at start"),
    flag("cacert", Text, "", Done, "CA that signed the cluster's certificates"),
    flag("cert", Text, "", Done, "certificate shown to the cluster; it may have a Common Name"),
    flag("cert-file", Text, "", Done, "certificate shown to clients"),
    flag("client-crl-file", Text, "", Done, "revocation list for the certificates of clients"),
    flag("data-dir", Text, "default.proxy", Idle("nothing is stored"), ""),
    flag("debug", Bool, "false", Done, "log at debug"),
    flag("dial-keepalive-time", Duration, "0s", PINGS, ""),
    flag("dial-keepalive-timeout", Duration, "20s", PINGS, ""),
    flag("discovery-srv", Text, "", Done, "domain whose SRV records name the cluster; --endpoints does not count then"),
    flag("discovery-srv-name", Text, "", Done, "suffix of the SRV service names"),
    flag("enable-pprof", Bool, "false", Refused("there is no Go runtime to look at; leave it out, and use /proxy/metrics, or perf on the process"), ""),
    flag("endpoints", Strings, "127.0.0.1:2379", Done, "the cluster, with commas between"),
    flag("endpoints-auto-sync-interval", Duration, "0s", Done, "follow the cluster's member list, asked for so often; 0: use --endpoints only"),
    flag("experimental-enable-grpc-logging", Bool, "false", Idle("keys' values never stand in the log; --debug tells more of calls"), ""),
    flag("experimental-leasing-prefix", Text, "", Refused("every other writer would have to go through leases too; leave it out, reads are answered by the cluster"), ""),
    flag("experimental-serializable-ordering", Bool, "false", Idle("revisions never go back, with or without it"), ""),
    flag("grpc-keepalive-interval", Duration, "2h0m0s", Done, "ping clients that are silent for so long"),
    flag("grpc-keepalive-min-time", Duration, "5s", Done, "clients may ping no more often than this"),
    flag("grpc-keepalive-timeout", Duration, "20s", Done, "close a connection whose client does not answer a ping for so long"),
    flag("insecure-discovery", Bool, "false", Done, "use SRV records without TLS too"),
    flag("insecure-skip-tls-verify", Bool, "false", Done, "do not verify the cluster's certificates (only for tests)"),
    flag("key", Text, "", Done, "key of --cert"),
    flag("key-file", Text, "", Done, "key of --cert-file"),
    flag("listen-addr", Text, "127.0.0.1:23790", Done, "where clients connect"),
    flag("listen-cipher-suites", Strings, "", Done, "TLS 1.2 cipher suites offered to clients"),
    flag("max-concurrent-streams", Uint32, "4294967295", Done, "streams that a client may have open on one connection"),
    flag("max-recv-bytes", Int, "2147483647", SIZES, ""),
    flag("max-send-bytes", Int, "1572864", SIZES, ""),
    flag("metrics-addr", Text, "", Done, "URL of another listener, for /metrics and /health only"),
    flag("namespace", Text, "", Done, "prefix of every key"),
    flag("permit-without-stream", Bool, "false", PINGS, ""),
    flag("resolver-prefix", Text, "", Done, "register below this prefix, together with other proxies"),
    flag("resolver-ttl", Int, "0", Done, "seconds after which the registration of a proxy that died is gone"),
    flag("self-signed-cert-validity", Uint, "1", Done, "years that the certificate of --auto-tls is valid"),
    flag("tls-max-version", Text, "", Done, "highest TLS version for clients: TLS1.2 or TLS1.3"),
    flag("tls-min-version", Text, "TLS1.2", Done, "lowest TLS version for clients: TLS1.2 or TLS1.3"),
    flag("trusted-ca-file", Text, "", Done, "CA that signed clients' certificates, which are demanded then"),
];
