use super::*;

fn in_memory(ram: &GuestRam) -> [u8; 16] {
    let mut bytes = [0; 16];
    ram.memory().read_slice(&mut bytes, GuestAddress(GENERATION_ID)).unwrap();
    bytes
}

#[test]
fn a_guest_has_it_in_its_memory_and_only_copies_are_interrupted() {
    let ram = GuestRam::anonymous(2 << 20).unwrap();
    let (first, wire) = give(&ram, false).unwrap();
    assert_eq!((in_memory(&ram), wire.irq), (first.bytes(), GENERATION_IRQ));
    assert!(wire.line.event().read().is_err(), "nothing was raised");
    let (second, wire) = give(&ram, true).unwrap();
    assert_eq!(in_memory(&ram), second.bytes());
    assert_eq!(wire.line.event().read().unwrap(), 1);
    assert_ne!(first, second);
}

#[test]
fn memory_without_room_for_it_is_an_error() {
    let ram = GuestRam::anonymous(0x1000).unwrap();
    let problem = give(&ram, false).unwrap_err().to_string();
    assert!(problem.contains("0xff000"), "{problem}");
}

#[test]
fn it_is_written_in_the_order_of_memory_and_read_again() {
    let id = GenerationId(std::array::from_fn(|at| at as u8 * 17));
    let text = "00112233445566778899aabbccddeeff";
    assert_eq!((id.to_string().as_str(), text.parse()), (text, Ok(id)));
    assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{text}\""));
    assert_eq!(serde_json::from_str::<GenerationId>(&format!("\"{text}\"")).unwrap(), id);
    for wrong in ["", "00", "+0112233445566778899aabbccddeeff", &text.replace('f', "g")] {
        assert_eq!(wrong.parse::<GenerationId>(), Err(NotAGenerationId(wrong.to_owned())));
    }
}
