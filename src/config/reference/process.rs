//! The process: its end, its threads, its admin port, its log.

use super::Key;

pub(super) const KEYS: &[Key] = &[
    Key {
        path: "drain.delay",
        flag: None,
        default: "`0s`",
        reloads: true,
        meaning: "After SIGTERM, SIGINT or `POST /drain`, `/readyz` of the admin port says no for so long \
            (and a registration is taken back), before listeners close and connections are told to end: load \
            balancers and kube-proxy need a moment to look.",
    },
    Key {
        path: "drain.timeout",
        flag: None,
        default: "`20s`",
        reloads: true,
        meaning: "How long calls under way may take after that.",
    },
    Key {
        path: "drain.stream-jitter",
        flag: None,
        default: "`2s`",
        reloads: true,
        meaning: "Watches and other endless streams end within this span, spread by chance.",
    },
    Key {
        path: "reload.interval",
        flag: None,
        default: "`5s`",
        reloads: true,
        meaning: "How often the configuration file, certificates, keys and the password file are looked at \
            for a change; `0s`: they are read again on SIGHUP only. See [below](#what-a-reload-changes).",
    },
    Key {
        path: "threads",
        flag: Some("--threads"),
        default: "`1`",
        reloads: false,
        meaning: "Threads of the data path, each with its own connections to the cluster. What clients \
            share, they share whichever thread they are on.",
    },
    Key {
        path: "admin.url",
        flag: Some("--admin-url"),
        default: "`http://127.0.0.1:9379`",
        reloads: false,
        meaning: "The admin port, `http` or `https`: see [below](#the-admin-port). An address that is not \
            on loopback is an error, unless certificates of clients are demanded (`tls.trusted-ca-file`) or \
            `allow-remote` says otherwise.",
    },
    Key {
        path: "admin.changes",
        flag: None,
        default: "`true`",
        reloads: false,
        meaning: "`false`: the admin port only shows. `POST /drain` and `PUT /log/level` are refused.",
    },
    Key {
        path: "admin.allow-remote",
        flag: None,
        default: "`false`",
        reloads: false,
        meaning: "`true`: the admin port may be on an address that others reach. Whoever reaches it can \
            read the configuration (without secrets) and end the process. It then answers by any name; without TLS \
            it otherwise answers only requests whose `Host` is `localhost` or an IP address.",
    },
    Key {
        path: "admin.tls.cert-file",
        flag: None,
        default: "",
        reloads: true,
        meaning: "Certificate chain of an `https` admin port, PEM.",
    },
    Key { path: "admin.tls.key-file", flag: None, default: "", reloads: true, meaning: "Its key." },
    Key {
        path: "admin.tls.trusted-ca-file",
        flag: None,
        default: "",
        reloads: true,
        meaning: "As of a listener.",
    },
    Key {
        path: "admin.tls.client-cert-auth",
        flag: None,
        default: "true with a `trusted-ca-file`",
        reloads: false,
        meaning: "As of a listener.",
    },
    Key {
        path: "admin.tls.client-crl-file",
        flag: None,
        default: "",
        reloads: true,
        meaning: "As of a listener.",
    },
    Key {
        path: "admin.tls.min-version",
        flag: None,
        default: "TLS1.2",
        reloads: false,
        meaning: "As of a listener.",
    },
    Key {
        path: "admin.tls.max-version",
        flag: None,
        default: "TLS1.3",
        reloads: false,
        meaning: "As of a listener.",
    },
    Key {
        path: "admin.tls.cipher-suites",
        flag: None,
        default: "all",
        reloads: false,
        meaning: "As of a listener.",
    },
    Key {
        path: "admin.tls.auto-tls",
        flag: None,
        default: "false",
        reloads: false,
        meaning: "As of a listener.",
    },
    Key {
        path: "admin.tls.self-signed-cert-validity",
        flag: None,
        default: "1",
        reloads: false,
        meaning: "As of a listener.",
    },
    Key {
        path: "log.level",
        flag: Some("--log-level"),
        default: "`info`",
        reloads: true,
        meaning: "`error`, `warn`, `info` or `debug`.",
    },
    Key {
        path: "log.format",
        flag: Some("--log-format"),
        default: "`json`",
        reloads: false,
        meaning: "`json` or `text`, on standard error.",
    },
];
