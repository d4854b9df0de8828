use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::programs::Programs;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode {
    H2,
    Tcp,
}

pub(crate) fn command(
    programs: &Programs,
    mode: Mode,
    listen: SocketAddr,
    etcd: &[SocketAddr],
    scratch: &Path,
) -> io::Result<Command> {
    let path = scratch.join(format!("haproxy-{}.cfg", listen.port()));
    fs::write(&path, config(mode, listen, etcd))?;
    let mut command = Command::new(&programs.haproxy);
    // -db keeps it in the foreground as one process, whose usage is then all of its usage.
    command.arg("-db").arg("-f").arg(path);
    Ok(command)
}

/// What an operator would deploy next to an application, and no more work than that: watches live for
/// days, hence the timeouts; upstream connections are shared; no access log, which would only cost it; a
/// window above haproxy's 64 KiB, so that a large range does not wait for it several times over. One
/// thread, because the sidecar's data path has one.
fn config(mode: Mode, listen: SocketAddr, etcd: &[SocketAddr]) -> String {
    let (name, proto, reuse) = match mode {
        Mode::H2 => ("http", " proto h2", "    http-reuse always\n"),
        Mode::Tcp => ("tcp", "", ""),
    };
    let member = |(index, address)| format!("    server member{index} {address}{proto} check\n");
    let members: String = etcd.iter().enumerate().map(member).collect();
    format!(
        "global
    nbthread 1
    maxconn 4000
    tune.h2.initial-window-size 1048576

defaults
    mode {name}
    option clitcpka
    option srvtcpka
    timeout connect 5s
    timeout client 24h
    timeout server 24h
    timeout tunnel 24h

frontend clients
    bind {listen}{proto}
    default_backend members

backend members
{reuse}{members}"
    )
}
