//! The head of an answer in HTTP/2, awaited.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use h2::client::ResponseFuture;
use h2::{Error, RecvStream};
use http::Response;

/// `None` once it has ended, when it must not be polled again.
pub(super) struct Awaited(Option<ResponseFuture>);

impl Awaited {
    pub fn new(response: ResponseFuture) -> Self {
        Self(Some(response))
    }
}

impl Future for Awaited {
    type Output = Result<Response<RecvStream>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = self.0.as_mut().expect("nobody polls a future that has ended");
        let outcome = Pin::new(response).poll(cx);
        if outcome.is_ready() {
            self.0 = None;
        }
        outcome
    }
}

/// A stream that was reset stays in h2's hands until the reset is written, and with it the waker of
/// who waited: the whole task of a call. Clients that give up in crowds would leave thousands of them.
impl Drop for Awaited {
    fn drop(&mut self) {
        if let Some(response) = &mut self.0 {
            let _nobody_waits = Pin::new(response).poll(&mut Context::from_waker(Waker::noop()));
        }
    }
}
