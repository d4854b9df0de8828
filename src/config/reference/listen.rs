//! Where clients connect, and what they may use.

use super::Key;

pub(super) const KEYS: &[Key] = &[
    Key {
        path: "listen[].url",
        flag: Some("--listen-client-urls"),
        default: "`http://127.0.0.1:2379`",
        reloads: false,
        meaning: "Where clients connect: `http://HOST:PORT`, `https://HOST:PORT`, `unix:///PATH`, \
            `unixs:///PATH` (with TLS; etcd's clients expect the last part of the path in the certificate), \
            or `tcp://HOST:PORT`. gRPC (HTTP/2 with prior knowledge, or by ALPN) and HTTP/1.1 share the \
            port.",
    },
    Key {
        path: "listen[].protocol",
        flag: None,
        default: "`http`",
        reloads: false,
        meaning: "`tcp` (the same as a URL `tcp://HOST:PORT`): connections pass to a member as they are; \
            see [below](#connections-that-pass-as-they-are).",
    },
    Key {
        path: "listen[].mode",
        flag: None,
        default: "0660",
        reloads: false,
        meaning: "Permissions of a Unix socket, four octal digits; to connect is to write. The file never \
            lets in anybody else, not even while it is made. One that nobody listens at any longer is \
            replaced, and it goes when the process ends.",
    },
    Key {
        path: "listen[].owner",
        flag: None,
        default: "that of the process",
        reloads: false,
        meaning: "Of a Unix socket: a name of `/etc/passwd`, or a number.",
    },
    Key {
        path: "listen[].group",
        flag: None,
        default: "that of the process",
        reloads: false,
        meaning: "The same, a name of `/etc/group`, or a number.",
    },
    Key {
        path: "listen[].connections",
        flag: None,
        default: "",
        reloads: false,
        meaning: "Connections that this listener may have, within `limits.connections`.",
    },
    Key {
        path: "listen[].tls.cert-file",
        flag: Some("--cert-file"),
        default: "",
        reloads: true,
        meaning: "Certificate chain of an `https` listener, PEM.",
    },
    Key {
        path: "listen[].tls.key-file",
        flag: Some("--key-file"),
        default: "",
        reloads: true,
        meaning: "Its key.",
    },
    Key {
        path: "listen[].tls.trusted-ca-file",
        flag: Some("--trusted-ca-file"),
        default: "",
        reloads: true,
        meaning: "CA bundle. Clients must show a certificate that it signed, as with etcd; what that \
            grants, see [below](#certificates-of-clients).",
    },
    Key {
        path: "listen[].tls.client-cert-auth",
        flag: Some("--client-cert-auth"),
        default: "true with a `trusted-ca-file`",
        reloads: false,
        meaning: "`optional`: a client may come without a certificate; one that it shows must be good. \
            `false` with a `trusted-ca-file` is an error: etcd would demand certificates.",
    },
    Key {
        path: "listen[].tls.client-crl-file",
        flag: Some("--client-crl-file"),
        default: "",
        reloads: true,
        meaning: "Revocation lists of that CA or of those below it, PEM (several) or DER (one). Every \
            certificate of a client's chain is looked up in the list of its issuer. Where there is no list \
            for it, it counts; a list whose time is up still holds. Two lists whose issuers have the same name \
            are refused: only one could be looked into.",
    },
    Key {
        path: "listen[].tls.min-version",
        flag: Some("--tls-min-version"),
        default: "TLS1.2",
        reloads: false,
        meaning: "`TLS1.2` or `TLS1.3`.",
    },
    Key {
        path: "listen[].tls.max-version",
        flag: Some("--tls-max-version"),
        default: "TLS1.3",
        reloads: false,
        meaning: "The same.",
    },
    Key {
        path: "listen[].tls.cipher-suites",
        flag: Some("--cipher-suites"),
        default: "all",
        reloads: false,
        meaning: "Names as etcd has them, such as `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256` (an error lists \
            them). At least one must be of TLS 1.2, unless only TLS 1.3 is allowed. TLS 1.3 keeps its three \
            suites, unless some of them are named too. Their order means nothing.",
    },
    Key {
        path: "listen[].tls.auto-tls",
        flag: Some("--auto-tls"),
        default: "false",
        reloads: false,
        meaning: "`true`: instead of files, a certificate that is made at start, kept in memory and made \
            again before its time is up. It names the host of the URL. Clients cannot check it (`etcdctl \
            --insecure-transport=false --insecure-skip-tls-verify`), and it is another one after each \
            start: for clients that check, give files.",
    },
    Key {
        path: "listen[].tls.self-signed-cert-validity",
        flag: Some("--self-signed-cert-validity"),
        default: "1",
        reloads: false,
        meaning: "Years that it is valid.",
    },
    Key {
        path: "listen[].coalesce",
        flag: None,
        default: "`true`",
        reloads: false,
        meaning: "`false`: clients of this listener share nothing, whatever else is configured: each watch \
            and keep-alive stream and each read is passed through by itself.",
    },
    Key {
        path: "listen[].serve",
        flag: None,
        default: "`all`",
        reloads: false,
        meaning: "`info`: only `/metrics`, `/health`, `/proxy/metrics` and `/proxy/health` are to be found \
            here; everything else is 404, gRPC `UNIMPLEMENTED`.",
    },
    Key {
        path: "listen[].namespace",
        flag: None,
        default: "that of all",
        reloads: false,
        meaning: "Of this listener's clients alone; `\"\"` for none.",
    },
    Key {
        path: "namespace",
        flag: Some("--namespace"),
        default: "",
        reloads: false,
        meaning: "Put before every key of clients, and taken off again: see [Namespaces](#namespaces).",
    },
    Key {
        path: "limits.connections",
        flag: None,
        default: "`10000`",
        reloads: true,
        meaning: "Client connections of all listeners. One more is closed at once and counted.",
    },
    Key {
        path: "limits.connections-per-peer",
        flag: None,
        default: "`0` (none)",
        reloads: true,
        meaning: "The same for one client: an IP address, loopback included, or behind a Unix socket a \
            user.",
    },
    Key {
        path: "limits.streams-per-connection",
        flag: None,
        default: "`65536`",
        reloads: true,
        meaning: "Streams that one HTTP/2 connection may have open; more wait in the client.",
    },
    Key {
        path: "limits.retry-buffer-bytes",
        flag: None,
        default: "`2MiB`",
        reloads: true,
        meaning: "A unary request up to this size is read whole before it is sent; a larger one streams.",
    },
    Key {
        path: "limits.retry-buffer-total-bytes",
        flag: None,
        default: "`64MiB`",
        reloads: true,
        meaning: "The same for all requests of one thread together, until their answers begin; beyond it \
            requests stream.",
    },
    Key {
        path: "limits.json-lines-total-bytes",
        flag: None,
        default: "`64MiB`",
        reloads: true,
        meaning: "Messages of JSON streams (watches, keep-alives, `observe`) that wait to be whole, or for \
            their client: such a stream passes each message as one chunk, up to 4 MiB. Beyond it they pass \
            in pieces, as they come.",
    },
    Key {
        path: "limits.namespace-request-bytes",
        flag: None,
        default: "`2MiB`",
        reloads: true,
        meaning: "One message of a request to a listener with a namespace; a longer one is refused as etcd \
            refuses it. To be raised with etcd's `--max-request-bytes`, above which it is half a MiB.",
    },
    Key {
        path: "limits.namespace-total-bytes",
        flag: None,
        default: "`256MiB`",
        reloads: true,
        meaning: "Messages of such listeners that wait to be whole, or for their client; a call that goes \
            beyond it ends `RESOURCE_EXHAUSTED`, or, if it has changed something, `UNAVAILABLE` with a text \
            that says so. An answer must be whole before its keys are edited, so this is also the longest one.",
    },
    Key {
        path: "limits.header-list-bytes",
        flag: None,
        default: "`16MiB`",
        reloads: true,
        meaning: "Headers of one HTTP/2 request; etcd's gRPC server has the same limit. (HTTP/1.1: 400 KiB \
            and 100 headers.)",
    },
    Key {
        path: "limits.handshake-timeout",
        flag: None,
        default: "`10s`",
        reloads: true,
        meaning: "For a TLS handshake, and for the first bytes of a connection.",
    },
    Key {
        path: "limits.header-timeout",
        flag: None,
        default: "`30s`",
        reloads: true,
        meaning: "For the head of a request, from its first byte to its last. In HTTP/2 for every frame \
            that is not a call's body.",
    },
    Key {
        path: "limits.http1-idle-timeout",
        flag: None,
        default: "`5m`",
        reloads: true,
        meaning: "Between two requests of an HTTP/1.1 connection.",
    },
    Key {
        path: "limits.h2-idle-timeout",
        flag: None,
        default: "`0s` (never)",
        reloads: true,
        meaning: "An HTTP/2 connection without a call for so long is told to go (GOAWAY).",
    },
    Key {
        path: "limits.grpc-keepalive-min-time",
        flag: Some("--grpc-keepalive-min-time"),
        default: "`5s`",
        reloads: true,
        meaning: "Without TLS, clients may ping that often while a call of theirs is open, and every 2 h \
            otherwise; whoever pings earlier three times, without having been answered between, is sent \
            away (GOAWAY, `too_many_pings`), as by etcd, which does not mind behind TLS.",
    },
    Key {
        path: "limits.grpc-keepalive-interval",
        flag: Some("--grpc-keepalive-interval"),
        default: "`2h`",
        reloads: true,
        meaning: "A client in HTTP/2 that has sent nothing for so long (at most twice as long) is pinged.",
    },
    Key {
        path: "limits.grpc-keepalive-timeout",
        flag: Some("--grpc-keepalive-timeout"),
        default: "`20s`",
        reloads: true,
        meaning: "How long it may take to answer.",
    },
];
