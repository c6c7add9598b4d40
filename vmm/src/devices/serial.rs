//! A 16550 serial port (vm-superio), written to any [`Write`].
//!
//! It raises no interrupts: the embedded guest writes and does not wait. Registers are single
//! bytes; wider accesses are refused (reads give all-ones, writes are dropped).

use std::convert::Infallible;
use std::io::Write;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use vm_superio::serial::{NoEvents, SerialState as Registers};
use vm_superio::{Serial as Uart, Trigger};

use super::bus::{Flow, MmioDevice};

#[cfg(test)]
mod tests;

/// Where the guest's serial output goes.
pub type SerialSink = Box<dyn Write + Send>;

/// A sink that forgets what it is given.
#[must_use]
pub fn nowhere() -> SerialSink {
    Box::new(std::io::sink())
}

struct NoInterrupt;

impl Trigger for NoInterrupt {
    type E = Infallible;

    fn trigger(&self) -> Result<(), Infallible> {
        Ok(())
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

/// A serial port on the bus.
pub struct Serial {
    uart: Mutex<Uart<NoInterrupt, NoEvents, SerialSink>>,
}

impl Serial {
    /// A port as after power-on.
    pub fn new(sink: SerialSink) -> Serial {
        Serial { uart: Mutex::new(Uart::new(NoInterrupt, sink)) }
    }

    /// The port that `state` describes, writing to `sink` from now on.
    ///
    /// # Errors
    ///
    /// [`SerialRestoreError`] when the state is not one that a port can have.
    pub fn restore(state: &SerialState, sink: SerialSink) -> Result<Serial, SerialRestoreError> {
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
        let uart = Uart::from_state(&registers, NoInterrupt, NoEvents, sink)
            .map_err(|_| SerialRestoreError { found: state.received.len() })?;
        Ok(Serial { uart: Mutex::new(uart) })
    }

    /// The port's registers.
    pub fn save(&self) -> SerialState {
        let registers = self.uart.lock().state();
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
            *byte = self.uart.lock().read(register);
        }
        Flow::Continue
    }

    fn write(&self, offset: u64, data: &[u8]) -> Flow {
        if let (Ok(register @ 0..8), [byte]) = (u8::try_from(offset), data) {
            // A sink that is closed or full loses the byte; a serial line has no way to say so.
            let _ = self.uart.lock().write(register, *byte);
        }
        Flow::Continue
    }
}
