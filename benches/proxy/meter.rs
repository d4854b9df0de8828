use std::time::Duration;

use crate::contender::Running;
use crate::error::Error;
use crate::etcd::Etcd;
use crate::usage::CpuMark;

/// What a contender and the members behind it use from a moment on.
#[derive(Debug)]
pub(crate) struct Meter<'a> {
    running: &'a Running,
    etcd: &'a Etcd,
    proxy_before: Option<CpuMark>,
    etcd_before: Vec<CpuMark>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    /// None for direct.
    pub(crate) proxy: Option<Duration>,
    pub(crate) etcd: Duration,
}

impl<'a> Meter<'a> {
    pub(crate) fn start(running: &'a Running, etcd: &'a Etcd) -> Result<Self, Error> {
        let proxy_before = running.process.as_ref().map(CpuMark::read).transpose()?;
        Ok(Self { running, etcd, proxy_before, etcd_before: etcd.cpu()? })
    }

    pub(crate) async fn stop(self) -> Result<Used, Error> {
        // The last replies have arrived, but their senders may still be busy with them.
        tokio::time::sleep(SETTLE).await;
        let etcd = CpuMark::since_all(&self.etcd.cpu()?, &self.etcd_before);
        let proxy_after = self.running.process.as_ref().map(CpuMark::read).transpose()?;
        let proxy = self.proxy_before.zip(proxy_after).map(|(before, after)| after.since(&before));
        Ok(Used { proxy, etcd })
    }
}

const SETTLE: Duration = Duration::from_millis(20);
