//! Which calls are told, and where.

use super::Key;

pub(super) const KEYS: &[Key] = &[
    Key {
        path: "audit.calls",
        flag: None,
        default: "`off`",
        reloads: false,
        meaning: "`writes`: a line for each call that may change something; `all`: for every call. See \
            [audit.md](audit.md).",
    },
    Key {
        path: "audit.file",
        flag: None,
        default: "`-`",
        reloads: false,
        meaning: "Where the lines go, appended to; `-` is standard output (logs are on standard error). \
            SIGHUP opens it again, for who has moved it.",
    },
    Key {
        path: "audit.max-keys",
        flag: None,
        default: "`32`",
        reloads: false,
        meaning: "Operations of a transaction, or leases of a keep-alive stream, that a line names.",
    },
    Key {
        path: "audit.max-key-bytes",
        flag: None,
        default: "`1KiB`",
        reloads: false,
        meaning: "Bytes of a key that a line shows.",
    },
    Key {
        path: "audit.max-tokens",
        flag: None,
        default: "`10000`",
        reloads: false,
        meaning: "Simple tokens, the latest ones, whose users are remembered.",
    },
    Key {
        path: "audit.request-bytes",
        flag: None,
        default: "`64MiB`",
        reloads: false,
        meaning: "What is kept of requests until it can be told, of all calls together: messages that come in \
            pieces, JSON, watches that are not answered yet. Beyond it, what was kept is told as `incomplete`.",
    },
    Key {
        path: "audit.buffer-bytes",
        flag: None,
        default: "`4MiB`",
        reloads: false,
        meaning: "Lines that may wait to be written. Beyond it they are dropped and counted.",
    },
];
