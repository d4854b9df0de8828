//! The gRPC health protocol.

use etcdlet::proto::health as pb;

use super::{HEALTH_CHECK, HEALTH_WATCH};
use crate::differential::entry::{Entry, Step, call, entry};

pub(crate) fn entries() -> Vec<Entry> {
    let of = |service: &str| pb::HealthCheckRequest { service: service.to_owned() };
    vec![
        call("health: check", HEALTH_CHECK, of("")),
        call("health: check of a service", HEALTH_CHECK, of("etcdserverpb.KV")),
        call("health: list", "/grpc.health.v1.Health/List", of("")),
        entry("health: watch").open_unary(HEALTH_WATCH, of("")).receive(1).quiet(),
        entry("health: watch of a service")
            .open_unary(HEALTH_WATCH, of("etcdserverpb.KV"))
            .receive(1)
            .quiet(),
        entry("health: watch until the deadline")
            .open_unary(HEALTH_WATCH, of(""))
            .meta("grpc-timeout", "300m")
            .deadline(),
        entry("health: watch, reset by the client")
            .open_unary(HEALTH_WATCH, of(""))
            .receive(1)
            .step(Step::Reset),
    ]
}
