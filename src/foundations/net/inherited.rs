use std::io;

use super::Bind;

/// The sockets that systemd passed to this process, with the names of their units (`FileDescriptorName=`).
///
/// `listenfd` turns the bare numbers into sockets, after it has checked what they are; no other code here can.
#[derive(Debug, Default)]
pub struct Inherited(Vec<(String, InheritedSocket)>);

/// One of them.
#[derive(Debug)]
pub(super) enum InheritedSocket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

impl Inherited {
    /// Takes them over. Must be called once, by the main thread, before any other thread exists: it removes the
    /// variables from the environment so that no child process takes the sockets for its own.
    ///
    /// # Errors
    /// A descriptor is neither a listening TCP socket nor a listening Unix socket.
    pub fn take(names: Option<&str>) -> io::Result<Self> {
        let mut passed = listenfd::ListenFd::from_env();
        let mut names = names.map(|names| names.split(':')).into_iter().flatten();
        let mut sockets = Vec::with_capacity(passed.len());
        for index in 0..passed.len() {
            // `unknown` is what sd_listen_fds_with_names(3) calls a socket without a name.
            let name = names.next().unwrap_or("unknown").to_owned();
            let socket = match passed.take_unix_listener(index) {
                Ok(Some(socket)) => InheritedSocket::Unix(socket),
                _ => match passed.take_tcp_listener(index)? {
                    Some(socket) => InheritedSocket::Tcp(socket),
                    None => continue,
                },
            };
            sockets.push((name, socket));
        }
        Ok(Self(sockets))
    }

    /// The names of the sockets that nobody has taken.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Takes the sockets for a place: those of that name, or those that listen at that address. Empty when they have
    /// been taken already or were never passed.
    pub(super) fn take_for(&mut self, bind: &Bind) -> Vec<InheritedSocket> {
        let fits = |(name, socket): &mut (String, InheritedSocket)| match (bind, socket) {
            (Bind::Systemd(wanted), _) => name == wanted,
            (Bind::Tcp(wanted), InheritedSocket::Tcp(socket)) => socket.local_addr().is_ok_and(|is| is == *wanted),
            (Bind::Unix(wanted), InheritedSocket::Unix(socket)) => {
                socket.local_addr().is_ok_and(|is| is.as_pathname() == Some(wanted))
            }
            _ => false,
        };
        self.0.extract_if(.., fits).map(|(_, socket)| socket).collect()
    }
}
