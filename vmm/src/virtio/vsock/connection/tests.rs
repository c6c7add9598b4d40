//! The arithmetic of credit.

use std::io::Read;

use super::*;

fn pair() -> (UnixStream, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    far.set_nonblocking(true).unwrap();
    (near, far)
}

#[test]
fn an_allowance_counts_across_the_end_of_its_numbers() {
    let mut allowance = Allowance::default();
    assert_eq!(allowance.left(), 0);
    let mut sent = 0_u32;
    for _ in 0..9 {
        allowance.update(&Header { buf_alloc: 1 << 30, fwd_cnt: sent, ..Header::default() });
        assert_eq!(allowance.left(), 1 << 30);
        allowance.spend((1 << 30) - 1);
        assert_eq!(allowance.left(), 1);
        sent = sent.wrapping_add((1 << 30) - 1);
    }
    // Less room than what is on its way, and passed on what was never sent.
    allowance.update(&Header { buf_alloc: 5, fwd_cnt: sent.wrapping_sub(9), ..Header::default() });
    assert_eq!(allowance.left(), 0);
    allowance.update(&Header { buf_alloc: 5, fwd_cnt: sent.wrapping_add(1), ..Header::default() });
    assert_eq!(allowance.left(), 0);
}

#[test]
fn an_outlet_keeps_what_there_is_credit_for() {
    let (mut near, mut far) = pair();
    let mut outlet = Outlet::default();
    outlet.take(&[1; BUFFER_LEN]).unwrap();
    assert_eq!(outlet.take(&[1]), Err(outlet::Overrun));
    outlet.flush(&mut near).unwrap();
    assert!(outlet.is_empty() && outlet.is_credit_due());
    // The guest was not told yet.
    assert_eq!(outlet.take(&[1]), Err(outlet::Overrun));
    assert_eq!(outlet.tell(), BUFFER_LEN as u32);
    assert!(!outlet.is_credit_due());
    outlet.take(&[2; BUFFER_LEN]).unwrap();
    let mut got = vec![0; 3 * BUFFER_LEN];
    let mut read = 0;
    while read < 2 * BUFFER_LEN {
        outlet.flush(&mut near).unwrap();
        read += far.read(&mut got[read..]).unwrap();
    }
    assert!(got[..BUFFER_LEN].iter().all(|&byte| byte == 1));
    assert!(got[BUFFER_LEN..2 * BUFFER_LEN].iter().all(|&byte| byte == 2));
    drop(far);
    outlet.tell();
    outlet.take(&[3]).unwrap();
    assert!(outlet.flush(&mut near).is_err());
}
