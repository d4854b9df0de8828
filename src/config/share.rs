//! `watch.share`: who may share watches, and as whom these are opened then.

use super::section::Section;
use crate::upstream;
use crate::upstream::health::Credentials;

/// `None`: by token. `upstream` is missing only together with an error.
pub(super) fn read(
    watch: &mut Section,
    upstream: Option<&upstream::Config>,
    errors: &mut Vec<String>,
) -> Option<Credentials> {
    let path = watch.path_of("share");
    match watch.text("share", errors).as_deref() {
        None | Some("token") => None,
        Some("users") => {
            let credentials = upstream?.credentials.clone();
            if credentials.is_none() {
                errors.push(format!("{path}: users needs upstream.auth (username and password-file)"));
            }
            credentials
        }
        Some(other) => {
            errors.push(format!("{path}: expected token or users, found {other:?}"));
            None
        }
    }
}
