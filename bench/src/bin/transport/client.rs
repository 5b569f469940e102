//! A client that sends requests like CometBFT's, over one connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use poqd::transport::Address;
use prost::Message;
use tendermint_proto::v0_38::abci::{
    CommitInfo, Request, RequestCheckTx, RequestFinalizeBlock, RequestFlush, Response,
    request::Value as Asked, response::Value as Answered,
};

/// Buffer size of CometBFT's client.
const BUFFER_BYTES: usize = 4 << 10;
/// Requests between two flushes. CometBFT flushes at the latest 20 ms after a request.
const FLUSH_EVERY: usize = 500;
/// Time limit for a server to listen.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time limit of an answer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A connection.
pub(crate) struct Client {
    requests: Stream,
    responses: BufReader<Stream>,
}

impl Client {
    /// Connects as soon as the server listens.
    ///
    /// # Errors
    /// If the server does not listen in time.
    pub(crate) fn connect(address: &Address) -> anyhow::Result<Self> {
        let started = Instant::now();
        let stream = loop {
            match Stream::connect(address) {
                Ok(stream) => break stream,
                Err(error) if started.elapsed() > PATIENCE => {
                    return Err(error).with_context(|| format!("no server listens on {address}"));
                }
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        };
        Ok(Self {
            responses: BufReader::with_capacity(BUFFER_BYTES, stream.try_clone()?),
            requests: stream,
        })
    }

    /// Sends `count` CheckTx calls of `bytes` bytes without waiting for answers, and returns the time until
    /// the last answer.
    ///
    /// # Errors
    /// If an answer is unexpected, or the connection fails.
    pub(crate) fn pipelined_checks(
        &mut self,
        count: usize,
        bytes: usize,
    ) -> anyhow::Result<Duration> {
        let (check, flush) = (encoded(check(bytes)), encoded(flush()));
        let mut requests = io::BufWriter::with_capacity(BUFFER_BYTES, self.requests.try_clone()?);
        let started = Instant::now();
        let sending = thread::spawn(move || -> io::Result<()> {
            for index in 1..=count {
                requests.write_all(&check)?;
                if index % FLUSH_EVERY == 0 || index == count {
                    requests.write_all(&flush)?;
                    requests.flush()?;
                }
            }
            Ok(())
        });
        let (mut checked, mut flushed) = (0, 0);
        while checked < count || flushed < count.div_ceil(FLUSH_EVERY) {
            match self.receive()? {
                Answered::CheckTx(_) => checked += 1,
                Answered::Flush(_) => flushed += 1,
                other => bail!("the server answered {other:?}"),
            }
        }
        let elapsed = started.elapsed();
        sending
            .join()
            .map_err(|_| anyhow::anyhow!("sending failed"))??;
        Ok(elapsed)
    }

    /// Sends one CheckTx call and waits for the answer.
    ///
    /// # Errors
    /// See [`Self::pipelined_checks`].
    pub(crate) fn check(&mut self, bytes: usize) -> anyhow::Result<Duration> {
        let request = [encoded(check(bytes)), encoded(flush())].concat();
        self.ask(&request, 0)
    }

    /// Sends a block and waits for the answer.
    ///
    /// # Errors
    /// See [`Self::pipelined_checks`].
    pub(crate) fn block(&mut self, txs: usize, bytes: usize) -> anyhow::Result<Duration> {
        let request = [encoded(block(txs, bytes)), encoded(flush())].concat();
        self.ask(&request, txs)
    }

    /// Returns the time from the first byte of a request to the last byte of the answer to its flush.
    fn ask(&mut self, request: &[u8], txs: usize) -> anyhow::Result<Duration> {
        let started = Instant::now();
        self.requests.write_all(request)?;
        let results = match self.receive()? {
            Answered::CheckTx(_) => 0,
            Answered::FinalizeBlock(block) => block.tx_results.len(),
            other => bail!("the server answered {other:?}"),
        };
        ensure!(results == txs, "{results} results for {txs} transactions");
        match self.receive()? {
            Answered::Flush(_) => Ok(started.elapsed()),
            other => bail!("the server answered {other:?} to a flush"),
        }
    }

    fn receive(&mut self) -> anyhow::Result<Answered> {
        let mut length = Vec::new();
        loop {
            let Some(byte) = self.responses.fill_buf()?.first().copied() else {
                bail!("the server closed the connection");
            };
            self.responses.consume(1);
            length.push(byte);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let length = prost::decode_length_delimiter(length.as_slice())?;
        let mut message = vec![0; length];
        self.responses.read_exact(&mut message)?;
        Response::decode(message.as_slice())?
            .value
            .context("an empty answer")
    }
}

fn encoded(value: Asked) -> Vec<u8> {
    Request { value: Some(value) }.encode_length_delimited_to_vec()
}

fn flush() -> Asked {
    Asked::Flush(RequestFlush {})
}

fn check(bytes: usize) -> Asked {
    Asked::CheckTx(RequestCheckTx {
        tx: vec![1; bytes].into(),
        r#type: 0,
    })
}

fn block(txs: usize, bytes: usize) -> Asked {
    Asked::FinalizeBlock(RequestFinalizeBlock {
        txs: vec![vec![1; bytes].into(); txs],
        decided_last_commit: Some(CommitInfo::default()),
        hash: vec![2; 32].into(),
        height: 1,
        time: Some(Default::default()),
        next_validators_hash: vec![3; 32].into(),
        proposer_address: vec![4; 20].into(),
        ..Default::default()
    })
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn connect(address: &Address) -> io::Result<Self> {
        Ok(match address {
            Address::Tcp(endpoint) => {
                let stream = TcpStream::connect(endpoint)?;
                // Go also disables Nagle's algorithm.
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                Self::Tcp(stream)
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                Self::Unix(stream)
            }
        })
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
        })
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

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // The server's thread must not wait for more.
        let _ = match &self.requests {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}
