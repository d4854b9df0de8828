//! `route.member-list` and `register`: what clients are told of the cluster, and the cluster of us.

use std::time::Duration;

use super::listen::{first, local_url};
use super::section::Section;
use crate::listen::config::Listener;
use crate::proxy::MemberList;
use crate::proxy::register::Config;
use crate::proxy::register::config::Session;

pub(super) fn member_list(
    route: &mut Section,
    listeners: &[Listener],
    errors: &mut Vec<String>,
) -> MemberList {
    match route.text("member-list", errors).as_deref() {
        None | Some("passthrough") => MemberList::Passthrough,
        // Without such a listener there is nobody to tell.
        Some("local") => local_url(listeners).map_or(MemberList::Passthrough, MemberList::Local),
        Some("registered") => MemberList::Registered,
        Some(other) => {
            let path = route.path_of("member-list");
            errors.push(format!("{path}: expected passthrough, local or registered, found {other:?}"));
            MemberList::Passthrough
        }
    }
}

pub(super) fn read(
    root: &mut Section,
    member_list: &MemberList,
    listeners: &[Listener],
    errors: &mut Vec<String>,
) -> Option<Config> {
    let mut register = root.section("register", errors);
    let (url_path, ttl_path) = (register.path_of("advertise-client-url"), register.path_of("ttl"));
    let url = register.text("advertise-client-url", errors).filter(|url| !url.is_empty());
    let prefix = register.text("prefix", errors).filter(|prefix| !prefix.is_empty());
    let ttl = register.positive_duration("ttl", errors);
    let session = match (prefix, ttl) {
        (Some(prefix), Some(ttl)) if ttl.subsec_nanos() == 0 && ttl <= TTL_MAX => {
            Some(Session { prefix, ttl })
        }
        (Some(_), Some(_)) => {
            errors.push(format!("{ttl_path}: expected whole seconds, at most {}", TTL_MAX.as_secs()));
            None
        }
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            errors.push(format!("{ttl_path}: prefix and ttl go together"));
            None
        }
    };
    register.finish(errors);
    if url.is_none() && (session.is_some() || *member_list == MemberList::Registered) {
        errors.push(format!("{url_path}: say where clients reach this etcdlet"));
    }
    // Its keys are found by clients of the first listener.
    let namespace = first(listeners).map(|listener| listener.terms.namespace.clone()).unwrap_or_default();
    Some(Config { advertise_client_url: url?, name: host_name(), namespace, session })
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The longest lease of etcd (`MaxLeaseTTL` of `server/lease/lessor.go`).
const TTL_MAX: Duration = Duration::from_secs(9_000_000_000);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::yaml;

    fn parse(text: &str, member_list: &MemberList) -> Result<Option<Config>, Vec<String>> {
        let mut errors = Vec::new();
        let root = yaml::parse(&format!("register: {text}")).unwrap();
        let config = read(&mut Section::root(root, &mut errors), member_list, &[], &mut errors);
        if errors.is_empty() { Ok(config) } else { Err(errors) }
    }

    #[test]
    fn a_registration_is_read() {
        let text = "{advertise-client-url: '10.0.0.1:2379', prefix: proxies, ttl: 60s}";
        let config = parse(text, &MemberList::Registered).unwrap().unwrap();
        assert_eq!(config.advertise_client_url, "10.0.0.1:2379");
        assert_eq!(config.session, Some(Session { prefix: "proxies".into(), ttl: Duration::from_secs(60) }));
        let alone = parse("{advertise-client-url: 'h:1'}", &MemberList::Registered).unwrap().unwrap();
        assert_eq!(alone.session, None);
        assert_eq!(parse("{}", &MemberList::Passthrough), Ok(None));
    }

    #[test]
    fn half_a_registration_is_refused() {
        let errors = |text: &str, list| parse(text, &list).unwrap_err();
        let nobody = "register.advertise-client-url: say where clients reach this etcdlet";
        assert_eq!(errors("{}", MemberList::Registered), [nobody]);
        assert_eq!(errors("{prefix: p, ttl: 5s}", MemberList::Passthrough), [nobody]);
        let half = "register.ttl: prefix and ttl go together";
        assert_eq!(errors("{advertise-client-url: a, prefix: p}", MemberList::Passthrough), [half]);
        assert_eq!(
            errors("{advertise-client-url: a, prefix: p, ttl: 500ms}", MemberList::Passthrough),
            ["register.ttl: expected whole seconds, at most 9000000000"]
        );
    }
}
