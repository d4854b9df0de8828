//! Unix sockets as files: who may connect, what stands in the way, and what is left behind.
//!
//! Invariant: from its first moment the file lets in nobody whom its mode, owner and group will not.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};

/// Who may connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Permission bits; to connect is to write.
    pub mode: u32,
    /// Names or numbers; those of the process where there are none.
    pub owner: Option<String>,
    pub group: Option<String>,
}

/// The file of a socket; removed when it is dropped, unless it is no longer the same one.
pub struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// Listens at `path`. A socket there that nobody listens at is replaced.
pub(super) fn bind(path: &Path, access: &Access, backlog: i32) -> io::Result<(UnixListener, SocketFile)> {
    let owner = access.owner.as_deref().map(|name| id(name, "user", "/etc/passwd")).transpose()?;
    let group = access.group.as_deref().map(|name| id(name, "group", "/etc/group")).transpose()?;
    clear(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // The file takes the mode of the socket, less the umask (Linux: unix_bind_bsd in net/unix/af_unix.c).
    fchmod(&socket, Mode::from_raw_mode(access.mode & 0o700)).map_err(io::Error::from)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile::of(path)?;
    if owner.is_some() || group.is_some() {
        chown(path, owner, group)?;
    }
    fs::set_permissions(path, Permissions::from_mode(access.mode))?;
    socket.listen(backlog)?;
    Ok((socket.into(), file))
}

/// Makes way for a new socket.
fn clear(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a file that is not a socket; it is left alone",
        ));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Or this would wait for room in the backlog of a process that is frozen.
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Ok(()) => Err(in_use()),
        // Nobody listens: what a process left behind that was killed.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        // Its backlog is full.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(in_use()),
        Err(error) => Err(error),
    }
}

fn in_use() -> io::Error {
    io::Error::new(io::ErrorKind::AddrInUse, "another process listens at this socket")
}

/// The number behind a name, by the file that has it: a static binary cannot ask the name service.
fn id(name: &str, kind: &str, file: &str) -> io::Result<u32> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let text = fs::read_to_string(file)
        .map_err(|error| io::Error::new(error.kind(), format!("{kind} {name:?}: {file}: {error}")))?;
    number_of(name, &text).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!("no {kind} {name:?} in {file}; a number does as well"),
        )
    })
}

/// passwd(5) and group(5): `name:password:number:…`.
fn number_of(name: &str, text: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), device: found.dev(), inode: found.ino() })
    }

    fn is(&self, found: &Metadata) -> bool {
        (self.device, self.inode) == (found.dev(), found.ino())
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // While the socket is open nobody else's file can have its number.
        if let Ok(found) = fs::symlink_metadata(&self.path)
            && self.is(&found)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the socket cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCESS: Access = Access { mode: 0o620, owner: None, group: None };

    fn refusal(path: &Path, access: &Access) -> String {
        bind(path, access, 1).err().expect("it is refused").to_string()
    }

    #[test]
    fn a_socket_has_its_mode_and_goes_with_its_listener() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let (_listener, file) = bind(&path, &ACCESS, 1).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o620);
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_living_one_or_another_file_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        drop(UnixListener::bind(&path).unwrap());
        let (listener, file) = bind(&path, &ACCESS, 1).unwrap();
        assert!(refusal(&path, &ACCESS).contains("another process listens"));
        drop((listener, file));
        fs::write(&path, "kept").unwrap();
        assert!(refusal(&path, &ACCESS).contains("not a socket"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "kept");
    }

    #[test]
    fn a_file_that_took_the_place_of_ours_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let (_listener, file) = bind(&path, &ACCESS, 1).unwrap();
        fs::remove_file(&path).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        drop(file);
        assert!(path.exists());
    }

    #[test]
    fn names_are_looked_up_and_unknown_ones_are_refused() {
        let text = "root:x:0:0:root:/root:/bin/sh\netcd:x:52:53::/:/bin/false\n";
        assert_eq!((number_of("etcd", text), number_of("etc", text)), (Some(52), None));
        let directory = tempfile::tempdir().unwrap();
        let access = Access { owner: Some("nobody-at-all".into()), ..ACCESS };
        let said = refusal(&directory.path().join("socket"), &access);
        assert!(said.contains("no user \"nobody-at-all\" in /etc/passwd"), "{said}");
    }
}
