//! THE error table: gRPC codes, etcd's error texts, ours, and the HTTP code of each.
//!
//! Clients map texts to typed errors, so a text is part of the contract. Sources: etcd's
//! `api/v3rpc/rpctypes/error.go`; codes as a running etcd sends them, which differ from the
//! source for two texts (see [`ETCD_TEXTS`]).

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// A gRPC status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub code: Code,
    pub message: Cow<'static, str>,
}

impl Status {
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }

    /// Trailers with nothing else.
    pub fn trailers(&self) -> HeaderMap {
        let mut trailers = HeaderMap::with_capacity(2);
        self.write(&mut trailers);
        trailers
    }

    /// Puts `grpc-status` and `grpc-message` into trailers, or into the headers of a
    /// trailers-only answer.
    pub fn write(&self, trailers: &mut HeaderMap) {
        let code = HeaderValue::from_static(self.code.digits());
        let message = HeaderValue::from_str(&percent_encode(&self.message))
            .expect("percent-encoding leaves visible ASCII only");
        if trailers.try_insert(&GRPC_STATUS, code.clone()).is_err()
            || trailers.try_insert(&GRPC_MESSAGE, message.clone()).is_err()
        {
            // Full to the last name: the status matters more than whatever else stands there.
            trailers.clear();
            trailers.insert(&GRPC_STATUS, code);
            trailers.insert(&GRPC_MESSAGE, message);
        }
    }
}

pub static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub static GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The code in `grpc-status`, if one stands there.
pub fn grpc_status(headers: &HeaderMap) -> Option<Code> {
    let value = headers.get(&GRPC_STATUS)?;
    Some(value.to_str().ok().and_then(|text| text.parse().ok()).map_or(Code::Unknown, Code::from_number))
}

/// Codes of gRPC, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Code {
    Ok,
    Canceled,
    Unknown,
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    AlreadyExists,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    Aborted,
    OutOfRange,
    Unimplemented,
    Internal,
    Unavailable,
    DataLoss,
    Unauthenticated,
}

impl Code {
    pub const ALL: [Self; 17] = [
        Self::Ok,
        Self::Canceled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    pub fn from_number(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::Unknown)
    }

    /// Its name as gRPC libraries and dashboards write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Canceled => "Canceled",
            Self::Unknown => "Unknown",
            Self::InvalidArgument => "InvalidArgument",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::NotFound => "NotFound",
            Self::AlreadyExists => "AlreadyExists",
            Self::PermissionDenied => "PermissionDenied",
            Self::ResourceExhausted => "ResourceExhausted",
            Self::FailedPrecondition => "FailedPrecondition",
            Self::Aborted => "Aborted",
            Self::OutOfRange => "OutOfRange",
            Self::Unimplemented => "Unimplemented",
            Self::Internal => "Internal",
            Self::Unavailable => "Unavailable",
            Self::DataLoss => "DataLoss",
            Self::Unauthenticated => "Unauthenticated",
        }
    }

    /// The HTTP status that grpc-gateway gives it (`runtime/errors.go`).
    pub fn http(self) -> StatusCode {
        match self {
            Self::Ok => StatusCode::OK,
            Self::Canceled => StatusCode::from_u16(499).expect("499 is in the range of codes"),
            Self::Unknown | Self::Internal | Self::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
            Self::InvalidArgument | Self::FailedPrecondition | Self::OutOfRange => StatusCode::BAD_REQUEST,
            Self::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::AlreadyExists | Self::Aborted => StatusCode::CONFLICT,
            Self::PermissionDenied => StatusCode::FORBIDDEN,
            Self::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Self::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
        }
    }

    /// The code that an HTTP status stands for, where none is told.
    pub fn of_http(status: StatusCode) -> Self {
        match status.as_u16() {
            100..400 => Self::Ok,
            400 => Self::InvalidArgument,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 | 405 => Self::Unimplemented,
            429 => Self::ResourceExhausted,
            503 => Self::Unavailable,
            504 => Self::DeadlineExceeded,
            _ => Self::Unknown,
        }
    }

    fn digits(self) -> &'static str {
        const DIGITS: [&str; 17] =
            ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"];
        DIGITS[self as usize]
    }
}

