//! The mark that an etcdlet leaves on what it sends, so that it recognises what comes back to it.

use http::{HeaderName, HeaderValue};

/// Every etcdlet on the way of a call adds its own value.
pub static HOP: HeaderName = HeaderName::from_static("etcdlet-hop");

/// The text of the refusal; a probe that gets it has found its own process.
pub const LOOP: &str = "etcdlet: proxy loop: an endpoint leads back to this etcdlet";

/// The value of this process, one for all its threads.
pub fn own() -> HeaderValue {
    static OWN: std::sync::OnceLock<HeaderValue> = std::sync::OnceLock::new();
    OWN.get_or_init(|| {
        let own = format!("{:016x}", fastrand::u64(..));
        HeaderValue::from_str(&own).expect("hexadecimal digits are visible ASCII")
    })
    .clone()
}
