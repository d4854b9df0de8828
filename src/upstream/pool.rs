//! The endpoints of one view with this thread's connections to them.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::balance::Places;
use super::changes::Changes;
use super::connections::Connections;
use super::dial::Dialer;
use super::health::{Publisher, Signals};
use super::lane::LaneKind;
use super::metrics::Families;
use super::view::{Member, Verdict, View};

/// Sends calls to the cluster, from one thread of the data path.
pub struct Upstream {
    pub(super) routes: ArcSwap<Routes>,
    publisher: Publisher,
    /// Told of every change that could help a waiting call.
    changes: Changes,
    pub(super) dialer: Dialer,
    pub(super) metrics: Families,
    pub(super) signals: Signals,
}

/// A view and the connections to each of its members, in the same order.
pub(super) struct Routes {
    pub view: Arc<View>,
    pub connections: Vec<Arc<Connections>>,
}

impl Upstream {
    pub(super) fn new(dialer: Dialer, metrics: Families, signals: Signals, publisher: Publisher) -> Self {
        let nothing = Routes { view: Arc::default(), connections: Vec::new() };
        let routes = ArcSwap::from_pointee(nothing);
        let changes = Changes::new(signals.clone());
        Self { routes, publisher, changes, dialer, metrics, signals }
    }

    pub fn view(&self) -> Arc<View> {
        self.routes.load().view.clone()
    }

    /// Whether a member in rotation is left that is not in `tried`, or none is in rotation at all.
    pub fn has_untried(&self, tried: Places) -> bool {
        let routes = self.routes.load();
        let mut healthy = routes.view.members.iter().enumerate().filter(|(_, member)| member.is_healthy());
        let any = routes.view.members.iter().any(Member::is_healthy);
        !any || healthy.any(|(place, _)| !tried.contains(place))
    }

    /// Whether etcd could take our certificate's Common Name for the user of a call.
    pub fn presents_common_name(&self) -> bool {
        self.dialer.tls.as_ref().is_some_and(|client| client.common_name.is_some())
    }

    /// Connects to every endpoint before the first call needs it, and then follows the views until
    /// the process ends. Nobody can be called before.
    pub async fn follow(&self) {
        let mut publisher = self.publisher.clone();
        loop {
            let view = publisher.borrow_and_update().clone();
            self.adopt(view);
            if publisher.changed().await.is_err() {
                return;
            }
        }
    }

    /// For what goes on when a call is answered.
    pub fn signals(&self) -> Signals {
        self.signals.clone()
    }

    /// Something met by a call makes it worth asking how the members are.
    pub fn suspect(&self) {
        self.signals.suspect();
    }

    /// Ends with the next change that could help a waiting call. What happens after this was
    /// called and before it is awaited is not missed, if it is enabled.
    pub fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changes.changed()
    }

    fn adopt(&self, view: Arc<View>) {
        let old = self.routes.load_full();
        let connections = view.members.iter().map(|member| self.connections(&old, member)).collect();
        let gone = old.view.members.iter().filter(|before| {
            view.members.iter().all(|member| member.endpoint.address != before.endpoint.address)
        });
        gone.for_each(|member| self.metrics.remove(&member.endpoint.address.to_string()));
        // Nobody looks after the members of these any longer. Short calls still have their answers,
        // unless the cluster is gone too.
        let verdict = if view.epoch == old.view.epoch { Verdict::CutStreams } else { Verdict::CutAll };
        let stays = |id| view.members.iter().any(|member| member.endpoint.id == id);
        let gone = old.connections.iter().filter(|known| !stays(known.endpoint.id));
        gone.for_each(|known| known.obey(verdict));
        let routes = Arc::new(Routes { view, connections });
        self.routes.store(routes.clone());
        let has_healthy = |view: &View| view.members.iter().any(Member::is_healthy);
        let is_better_now = has_healthy(&routes.view) && !has_healthy(&old.view);
        for (member, connections) in routes.view.members.iter().zip(&routes.connections) {
            let before = old.member(connections).map_or(Verdict::Stay, |before| before.verdict);
            // Once, as whoever goes there later has nowhere better to go; until there is one.
            if member.verdict > before || is_better_now {
                connections.obey(member.verdict);
            }
            if member.is_healthy() && old.member(connections).is_none_or(|before| !before.is_healthy()) {
                connections.lane(LaneKind::Unary).warm();
            }
        }
        self.changes.on_change();
    }

    fn connections(&self, old: &Routes, member: &Member) -> Arc<Connections> {
        let known = old.connections.iter().find(|known| known.endpoint.id == member.endpoint.id);
        known.cloned().unwrap_or_else(|| {
            let metrics = self.metrics.of(&member.endpoint.address.to_string());
            let connections = Connections::new(&member.endpoint, &self.dialer, &metrics, &self.changes);
            connections.lane(LaneKind::Unary).warm();
            connections
        })
    }
}

impl Routes {
    fn member(&self, connections: &Connections) -> Option<&Member> {
        self.view.members.iter().find(|member| member.endpoint.id == connections.endpoint.id)
    }
}