// Our own answers, where they are constant. None of them is one of the two texts on which etcd's Go client sends a
// mutation again ("there is no address available", "there is no connection available").
pub const CONNECTION_LOST: &str = "etcdlet: upstream connection lost";
pub const OUTCOME_UNKNOWN: &str = "etcdlet: upstream connection lost, outcome unknown";
pub const NO_LEADER_NOT_SENT: &str = "etcdlet: no leader, not sent";
pub const SHUTTING_DOWN: &str = "etcdlet: shutting down";
pub const SHUTTING_DOWN_OUTCOME_UNKNOWN: &str = "etcdlet: shutting down, outcome unknown";

/// etcd's own, where we act on them.
pub const ETCD_FUTURE_REVISION: &str = "etcdserver: mvcc: required revision is a future revision";
pub const ETCD_LEARNER: &str = "etcdserver: rpc not supported for learner";
pub const ETCD_NO_LEADER: &str = "etcdserver: no leader";
/// Of a member that led and does so no longer; it has no code of its own.
pub const ETCD_NOT_PRIMARY: &str = "not a primary lessor";
/// Of a member that is being removed; it has no code of its own.
pub const ETCD_RAFT_STOPPED: &str = "raft: stopped";

/// What etcd itself says when the client's own time is up.
pub const DEADLINE_EXCEEDED: &str = "context deadline exceeded";

