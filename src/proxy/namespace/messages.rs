//! Where keys stand in etcd's messages.
//!
//! A field that is not named here is no key. Sources: `rpc.proto`, `kv.proto`, `v3lock.proto` and
//! `v3election.proto` of etcd, and the handlers behind them.

/// A message with the fields that are edited.
#[derive(Debug)]
pub(super) struct Message(&'static [(u32, Field)]);

#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    Key(Key),
    Message(&'static Message),
}

/// What a field of bytes stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// In an answer.
    Answered,
    /// The end of a range; empty for a single key, a zero byte for no end.
    End,
    /// In an answer, one of a list that may name others' too.
    Listed,
    /// An empty one, or none, is taken for this.
    Or(&'static [u8]),
    /// etcd refuses an empty one, or none.
    Refused,
}

impl Message {
    pub fn field(&self, number: u32) -> Option<Field> {
        self.0.iter().find(|(of, _)| *of == number).map(|(_, field)| *field)
    }

    /// The key that etcd would put in itself where there is none.
    pub fn required(&self) -> Option<(u32, Key)> {
        self.0.iter().find_map(|(number, field)| match field {
            Field::Key(key @ Key::Or(_)) => Some((*number, *key)),
            Field::Key(_) | Field::Message(_) => None,
        })
    }
}

/// What is edited of a method's requests and answers. `None` for one that has no keys.
pub(super) fn of(path: &str) -> Option<(&'static Message, &'static Message)> {
    Some(match path {
        "/etcdserverpb.KV/DeleteRange" => (&DELETE, &DELETED),
        "/etcdserverpb.KV/Put" => (&PUT, &HAVING_BEFORE),
        "/etcdserverpb.KV/Range" => (&RANGE, &RANGED),
        "/etcdserverpb.KV/RangeStream" => (&RANGE, &RANGE_PIECE),
        "/etcdserverpb.KV/Txn" => (&TXN, &TXN_DONE),
        "/etcdserverpb.Lease/LeaseTimeToLive" => (&NOTHING, &TIME_TO_LIVE),
        "/etcdserverpb.Watch/Watch" => (&WATCH, &WATCHED),
        "/v3electionpb.Election/Campaign" => (&NAMED, &CAMPAIGNED),
        "/v3electionpb.Election/Leader" | "/v3electionpb.Election/Observe" => (&NAMED, &HAVING_BEFORE),
        "/v3electionpb.Election/Proclaim" | "/v3electionpb.Election/Resign" => (&OF_LEADER, &NOTHING),
        "/v3lockpb.Lock/Lock" => (&NAMED, &LOCKED),
        "/v3lockpb.Lock/Unlock" => (&PUT, &NOTHING),
        _ => return None,
    })
}

use Field::Message as In;

static NOTHING: Message = Message(&[]);

static RANGE: Message = Message(&[(1, Field::Key(Key::Refused)), (2, Field::Key(Key::End))]);
static PUT: Message = Message(&[(1, Field::Key(Key::Refused))]);
static DELETE: Message = Message(&[(1, Field::Key(Key::Refused)), (2, Field::Key(Key::End))]);
static COMPARE: Message = Message(&[(3, Field::Key(Key::Refused)), (64, Field::Key(Key::End))]);
static REQUEST_OP: Message = Message(&[(1, In(&RANGE)), (2, In(&PUT)), (3, In(&DELETE)), (4, In(&TXN))]);
static TXN: Message = Message(&[(1, In(&COMPARE)), (2, In(&REQUEST_OP)), (3, In(&REQUEST_OP))]);

static KEY_VALUE: Message = Message(&[(1, Field::Key(Key::Answered))]);
static RANGED: Message = Message(&[(2, In(&KEY_VALUE))]);
static RANGE_PIECE: Message = Message(&[(1, In(&RANGED))]);
/// With one key and its value in the second field: what a put found, an election's leader.
static HAVING_BEFORE: Message = Message(&[(2, In(&KEY_VALUE))]);
static DELETED: Message = Message(&[(3, In(&KEY_VALUE))]);
static RESPONSE_OP: Message =
    Message(&[(1, In(&RANGED)), (2, In(&HAVING_BEFORE)), (3, In(&DELETED)), (4, In(&TXN_DONE))]);
static TXN_DONE: Message = Message(&[(3, In(&RESPONSE_OP))]);

/// A watch without a key is one from the smallest (`recvLoop` of etcd's
/// `server/etcdserver/api/v3rpc/watch.go`).
static CREATE: Message = Message(&[(1, Field::Key(Key::Or(b"\0"))), (2, Field::Key(Key::End))]);
static WATCH: Message = Message(&[(1, In(&CREATE))]);
static EVENT: Message = Message(&[(2, In(&KEY_VALUE)), (3, In(&KEY_VALUE))]);
static WATCHED: Message = Message(&[(11, In(&EVENT))]);

static TIME_TO_LIVE: Message = Message(&[(5, Field::Key(Key::Listed))]);

/// Locks and elections make their keys by putting a slash and a lease behind a name, which may be
/// empty (`NewMutex` and `NewElection` of etcd's `client/v3/concurrency`).
static NAMED: Message = Message(&[(1, Field::Key(Key::Or(b"")))]);
static LOCKED: Message = Message(&[(2, Field::Key(Key::Answered))]);
static LEADER: Message = Message(&[(1, Field::Key(Key::Or(b""))), (2, Field::Key(Key::Refused))]);
static OF_LEADER: Message = Message(&[(1, In(&LEADER))]);
static LEADER_DONE: Message = Message(&[(1, Field::Key(Key::Answered)), (2, Field::Key(Key::Answered))]);
static CAMPAIGNED: Message = Message(&[(2, In(&LEADER_DONE))]);
