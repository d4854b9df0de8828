//! Where calls go, and what happens when they fail.

use super::Key;

pub(super) const KEYS: &[Key] = &[
    Key {
        path: "route.leader-aware",
        flag: None,
        default: "`true`",
        reloads: true,
        meaning: "Writes and what needs the leader go to it, linearizable reads mostly, serializable reads \
            and watches to followers. `false`: every healthy member alike.",
    },
    Key {
        path: "route.member-list",
        flag: None,
        default: "`passthrough`",
        reloads: true,
        meaning: "`local`: the client URLs in answers of MemberList (gRPC and JSON) are those of the first \
            listener, so that clients which follow the list stay with etcdlet. Ids, names and peer URLs \
            stay. `registered`: in gRPC, the answer is not the members but the proxies below \
            `register.prefix`, or only this one where there are none; see \
            [below](#proxies-that-know-each-other).",
    },
    Key {
        path: "route.watermark-wait",
        flag: None,
        default: "`250ms`",
        reloads: true,
        meaning: "How long a serializable answer that is older than what a client of this node has seen may \
            wait for a fresher one.",
    },
    Key {
        path: "route.share-reads",
        flag: None,
        default: "`false`",
        reloads: true,
        meaning: "`true`: ranges that are equal, byte by byte and in token and `hasleader`, share calls: \
            those that come while two are under way are asked together in one that is sent after they came. \
            A serializable one takes the answer under way, unless that is older than what a client of this \
            node has seen. Answers of more than about 16 KiB are not shared. Worth it where many clients \
            read the same keys at the same time; every other read costs 1 to 2 µs more.",
    },
    Key {
        path: "register.advertise-client-url",
        flag: None,
        default: "",
        reloads: false,
        meaning: "Where clients reach this etcdlet, as they and other proxies shall be told. Its name is the \
            host's.",
    },
    Key {
        path: "register.prefix",
        flag: None,
        default: "",
        reloads: false,
        meaning: "The key `PREFIX/URL` says that this etcdlet is there, as long as it is.",
    },
    Key {
        path: "register.ttl",
        flag: None,
        default: "",
        reloads: false,
        meaning: "Whole seconds after which the key of an etcdlet that died is gone. It goes with `prefix`.",
    },
    Key {
        path: "retry.read-limit",
        flag: None,
        default: "`10s`",
        reloads: true,
        meaning: "No further attempt of a read begins when it is older than this.",
    },
    Key {
        path: "retry.budget-rate",
        flag: None,
        default: "`1000`",
        reloads: true,
        meaning: "Retries a second of one thread; what is not used adds up to the burst.",
    },
    Key {
        path: "retry.budget-burst",
        flag: None,
        default: "`10000`",
        reloads: true,
        meaning: "Retries of one thread at once. Beyond it a call gets the answer that there is.",
    },
    Key {
        path: "retry.hedge-after",
        flag: None,
        default: "`0s` (off)",
        reloads: true,
        meaning: "A serializable read without an answer for so long is asked of a second member too.",
    },
    Key {
        path: "hold.timeout",
        flag: None,
        default: "`5s`",
        reloads: true,
        meaning: "How long a call that needs a leader waits while there is none; also how long keep-alives \
            wait while the streams to the leader fail.",
    },
    Key {
        path: "hold.calls",
        flag: None,
        default: "`1000`",
        reloads: true,
        meaning: "Calls of the process that may wait so; one more is refused at once.",
    },
];
