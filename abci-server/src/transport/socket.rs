//! A listener type and a stream type for both TCP and Unix sockets.

use std::fs::Permissions;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::socket::{
    AddressFamily, Backlog, Shutdown as ListenerShutdown, SockFlag, SockType, UnixAddr, bind,
    listen, shutdown, socket,
};

use super::{Address, Error, MAX_SOCKET_PATH};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// A bound address. Dropping it removes the file of a Unix socket.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket and its path.
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Binds `address`. A stale file of a Unix socket is replaced; only the user of this process can
    /// connect to the socket.
    ///
    /// # Errors
    /// [`Error::Listen`], for example if another process serves the address.
    pub fn bind(address: &Address) -> Result<Self, Error> {
        let bound = match address {
            Address::Tcp(endpoint) => TcpListener::bind(endpoint).map(Self::Tcp),
            Address::Unix(path) => {
                bind_unix(path).map(|listener| Self::Unix(listener, path.clone()))
            }
        };
        bound.map_err(|source| Error::Listen {
            address: address.clone(),
            reason: match source.kind() {
                io::ErrorKind::AddrInUse => "another process uses it; stop that process or \
                    choose another address"
                    .into(),
                _ => source.to_string(),
            },
        })
    }

    /// The bound address, with the port that the operating system chose.
    ///
    /// # Errors
    /// I/O errors.
    pub fn address(&self) -> io::Result<Address> {
        Ok(match self {
            Self::Tcp(listener) => Address::Tcp(listener.local_addr()?.to_string()),
            Self::Unix(_, path) => Address::Unix(path.clone()),
        })
    }

    pub(super) fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                // Consensus waits for each answer, so Nagle's algorithm must not delay it.
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Self::Unix(listener, _) => Ok(Stream::Unix(listener.accept()?.0)),
        }
    }

    /// Makes a waiting [`Self::accept`], and every later one, fail.
    pub(super) fn close(&self) -> io::Result<()> {
        shutdown(self.as_fd().as_raw_fd(), ListenerShutdown::Both).map_err(io::Error::from)
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener, _) => listener.as_fd(),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self
            && let Err(error) = std::fs::remove_file(&*path)
        {
            tracing::debug!("cannot remove the socket {}: {error}", path.display());
        }
    }
}

/// Binds a Unix socket and replaces the file that a killed process left.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let length = path.as_os_str().len();
    if length > MAX_SOCKET_PATH {
        let reason = format!(
            "its path has {length} bytes, but a socket's path has at most {MAX_SOCKET_PATH}; choose \
             a shorter one"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket {
        match UnixStream::connect(path) {
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path)?;
            }
            Err(error) => return Err(error),
        }
    }
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    bind(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    // The mode is set before `listen`, so no other user can connect in between.
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    listen(&socket, Backlog::new(BACKLOG)?)?;
    Ok(UnixListener::from(socket))
}

/// One connection.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
        })
    }

    /// Ends the connection for both sides and for every clone.
    pub(super) fn close(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(buffer),
            Self::Unix(stream) => stream.write(buffer),
        }
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write_vectored(buffers),
            Self::Unix(stream) => stream.write_vectored(buffers),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            Self::Unix(stream) => stream.flush(),
        }
    }
}
