//! How the cluster is found, reached and watched.

use super::Key;

pub(super) const KEYS: &[Key] = &[
    Key {
        path: "upstream.endpoints",
        flag: Some("--endpoints"),
        default: "",
        reloads: true,
        meaning: "The cluster: URLs with or without scheme. This, `dns` or `discovery-srv` is required; \
            several are merged.",
    },
    Key {
        path: "upstream.http-endpoints",
        flag: Some("--http-endpoints"),
        default: "",
        reloads: false,
        meaning: "Where the cluster serves HTTP (the JSON gateway, health, version, metrics), if its client \
            URLs serve gRPC only (etcd's `--listen-client-http-urls`). A member's own is the one whose host \
            is its endpoint's; where none is, or several are, any of them is asked, the next one when it \
            takes no connection. Members do not say where they serve HTTP; without this key, HTTP requests \
            to such a cluster are answered 503 with its name.",
    },
    Key {
        path: "upstream.dns",
        flag: None,
        default: "",
        reloads: true,
        meaning: "URL of a name whose A and AAAA records are the members, such as a headless service: \
            `http://etcd.kube-system.svc.cluster.local.:2379`. A dot at the end of the name spares the \
            questions of a search list.",
    },
    Key {
        path: "upstream.discovery-srv",
        flag: Some("--discovery-srv"),
        default: "",
        reloads: true,
        meaning: "Domain of SRV records `_etcd-client-ssl._tcp` (https) and `_etcd-client._tcp` (http). The \
            lowest priority that has healthy members gets the calls, in proportion to the weights. \
            Certificates must name the domain, unless `discovery-srv-verify` or `tls.server-name` says \
            otherwise.",
    },
    Key {
        path: "upstream.discovery-srv-name",
        flag: Some("--discovery-srv-name"),
        default: "",
        reloads: true,
        meaning: "Suffix of the SRV service: `_etcd-client-NAME._tcp`.",
    },
    Key {
        path: "upstream.discovery-srv-verify",
        flag: None,
        default: "`domain`",
        reloads: true,
        meaning: "The name that certificates must have: `domain`, as for etcdctl, or `target`, that of the \
            record, as for etcd's proxies. With `target` whoever can forge the records chooses the name.",
    },
    Key {
        path: "upstream.insecure-discovery",
        flag: None,
        default: "`true`",
        reloads: true,
        meaning: "`false`: SRV records without TLS (`_etcd-client._tcp`) do not count. The default is \
            etcdctl's; etcd's proxies have `false`.",
    },
    Key {
        path: "upstream.nameservers",
        flag: None,
        default: "the system's",
        reloads: true,
        meaning: "`IP` or `IP:PORT` of the servers that `dns` and `discovery-srv` ask, in this order.",
    },
    Key {
        path: "upstream.sync-members",
        flag: None,
        default: "`true`",
        reloads: true,
        meaning: "Members that the cluster lists are used as well, after they have proved that they belong \
            to it. Learners are not used; a member that is listed no more is dropped; configured endpoints \
            stay.",
    },
    Key {
        path: "upstream.sync-interval",
        flag: None,
        default: "`10s`",
        reloads: true,
        meaning: "Between two requests for the member list; a change of the leader or of a member's health \
            makes it be asked at once.",
    },
    Key {
        path: "upstream.cluster-id",
        flag: None,
        default: "the first seen",
        reloads: false,
        meaning: "In hexadecimal. Endpoints of another cluster get no calls. Without this key, another \
            cluster is accepted when every configured endpoint that answers has belonged to it for 10 s.",
    },
    Key {
        path: "upstream.weights",
        flag: None,
        default: "`1` each",
        reloads: true,
        meaning: "`HOST: N` or `HOST:PORT: N`, to 1000: members near to the node can be given more calls.",
    },
    Key {
        path: "upstream.auth.username",
        flag: None,
        default: "",
        reloads: true,
        meaning: "Whom etcdlet's own probes (and with `watch.share: users` its watches) are sent as, where \
            auth is enabled: a user that may ask for Status (in 3.5.28 to 3.5.30 and 3.6.0 to 3.6.11 one \
            with the role root, in later ones any). Without it, members that keep their Status to \
            themselves are judged by `/readyz`, `/health` or gRPC health, and the leader stays unknown.",
    },
    Key {
        path: "upstream.auth.password-file",
        flag: None,
        default: "",
        reloads: true,
        meaning: "File with the password; a line break at its end does not count.",
    },
    Key {
        path: "upstream.probe.idle-interval",
        flag: None,
        default: "`5s`",
        reloads: true,
        meaning: "Between two probes of a member while nothing is wrong, a little longer by chance.",
    },
    Key {
        path: "upstream.probe.suspicion-after",
        flag: None,
        default: "`250ms`",
        reloads: true,
        meaning: "Calls or a probe without an answer for so long make every member be asked.",
    },
    Key {
        path: "upstream.probe.suspicion-interval",
        flag: None,
        default: "`100ms`",
        reloads: true,
        meaning: "Between two probes of a member while something is wrong; after 10 s, `1s`.",
    },
    Key {
        path: "upstream.probe.silent-after",
        flag: None,
        default: "`400ms`",
        reloads: true,
        meaning: "A probe without an answer for so long, while others are answered, puts a member out of \
            rotation.",
    },
    Key {
        path: "upstream.probe.lag-entries-max",
        flag: None,
        default: "`5000`",
        reloads: true,
        meaning: "A member that has applied so many Raft entries less than another one had before, twice \
            running, is out of rotation.",
    },
    Key {
        path: "upstream.connect-timeout",
        flag: None,
        default: "`3s`",
        reloads: true,
        meaning: "For name resolution, TCP and TLS together. Covers one lost SYN.",
    },
    Key {
        path: "upstream.tls.cacert",
        flag: Some("--cacert"),
        default: "the system's store",
        reloads: true,
        meaning: "CA that signed the cluster's certificates.",
    },
    Key {
        path: "upstream.tls.cert",
        flag: Some("--cert"),
        default: "",
        reloads: true,
        meaning: "Certificate shown to the cluster. One with a Common Name is safe: see below.",
    },
    Key { path: "upstream.tls.key", flag: Some("--key"), default: "", reloads: true, meaning: "Its key." },
    Key {
        path: "upstream.tls.server-name",
        flag: None,
        default: "the endpoint's host",
        reloads: false,
        meaning: "Name expected in the cluster's certificates.",
    },
    Key {
        path: "upstream.tls.insecure-skip-tls-verify",
        flag: None,
        default: "`false`",
        reloads: false,
        meaning: "`true`: whoever answers is taken for the cluster, whatever its certificate says. Only for \
            tests: anybody on the way can read and change everything.",
    },
];