/// Every text of etcd's error table with the code that it has on the wire. Two of them lose
/// the code that the source gives them and arrive as `Unknown`; three changed theirs from
/// `Unavailable` (3.5) to `FailedPrecondition` (3.6), which is the one that stands here.
#[rustfmt::skip]
pub const ETCD_TEXTS: &[(Code, &str)] = &[
    (Code::InvalidArgument, "etcdserver: key is not provided"),
    (Code::InvalidArgument, "etcdserver: key not found"),
    (Code::InvalidArgument, "etcdserver: value is provided"),
    (Code::InvalidArgument, "etcdserver: lease is provided"),
    (Code::InvalidArgument, "etcdserver: too many operations in txn request"),
    (Code::InvalidArgument, "etcdserver: duplicate key given in txn request"),
    (Code::InvalidArgument, "etcdserver: invalid client api version"),
    (Code::InvalidArgument, "etcdserver: invalid sort option"),
    (Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted"),
    (Code::OutOfRange, "etcdserver: mvcc: required revision is a future revision"),
    (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded"),
    (Code::NotFound, "etcdserver: requested lease not found"),
    (Code::FailedPrecondition, "etcdserver: lease already exists"),
    (Code::OutOfRange, "etcdserver: too large lease TTL"),
    (Code::Canceled, "etcdserver: watch canceled"),
    (Code::FailedPrecondition, "etcdserver: member ID already exist"),
    (Code::FailedPrecondition, "etcdserver: Peer URLs already exists"),
    (Code::Unknown, "etcdserver: re-configuration failed due to not enough started members"),
    (Code::InvalidArgument, "etcdserver: given member URLs are invalid"),
    (Code::NotFound, "etcdserver: member not found"),
    (Code::FailedPrecondition, "etcdserver: can only promote a learner member"),
    (Code::FailedPrecondition, "etcdserver: can only promote a learner member which is in sync with leader"),
    (Code::FailedPrecondition, "etcdserver: too many learner members in cluster"),
    (Code::FailedPrecondition, "etcdserver: cluster ID mismatch"),
    (Code::InvalidArgument, "etcdserver: request is too large"),
    (Code::Unknown, "etcdserver: too many requests"),
    (Code::FailedPrecondition, "etcdserver: root user does not exist"),
    (Code::FailedPrecondition, "etcdserver: root user does not have root role"),
    (Code::FailedPrecondition, "etcdserver: user name already exists"),
    (Code::InvalidArgument, "etcdserver: user name is empty"),
    (Code::FailedPrecondition, "etcdserver: user name not found"),
    (Code::FailedPrecondition, "etcdserver: role name already exists"),
    (Code::FailedPrecondition, "etcdserver: role name not found"),
    (Code::InvalidArgument, "etcdserver: role name is empty"),
    (Code::InvalidArgument, "etcdserver: authentication failed, invalid user ID or password"),
    (Code::InvalidArgument, "etcdserver: permission not given"),
    (Code::PermissionDenied, "etcdserver: permission denied"),
    (Code::FailedPrecondition, "etcdserver: role is not granted to the user"),
    (Code::FailedPrecondition, "etcdserver: permission is not granted to the role"),
    (Code::FailedPrecondition, "etcdserver: authentication is not enabled"),
    (Code::Unauthenticated, "etcdserver: invalid auth token"),
    (Code::InvalidArgument, "etcdserver: invalid auth management"),
    (Code::InvalidArgument, "etcdserver: revision of auth store is old"),
    (Code::Unavailable, "etcdserver: no leader"),
    (Code::FailedPrecondition, "etcdserver: not leader"),
    (Code::Unavailable, "etcdserver: leader changed"),
    (Code::FailedPrecondition, "etcdserver: not capable"),
    (Code::Unavailable, "etcdserver: server stopped"),
    (Code::Unavailable, "etcdserver: request timed out"),
    (Code::Unavailable, "etcdserver: request timed out, possibly due to previous leader failure"),
    (Code::Unavailable, "etcdserver: request timed out, possibly due to connection lost"),
    (Code::Unavailable, "etcdserver: request timed out, waiting for the applied index took too long"),
    (Code::Unavailable, "etcdserver: unhealthy cluster"),
    (Code::DataLoss, "etcdserver: corrupt cluster"),
    (Code::FailedPrecondition, "etcdserver: rpc not supported for learner"),
    (Code::FailedPrecondition, "etcdserver: bad leader transferee"),
    (Code::InvalidArgument, "etcdserver: wrong downgrade target version format"),
    (Code::InvalidArgument, "etcdserver: invalid downgrade target version"),
    (Code::FailedPrecondition, "etcdserver: cluster version not found during downgrade"),
    (Code::FailedPrecondition, "etcdserver: cluster has a downgrade job in progress"),
    (Code::FailedPrecondition, "etcdserver: no inflight downgrade job"),
    (Code::Canceled, "etcdserver: request canceled"),
    (Code::DeadlineExceeded, "etcdserver: context deadline exceeded"),
];

/// The encoding of `grpc-message`: everything outside of space to `~`, and `%` itself, as `%XX`.
fn percent_encode(message: &str) -> String {
    let mut encoded = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b'%' | 0..=0x1f | 0x7f.. => encoded.push_str(&format!("%{byte:02X}")),
            _ => encoded.push(char::from(byte)),
        }
    }
    encoded
}

/// Undoes the encoding of `grpc-message`; what is not well-formed stays as it is.
pub fn percent_decode(message: &[u8]) -> String {
    let digit = |at: usize| message.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::with_capacity(message.len());
    let mut at = 0;
    while let Some(&byte) = message.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_written_as_grpc_writes_it() {
        let mut trailers = HeaderMap::new();
        Status::new(Code::Unavailable, "50 % down\nété").write(&mut trailers);
        assert_eq!(trailers["grpc-status"], "14");
        assert_eq!(trailers["grpc-message"], "50 %25 down%0A%C3%A9t%C3%A9");
        assert_eq!(grpc_status(&trailers), Some(Code::Unavailable));
    }

    #[test]
    fn a_message_survives_its_encoding() {
        for message in ["50 % down\nété", "", "%zz", "100%"] {
            assert_eq!(percent_decode(percent_encode(message).as_bytes()), message);
        }
        assert_eq!(percent_decode(b"a%4"), "a%4");
    }

    #[test]
    fn codes_keep_their_numbers() {
        for (number, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, number);
            assert_eq!(Code::from_number(number as u8), code);
        }
        assert_eq!(Code::from_number(99), Code::Unknown);
    }

    #[test]
    fn no_text_stands_twice() {
        let mut texts: Vec<_> = ETCD_TEXTS.iter().map(|(_, text)| text).collect();
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), ETCD_TEXTS.len());
    }
}
