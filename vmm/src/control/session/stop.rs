//! The end of guests and snapshots.

use std::sync::Arc;

use super::Session;
use super::member::Killed;
use crate::control::{ControlError, How, Stopping};

impl Session {
    /// Ends guest `id`, or asks it to; or forgets snapshot `id`.
    pub(super) fn stop(&self, id: u32, kill: bool) -> Result<Stopping, ControlError> {
        let forgotten = self.state.lock().snapshots.remove(&id);
        if forgotten.is_some() {
            return Ok(Stopping { id, how: How::Forgotten, transfers_in_flight: 0, ended: None });
        }
        let member = self.member(id)?;
        if kill {
            let Killed { reason, was_over, transfers_in_flight } = member.kill();
            self.state.lock().forget();
            let how = if was_over { How::WasOver } else { How::Killed };
            return Ok(Stopping { id, how, transfers_in_flight, ended: Some(reason) });
        }
        let living = match member.operate() {
            Ok(living) => living,
            Err(ControlError::Ended { reason, .. }) => {
                let (how, ended) = (How::WasOver, Some(reason));
                return Ok(Stopping { id, how, transfers_in_flight: 0, ended });
            }
            Err(error) => return Err(error),
        };
        let guest = Arc::clone(&living.guest);
        let how = living.ask_to_end(self.asking)?;
        Ok(Stopping { id, how, transfers_in_flight: 0, ended: guest.machine().ended() })
    }
}
