//! The process: its end, its threads, its admin port, its log.

use super::Key;

pub(super) const KEYS: &[Key] = &[
    Key {
        path: "drain.timeout",
        flag: None,
        default: "`20s`",
        reloads: true,
        meaning: "How long calls under way may take after SIGTERM.",
    },
    Key {
        path: "drain.stream-jitter",
        flag: None,
        default: "`2s`",
        reloads: true,
        meaning: "Watches and other endless streams end within this span after SIGTERM, spread by chance.",
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
        meaning: "Where `/metrics`, `/cluster` and `/watches` are served.",
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
