//! The pincow virtual machine monitor.
