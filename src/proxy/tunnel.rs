//! A connection that has switched protocols: a WebSocket, on which etcd's JSON gateway streams.
//!
//! Bytes pass in both directions, each as fast as the other side takes them; the end of one direction
//! is passed on, and the other goes on.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::metrics::Account;
use super::settle::Ending;
use crate::types::call::{Tunnel, TunnelFuture};
use crate::types::status::Code;
use crate::upstream::Cut;

/// What joins the two connections, until both have ended, a drain ends it or its member is given up.
pub(super) fn between(
    client: OnUpgrade,
    member: OnUpgrade,
    ending: Ending,
    cut: Option<Cut>,
    mut account: Account,
) -> Tunnel {
    let ended = async {
        match ending {
            Some(ending) => ending.await,
            None => std::future::pending().await,
        }
    };
    let given_up = async {
        match cut {
            Some(cut) => cut.await,
            None => std::future::pending().await,
        }
    };
    let future: TunnelFuture = Box::pin(async move {
        let splice = async {
            let (client, member) = tokio::try_join!(client, member).map_err(std::io::Error::other)?;
            tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(member)).await
        };
        account.on_code(tokio::select! {
            biased;
            spliced = splice => match spliced {
                Ok(_) => Code::Ok,
                Err(error) => {
                    tracing::debug!(%error, "a WebSocket broke");
                    Code::Unavailable
                }
            },
            () = ended => Code::Unavailable,
            () = given_up => Code::Unavailable,
        });
    });
    Tunnel::new(future)
}
