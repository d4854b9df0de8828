//! What a name server says.

use hickory_resolver::proto::op::Message;

use super::engine::Target;
use crate::upstream::discovery::dns::service;

#[test]
fn records_become_seeds_that_can_be_dialled_or_none() {
    let target = Target { name: "names", words: &[b"\0\x21\0\x01", b"\xc0\x0c", b"\x04etcd\x04test\0"] };
    target.run(|input| {
        let Ok(message) = Message::from_vec(input) else { return (usize::MAX, 0) };
        let seeds = message.answers.iter().filter_map(|record| service(&record.data, "etcd.test", true));
        let seeds: Vec<_> = seeds.collect();
        for seed in &seeds {
            assert!(seed.weight > 0 && !seed.address.host.is_empty(), "{seed:?}");
            assert!(!seed.address.host.ends_with('.'), "{seed:?}");
        }
        (seeds.len(), seeds.iter().map(|seed| seed.address.host.len()).sum::<usize>())
    });
}
