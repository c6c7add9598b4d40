//! The header's layout, and what answers what.

use super::*;

#[test]
fn a_header_lies_as_the_specification_says() {
    let header = Header {
        src_cid: 0x0102_0304_0506_0708,
        dst_cid: 2,
        src_port: 0x1112_1314,
        dst_port: 0x2122_2324,
        len: 0x3132_3334,
        socket_type: 0x4142,
        op: 0x5152,
        flags: 0x6162_6364,
        buf_alloc: 0x7172_7374,
        fwd_cnt: 0x8182_8384,
    };
    let bytes = header.to_bytes();
    assert_eq!(bytes[..16], [8, 7, 6, 5, 4, 3, 2, 1, 2, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        bytes[16..28],
        [0x14, 0x13, 0x12, 0x11, 0x24, 0x23, 0x22, 0x21, 0x34, 0x33, 0x32, 0x31]
    );
    assert_eq!(bytes[28..32], [0x42, 0x41, 0x52, 0x51]);
    assert_eq!(
        bytes[32..],
        [0x64, 0x63, 0x62, 0x61, 0x74, 0x73, 0x72, 0x71, 0x84, 0x83, 0x82, 0x81]
    );
    assert_eq!(Header::from_bytes(&bytes), header);
}

#[test]
fn everything_but_a_reset_is_answered_by_one() {
    for op in 0..10 {
        let header =
            Header { src_cid: 3, dst_cid: 2, src_port: 7, dst_port: 9, op, ..Header::default() };
        let reset = header.reset();
        assert_eq!(reset.is_none(), op == Op::Reset as u16);
        assert_eq!(Op::of(op).map(|op| op as u16), (1..8).contains(&op).then_some(op));
        let Some(reset) = reset else { continue };
        assert_eq!((reset.src_cid, reset.dst_cid, reset.src_port, reset.dst_port), (2, 3, 9, 7));
        assert_eq!((reset.op, reset.len), (Op::Reset as u16, 0));
    }
}
