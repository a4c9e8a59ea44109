//! A blocking connection, read line by line or by counted octets.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// How long the server may keep a client waiting before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// The transport.
enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// A client's end of a connection.
pub(crate) struct Pipe {
    socket: Socket,
    input: Vec<u8>,
    /// How much of the input has been taken.
    taken: usize,
}

impl Pipe {
    /// Connects to a Unix socket.
    pub(crate) fn unix(path: &Path) -> io::Result<Self> {
        let socket = UnixStream::connect(path)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket: Socket::Unix(socket), input: Vec::new(), taken: 0 })
    }

    /// Connects over TCP.
    pub(crate) fn tcp(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        Self::over(socket)
    }

    /// Takes over a connection.
    pub(crate) fn over(socket: TcpStream) -> io::Result<Self> {
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        Ok(Self { socket: Socket::Tcp(socket), input: Vec::new(), taken: 0 })
    }

    /// Begins TLS with a server whose certificate this authority (a PEM file) has signed for `localhost`. Unread
    /// plain-text input is an error: the server must not have sent it.
    pub(crate) fn start_tls(self, authority: &Path) -> io::Result<Self> {
        assert_eq!(self.taken, self.input.len(), "plain text behind the answer to STARTTLS: {:?}", self.input);
        let Socket::Tcp(socket) = self.socket else { return Err(io::ErrorKind::Unsupported.into()) };
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = "localhost".try_into().unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, socket);
        stream.flush()?;
        Ok(Self { socket: Socket::Tls(Box::new(stream)), input: Vec::new(), taken: 0 })
    }

    /// Sends everything.
    pub(crate) fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        match &mut self.socket {
            Socket::Unix(socket) => socket.write_all(octets),
            Socket::Tcp(socket) => socket.write_all(octets),
            Socket::Tls(stream) => stream.write_all(octets).and_then(|()| stream.flush()),
        }
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&self) -> io::Result<()> {
        match &self.socket {
            Socket::Unix(socket) => socket.shutdown(Shutdown::Write),
            Socket::Tcp(socket) => socket.shutdown(Shutdown::Write),
            Socket::Tls(stream) => stream.sock.shutdown(Shutdown::Write),
        }
    }

    /// The next line without its end.
    pub(crate) fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut looked = self.taken;
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.input[looked..]) {
                let line = &self.input[self.taken..looked + end];
                let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
                self.taken = looked + end + 1;
                return Ok(line);
            }
            let held = self.input.len() - self.taken;
            self.more()?;
            looked = self.taken + held;
        }
    }

    /// This many octets.
    pub(crate) fn exact(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.input.len() - self.taken < length {
            self.more()?;
        }
        let octets = self.input[self.taken..self.taken + length].to_vec();
        self.taken += length;
        Ok(octets)
    }

    /// Waits for the server to close the connection; returns its output before that.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.more() {
                Ok(()) => {}
                Err(error) if is_over(&error) => return Ok(self.input.split_off(self.taken)),
                Err(error) => return Err(error),
            }
        }
    }

    fn more(&mut self) -> io::Result<()> {
        self.input.drain(..self.taken);
        self.taken = 0;
        let mut piece = [0; 64 << 10];
        let read = match &mut self.socket {
            Socket::Unix(socket) => socket.read(&mut piece),
            Socket::Tcp(socket) => socket.read(&mut piece),
            Socket::Tls(stream) => stream.read(&mut piece),
        };
        match read? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.input.extend_from_slice(&piece[..read]);
                Ok(())
            }
        }
    }
}

/// Whether an error says that the other end has gone, rather than keeping us waiting.
pub(crate) fn is_over(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, NotFound, UnexpectedEof};
    matches!(
        error.kind(),
        UnexpectedEof | ConnectionReset | ConnectionAborted | ConnectionRefused | BrokenPipe | NotFound
    )
}
