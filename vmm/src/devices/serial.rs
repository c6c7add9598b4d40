//! A 16550 serial port (vm-superio), written to any [`Write`].
//!
//! It interrupts on the line that it is given; the embedded guest has none, writes and does not wait.
//! Registers are single bytes; wider accesses are refused (reads give all-ones, writes are dropped).
//!
//! Input waits on the host's side until the port's 64 bytes have room. It is not part of the guest.

use std::collections::VecDeque;
use std::io::{self, Write};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use vm_superio::serial::{NoEvents, SerialState as Registers};
use vm_superio::{Serial as Uart, Trigger};

use super::bus::{Flow, MmioDevice};
use super::interrupt::Interrupt;

#[cfg(test)]
mod tests;

/// Where the guest's serial output goes.
pub type SerialSink = Box<dyn Write + Send>;

/// A sink that forgets what it is given.
#[must_use]
pub fn nowhere() -> SerialSink {
    Box::new(std::io::sink())
}

/// How many bytes of input wait for the guest at most.
const WAITING_MOST: usize = 4096;

struct Wire(Box<dyn Interrupt>);

impl Trigger for Wire {
    type E = io::Error;

    fn trigger(&self) -> io::Result<()> {
        self.0.raise()
    }
}

/// The registers of a serial port, as plain data. Output has left the guest and is not part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SerialState {
    /// Baud divisor, low byte.
    pub baud_divisor_low: u8,
    /// Baud divisor, high byte.
    pub baud_divisor_high: u8,
    /// IER.
    pub interrupt_enable: u8,
    /// IIR.
    pub interrupt_identification: u8,
    /// LCR.
    pub line_control: u8,
    /// LSR.
    pub line_status: u8,
    /// MCR.
    pub modem_control: u8,
    /// MSR.
    pub modem_status: u8,
    /// SCR.
    pub scratch: u8,
    /// Received bytes that the guest has not read, at most 64.
    pub received: Vec<u8>,
}

/// A saved serial port that was not made live.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("saved serial port holds {found} received bytes, it has room for 64")]
pub struct SerialRestoreError {
    /// Bytes in the state.
    pub found: usize,
}

type Port = Uart<Wire, NoEvents, SerialSink>;

/// A serial port on the bus.
pub struct Serial {
    inner: Mutex<Inner>,
}

struct Inner {
    uart: Port,
    waiting: VecDeque<u8>,
}

impl Inner {
    /// Gives the port as much of what waits as it has room for.
    fn fill(&mut self) {
        let room = self.uart.fifo_capacity().min(self.waiting.len());
        if room == 0 {
            return;
        }
        let bytes: Vec<u8> = self.waiting.iter().take(room).copied().collect();
        // In loopback the port takes nothing from outside; what waits goes on waiting.
        let taken = self.uart.enqueue_raw_bytes(&bytes).unwrap_or_default();
        self.waiting.drain(..taken);
    }
}

impl Serial {
    /// A port as after power-on, which interrupts on `line`.
    pub fn new(sink: SerialSink, line: Box<dyn Interrupt>) -> Serial {
        Serial::of(Uart::new(Wire(line), sink))
    }

    fn of(uart: Port) -> Serial {
        Serial { inner: Mutex::new(Inner { uart, waiting: VecDeque::new() }) }
    }

    /// Input for the guest: as much of `bytes` as has room now. Returns how many that were.
    pub fn receive(&self, bytes: &[u8]) -> usize {
        let mut inner = self.inner.lock();
        let taken = bytes.len().min(WAITING_MOST - inner.waiting.len());
        inner.waiting.extend(&bytes[..taken]);
        inner.fill();
        taken
    }

    /// The port that `state` describes, writing to `sink` and interrupting on `line` from now on. What
    /// it has to say is raised again.
    ///
    /// # Errors
    ///
    /// [`SerialRestoreError`] when the state is not one that a port can have.
    pub fn restore(
        state: &SerialState,
        sink: SerialSink,
        line: Box<dyn Interrupt>,
    ) -> Result<Serial, SerialRestoreError> {
        let registers = Registers {
            baud_divisor_low: state.baud_divisor_low,
            baud_divisor_high: state.baud_divisor_high,
            interrupt_enable: state.interrupt_enable,
            interrupt_identification: state.interrupt_identification,
            line_control: state.line_control,
            line_status: state.line_status,
            modem_control: state.modem_control,
            modem_status: state.modem_status,
            scratch: state.scratch,
            in_buffer: state.received.clone(),
        };
        let uart = Uart::from_state(&registers, Wire(line), NoEvents, sink)
            .map_err(|_| SerialRestoreError { found: state.received.len() })?;
        Ok(Serial::of(uart))
    }

    /// The port's registers.
    pub fn save(&self) -> SerialState {
        let registers = self.inner.lock().uart.state();
        SerialState {
            baud_divisor_low: registers.baud_divisor_low,
            baud_divisor_high: registers.baud_divisor_high,
            interrupt_enable: registers.interrupt_enable,
            interrupt_identification: registers.interrupt_identification,
            line_control: registers.line_control,
            line_status: registers.line_status,
            modem_control: registers.modem_control,
            modem_status: registers.modem_status,
            scratch: registers.scratch,
            received: registers.in_buffer,
        }
    }
}

impl MmioDevice for Serial {
    fn read(&self, offset: u64, data: &mut [u8]) -> Flow {
        if let (Ok(register @ 0..8), [byte]) = (u8::try_from(offset), data) {
            let mut inner = self.inner.lock();
            *byte = inner.uart.read(register);
            inner.fill();
        }
        Flow::Continue
    }

    fn write(&self, offset: u64, data: &[u8]) -> Flow {
        if let (Ok(register @ 0..8), [byte]) = (u8::try_from(offset), data) {
            // A sink that is closed or full loses the byte; a serial line has no way to say so.
            let mut inner = self.inner.lock();
            let _ = inner.uart.write(register, *byte);
            inner.fill();
        }
        Flow::Continue
    }
}
