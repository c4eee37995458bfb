//! The listener: a socket in the file system that nobody else can open, or an address with a token.

use std::fs::Permissions;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::settings::{AdminListen, SecretText};

/// How many connections wait to be taken.
const BACKLOG: i32 = 64;

/// Why the admin listener cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The folder of the socket is open to others, who could put a socket of theirs in its place.
    #[error(
        "listen on unix:{}: its folder is writable by other users (mode {mode:04o}); chmod go-w {}",
        path.display(),
        folder_of(path).display()
    )]
    Open {
        /// The socket.
        path: PathBuf,
        /// The folder's mode.
        mode: u32,
    },
    /// The folder of the socket belongs to somebody else.
    #[error("listen on unix:{}: its folder belongs to user {owner}, who could replace it", path.display())]
    Owner {
        /// The socket.
        path: PathBuf,
        /// The folder's owner.
        owner: u32,
    },
    /// Another gateway answers there.
    #[error("listen on unix:{}: another gateway listens there", .0.display())]
    Taken(PathBuf),
    /// Something else than a socket is there.
    #[error("listen on unix:{}: a file is there that is no socket; it is left as it is", .0.display())]
    NoSocket(PathBuf),
    /// The system refused.
    #[error("listen on {0}: {1}")]
    System(AdminListen, #[source] io::Error),
    /// There is no thread to serve it.
    #[error("start the admin listener: {0}")]
    Thread(#[source] io::Error),
}

/// A listener that was opened, and what is asked of whoever connects.
pub(super) enum Listener {
    /// A socket for its owner and root. Its file goes when the listener does.
    Unix(std::os::unix::net::UnixListener, SocketFile),
    /// An address, for whoever has the token.
    Tcp(std::net::TcpListener, SecretText),
}

/// The file of a socket. Dropped, it is removed, if it is still this one.
pub(super) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.path.symlink_metadata().is_ok_and(|there| there.ino() == self.inode) {
            // One that stays is replaced at the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Opens the listener.
///
/// # Errors
/// [`ListenError`].
pub(super) fn bind(listen: &AdminListen) -> Result<Listener, ListenError> {
    match listen {
        AdminListen::Unix(path) => {
            let (listener, file) = bind_unix(path)?;
            Ok(Listener::Unix(listener, file))
        }
        AdminListen::Tcp { address, token } => {
            let listener = bind_tcp(*address).map_err(|error| ListenError::System(listen.clone(), error))?;
            Ok(Listener::Tcp(listener, token.clone()))
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Opens a socket at `path`, in place of one that a gateway left which is gone. It is private before anybody
/// could connect, and stands under its name only once it is taken care of.
fn bind_unix(path: &Path) -> Result<(std::os::unix::net::UnixListener, SocketFile), ListenError> {
    let failed = |error: io::Error| ListenError::System(AdminListen::Unix(path.to_owned()), error);
    let folder = open_folder(path)?;
    match path.symlink_metadata() {
        Ok(there) if !there.file_type().is_socket() => return Err(ListenError::NoSocket(path.to_owned())),
        Ok(_) if connect(path).is_ok() => return Err(ListenError::Taken(path.to_owned())),
        _ => {}
    }
    let name = path.file_name().unwrap_or_default();
    let suffix = getrandom::u64().map_err(|error| failed(error.into()))?;
    // A name of fixed length, so that no name is too long beside it.
    let draft = within(&folder, format!(".admin-{suffix:016x}").as_ref());
    let listener = (|| {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::bind(&socket, &SocketAddrUnix::new(&draft)?)?;
        std::fs::set_permissions(&draft, Permissions::from_mode(0o600))?;
        rustix::net::listen(&socket, BACKLOG)?;
        std::fs::rename(&draft, within(&folder, name))?;
        io::Result::Ok(std::os::unix::net::UnixListener::from(socket))
    })();
    if listener.is_err() {
        // What failed may have left nothing there.
        let _ = std::fs::remove_file(&draft);
    }
    let listener = listener.map_err(failed)?;
    let inode = path.symlink_metadata().map_err(failed)?.ino();
    Ok((listener, SocketFile { path: path.to_owned(), inode }))
}

/// Opens the folder of a socket, in which nobody but us and root can put another one.
fn open_folder(path: &Path) -> Result<OwnedFd, ListenError> {
    let failed = |error: io::Error| ListenError::System(AdminListen::Unix(path.to_owned()), error);
    let folder = folder(path).map_err(failed)?;
    let there = rustix::fs::fstat(&folder).map_err(|error| failed(error.into()))?;
    let us = rustix::process::geteuid().as_raw();
    if there.st_uid != us && there.st_uid != 0 {
        return Err(ListenError::Owner { path: path.to_owned(), owner: there.st_uid });
    }
    let mode = there.st_mode & 0o7777;
    if mode & 0o022 != 0 {
        return Err(ListenError::Open { path: path.to_owned(), mode });
    }
    Ok(folder)
}

/// Connects to the socket at `path`, however long that is.
pub(super) fn connect(path: &Path) -> io::Result<std::os::unix::net::UnixStream> {
    let folder = folder(path)?;
    std::os::unix::net::UnixStream::connect(within(&folder, path.file_name().unwrap_or_default()))
}

fn folder(path: &Path) -> io::Result<OwnedFd> {
    if path.file_name().is_none() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "the path names no file"));
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(folder_of(path), flags, Mode::empty())?)
}

/// A name in an open folder. A socket's address holds 107 bytes, and a folder's own path may be longer.
fn within(folder: &OwnedFd, name: &std::ffi::OsStr) -> PathBuf {
    Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.symlink_metadata().unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn the_socket_is_its_owners_alone_and_goes_with_the_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let (listener, file) = bind_unix(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        listener.set_nonblocking(false).unwrap();
        connect(&path).unwrap().write_all(b"x").unwrap();
        let mut byte = [0];
        listener.accept().unwrap().0.read_exact(&mut byte).unwrap();
        drop((listener, file));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[test]
    fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let held = bind_unix(&path).unwrap();
        assert!(matches!(bind_unix(&path), Err(ListenError::Taken(_))));
        connect(&path).unwrap();
        drop(held);
        std::fs::write(&path, "a note").unwrap();
        assert!(matches!(bind_unix(&path), Err(ListenError::NoSocket(_))));
        assert_eq!(std::fs::read(&path).unwrap(), b"a note");
    }

    #[test]
    fn a_socket_that_another_gateway_put_there_since_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let (listener, file) = bind_unix(&path).unwrap();
        drop(listener);
        let other = bind_unix(&path).unwrap();
        drop(file);
        connect(&path).unwrap();
        drop(other);
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for open in [0o777, 0o770, 0o1777, 0o702] {
            std::fs::set_permissions(&folder, Permissions::from_mode(open)).unwrap();
            let error = bind_unix(&folder.path().join("admin.sock")).err().unwrap().to_string();
            assert!(error.contains("chmod go-w"), "{error}");
        }
        std::fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        assert!(bind_unix(&folder.path().join("admin.sock")).is_ok());
    }

    #[test]
    fn a_path_longer_than_an_address_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("x".repeat(200));
        std::fs::create_dir(&deep).unwrap();
        std::fs::set_permissions(&deep, Permissions::from_mode(0o700)).unwrap();
        let path = deep.join("admin.sock");
        let held = bind_unix(&path).unwrap();
        connect(&path).unwrap();
        drop(held);
    }
}
