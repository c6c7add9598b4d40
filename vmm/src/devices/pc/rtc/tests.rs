use super::*;

/// date -u -d @N, for times around what calendars get wrong.
const TIMES: [(u64, [u8; 8]); 5] = [
    (0, [0x00, 0x00, 0x00, 0x05, 0x01, 0x01, 0x70, 0x19]),
    (951_782_399, [0x59, 0x59, 0x23, 0x02, 0x28, 0x02, 0x00, 0x20]),
    (951_782_400, [0x00, 0x00, 0x00, 0x03, 0x29, 0x02, 0x00, 0x20]),
    (1_735_689_599, [0x59, 0x59, 0x23, 0x03, 0x31, 0x12, 0x24, 0x20]),
    (4_107_542_400, [0x00, 0x00, 0x00, 0x02, 0x01, 0x03, 0x00, 0x21]),
];

#[test]
fn times_are_those_of_the_calendar() {
    for (seconds, expected) in TIMES {
        let registers = [SECONDS, MINUTES, HOURS, WEEKDAY, DAY, MONTH, YEAR, CENTURY];
        assert_eq!(registers.map(|index| register(index, seconds)), expected, "{seconds}");
    }
}

#[test]
fn no_update_is_ever_in_progress_and_the_data_port_is_never_all_ones() {
    let rtc = Rtc::default();
    for index in 0..=u8::MAX {
        rtc.write(0, &[index]);
        let mut data = [0xff];
        rtc.read(1, &mut data);
        assert_ne!(data, [0xff], "register {index:#x}");
        assert!(index & 0x7f != A || data[0] & 0x80 == 0, "register {index:#x}");
    }
    assert_eq!(Rtc::restore(rtc.save()).save(), 0xff);
}

#[test]
fn wide_accesses_are_refused() {
    let rtc = Rtc::default();
    rtc.write(0, &[B, 0]);
    assert_eq!(rtc.save(), 0);
    let mut data = [0xff; 2];
    rtc.read(0, &mut data);
    assert_eq!(data, [0xff; 2]);
}
