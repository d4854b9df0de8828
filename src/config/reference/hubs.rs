//! What clients share: watches and leases.

use super::Key;

pub(super) const KEYS: &[Key] = &[
    Key {
        path: "watch.coalesce",
        flag: None,
        default: "`true`",
        reloads: false,
        meaning: "Watches of clients that could have opened them for each other (same token, same \
            `hasleader`) share few watches at members. Each client sees what a watch of its own would show \
            it, and does not notice the loss of a member. `false`: every stream is passed through.",
    },
    Key {
        path: "watch.share",
        flag: None,
        default: "`token`",
        reloads: false,
        meaning: "`users`: clients that differ in nothing but their tokens share watches too, which etcdlet \
            opens as the user of `upstream.auth`; see [below](#watches-that-users-share).",
    },
    Key {
        path: "watch.ring-bytes",
        flag: None,
        default: "`64MiB`",
        reloads: false,
        meaning: "Events kept for watchers that come late or read slowly.",
    },
    Key {
        path: "watch.lag-bytes-max",
        flag: None,
        default: "`16MiB`",
        reloads: false,
        meaning: "Responses that may wait for one client stream. Beyond it its watches lag, and catch up \
            when it reads.",
    },
    Key {
        path: "watch.catch-ups",
        flag: None,
        default: "`256`",
        reloads: false,
        meaning: "Watches at members at a time that bring one late watcher each up to the others; further \
            ones wait.",
    },
    Key {
        path: "watch.watchers",
        flag: None,
        default: "`1000000`",
        reloads: false,
        meaning: "Watches of all clients. A stream that asks for more is ended `UNAVAILABLE`.",
    },
    Key {
        path: "watch.linger",
        flag: None,
        default: "`10s`",
        reloads: false,
        meaning: "How long a watch at a member stays open without a watcher.",
    },
    Key {
        path: "watch.prefixes[].prefix",
        flag: None,
        default: "",
        reloads: false,
        meaning: "What the following keys are for: watches whose range is wholly below this prefix (empty: \
            all keys), and below no longer one of the list. A wider watch is not concerned.",
    },
    Key {
        path: "watch.prefixes[].coalesce",
        flag: None,
        default: "`true`",
        reloads: false,
        meaning: "`false`: each of these watches has one of its own at a member.",
    },
    Key {
        path: "watch.prefixes[].standing",
        flag: None,
        default: "`false`",
        reloads: false,
        meaning: "`true`: a watch of exactly this prefix is open from the start, and again as soon as may \
            be after whatever ends it, though nobody needs it: clients find it there, and those that begin \
            a little in the past are served from what it has seen. It is shared by clients without a token; \
            where auth is enabled, it cannot be opened, which is logged and tried again every 30 s.",
    },
    Key {
        path: "watch.prefixes[].prev-kv",
        flag: None,
        default: "`false`",
        reloads: false,
        meaning: "Only with `standing`: it is for watches that ask for previous values; without, for the \
            others.",
    },
    Key {
        path: "watch.prefixes[].require-leader",
        flag: None,
        default: "`false`",
        reloads: false,
        meaning: "Only with `standing`: it is for clients that ask for a leader (`hasleader`); without, for \
            the others.",
    },
    Key {
        path: "lease.coalesce",
        flag: None,
        default: "`true`",
        reloads: false,
        meaning: "Keep-alives of many clients travel on few streams to the leader, and what they ask for \
            the same lease at the same time is asked once. `false`: every client stream is passed on as it \
            is.",
    },
    Key {
        path: "lease.streams",
        flag: None,
        default: "`4`",
        reloads: false,
        meaning: "Streams to the leader for clients with the same token and `hasleader`; etcd handles the \
            messages of one stream one after the other.",
    },
    Key {
        path: "lease.idle-timeout",
        flag: None,
        default: "`60s`",
        reloads: false,
        meaning: "Such a stream is closed when nothing was sent on it for so long.",
    },
    Key {
        path: "lease.waiting-per-stream",
        flag: None,
        default: "`1024`",
        reloads: false,
        meaning: "Keep-alives of one client stream that may wait for their answers; it is read on when \
            there is room.",
    },
    Key {
        path: "lease.waiting-total",
        flag: None,
        default: "`65536`",
        reloads: false,
        meaning: "The same for all streams; beyond it every client stream may still have one.",
    },
];
