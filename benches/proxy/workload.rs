use std::fmt;

use bytes::Bytes;
use clap::ValueEnum;

use crate::contender::Contender;
use crate::load::{Method, Plan, wire};
use crate::options::Options;

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, ValueEnum)]
pub(crate) enum Workload {
    Get,
    Put,
    GetSerial,
    PutSerial,
    Range,
    Memory,
    Watch,
    WatchNested,
    WatchMany,
    KeepAlive,
    ClusterGet,
    ClusterPut,
    ClusterGetSerial,
    ClusterPutSerial,
}

impl Workload {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Put => "put",
            Self::GetSerial => "get-serial",
            Self::PutSerial => "put-serial",
            Self::Range => "range",
            Self::Memory => "memory",
            Self::Watch => "watch",
            Self::WatchNested => "watch-nested",
            Self::WatchMany => "watch-many",
            Self::KeepAlive => "keep-alive",
            Self::ClusterGet => "cluster-get",
            Self::ClusterPut => "cluster-put",
            Self::ClusterGetSerial => "cluster-get-serial",
            Self::ClusterPutSerial => "cluster-put-serial",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Get => "linearizable get of a 256 B value, 64 in flight over 8 connections",
            Self::Put => "put of a 256 B value, 64 in flight over 8 connections",
            Self::GetSerial => "linearizable get, one at a time",
            Self::PutSerial => "put, one at a time",
            Self::Range => {
                "linearizable range of 1,000 keys with 256 B values, 8 in flight over 8 connections"
            }
            Self::Memory => "memory at rest and with 1,000 connections of one watch each",
            Self::Watch => {
                "200 watches of one prefix, a stream each, over 8 connections; 256 B puts over 8 others to etcd"
            }
            Self::WatchNested => {
                "200 watches, each of a range that contains those before it; otherwise as watch"
            }
            Self::WatchMany => "10,000 watches of 100 prefixes, 100 on one stream on each of 100 connections",
            Self::KeepAlive => "keep-alives of one lease, 100 streams over 10 connections",
            Self::ClusterGet => {
                "3 members: linearizable get of a 256 B value, 32 in flight over 8 connections"
            }
            Self::ClusterPut => "3 members: put of a 256 B value, 32 in flight over 8 connections",
            Self::ClusterGetSerial => "3 members: linearizable get, one at a time",
            Self::ClusterPutSerial => "3 members: put, one at a time",
        }
    }

    /// Of the cluster that it is meant for.
    pub(crate) fn members(self) -> usize {
        match self {
            Self::ClusterGet | Self::ClusterPut | Self::ClusterGetSerial | Self::ClusterPutSerial => 3,
            _ => 1,
        }
    }

    /// Where there are several members, direct is a client that uses them in turn. The others of etcd and
    /// haproxy would say no more than with one member.
    ///
    /// etcd's proxy renews a lease by its own clock, a third of the lease's time after the last renewal,
    /// and lets keep-alives wait for that (`server/proxy/grpcproxy/lease.go`, `client/v3/lease.go`): a
    /// turn of keep-alives would take it hours.
    pub(crate) fn compares(self, contender: Contender) -> bool {
        match (self, contender) {
            (Self::KeepAlive, Contender::GrpcProxy) => false,
            (_, Contender::Direct | Contender::Etcdlet | Contender::HaproxyH2) => true,
            (_, Contender::GrpcProxy | Contender::HaproxyTcp) => self.members() == 1,
        }
    }

    /// What a slot sends; none where the workload is not a closed loop of calls.
    pub(crate) fn plan(self, options: &Options) -> Option<Plan> {
        let (method, connections, in_flight, calls) = match self {
            Self::Get => (Method::Range, 8, 8, 20_000),
            Self::Put => (Method::Put, 8, 8, 20_000),
            Self::GetSerial => (Method::Range, 1, 1, 500),
            Self::PutSerial => (Method::Put, 1, 1, 500),
            Self::Range => (Method::Range, 8, 1, 1_000),
            Self::ClusterGet => (Method::Range, 8, 4, 4_000),
            Self::ClusterPut => (Method::Put, 8, 4, 4_000),
            Self::ClusterGetSerial => (Method::Range, 1, 1, 300),
            Self::ClusterPutSerial => (Method::Put, 1, 1, 300),
            Self::Memory | Self::Watch | Self::WatchNested | Self::WatchMany | Self::KeepAlive => {
                return None;
            }
        };
        let value = value();
        let (bodies, reply_bytes_min) = match self {
            Self::Get | Self::GetSerial | Self::ClusterGet | Self::ClusterGetSerial => {
                (vec![wire::range(GET_KEY, b"")], VALUE_BYTES)
            }
            Self::Put | Self::PutSerial | Self::ClusterPut | Self::ClusterPutSerial => (
                (0..PUT_KEYS)
                    .map(|index| wire::put(format!("bench/put/{index:04}").as_bytes(), &value))
                    .collect(),
                1,
            ),
            Self::Range => (vec![wire::range(b"bench/range/", b"bench/range0")], RANGE_KEYS * VALUE_BYTES),
            Self::Memory | Self::Watch | Self::WatchNested | Self::WatchMany | Self::KeepAlive => {
                return None;
            }
        };
        Some(Plan {
            method,
            connections,
            in_flight_per_connection: in_flight,
            calls: if options.quick { calls / 10 } else { calls },
            bodies,
            reply_bytes_min,
        })
    }

    /// A round is cut into this many turns per contender. One call at a time adds tens of microseconds to
    /// a base that drifts by as much within seconds, so that direct and proxy must stand close together. What several
    /// members do in the background comes and goes as fast, on the same processors.
    pub(crate) fn slices(self) -> u32 {
        match self {
            Self::GetSerial
            | Self::PutSerial
            | Self::ClusterGet
            | Self::ClusterPut
            | Self::ClusterGetSerial
            | Self::ClusterPutSerial => 4,
            _ => 1,
        }
    }

    pub(crate) fn is_serial(self) -> bool {
        matches!(self, Self::GetSerial | Self::PutSerial | Self::ClusterGetSerial | Self::ClusterPutSerial)
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The puts that the workloads expect to find done.
pub(crate) fn preload() -> Vec<Bytes> {
    let value = value();
    let mut puts = vec![wire::put(GET_KEY, &value)];
    puts.extend((0..RANGE_KEYS).map(|index| wire::put(format!("bench/range/{index:04}").as_bytes(), &value)));
    puts
}

/// What every put writes.
pub(crate) fn value() -> Vec<u8> {
    (0..VALUE_BYTES).map(|index| b'a' + (index % 26) as u8).collect()
}

pub(crate) const GET_KEY: &[u8] = b"bench/get";
const VALUE_BYTES: usize = 256;
const RANGE_KEYS: usize = 1_000;
/// Enough that puts do not all queue for one key, few enough that etcd's index stays small.
const PUT_KEYS: usize = 64;
