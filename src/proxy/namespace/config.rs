//! Limits of what is held while it is edited.

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Of one message of a request.
    pub request_bytes: usize,
    /// Of all messages that wait to be whole, or for their client.
    pub total_bytes: usize,
}
