use super::*;

fn read(device: &AcpiPm, offset: u64) -> u16 {
    let mut data = [0xff; 2];
    assert_eq!(device.read(offset, &mut data), Flow::Continue);
    u16::from_le_bytes(data)
}

#[test]
fn off_is_sleep_type_five_with_the_enable_bit() {
    let device = AcpiPm::default();
    assert_eq!(read(&device, CONTROL), SCI_EN);
    let sleep = |kind: u16| device.write(CONTROL, &(kind << 10 | SLP_EN).to_le_bytes());
    for kind in [0, 1, 4, 6, 7] {
        assert_eq!(sleep(kind), Flow::Continue, "{kind}");
    }
    assert_eq!(device.write(CONTROL, &(5_u16 << 10).to_le_bytes()), Flow::Continue);
    assert_eq!(sleep(5), Flow::PowerOff);
    assert_eq!(read(&device, CONTROL) & SLP_EN, 0);
}

#[test]
fn registers_survive_and_strange_accesses_change_nothing() {
    let device = AcpiPm::default();
    device.write(ENABLE, &[0x20, 0x01]);
    for len in [0, 1, 4, 8] {
        for offset in 0..8 {
            assert_eq!(device.write(offset, &vec![0xff; len]), Flow::Continue);
            let mut data = vec![0xff; len];
            device.read(offset, &mut data);
            assert_eq!(data, vec![0xff; len]);
        }
    }
    assert_eq!(device.save(), AcpiPmState { enable: 0x120, control: 0 });
    let copy = AcpiPm::restore(AcpiPmState { enable: 0x120, control: 0xffff });
    assert_eq!(read(&copy, CONTROL) & SLP_EN, 0);
    assert_eq!((read(&copy, STATUS), read(&copy, ENABLE)), (0, 0x120));
}
